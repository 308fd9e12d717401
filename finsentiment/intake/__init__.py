"""Files as users have them: what kind a file is, its rows, and the times and numbers in them."""
