"""The verdict: a pure function from the evidence to one of three values, and the sentence that goes with it."""

from __future__ import annotations

from typing import Literal

from finsentiment.market.evidence import Estimate, Placebo

Value = Literal["improves", "no evidence", "hurts"]


def verdict(difference: Estimate, against: Placebo, significance: float) -> Value:
    """The rule, in words.

    Sentiment `improves` the forecast if the two-sided bootstrap interval of the paired difference in mean rank IC
    lies wholly above 0, and sentiment gains more than the same scores dealt out to other tickers: the placebo
    p-value is at most `significance`, or, where there are too few placebos for that, the smallest possible. It
    `hurts` if the interval lies wholly below 0 and sentiment gains less than the placebos by the same measure.
    Anything else is `no evidence`: the sessions are too few or too noisy, or there is nothing to find.

    The interval knows that sessions differ; the placebo knows what more columns, whatever is in them, do to
    LightGBM. Neither alone is enough. Without placebos the interval decides.
    """
    rare = max(significance, 1 / (1 + len(against.differences)))
    if difference.low > 0 and against.p <= rare:
        return "improves"
    if difference.high < 0 and against.p_hurts <= rare:
        return "hurts"
    return "no evidence"


def in_words(
    value: Value, with_it: float, without: float, difference: Estimate, against: Placebo, significance: float
) -> str:
    """The verdict as one sentence with its figures; `with_it` and `without` are the two arms' mean rank ICs."""
    opening = {
        "improves": "Sentiment improves the forecast",
        "hurts": "Sentiment hurts the forecast",
        "no evidence": "There is no evidence that sentiment changes the forecast",
    }[value]
    lower = int((against.differences < against.observed).sum())
    return (
        f"{opening}: mean daily rank IC {with_it:.4f} with it and {without:.4f} without, a difference of "
        f"{difference.mean:+.4f} ({100 * (1 - significance):g} % interval {difference.low:+.4f} to "
        f"{difference.high:+.4f}, p = {difference.p:.3f}); {lower} of {len(against.differences)} placebos "
        f"with shuffled sentiment gain less "
        f"(placebo p = {against.p:.3f})."
    )
