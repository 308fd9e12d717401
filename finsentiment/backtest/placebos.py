"""Placebos: what the models gain from the same scores in places where they can't mean anything."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from finsentiment.arms import ATTENTION, TESTED
from finsentiment.backtest.table import FeatureTable
from finsentiment.backtest.walkforward import Fitted


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


def run_placebos(
    table: FeatureTable, tested: Fitted, against: np.ndarray, seed: int, threads: int
) -> tuple[Placebo, Placebo]:
    """What the fitted models gain from sentiment, beside what they gain from the same scores in other places.

    The models stay as they are, and only what they read on the sessions that they forecast changes: if sentiment
    tells nothing of returns, the real rows are one draw among these. (Fitting anew for each would ask another
    question, what columns without meaning do to the fit, which the paired interval answers.)

    Shuffled: within a session the whole rows of sentiment columns are shuffled among the tickers with about as much
    news (steps of a factor of 1.4) and the same coverage flags (the attention columns that hold nothing but 0 and 1).
    Shuffled among all tickers, the real scores would tell who was in the news, and how much, and the placebo's would
    not, so that an effect of attention could pass for one of sentiment. Shifted: every ticker's rows move on by the
    same share of its sessions, at least 63 of them where there are enough, so that they keep their order and the
    tickers keep their company.

    Parameters
    ----------
    tested : the models of what sentiment adds
    against : (rows,) forecasts without it
    """
    forecast = tested.forecast_from_rows(table.values(TESTED))
    names = table.columns[ATTENTION]
    flags = [name for name in names if table.rows[name].isin([0, 1]).all()]
    amount = np.floor(2 * np.log2(np.maximum(table.news_count, 0.5)))
    alike = table.rows.groupby([table.session, amount, *flags]).ngroup().to_numpy()
    reference = table.daily_ic(against)
    least = min(63 / len(table.sessions), 1 / 3)

    def gain(source: np.ndarray) -> float:
        return float((table.daily_ic(against + forecast(source)) - reference).mean())

    def shuffled(number: int) -> float:
        return gain(shuffle_within(alike, np.random.default_rng([seed, number])))

    def shifted(number: int) -> float:
        rng = np.random.default_rng([seed, number, 1])
        return gain(shift_in_time(table.ticker, rng.uniform(least, 1 - least)))

    observed = gain(np.arange(len(table.rows)))
    with ThreadPoolExecutor(threads) as pool:
        found = [np.array(list(pool.map(kind, range(table.params.placebos)))) for kind in (shuffled, shifted)]
    shuffles, shifts = (rank_among_placebos(observed, differences) for differences in found)
    return shuffles, shifts


def shuffle_within(group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which row each row gets when all are shuffled among the rows of the same `group`: (rows,) numbers."""
    source = np.empty(len(group), dtype=int)
    source[np.argsort(group, kind="stable")] = np.lexsort((rng.random(len(group)), group))
    return source


def rank_among_placebos(observed: float, differences: np.ndarray) -> Placebo:
    """Rank the observed difference among those of the placebos (permutation p-values, Phipson and Smyth 2010)."""
    count = 1 + len(differences)
    p = (1 + int((differences >= observed).sum())) / count
    return Placebo(observed, differences, p, (1 + int((differences <= observed).sum())) / count)


def shift_in_time(ticker: np.ndarray, share: float) -> np.ndarray:
    """Which row each row gets when each ticker's rows move on by `share` of their number, the last to the front.

    Rows are in order of sessions; `ticker` is an array (rows,) of numbers. Tickers that are there throughout move on
    by the same number of sessions; one with fewer rows moves on by fewer, so that none comes back to where it was.
    """
    order = np.argsort(ticker, kind="stable")
    starts = np.flatnonzero(np.diff(ticker[order], prepend=-1))
    source = np.empty(len(ticker), dtype=int)
    for mine in np.split(order, starts[1:]):
        source[mine] = np.roll(mine, round(share * len(mine)))
    return source
