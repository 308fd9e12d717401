"""What people look at in a signal: returns by quantile, decay, turnover, what happens around news, and coverage.

Nothing here decides an answer. Returns by quantile, rank autocorrelation and quantile turnover are computed as
alphalens computes them (`tests/test_profile.py`).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from arch.bootstrap import StationaryBootstrap
from scipy.stats import norm

from finsentiment.arms import SIGNAL
from finsentiment.backtest.enough import MIN_IC_SESSIONS
from finsentiment.backtest.evidence import block_length
from finsentiment.backtest.partial import Partial
from finsentiment.backtest.questions import BPS, Asker
from finsentiment.backtest.table import PARTS, FeatureTable
from finsentiment.features.build import HORIZONS

LAGS = 21
QUANTILES = 5
AROUND = range(-5, 11)
"""Sessions around the one that news counts for; 0 is that session."""
EVENT_COLUMNS = ["news", "day", "part", "mean_bps", "low", "high", "so_far_bps", "so_far_low", "so_far_high", "events"]
GOOD = 1 / 3
"""Mean score of a session's news above which it is good news; below minus that it is bad, between neutral."""


def profile_signal(
    table: FeatureTable, partial: Partial, asker: Asker
) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    """Figures, and tables by name.

    Returns
    -------
    figures : `horizon` (the mean partial rank IC over 1, 5 and 21 sessions, and the chance of the largest of their t),
        `spread` (top less bottom quantile, basis points a session), `autocorrelation`, `top_turnover`, `top_five`
        (share of the news on the five tickers with most)
    tables : decay (lag, mean, low, high), quantiles (quantile, mean_bps, low, high, rows), events (as `event_study`),
        coverage (ticker, headlines, sessions, covered)
    """
    signal = np.where(table.ranked, table.column(SIGNAL), np.nan)
    told = np.where(table.news_count > 0, signal, np.nan)
    quantile = quantiles_of(told, table.session)
    daily = np.where(np.isnan(told), np.nan, table.column("return_1"))
    abnormal = daily - pd.Series(daily).groupby(table.session).transform("mean").to_numpy()
    by_quantile, spread = quantile_returns(quantile, abnormal, table.session, asker.level)
    coverage = coverage_of(table)
    grid = table.grid(signal)
    quantile_grid = table.grid(quantile)
    figures = {
        "horizon": joint_horizons(partial, asker),
        "spread": asdict(asker.estimate(spread * BPS)) if len(spread) >= MIN_IC_SESSIONS else None,
        "autocorrelation": rank_autocorrelation(grid),
        "top_turnover": top_turnover(quantile_grid),
        "top_five": float(coverage["headlines"].head(5).sum() / max(coverage["headlines"].sum(), 1)),
    }
    tables = {
        "decay": _decay(partial, asker),
        "quantiles": by_quantile,
        "events": event_study(table, asker.level),
        "coverage": coverage,
    }
    return figures, tables


def quantiles_of(values: np.ndarray, session: np.ndarray) -> np.ndarray:
    """The quantile, 1 (lowest) to `QUANTILES`, of each value within its session; NaN where it is missing.

    By the edges of `pandas.qcut`; equal values share the quantile of their mean rank. Sessions with fewer values than
    quantiles have none.
    """
    by_session = pd.Series(values).groupby(session)
    place, count = by_session.rank() - 1, by_session.transform("count")
    found = np.ceil(QUANTILES * place / (count - 1).where(count > 1)).clip(lower=1)
    return found.where(count >= QUANTILES).to_numpy()


def quantile_returns(
    quantile: np.ndarray, abnormal: np.ndarray, session: np.ndarray, level: float
) -> tuple[pd.DataFrame, np.ndarray]:
    """Mean abnormal return of each quantile in basis points with its interval, and the spread by session.

    Abnormal: less the mean of the session's tickers with news. Means over sessions of each session's mean; an interval
    is normal, by the standard error over sessions, and misses the mean with the chance `level`.
    """
    known = ~np.isnan(quantile) & ~np.isnan(abnormal)
    frame = pd.DataFrame({"quantile": quantile[known].astype(int), "session": session[known], "r": abnormal[known]})
    means = frame.groupby(["session", "quantile"])["r"].mean().unstack().reindex(columns=range(1, QUANTILES + 1))
    rows = frame.groupby("quantile").size().reindex(means.columns, fill_value=0)
    mean, error = means.mean() * BPS, means.sem() * BPS * norm.ppf(1 - level / 2)
    found = {"quantile": means.columns, "mean_bps": mean, "low": mean - error, "high": mean + error, "rows": rows}
    return pd.DataFrame(found).reset_index(drop=True), (means[QUANTILES] - means[1]).dropna().to_numpy()


def rank_autocorrelation(signal: np.ndarray) -> float | None:
    """Mean over sessions of the correlation of ranks with those of the session before (S x K)."""
    ranks = pd.DataFrame(signal).rank(axis=1)
    found = ranks.iloc[1:].reset_index(drop=True).corrwith(ranks.iloc[:-1].reset_index(drop=True), axis=1).mean()
    return None if np.isnan(found) else float(found)


def top_turnover(quantile: np.ndarray) -> float | None:
    """Mean share of the top quantile's tickers (S x K) that were not in it in the last session that had one."""
    top = quantile == QUANTILES
    top = top[top.any(axis=1)]
    if len(top) < 2:
        return None
    return float(((top[1:] & ~top[:-1]).sum(axis=1) / top[1:].sum(axis=1)).mean())


def joint_horizons(partial: Partial, asker: Asker) -> dict[str, Any]:
    """Mean partial rank IC over each of `HORIZONS` sessions, and `p`: the chance of so large a t at any of them.

    By daily returns that don't overlap. The t of all horizons are resampled on the same sessions, about their means, so
    that the largest is judged by how large the largest is without an effect (White 2000).
    """
    series = {h: pd.Series(partial.judged_by_session(h), index=partial.sessions(h)) for h in HORIZONS}
    frame = pd.DataFrame(series).dropna()
    if len(frame) < MIN_IC_SESSIONS:
        return {"by": {}, "p": None}
    values = frame.to_numpy()
    error = np.maximum(values.std(axis=0, ddof=1), 1e-12) / np.sqrt(len(values))
    observed = np.abs(values.mean(axis=0) / error).max()
    length: Any = max(block_length(values[:, number]) for number in range(len(HORIZONS)))
    resampling = StationaryBootstrap(length, values - values.mean(axis=0), seed=np.random.default_rng(asker.seed))
    samples = asker.table.params.bootstrap_samples
    largest = resampling.apply(lambda x: np.abs(x.mean(axis=0) / error).max(), samples)[:, 0]
    return {
        "by": {str(h): asdict(asker.estimate(s.to_numpy())) for h, s in series.items() if len(s) >= MIN_IC_SESSIONS},
        "p": float((1 + (largest >= observed).sum()) / (1 + samples)),
    }


def _decay(partial: Partial, asker: Asker) -> pd.DataFrame:
    rows = []
    for lag in range(LAGS):
        series = partial.at_lag(lag)
        if len(series) >= MIN_IC_SESSIONS:
            shrunk = series - (1 - np.sqrt(partial.left)) * series.mean()  # as `Partial.judged_by_session` does
            found = asker.estimate(shrunk)
            rows.append({"lag": lag + 1, "mean": found.mean, "low": found.low, "high": found.high})
    return pd.DataFrame(rows, columns=["lag", "mean", "low", "high"])


def event_study(table: FeatureTable, level: float) -> pd.DataFrame:
    """Mean abnormal log return around good, neutral and bad news, overnight and intraday apart, in basis points.

    Events are those of tickers in the universe. Abnormal: less the mean over the session's tickers of the universe. Day
    0 is the session that news counts for; its overnight return ends, and its intraday return begins, at the open.
    `so_far_bps` is the sum since the first part, over all events, a missing return counted as 0. An interval misses the
    mean with the chance `level`.
    """
    ranked = table.grid(table.ranked.astype(float)) == 1
    tone = table.grid(np.where((table.news_count > 0) & table.ranked, table.column(SIGNAL), np.nan))
    wide = norm.ppf(1 - level / 2)
    abnormal = {}
    for column in PARTS:
        # A row holds what was known at the last close: the return of a session stands in the row of the next.
        known = table.grid(table.column(column))
        own = np.full_like(known, np.nan)
        own[:-1] = known[1:]
        of_universe = np.where(ranked, own, np.nan)
        count = np.maximum((~np.isnan(of_universe)).sum(axis=1, keepdims=True), 1)
        abnormal[column.removeprefix("price_")] = own - np.nansum(of_universe, axis=1, keepdims=True) / count
    rows = []
    for news, events in {"good": tone > GOOD, "neutral": np.abs(tone) <= GOOD, "bad": tone < -GOOD}.items():
        session, ticker = np.nonzero(events)
        so_far = np.zeros(len(session))
        for day in AROUND:
            at = session + day
            inside = (at >= 0) & (at < len(tone))
            for part, values in abnormal.items():
                moved = np.full(len(session), np.nan)
                moved[inside] = values[at[inside], ticker[inside]]
                so_far += np.nan_to_num(moved)
                known = ~np.isnan(moved)
                if not known.any():
                    continue
                figures = [*clustered(moved[known], session[known], wide), *clustered(so_far, session, wide)]
                rows.append([news, day, part, *figures, int(known.sum())])
    return pd.DataFrame(rows, columns=EVENT_COLUMNS)


def clustered(values: np.ndarray, cluster: np.ndarray, wide: float) -> tuple[float, float, float]:
    """Mean of (n,) returns and its interval of `wide` standard errors, in basis points, clustered by session.

    A session's tickers move together. The variance is the sum over the G sessions of the squared sum of deviations,
    times G / (G - 1) (Cameron and Miller 2015); the ends are NaN where all events are of one session.
    """
    mean = values.mean()
    _, number = np.unique(cluster, return_inverse=True)
    sessions = number.max() + 1
    if sessions < 2:
        return mean * BPS, np.nan, np.nan
    variance = np.square(np.bincount(number, values - mean)).sum() * sessions / (sessions - 1)
    error = np.sqrt(variance) / len(values) * wide
    return mean * BPS, (mean - error) * BPS, (mean + error) * BPS


def coverage_of(table: FeatureTable) -> pd.DataFrame:
    """Headlines, sessions and the share of sessions with news of each ticker, the most headlines first."""
    count = table.news_count
    frame = pd.DataFrame({"ticker": table.rows["ticker"], "headlines": count, "covered": count > 0})
    by_ticker = frame.groupby("ticker").agg(
        headlines=("headlines", "sum"), sessions=("headlines", "size"), covered=("covered", "mean")
    )
    by_ticker["headlines"] = by_ticker["headlines"].astype(int)
    return by_ticker.reset_index().sort_values(["headlines", "ticker"], ascending=[False, True], ignore_index=True)
