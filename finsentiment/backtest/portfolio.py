"""Portfolios that follow a forecast, after costs.

Capital is 1. Long-short: half of it long in the top fifth of the forecasts, half short in the bottom fifth.
Long-only: all of it in the top fifth. Equal weights. They are traded at the open of every `horizon`-th session and
held to the open at which the forward return ends, so that no two returns overlap. A ticker without a price at the
open is not traded; a session with too few others holds nothing. Turnover is the sum of absolute changes of weight
against the target of the trade before (drift in between is left out); the last position is closed at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from finsentiment.backtest.evidence import bootstrap, interval

SIDE = 0.2  # of the tickers, on each side
YEAR = 252  # sessions


@dataclass(frozen=True)
class Portfolio:
    """One value per trade, all of shape (trades,): session, return before costs, turnover."""

    session: np.ndarray
    gross: np.ndarray
    turnover: np.ndarray

    def net(self, cost_bps: float) -> np.ndarray:
        """Returns after a cost per unit of turnover, in basis points."""
        return self.gross - self.turnover * cost_bps / 1e4

    def equity(self, cost_bps: float) -> np.ndarray:
        """Capital after each holding period, from 1."""
        return np.cumprod(1 + self.net(cost_bps))


def weights_of(forecast: np.ndarray, session: np.ndarray, min_tickers: int, short: bool) -> np.ndarray:
    """Weights of the rows of each session: shape (rows,), in absolute value summing to 1, and with `short` to 0.

    Equal forecasts get equal weights, the mean over all ways to order them: a forecast without an opinion
    holds nothing. Sessions with fewer than `min_tickers` rows hold nothing.
    """
    by_session = pd.Series(forecast).groupby(session)
    place, count = by_session.rank(method="first"), by_session.transform("size")
    side = np.maximum(np.floor(count * SIDE), 1)
    top, bottom = (place > count - side).astype(float), (place <= side).astype(float)
    weight = (top - bottom) / (2 * side) if short else top / side
    tied = weight.where(count >= min_tickers, 0.0).groupby([session, forecast]).transform("mean")
    return tied.to_numpy()


def trade_forecast(
    forecast: np.ndarray,
    forward_return: np.ndarray,
    tradable: np.ndarray,
    session: np.ndarray,
    ticker: np.ndarray,
    horizon: int,
    min_tickers: int,
    short: bool,
) -> Portfolio:
    """Trade on a forecast; all arrays have shape (rows,), rows without a forecast are before the first trade.

    Nothing is bought that has no open to buy at (`tradable`), which is known at the time. Whether there will be
    an open to sell at is not known then: a position without one is carried at what was paid. The last `horizon`
    sessions, which end after the data, are not traded. `short` makes it long-short, else it is long-only.
    """
    tested = ~np.isnan(forecast) & (session <= session[~np.isnan(forward_return)].max())
    traded_sessions = np.unique(session[tested])[::horizon]
    rows = tested & tradable & np.isin(session, traded_sessions)
    weight = weights_of(forecast[rows], session[rows], min_tickers, short)
    held = pd.DataFrame({"session": session[rows], "ticker": ticker[rows], "weight": weight})
    weights = held.pivot(index="session", columns="ticker", values="weight").reindex(traded_sessions).fillna(0.0)
    earned = weight * np.nan_to_num(forward_return[rows])
    gross = np.bincount(np.searchsorted(traded_sessions, session[rows]), earned, len(weights))
    path = np.vstack([np.zeros(weights.shape[1]), weights.to_numpy(), np.zeros(weights.shape[1])])
    turnover = np.abs(np.diff(path, axis=0)).sum(axis=1)
    turnover[-2] += turnover[-1]
    return Portfolio(traded_sessions, gross, turnover[:-1])


def sharpe(returns: np.ndarray, periods: float) -> float:
    """Annualised Sharpe ratio of returns per period, `periods` of them a year; 0 where they don't vary."""
    spread = np.std(returns, ddof=1) if len(returns) > 1 else 0.0
    return float(np.mean(returns) / spread * np.sqrt(periods)) if spread > 0 else 0.0


def portfolio_metrics(
    portfolio: Portfolio, horizon: int, costs_bps: list[float], samples: int, significance: float, seed: int
) -> dict[str, Any]:
    """Figures of one portfolio: before costs, and under `costs` at each cost per unit of turnover in basis points.

    Returns are means per year and, like `max_drawdown`, fractions of the capital; `turnover` is the mean per
    trade; `break_even_bps` is the cost at which the mean return is 0 (None where nothing is traded).
    """
    periods = YEAR / horizon
    turnover = portfolio.turnover.mean()

    def after(cost_bps: float) -> dict[str, float]:
        net = portfolio.net(cost_bps)
        low, high = interval(bootstrap(net, lambda r: sharpe(r, periods), samples, seed), significance)
        equity = portfolio.equity(cost_bps)
        peak = np.maximum.accumulate(np.append(1.0, equity))[1:]
        return {
            "net_return": net.mean() * periods,
            "sharpe": sharpe(net, periods),
            "sharpe_low": low,
            "sharpe_high": high,
            "max_drawdown": np.max(1 - equity / peak),
        }

    return {
        "gross_return": portfolio.gross.mean() * periods,
        "turnover": turnover,
        "break_even_bps": portfolio.gross.mean() / turnover * 1e4 if turnover > 0 else None,
        "costs": {f"{cost:g}": after(cost) for cost in costs_bps},
    }
