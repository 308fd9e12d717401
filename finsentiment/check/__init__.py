"""A look at a corpus or a market before anything runs: what it is, with which parameters, what is doubtful."""
