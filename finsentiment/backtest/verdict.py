"""The verdict: a pure function from the evidence to one of three values, and the sentences that go with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scipy.stats import norm

from finsentiment.backtest.evidence import Estimate
from finsentiment.backtest.placebos import Placebo

Value = Literal["improves", "no evidence", "hurts"]


@dataclass(frozen=True)
class Evidence:
    """What the verdict rests on.

    difference : of the daily rank ICs with and without sentiment, in pairs
    shuffled : what sentiment gains, beside what it gains shuffled across the tickers of the session
    shifted : the same, beside what it gains shifted in time
    """

    difference: Estimate
    shuffled: Placebo
    shifted: Placebo


def decide_verdict(found: Evidence, significance: float) -> Value:
    """The rule, in words.

    Sentiment `improves` the forecast if all of these hold:

    1. the two-sided bootstrap interval of the paired difference in mean daily rank IC lies wholly above 0;
    2. so does the interval of the HAC t, which makes other assumptions about how sessions hang together;
    3. the models gain more from the real sentiment than from the same scores shuffled across the tickers of the
       session, and
    4. than from the same scores shifted in time, both with a placebo p-value of at most half of `significance`,
       its share for one side (or, where there are too few placebos for that, the smallest possible).

    It `hurts` if the mirror of all four holds. Anything else is `no evidence`: the sessions are too few or too
    noisy, or there is nothing to find.

    The intervals know that sessions differ; the placebos know what the models make of sentiment that belongs to
    another ticker or another day. The arm that is tested, the fine-tuned model, is named before its figures are
    known, so that no correction for the other arms is needed; they have one in the test for superior predictive
    ability. How often the rule errs is measured by scripts/calibrate.py. Without placebos the intervals decide.
    """
    side = beyond_chance(found.difference, significance)
    placebos = (found.shuffled, found.shifted)
    rare = [max(significance / 2, 1 / (1 + len(placebo.differences))) for placebo in placebos]
    p = [placebo.p if side > 0 else placebo.p_hurts for placebo in placebos]
    if side == 0 or any(value > most for value, most in zip(p, rare, strict=True)):
        return "no evidence"
    return "improves" if side > 0 else "hurts"


def beyond_chance(difference: Estimate, significance: float) -> Literal[-1, 0, 1]:
    """Whether both intervals of the difference lie above 0 (1), below (-1), or not (0): what placebos can't mend."""
    t = norm.ppf(1 - significance / 2)
    if difference.low > 0 and difference.hac_t > t:
        return 1
    return -1 if difference.high < 0 and difference.hac_t < -t else 0


def verdict_in_words(value: Value, with_it: float, without: float, found: Evidence, significance: float) -> str:
    """The verdict in three sentences with its figures; `with_it` and `without` are the two arms' mean rank ICs."""
    opening = {
        "improves": "Sentiment improves the forecast.",
        "hurts": "Sentiment hurts the forecast.",
        "no evidence": "There is no evidence that sentiment changes the forecast.",
    }[value]
    gain = found.difference
    figures = (
        f"Mean daily rank IC: {_three(with_it)} with sentiment, {_three(without)} without; the gain is "
        f"{_three(gain.mean)} ({100 * (1 - significance):g} % interval {_three(gain.low)} to {_three(gain.high)})."
    )
    if not len(found.shuffled.differences):
        return f"{opening} {figures}"
    shuffles = _share_beaten(found.shuffled, "shuffles across tickers")
    shifts = _share_beaten(found.shifted, "shifts in time")
    return f"{opening} {figures} The real scores beat {shuffles} and {shifts}."


def _three(value: float) -> str:
    """Three digits after the point, and no sign before a zero."""
    return f"{round(value, 3) + 0.0:.3f}"


def _share_beaten(placebo: Placebo, name: str) -> str:
    beaten, count = int((placebo.differences < placebo.observed).sum()), len(placebo.differences)
    if beaten in (0, count):
        return f"{'all' if beaten else 'none of'} {count} {name}"
    return f"{beaten} of {count} {name}"
