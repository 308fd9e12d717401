"""A long-short portfolio that follows a forecast, after costs.

Capital is 1: half of it long in the top fifth of the forecasts, half short in the bottom fifth, equal weights.
It is traded at the open of every `horizon`-th session and held to the open at which the forward return ends, so
that no two returns overlap. A ticker whose forward return is unknown has no price at one of the two opens and is
not traded; a session with too few others holds nothing. Turnover is the sum of absolute changes of weight
against the target of the trade before (drift in between is left out); the last position is closed at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from finsentiment.market.evidence import bootstrap, interval

SIDE = 0.2  # of the tickers, on each side
YEAR = 252  # sessions


@dataclass(frozen=True)
class Portfolio:
    """One value per trade, all of shape (trades,): session, return before costs, turnover, return after costs."""

    session: np.ndarray
    gross: np.ndarray
    turnover: np.ndarray
    net: np.ndarray

    @property
    def equity(self) -> np.ndarray:
        """Capital after each holding period, from 1."""
        return np.cumprod(1 + self.net)


def long_short_weights(forecast: np.ndarray, session: np.ndarray, min_tickers: int) -> np.ndarray:
    """Weights of the rows of each session: shape (rows,), summing to 0 and in absolute value to 1.

    Equal forecasts get equal weights, the mean over all ways to order them: a forecast without an opinion
    holds nothing. Sessions with fewer than `min_tickers` rows hold nothing.
    """
    by_session = pd.Series(forecast).groupby(session)
    place, count = by_session.rank(method="first"), by_session.transform("size")
    side = np.maximum(np.floor(count * SIDE), 1)
    weight = ((place > count - side).astype(float) - (place <= side).astype(float)) / (2 * side)
    tied = weight.where(count >= min_tickers, 0.0).groupby([session, forecast]).transform("mean")
    return tied.to_numpy()


def long_short(
    forecast: np.ndarray,
    forward_return: np.ndarray,
    tradable: np.ndarray,
    session: np.ndarray,
    ticker: np.ndarray,
    horizon: int,
    min_tickers: int,
    cost_bps: float,
) -> Portfolio:
    """Trade on a forecast; all arrays have shape (rows,), rows without a forecast are before the first trade.

    Nothing is bought that has no open to buy at (`tradable`), which is known at the time. Whether there will be
    an open to sell at is not known then: a position without one is carried at what was paid. The last `horizon`
    sessions, which end after the data, are not traded. `cost_bps` is the cost per unit of turnover in basis points.
    """
    tested = ~np.isnan(forecast) & (session <= session[~np.isnan(forward_return)].max())
    traded_sessions = np.unique(session[tested])[::horizon]
    rows = tested & tradable & np.isin(session, traded_sessions)
    weight = long_short_weights(forecast[rows], session[rows], min_tickers)
    held = pd.DataFrame({"session": session[rows], "ticker": ticker[rows], "weight": weight})
    weights = held.pivot(index="session", columns="ticker", values="weight").reindex(traded_sessions).fillna(0.0)
    earned = weight * np.nan_to_num(forward_return[rows])
    gross = np.bincount(np.searchsorted(traded_sessions, session[rows]), earned, len(weights))
    path = np.vstack([np.zeros(weights.shape[1]), weights.to_numpy(), np.zeros(weights.shape[1])])
    turnover = np.abs(np.diff(path, axis=0)).sum(axis=1)
    turnover[-2] += turnover[-1]
    return Portfolio(traded_sessions, gross, turnover[:-1], gross - turnover[:-1] * cost_bps / 1e4)


def sharpe(returns: np.ndarray, periods: float) -> float:
    """Annualised Sharpe ratio of returns per period, `periods` of them a year; 0 where they don't vary."""
    spread = np.std(returns, ddof=1) if len(returns) > 1 else 0.0
    return float(np.mean(returns) / spread * np.sqrt(periods)) if spread > 0 else 0.0


def portfolio_metrics(
    portfolio: Portfolio, horizon: int, samples: int, significance: float, seed: int
) -> dict[str, float | None]:
    """Figures of one portfolio.

    Returns are means per year and, like `max_drawdown`, fractions of the capital; `turnover` is the mean per
    trade; `break_even_bps` is the cost at which the mean return is 0 (None where nothing is traded).
    """
    periods = YEAR / horizon
    low, high = interval(bootstrap(portfolio.net, lambda r: sharpe(r, periods), samples, seed), significance)
    peak = np.maximum.accumulate(np.append(1.0, portfolio.equity))[1:]
    turnover = portfolio.turnover.mean()
    return {
        "gross_return": portfolio.gross.mean() * periods,
        "net_return": portfolio.net.mean() * periods,
        "sharpe": sharpe(portfolio.net, periods),
        "sharpe_low": low,
        "sharpe_high": high,
        "turnover": turnover,
        "max_drawdown": np.max(1 - portfolio.equity / peak),
        "break_even_bps": portfolio.gross.mean() / turnover * 1e4 if turnover > 0 else None,
    }
