"""Point-in-time features of prices and scored news, and the check that none looks ahead."""
