"""The three classes, in the order of every probability column, logit and confusion matrix."""

LABELS = ("negative", "neutral", "positive")
