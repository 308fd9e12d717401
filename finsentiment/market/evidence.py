"""How good a forecast is, with its uncertainty: rank IC, block bootstrap, HAC t and the placebo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import statsmodels.api as sm
from arch.bootstrap import StationaryBootstrap, optimal_block_length


@dataclass(frozen=True)
class Estimate:
    """The mean of a series over sessions: its interval, two-sided bootstrap p-value and HAC t-statistic."""

    mean: float
    low: float
    high: float
    p: float
    hac_t: float


@dataclass(frozen=True)
class Placebo:
    """The observed difference beside those that sentiment of no meaning gives.

    `p` is the chance of a difference at least as high, `p_hurts` of one at least as low, if sentiment says
    nothing; both count the observed difference itself, so they are at least 1 / (1 + len(differences)).
    """

    observed: float
    differences: np.ndarray
    p: float
    p_hurts: float


def rank_ic(forecast: np.ndarray, outcome: np.ndarray, session: np.ndarray, min_tickers: int) -> pd.Series:
    """Spearman correlation of forecast and outcome over the tickers of each session, ties averaged.

    A forecast that is the same for all tickers ranks nothing: its IC is 0, not missing, so that a model without
    an opinion is judged on the same sessions as one that has some. The same holds where all outcomes are equal.

    Parameters
    ----------
    forecast, outcome, session : (rows,) arrays; rows where forecast or outcome is NaN don't count

    Returns
    -------
    Series indexed by every value of `session` in order; NaN where fewer than `min_tickers` rows count
    """
    rows = pd.DataFrame({"forecast": forecast, "outcome": outcome})
    known = rows.notna().all(axis=1)
    by_session = rows[known].groupby(session[known])
    centred = by_session.rank()
    centred -= centred.groupby(session[known]).transform("mean")
    squares = centred.pow(2).assign(both=centred["forecast"] * centred["outcome"])
    sums = squares.groupby(session[known]).sum()
    scale = np.sqrt(sums["forecast"] * sums["outcome"])
    ic = (sums["both"] / scale.where(scale > 0)).fillna(0.0)
    return ic.where(by_session.size() >= min_tickers).reindex(np.unique(session))


def bootstrap(series: np.ndarray, statistic: Callable[[np.ndarray], float], samples: int, seed: int) -> np.ndarray:
    """`statistic` of `samples` stationary bootstrap resamples of a series: shape (samples,).

    Blocks have the mean length of Politis and White (2004), corrected by Patton, Politis and White (2009), at
    least 1; it is 1 for a series too short or too constant to estimate it from.
    """
    block = 1.0
    if len(series) >= 20 and np.ptp(series) > 0:
        block = max(block, np.nan_to_num(optimal_block_length(series)["stationary"].iloc[0]))
    resampling = StationaryBootstrap(block, series, seed=np.random.default_rng(seed))
    return resampling.apply(statistic, samples)[:, 0]


def interval(resampled: np.ndarray, significance: float) -> tuple[float, float]:
    """Percentile interval that leaves `significance` / 2 out on either side."""
    low, high = np.quantile(resampled, [significance / 2, 1 - significance / 2])
    return float(low), float(high)


def estimate(series: np.ndarray, horizon: int, samples: int, significance: float, seed: int) -> Estimate:
    """The mean of a series of one value per session, with its uncertainty.

    The interval and p-value come from the same resamples: p is twice the smaller share of resampled means on
    one side of 0. The t-statistic is Newey and West's, with their lag 4 (n / 100)^(2/9), or horizon - 1 where
    overlapping forward returns ask for more; it is 0 for a series without variance.
    """
    resampled = bootstrap(series, np.mean, samples, seed)
    side = min((resampled <= 0).sum(), (resampled >= 0).sum())
    hac_t = 0.0
    if np.ptp(series) > 0:
        lags = max(horizon - 1, int(4 * (len(series) / 100) ** (2 / 9)))
        hac = {"maxlags": lags, "use_correction": True}
        hac_t = float(sm.OLS(series, np.ones(len(series))).fit(cov_type="HAC", cov_kwds=hac).tvalues[0])
    low, high = interval(resampled, significance)
    return Estimate(float(np.mean(series)), low, high, float(min(1.0, 2 * (1 + side) / (1 + samples))), hac_t)


def shuffle_within(columns: np.ndarray, group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`columns` (rows, features) with whole rows dealt out anew among the rows of the same `group` (rows,)."""
    shuffled = np.empty_like(columns)
    shuffled[np.argsort(group, kind="stable")] = columns[np.lexsort((rng.random(len(group)), group))]
    return shuffled


def rank_among_placebos(observed: float, differences: np.ndarray) -> Placebo:
    """Rank the observed difference among those of the placebos (permutation p-values, Phipson and Smyth 2010)."""
    count = 1 + len(differences)
    p = (1 + int((differences >= observed).sum())) / count
    return Placebo(observed, differences, p, (1 + int((differences <= observed).sum())) / count)
