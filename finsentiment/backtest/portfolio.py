"""Portfolios that follow a forecast, after costs.

Capital is 1. Long-short: half of it long in the top fifth of the forecasts, half short in the bottom fifth.
Long-only: all of it in the top fifth. Equal weights. They are traded at every `horizon`-th session and held to the next
trade, so that no two returns overlap. Turnover is the sum of absolute changes of weight against the target of the
trade before (drift in between is left out); the last position is closed at the end.

Nothing is traded without a price. A position in a stock that is halted is carried to its next price, and what it holds
of the capital is missing elsewhere. A stock that is delisted takes a return that is given on its last price; a short
position earns nothing from it. No cost is charged for either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

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


@dataclass(frozen=True)
class Prices:
    """What positions can be opened and closed at, on a grid of S sessions x K tickers.

    price : NaN where a stock does not trade
    delists : True in the last session of a stock that is delisted
    delisting_return : on its last price
    """

    price: np.ndarray
    delists: np.ndarray
    delisting_return: float

    def marks(self) -> tuple[np.ndarray, np.ndarray]:
        """The last price so far (S x K), what a delisting does included, for long positions and for short ones."""
        known = ~np.isnan(self.price)
        last = np.maximum.accumulate(np.where(known, np.arange(len(known))[:, None], 0))
        mark = np.take_along_axis(self.price, last, axis=0)
        gone = self.gone()
        short = max(self.delisting_return, 0.0)
        return mark * np.where(gone, 1 + self.delisting_return, 1), mark * np.where(gone, 1 + short, 1)

    def gone(self) -> np.ndarray:
        """Whether a stock is delisted by now (S x K): from the session after its last."""
        after = np.maximum.accumulate(self.delists)
        return np.concatenate([np.zeros_like(after[:1]), after[:-1]])


def weights_of(forecast: np.ndarray, min_tickers: int, short: bool) -> np.ndarray:
    """Weights of each session's tickers (T x K), in absolute value summing to 1, and with `short` to 0.

    `forecast` is NaN where a ticker can't be bought. Equal forecasts get equal weights, the mean over all ways to order
    them: a forecast without an opinion holds nothing. Sessions with fewer than `min_tickers` tickers hold nothing.
    """
    known = ~np.isnan(forecast)
    count = known.sum(axis=1, keepdims=True)
    filled = np.where(known, forecast, np.inf)
    first, last = (rankdata(filled, axis=1, method=method) for method in ("min", "max"))
    last = np.minimum(last, count)  # an infinite forecast is no forecast
    side = np.maximum(np.floor(count * SIDE), 1)
    tied = np.maximum(last - first + 1, 1)
    top = np.clip(last - (count - side), 0, tied) / tied
    bottom = np.clip(side - (first - 1), 0, tied) / tied
    weight = (top - bottom) / (2 * side) if short else top / side
    return np.where(known & (count >= min_tickers), weight, 0.0)


def trade_forecast(
    forecast: np.ndarray, prices: Prices, first: int, horizon: int, min_tickers: int, short: bool
) -> Portfolio:
    """Trade on a forecast (S x K, NaN where there is none) from the session `first` on.

    `short` makes it long-short, else it is long-only. A holding period that would end after the data is not begun.
    """
    traded = np.arange(first, len(forecast) - horizon, horizon)
    can = ~np.isnan(prices.price)
    target = weights_of(np.where(can, forecast, np.nan)[traded], min_tickers, short)
    long_marks, short_marks = prices.marks()
    gone = prices.gone()
    held = np.zeros(forecast.shape[1])
    gross, turnover = np.zeros(len(traded)), np.zeros(len(traded))
    for number, session in enumerate(traded):
        held = np.where(gone[session], 0.0, held)
        stuck = np.where(can[session], 0.0, held)
        wanted = target[number] * (1 - np.abs(stuck).sum()) + stuck
        turnover[number] = np.abs(wanted - held).sum()
        held = wanted
        for marks, side in ((long_marks, held > 0), (short_marks, held < 0)):
            gross[number] += (held[side] * (marks[session + horizon, side] / marks[session, side] - 1)).sum()
    if len(traded):
        end = traded[-1] + horizon
        turnover[-1] += np.abs(np.where(can[end] & ~gone[end], held, 0.0)).sum()
    return Portfolio(traded, gross, turnover)


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
