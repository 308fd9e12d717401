"""The features themselves: functions of arrays of S sessions x K tickers that follow the exchange's own sessions.

So a lag of one is one session whatever is missing. A feature at session t is a function of the news published before
the entry at t (its open, or its close) and of prices up to the close of t - 1. The forward return begins at the entry.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from finsentiment.features.panel import PRICE_FIELDS, Columns, Panel, per_cell

LATE = 5
"""Sessions by which a ticker's prices may end before the others and still be called late, not delisted."""


def price_features(panel: Panel, window: int) -> Columns:
    """What prices up to the last close tell; returns are logs.

    NaN where a price that is needed is missing, or, over a window, where more than half of it is.
    """
    opening, high, low, close, volume = (panel.fields[name] for name in PRICE_FIELDS)
    log_close = np.log(close)
    one = log_close - lagged(log_close, 1)
    with np.errstate(divide="ignore", invalid="ignore"):  # a window without any trade has no ratio
        ratio = volume / _rolling(volume, window, window // 2).mean().to_numpy()
    known_at_close = {
        "price_return_1": one,
        "price_return_5": log_close - lagged(log_close, 5),
        "price_return_window": log_close - lagged(log_close, window),
        "price_overnight": np.log(opening) - lagged(log_close, 1),
        "price_intraday": log_close - np.log(opening),
        "price_volatility": _rolling(one, window, window // 2).std().to_numpy(),
        "price_volume_ratio": ratio,
        "price_range": np.log(high / low),
    }
    return {name: lagged(array, 1) for name, array in known_at_close.items()}


def attention_features(counts: np.ndarray, window: int) -> Columns:
    """How much news there is, from the number of headlines that count for each cell (S x K); never NaN.

    The means and the window include the session itself; `attention_abnormal` sets its log count against the mean
    count of the `window` sessions before it.
    """
    past = lagged(_mean(counts, window), 1, 0.0)
    recent = _mean(counts, window)
    return {
        "attention_count": np.log1p(counts),
        "attention_mean_5": _mean(counts, 5),
        "attention_mean_window": recent,
        "attention_abnormal": np.log1p(counts) - np.log1p(past),
        "attention_covered": (counts > 0).astype(float),
        "attention_covered_window": (recent > 0).astype(float),
    }


def sentiment_features(
    cell: np.ndarray,
    score: np.ndarray,
    shape: tuple[int, int],
    half_life: float,
    surprise_window: int,
    prefix: str,
) -> Columns:
    """What the news says; without news 0 (neutral), never NaN.

    None grows with the amount of news alone (as the spread of the scores would): that is for attention to tell.

    Parameters
    ----------
    cell : n flat indices from `cells`; headlines at -1 are left out
    score : n scores in [-1, 1]
    shape : S, K
    half_life : sessions after which a headline weighs half as much in the decayed mean
    surprise_window : sessions before t whose headlines a surprise is measured against
    prefix : of the names, such as `fine_tuned_`

    Returns
    -------
    level : mean score of the headlines that count for t
    decayed : mean of all headlines so far, weighted by age, with one neutral headline of full weight beside
        them: it returns to 0 as news gets old, and one headline moves it less than many
    change : level against the decayed mean of the session before; 0 without news
    surprise : level against the mean score of the ticker's own headlines of the surprise window; 0 without news
    """
    counts, sums = per_cell(cell, shape), per_cell(cell, shape, score)
    any_news = counts > 0
    level = sums / np.maximum(counts, 1)
    decayed = _decayed(sums, half_life) / (1 + _decayed(counts, half_life))
    past = [lagged(_rolling(x, surprise_window, 1).sum().to_numpy(), 1, 0.0) for x in (sums, counts)]
    past_mean = np.where(past[1] > 0, past[0] / np.maximum(past[1], 1), 0.0)
    return {
        f"{prefix}level": level,
        f"{prefix}decayed": decayed,
        f"{prefix}change": np.where(any_news, level - lagged(decayed, 1, 0.0), 0.0),
        f"{prefix}surprise": np.where(any_news, level - past_mean, 0.0),
    }


def forward_return(panel: Panel, horizon: int, entry: str, delisting_return: float) -> tuple[np.ndarray, np.ndarray]:
    """What a position earns that is opened at t and closed `horizon` sessions later, and how long that takes.

    A stock that does not trade then is held until it trades again. One that is delisted before takes the
    `delisting_return` on its last price. That it was is known `LATE` sessions after the first without a price.

    Parameters
    ----------
    horizon : in sessions
    entry : `open` or `close`, at which positions are opened and closed
    delisting_return : a fraction of the last price

    Returns
    -------
    returns : simple returns (S x K), NaN where there is no price at t or the prices end first
    sessions : after how many sessions each is known (S x K), at least `horizon`; NaN with the return
    """
    price = panel.fields[entry]
    count = np.arange(len(price))[:, None]
    after = np.where(np.isnan(price), np.inf, count)
    after = np.minimum.accumulate(after[::-1])[::-1]  # the first session from t on with a price
    leaving = lagged(after, -horizon, np.inf)
    last = np.where(delisted(panel), last_session(price), len(price))
    gone = np.isinf(leaving) & (last + 1 < len(price)) & ~np.isnan(price)
    leaving = np.where(gone, np.maximum(last + 1 + LATE, count + horizon), leaving)
    known = ~np.isnan(price) & (leaving < len(price))
    at = np.where(known, np.where(gone, last, leaving), 0).astype(int)
    end = np.take_along_axis(price, at, axis=0) * np.where(gone, 1 + delisting_return, 1.0)
    return np.where(known, end / price - 1, np.nan), np.where(known, leaving - count, np.nan)


def last_session(price: np.ndarray) -> np.ndarray:
    """The number of the last session with a price, by ticker (K); -1 for none."""
    known = ~np.isnan(price)
    return np.where(known.any(axis=0), len(price) - 1 - known[::-1].argmax(axis=0), -1)


def delisted(panel: Panel) -> np.ndarray:
    """Tickers (K, bool) whose prices end more than `LATE` sessions before those of the panel do."""
    last = last_session(panel.fields["close"])
    return (last >= 0) & (last < len(panel.sessions) - 1 - LATE)


def leaves_for_good(panel: Panel) -> np.ndarray:
    """The last session with a price of each ticker that is delisted then (S x K, bool)."""
    last = last_session(panel.fields["close"])
    return delisted(panel) & (np.arange(len(panel.sessions))[:, None] == last)


def entry_gap(panel: Panel, entry: str) -> np.ndarray:
    """Log return from the close of t - 1 to the entry at t (S x K): known too late for a forecast that trades at t."""
    return np.log(panel.fields[entry]) - lagged(np.log(panel.fields["close"]), 1)


def lagged(array: np.ndarray, sessions: int, fill: float = np.nan) -> np.ndarray:
    """The value `sessions` sessions before (after, where negative), `fill` beyond the ends."""
    moved = np.full_like(array, fill)
    if sessions > 0:
        moved[sessions:] = array[:-sessions]
    else:
        moved[:sessions] = array[-sessions:]
    return moved


def _rolling(array: np.ndarray, window: int, least: int) -> Any:
    """Rolling windows over sessions that end at each session and hold at least `least` values."""
    return pd.DataFrame(array).rolling(window, min_periods=least)


def _mean(counts: np.ndarray, window: int) -> np.ndarray:
    return _rolling(counts, window, 1).mean().to_numpy()


def _decayed(array: np.ndarray, half_life: float) -> np.ndarray:
    """Sum over all sessions so far, each weighted by 2^(-age / half_life): S x K."""
    return lfilter([1.0], [1.0, -(0.5 ** (1 / half_life))], array, axis=0)
