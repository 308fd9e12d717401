"""The rule of all three answers, as pure functions of the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import norm

from finsentiment.backtest.evidence import Estimate
from finsentiment.backtest.placebos import Placebo

Value = Literal["improves", "no evidence", "hurts"]
Answer = Literal["yes", "no evidence", "hurts"]
Side = Literal[-1, 0, 1]

POWER = 0.8
"""The probability with which the smallest effect would have been found that `no evidence` names."""


@dataclass(frozen=True)
class Evidence:
    """What an answer rests on.

    estimate : the mean over sessions of the figure in question
    shuffled, shifted : the figure beside what it is with the scores shuffled across similar tickers, or shifted in time
    level : the two-sided level of the answer
    """

    estimate: Estimate
    shuffled: Placebo
    shifted: Placebo
    level: float


def level_of(significance: float, trials_before: int) -> float:
    """The level of one look at data that were looked at before, two-sided.

    Šidák: with n looks in all, each at 1 - (1 - significance)^(1 / n), the chance of any error stays at `significance`.
    """
    return 1 - (1 - significance) ** (1 / (1 + trials_before))


def decide_side(found: Evidence) -> Side:
    """The rule of all three answers: 1 (yes, improves), -1 (hurts) or 0 (no evidence).

    It is 1 if all of these hold:

    1. the two-sided bootstrap interval of the mean lies wholly above 0;
    2. the HAC t, which makes other assumptions about how sessions hang together, lies above its quantile;
    3. the figure is higher than with the same scores shuffled among the tickers of a session that are alike in news and
       past return, and
    4. than with the same scores shifted in time, both with a placebo p-value of at most half of the level, its
       share for one side (or, where there are too few placebos for that, the smallest possible).

    It is -1 if the mirror of all four holds. Without placebos points 1 and 2 decide. How often the rule errs is
    measured by scripts/calibrate.py.
    """
    side = beyond_chance(found.estimate, found.level)
    placebos = (found.shuffled, found.shifted)
    rare = [max(found.level / 2, 1 / (1 + len(placebo.drawn))) for placebo in placebos]
    p = [placebo.p if side > 0 else placebo.p_hurts for placebo in placebos]
    return 0 if any(value > most for value, most in zip(p, rare, strict=True)) else side


def beyond_chance(estimate: Estimate, level: float) -> Side:
    """Whether interval and HAC t lie above 0 (1), below (-1), or not (0): what placebos can't mend."""
    t = norm.ppf(1 - level / 2)
    if estimate.low > 0 and estimate.hac_t > t:
        return 1
    return -1 if estimate.high < 0 and estimate.hac_t < -t else 0


def decide_answer(found: Evidence) -> Answer:
    """Whether sentiment is informative, and whether it pays: `yes`, `hurts` or `no evidence`."""
    answers: dict[Side, Answer] = {1: "yes", 0: "no evidence", -1: "hurts"}
    return answers[decide_side(found)]


def decide_verdict(found: Evidence, gain: float) -> Value:
    """Whether sentiment `improves` the forecast, `hurts` it, or neither is in evidence.

    The evidence is about what the increment tells beyond the base. The forecast with it must also have done better
    (worse) than the one without: the observed `gain` in mean rank IC has the same sign.
    """
    values: dict[Side, Value] = {1: "improves", 0: "no evidence", -1: "hurts"}
    side = decide_side(found)
    return values[side if side * gain > 0 else 0]


def detectable(found: Evidence) -> float | None:
    """The smallest mean that would have been found with a probability of `POWER`, had it been there.

    What the mean must exceed to be found is the largest of: half the interval, the quantile of t in standard errors,
    and the same quantile of both kinds of placebos. On top of that comes the quantile of `POWER` in standard errors.
    None where no mean would have been found: there is no t, since values are too few or all the same.
    """
    estimate = found.estimate
    if estimate.hac_t == 0:
        return None
    error = abs(estimate.mean / estimate.hac_t)
    drawn = [placebo.drawn for placebo in (found.shuffled, found.shifted) if len(placebo.drawn)]
    limits = [float(np.quantile(values, 1 - found.level / 2)) for values in drawn]
    needed = max(norm.ppf(1 - found.level / 2) * error, estimate.mean - estimate.low, *limits, 0.0)
    return float(needed + norm.ppf(POWER) * error)
