"""News and prices from where users have them, one file per source."""
