"""How good a forecast is, with its uncertainty: rank IC, block bootstrap, HAC t, and many tries at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
from arch.bootstrap import SPA, StationaryBootstrap, optimal_block_length
from scipy.stats import kurtosis, norm, rankdata, skew

from finsentiment.backtest.enough import MIN_IC_SESSIONS


@dataclass(frozen=True)
class Estimate:
    """The mean of a series over sessions: its interval, two-sided bootstrap p-value and HAC t-statistic."""

    mean: float
    low: float
    high: float
    p: float
    hac_t: float


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
    names, row = np.unique(session, return_inverse=True)
    known = ~(np.isnan(forecast) | np.isnan(outcome))
    row = row[known]
    count = np.bincount(row, minlength=len(names))
    column = np.empty(len(row), dtype=int)
    column[np.argsort(row, kind="stable")] = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    filled = np.arange(max(1, count.max(initial=0))) < count[:, None]

    def centred_ranks(values: np.ndarray) -> np.ndarray:
        grid = np.full(filled.shape, np.inf)  # what is missing ranks last, and moves no rank before it
        grid[row, column] = values[known]
        return np.where(filled, rankdata(grid, axis=1) - (count[:, None] + 1) / 2, 0.0)

    of_forecast, of_outcome = centred_ranks(forecast), centred_ranks(outcome)
    scale = np.sqrt((of_forecast**2).sum(axis=1) * (of_outcome**2).sum(axis=1))
    ic = (of_forecast * of_outcome).sum(axis=1) / np.where(scale > 0, scale, 1.0)
    return pd.Series(np.where(count >= min_tickers, ic, np.nan), index=names)


def block_length(series: np.ndarray) -> float:
    """Mean block length for the stationary bootstrap, at least 1.

    Politis and White (2004), corrected by Patton, Politis and White (2009); 1 for a series too short or too constant
    to estimate it from.
    """
    if len(series) < 20 or np.ptp(series) == 0:
        return 1.0
    return max(1.0, float(np.nan_to_num(optimal_block_length(series)["stationary"].iloc[0])))


def bootstrap(series: np.ndarray, statistic: Callable[[np.ndarray], float], samples: int, seed: int) -> np.ndarray:
    """`statistic` of `samples` stationary bootstrap resamples of a series: shape (samples,)."""
    length: Any = block_length(series)  # the mean of a geometric distribution: it need not be whole
    resampling = StationaryBootstrap(length, series, seed=np.random.default_rng(seed))
    return resampling.apply(statistic, samples)[:, 0]


def interval(resampled: np.ndarray, significance: float) -> tuple[float, float]:
    """Percentile interval that leaves `significance` / 2 out on either side."""
    low, high = np.quantile(resampled, [significance / 2, 1 - significance / 2])
    return float(low), float(high)


def estimate_mean(series: np.ndarray, horizon: int, samples: int, significance: float, seed: int) -> Estimate:
    """The mean of a series of one value per session, with its uncertainty.

    The interval and p-value come from the same resamples: p is twice the smaller share of resampled means on
    one side of 0. The t-statistic is Newey and West's, with their lag 4 (n / 100)^(2/9), or horizon - 1 where
    overlapping forward returns ask for more; it is 0 for a series without variance or with fewer than
    `MIN_IC_SESSIONS` values, which are too few for its quantiles.
    """
    resampled = bootstrap(series, np.mean, samples, seed)
    side = min((resampled <= 0).sum(), (resampled >= 0).sum())
    hac_t = 0.0
    if np.ptp(series) > 0 and len(series) >= MIN_IC_SESSIONS:
        lags = max(horizon - 1, int(4 * (len(series) / 100) ** (2 / 9)))
        hac = {"maxlags": lags, "use_correction": True}
        hac_t = float(sm.OLS(series, np.ones(len(series))).fit(cov_type="HAC", cov_kwds=hac).tvalues[0])
    low, high = interval(resampled, significance)
    return Estimate(float(np.mean(series)), low, high, float(min(1.0, 2 * (1 + side) / (1 + samples))), hac_t)


def superior_predictive_ability(ic: pd.DataFrame, benchmark: str, samples: int, seed: int) -> float:
    """P-value of Hansen's (2005) test that none of the other columns of `ic` beats the column `benchmark` on average.

    `ic` holds a rank IC per session and variant. It answers for all variants at once what their own intervals
    answer one by one: is the best of them better than the best of that many without merit would be? 1 where no
    variant differs from the benchmark.
    """
    gains = ic.drop(columns=benchmark).sub(ic[benchmark], axis=0)
    gains = gains.loc[:, gains.std() > 0]
    if gains.empty:
        return 1.0
    block = max(block_length(gains[name].to_numpy()) for name in gains)
    # Losses: the benchmark's is 0, a variant's is what it does worse, in standard deviations: arch offers to
    # studentise and compares means as they are (8.0), so that a variant that varies much hides one that varies little.
    losses = -(gains / gains.std()).to_numpy()
    test = SPA(np.zeros(len(gains)), losses, block_size=round(block), reps=samples, seed=seed)
    test.compute()
    return float(test.pvalues["consistent"])


def deflated_sharpe(returns: np.ndarray, tried: list[float], trials: int) -> float:
    """Probability that a strategy's true Sharpe ratio is above what the best of `trials` without merit would show.

    Bailey and López de Prado (2014), "The Deflated Sharpe Ratio", equations 1 and 2. 0.5 for returns that don't vary.

    Parameters
    ----------
    returns : of the strategy, per period
    tried : Sharpe ratios per period, not annualised, of the strategies whose returns are known; their variance
        stands for that of all trials
    trials : how many were tried, those known among them
    """
    spread = np.std(returns, ddof=1)
    if len(returns) < 3 or spread == 0:
        return 0.5
    ratio = np.mean(returns) / spread
    hurdle = 0.0
    if trials > 1 and len(tried) > 1:
        euler = np.euler_gamma
        best = (1 - euler) * norm.ppf(1 - 1 / trials) + euler * norm.ppf(1 - 1 / (trials * np.e))
        hurdle = np.std(tried, ddof=1) * best
    shape = 1 - skew(returns) * ratio + (kurtosis(returns, fisher=False) - 1) / 4 * ratio**2
    return float(norm.cdf((ratio - hurdle) * np.sqrt(len(returns) - 1) / np.sqrt(shape)))
