"""Partial rank IC: what a signal tells of returns that prices, the amount of news and their products do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finsentiment.arms import ATTENTION
from finsentiment.backtest.cleaning import Regressors, ranks
from finsentiment.backtest.placebos import Places
from finsentiment.backtest.table import PAST_RETURN, FeatureTable

AMOUNT_STEP = 2.0  # of the binary logarithm of the number of headlines: 1 to 3 are alike, 4 to 15, 16 to 63
PARTS = 3  # into which a session's past returns are cut: tickers within a part are alike
ALIKE = 4  # tickers that a group has at least, where the session has so many that are alike


@dataclass(frozen=True)
class Partial:
    """A signal and the daily returns, both as ranks within the session, cleaned and of length 1 in each session.

    signal, outcome : (S, K), 0 where there is none
    judged : (S,), True where there are enough tickers
    first : the first session of the signal
    counted : (S, K), True where there are a signal and a return
    left : share of the degrees of freedom that cleaning left
    """

    signal: np.ndarray
    outcome: np.ndarray
    judged: np.ndarray
    first: int
    counted: np.ndarray
    left: float = 1.0

    def by_session(self, horizon: int, signal: np.ndarray | None = None) -> np.ndarray:
        """Partial rank IC of each judged session: (sessions,).

        The daily return of session t is set against the signals of t, t - 1, … t - horizon + 1, and the mean of their
        correlations is taken: what the signal tells over `horizon` sessions, by returns that don't overlap (Jegadeesh
        and Titman 1993).
        """
        signal = self.signal if signal is None else signal
        held = signal.copy()
        for lag in range(1, horizon):
            held[lag:] += signal[:-lag]
        held /= horizon
        start = self.first + horizon - 1
        return (held * self.outcome).sum(axis=1)[start:][self.judged[start:]]

    def judged_by_session(self, horizon: int) -> np.ndarray:
        """`by_session` with its mean shrunk by the square root of `left`.

        Signal and return are both cleaned on the sessions that are judged, so that what is left of them lies in fewer
        dimensions than there are cells, and their correlation varies more by chance than its sessions show.
        """
        series = self.by_session(horizon)
        return series - (1 - np.sqrt(self.left)) * series.mean()

    def sessions(self, horizon: int) -> np.ndarray:
        """The numbers of the sessions of `by_session`."""
        start = self.first + horizon - 1
        return np.arange(start, len(self.judged))[self.judged[start:]]

    def at_lag(self, lag: int) -> np.ndarray:
        """Correlation of each judged session's daily return with the signal of `lag` sessions before: (sessions,)."""
        start = self.first + lag
        return (_lagged(self.signal, lag) * self.outcome).sum(axis=1)[start:][self.judged[start:]]


def _lagged(values: np.ndarray, sessions: int) -> np.ndarray:
    """The rows `sessions` sessions before, 0 before the first."""
    return np.concatenate([np.zeros_like(values[:sessions]), values[: len(values) - sessions]])


def partial_ranks(table: FeatureTable, signal: np.ndarray, first: int) -> Partial:
    """Clean a signal (rows,) and the daily returns from the session `first` on.

    Both are ranked within the session. What `FeatureTable.base_columns`, the gap from the last close to the entry,
    their products and third powers explain over the sessions is taken out. The gap is known too late to trade on; news
    moves it, and where it turns back the tone would seem to forecast.
    """
    outcome = table.grid(table.column("return_1"))
    counted = table.grid(table.ranked.astype(float)) == 1
    counted &= ~np.isnan(outcome) & ~np.isnan(table.grid(signal))
    counted[:first] = False
    regressors = Regressors([*table.base_columns(), table.grid(table.column("entry_gap"))], counted)
    count = counted.sum(axis=1, keepdims=True).clip(1)
    both = np.stack([ranks(np.where(counted, values, np.nan)) / count for values in (table.grid(signal), outcome)])
    cleaned = regressors.clean_across(both)
    cleaned = np.where(counted, cleaned - cleaned.sum(axis=2, keepdims=True) / count, 0.0)
    before, after = (np.sqrt((values**2).sum(axis=2, keepdims=True)) for values in (both, cleaned))
    # A signal that is the same for all tickers ranks nothing; what rounding leaves of one that is explained is nothing.
    some = (before > 0) & (after > 1e-6 * before)
    cleaned = np.where(some, cleaned / np.where(some, after, 1.0), 0.0)
    judged = count[:, 0] >= table.params.min_tickers
    return Partial(cleaned[0], cleaned[1], judged, first, counted, regressors.left())


def places_of(table: FeatureTable, first: int) -> Places:
    """Tickers of a session that are alike: in the amount of news, the coverage flags and the third of the past return.

    Coverage flags are the columns of attention that hold nothing but 0 and 1. A group of fewer than `ALIKE` tickers
    joins the other small ones that are alike in the amount of news and the flags, then those alike in the flags: what
    hardly moves is no placebo.
    """
    rows = table.rows[table.ranked]
    session = table.session[table.ranked]
    flags = [rows[name] for name in table.columns[ATTENTION] if table.rows[name].isin([0, 1]).all()]
    amount = np.floor(np.log2(np.maximum(table.news_count[table.ranked], 0.5)) / AMOUNT_STEP)
    by_session = rows[PAST_RETURN].groupby(session)
    third = np.ceil(by_session.rank() / by_session.transform("count") * PARTS).fillna(0)
    number = np.zeros(len(rows), dtype=int)
    small = np.ones(len(rows), dtype=bool)
    for keys in ([amount, third], [amount], []):
        found = rows.groupby([session, small, *keys, *flags]).ngroup().to_numpy()
        number[small] = found[small] + number.max() + 1
        small &= np.bincount(number)[number] < ALIKE
    every = np.full(len(table.rows), -1.0)
    every[table.ranked] = number
    return Places(table.grid(every, -1).astype(int), first)
