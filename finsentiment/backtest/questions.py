"""The three questions. Is sentiment informative? Does it improve the forecast? Does it pay?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from finsentiment.arms import SIGNAL
from finsentiment.backtest.evidence import Estimate, estimate_mean
from finsentiment.backtest.partial import Partial, partial_ranks, places_of
from finsentiment.backtest.placebos import Placebo, Places, rank_among_placebos, run_placebos
from finsentiment.backtest.portfolio import Portfolio, Prices, trade_forecast
from finsentiment.backtest.table import FeatureTable
from finsentiment.backtest.verdict import Evidence, beyond_chance, level_of

BPS = 1e4


@dataclass(frozen=True)
class Asker:
    """What the three questions share.

    thorough : whether placebos are drawn where the interval has answered already
    """

    table: FeatureTable
    seed: int
    threads: int
    thorough: bool = True

    @property
    def level(self) -> float:
        """The two-sided level of each answer."""
        return level_of(self.table.params.significance, self.table.params.trials_before)

    def estimate(self, series: np.ndarray, ahead: int = 1) -> Estimate:
        """The mean of a series with its uncertainty at the level of the answers."""
        return estimate_mean(series, ahead, self.table.params.bootstrap_samples, self.level, self.seed)

    def weigh(
        self,
        series: np.ndarray,
        scores: np.ndarray,
        places: Places,
        figure: Callable[[np.ndarray], float],
    ) -> Evidence:
        """The evidence of a series (one value per session), whose mean is the `figure` of the `scores`.

        That of a partial rank IC is shrunk (`Partial.judged_by_session`) and its placebos are not: they ask a little
        more.
        """
        estimate = self.estimate(series)
        if self.thorough or beyond_chance(estimate, self.level):
            count = self.table.params.placebos
            return Evidence(
                estimate,
                *run_placebos(estimate.mean, scores, places, figure, count, self.seed, self.threads),
                self.level,
            )
        nothing: Placebo = rank_among_placebos(estimate.mean, np.array([]))
        return Evidence(estimate, nothing, nothing, self.level)


def ask_partial(asker: Asker, partial: Partial, places: Places) -> Evidence:
    """The evidence on a mean partial rank IC."""
    horizon = asker.table.horizon
    series = partial.judged_by_session(horizon)
    places = Places(np.where(partial.counted, places.alike, -1), places.first)
    return asker.weigh(series, partial.signal, places, lambda moved: float(partial.by_session(horizon, moved).mean()))


def ask_informative(asker: Asker) -> tuple[Evidence, Partial]:
    """Does sentiment tell anything of returns that prices and attention do not?

    The signal is `SIGNAL`, on every session. It and its sign are fixed before any result is seen.
    """
    partial = partial_ranks(asker.table, asker.table.column(SIGNAL), 0)
    return ask_partial(asker, partial, places_of(asker.table, 0)), partial


def ask_improves(asker: Asker, increment: np.ndarray) -> Evidence:
    """Does the increment (rows,) that sentiment adds to the base's forecast tell anything that the base does not?"""
    first = asker.table.params.train_sessions
    partial = partial_ranks(asker.table, increment, first)
    return ask_partial(asker, partial, places_of(asker.table, first))


def ask_pays(asker: Asker, base: np.ndarray, increment: np.ndarray, delisting_return: float) -> Evidence:
    """Does the long-short portfolio earn more on the base's forecast (rows,) with the increment (rows,) than without?

    The figure is the paired difference of net returns in basis points of the capital per session.
    """
    table = asker.table
    prices, forecast = prices_of(table, delisting_return), table.grid(base)
    added = table.grid(increment)
    without = trade(table, forecast, prices, short=True).net(table.params.cost_bps)

    def difference(moved: np.ndarray) -> np.ndarray:
        net = trade(table, forecast + np.nan_to_num(moved), prices, short=True).net(table.params.cost_bps)
        return (net - without) * BPS / table.horizon

    places = places_of(table, table.params.train_sessions)
    return asker.weigh(difference(added), added, places, lambda moved: float(difference(moved).mean()))


def prices_of(table: FeatureTable, delisting_return: float) -> Prices:
    """What positions can be opened and closed at."""
    delists = table.grid(table.column("delists"), 0.0) == 1
    return Prices(table.grid(table.column("entry_price")), delists, delisting_return)


def trade(table: FeatureTable, forecast: np.ndarray, prices: Prices, short: bool) -> Portfolio:
    """The portfolio of a forecast (S x K) over the forecast sessions."""
    params = table.params
    can = table.grid(table.ranked.astype(float)) == 1
    ranked = np.where(can, forecast, np.nan)
    return trade_forecast(ranked, prices, params.train_sessions, table.horizon, params.min_tickers, short)
