"""Walk-forward forecasts with and without sentiment, the evidence and the verdict."""
