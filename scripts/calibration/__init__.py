"""Markets whose truth is known, of a real panel's shape, and how often the three answers are wrong on them."""
