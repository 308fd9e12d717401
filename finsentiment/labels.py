"""Names of classes and of levels of agreement, in the order that every table, logit and picture has them in."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

LABELS = ("negative", "neutral", "positive")
"""The classes: the order of every probability column, logit and confusion matrix."""

P_COLUMNS = tuple(f"p_{label}" for label in LABELS)
"""Columns of probabilities in every table."""

LIKELY = {
    "negative": ("bearish", "neg", "sell", "down", "bad"),
    "neutral": ("neu", "hold", "neutral or mixed", "flat"),
    "positive": ("bullish", "pos", "buy", "up", "good"),
}
"""Words that mostly stand for a label. Of a corpus a message proposes them, and none is taken unasked."""

AGREEMENT_LEVELS = {
    "50": (0.50, "less than 66 %"),
    "66": (0.66, "66 to 75 %"),
    "75": (0.75, "75 to 100 %"),
    "100": (1.00, "all agree"),
}
"""Levels of agreement by name, those of Financial PhraseBank: least share of agreeing annotators, and in words."""


def label_codes(labels: Iterable[str]) -> np.ndarray:
    """Codes 0 to 2 of label names in the order of `LABELS`, shape (n,), integers.

    Raises KeyError on a name that is not in `LABELS`.
    """
    code = {label: i for i, label in enumerate(LABELS)}
    return np.array([code[label] for label in labels], dtype=int)


def rows_by_agreement(agreement: Iterable[float]) -> dict[str, np.ndarray]:
    """For each of `AGREEMENT_LEVELS` which rows are at it: from its least share up to, not including, the next one's.

    `agreement` has shape (n,), NaN where unknown: such rows are at no level. The arrays are of bool, shape (n,).
    """
    share = np.asarray(list(agreement), dtype=float)
    level = np.searchsorted([least for least, _ in AGREEMENT_LEVELS.values()], share, side="right") - 1
    return {name: (level == i) & ~np.isnan(share) for i, name in enumerate(AGREEMENT_LEVELS)}
