"""What people read: pages and pictures."""
