"""Figures in words: one format for each kind of number, and sentences that are made from the data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from finsentiment.arms import ARMS, BASE

SYSTEMS = {
    "zero_shot": "zero- or few-shot",
    "zero_shot_calibrated": "  the same, calibrated",
    "tfidf": "TF-IDF + logistic reg.",
    "lexicon": "finance lexicon",
    "majority": "always the largest class",
}
"""What the fine-tuned model is compared with on the test sentences, in the order of tables."""

LONG_ONLY = "_long_only"
"""What the name of an arm's long-only portfolio ends with."""


def arm_label(name: str) -> str:
    """An arm or the base, or its long-only portfolio, as reports call it. Raises KeyError for any other name."""
    arm = name.removesuffix(LONG_ONLY)
    return ("base" if arm == BASE else ARMS[arm].label) + (", long only" if arm != name else "")


def p_in_words(p: float) -> str:
    """A p-value with its relation: `= 0.012`, `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def percent(share: float, digits: int = 0) -> str:
    """A share in percent: `90 %`."""
    return f"{100 * share:.{digits}f} %"


def confidence(share: float) -> str:
    """The confidence of an interval in percent, with the digits that tell it from 100 %: `90 %`, `97.9 %`, `99.9 %`."""
    digits = max(0, math.ceil(round(-math.log10(1 - share), 9)) - 1)
    return f"{round(100 * share, digits):g} %"


def signed(value: float, digits: int) -> str:
    """A number with its sign; a zero, rounded or not, has a plus."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def joined(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def gains_in_words(gains: Mapping[str, Mapping[str, float]]) -> str:
    """With which arms the interval of the gain lies above 0, with which below, and with which on both sides.

    Parameters
    ----------
    gains : by arm, the gain in mean daily rank IC over the base, and the ends of its interval: `mean`, `low`, `high`
    """
    by_side: dict[str, list[str]] = {"better": [], "worse": [], "unclear": []}
    for arm, gain in gains.items():
        side = "better" if gain["low"] > 0 else "worse" if gain["high"] < 0 else "unclear"
        by_side[side].append(f"the {ARMS[arm].label} ({signed(gain['mean'], 3)})")
    openings = {
        "better": "The interval of the gain lies above 0 with {}.",
        "worse": "The interval of the gain lies below 0 with {}.",
        "unclear": "The interval of the gain holds 0 with {}.",
    }
    return " ".join(openings[side].format(joined(arms)) for side, arms in by_side.items() if arms)
