"""News and prices: sources, trading sessions, features, walk-forward, verdict."""
