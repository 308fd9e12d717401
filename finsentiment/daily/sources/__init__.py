"""Sources of news and prices, one file each."""
