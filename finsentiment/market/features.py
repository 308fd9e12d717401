"""Point-in-time features and forward returns, one row per session and ticker.

Everything is computed on arrays of sessions x tickers that follow the exchange's own sessions, so that a lag of one
is one session whatever is missing. A feature at session t is a function of the news published before t's open and of
prices up to the close of t - 1. The forward return is entered at t's open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from finsentiment import params
from finsentiment.errors import InputError
from finsentiment.market.sessions import entry_session, sessions_between

Columns = dict[str, np.ndarray]  # name -> array of sessions x tickers
FIELDS = ("open", "high", "low", "close", "volume")
HORIZONS = (1, 5, 21)
"""Sessions over which a forecast is looked at, besides the one that it is made for."""
PREFIXES = {
    "score": "sentiment",
    "lexicon": "lexicon",
    "zero_shot": "zero_shot",
    "masked": "masked",
    "truth": "truth",
}
"""Columns of the scores, one for each reader of the news, and what the names of their features begin with."""


@dataclass(frozen=True)
class Panel:
    """Prices on a grid of S sessions x K tickers, NaN where a ticker has none.

    sessions : DatetimeIndex of S, every session of the exchange
    tickers : Index of K, sorted
    fields : open, high, low, close and volume, each S x K
    listed : S x K, True from a ticker's first price to its last, gaps included: the rows of the feature table
    """

    sessions: pd.DatetimeIndex
    tickers: pd.Index
    fields: Columns
    listed: np.ndarray


def to_panel(prices: pd.DataFrame, exchange: str) -> Panel:
    """Spread the price table over the exchange's sessions from its first price to its last."""
    sessions = sessions_between(exchange, prices["session"].min(), prices["session"].max())
    tickers = pd.Index(np.unique(prices["ticker"].to_numpy(dtype=object)), dtype="str")
    row, column = sessions.get_indexer(prices["session"]), tickers.get_indexer(prices["ticker"])
    fields = {name: np.full((len(sessions), len(tickers)), np.nan) for name in FIELDS}
    for name, array in fields.items():
        array[row, column] = prices[name]
    known = ~np.isnan(fields["close"])
    listed = np.maximum.accumulate(known) & np.maximum.accumulate(known[::-1])[::-1]
    return Panel(sessions, tickers, fields, listed)


def cells(entry: pd.Series, ticker: pd.Series, panel: Panel) -> np.ndarray:
    """Where each of n headlines counts: the flat index (session x K + ticker) into the panel.

    -1 where it has no place: its `entry` session lies outside the panel, or its ticker has no prices.
    """
    session, ticker = panel.sessions.get_indexer(entry), panel.tickers.get_indexer(ticker)
    return np.where((session >= 0) & (ticker >= 0), session * len(panel.tickers) + ticker, -1)


def per_cell(cell: np.ndarray, shape: tuple[int, int], weight: np.ndarray | None = None) -> np.ndarray:
    """Number of headlines in each cell, or the sum of their `weight` (one each): S x K."""
    placed = cell >= 0
    weights = None if weight is None else weight[placed]
    return np.bincount(cell[placed], weights, shape[0] * shape[1]).astype(float).reshape(shape)


def price_features(panel: Panel, window: int) -> Columns:
    """What prices up to the last close tell; returns are logs.

    NaN where a price that is needed is missing, or, over a window, where more than half of it is.
    """
    opening, high, low, close, volume = (panel.fields[name] for name in FIELDS)
    log_close = np.log(close)
    one = log_close - _lag(log_close, 1)
    with np.errstate(divide="ignore", invalid="ignore"):  # a window without any trade has no ratio
        ratio = volume / _rolling(volume, window, window // 2).mean().to_numpy()
    known_at_close = {
        "price_return_1": one,
        "price_return_5": log_close - _lag(log_close, 5),
        "price_return_window": log_close - _lag(log_close, window),
        "price_overnight": np.log(opening) - _lag(log_close, 1),
        "price_intraday": log_close - np.log(opening),
        "price_volatility": _rolling(one, window, window // 2).std().to_numpy(),
        "price_volume_ratio": ratio,
        "price_range": np.log(high / low),
    }
    return {name: _lag(array, 1) for name, array in known_at_close.items()}


def attention_features(counts: np.ndarray, window: int) -> Columns:
    """How much news there is, from the number of headlines that count for each cell (S x K); never NaN.

    The means and the window include the session itself; `attention_abnormal` sets its log count against the mean
    count of the `window` sessions before it.
    """
    past = _lag(_mean(counts, window), 1, 0.0)
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
    prefix: str = "sentiment",
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
    prefix : of the names

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
    past = [_lag(_rolling(x, surprise_window, 1).sum().to_numpy(), 1, 0.0) for x in (sums, counts)]
    past_mean = np.where(past[1] > 0, past[0] / np.maximum(past[1], 1), 0.0)
    return {
        f"{prefix}_level": level,
        f"{prefix}_decayed": decayed,
        f"{prefix}_change": np.where(any_news, level - _lag(decayed, 1, 0.0), 0.0),
        f"{prefix}_surprise": np.where(any_news, level - past_mean, 0.0),
    }


def forward_return(panel: Panel, horizon: int) -> np.ndarray:
    """Simple return from the open of t to the open `horizon` sessions later (S x K), NaN where either is missing."""
    opening = panel.fields["open"]
    return _lag(opening, -horizon) / opening - 1


def table(panel: Panel, columns: Columns) -> pd.DataFrame:
    """The listed cells of the arrays as a table sorted by session and ticker."""
    row, column = np.nonzero(panel.listed)
    keys = {"session": panel.sessions.to_numpy()[row], "ticker": panel.tickers.to_numpy()[column]}
    return pd.DataFrame(keys | {name: array[row, column] for name, array in columns.items()})


def build(
    prices: pd.DataFrame, news: pd.DataFrame, scores: pd.DataFrame, features: params.Features, exchange: str
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """All features and the forward return.

    The rows go from the first session that news counts for to the last: outside no news was gathered, and none
    can't be told from no coverage. Within, each ticker has a row for every session from its first price to its
    last, with or without news, and with NaN for what a gap in its prices hides.

    Parameters
    ----------
    prices, news : tables of `prepare`
    scores : `news_id` and one or more of `PREFIXES`, each a score for every headline
    features : the section features of the parameters
    exchange : calendar code of exchange_calendars

    Returns
    -------
    table : session, ticker, price_*, attention_*, four features of each reader's scores, tradable (there is an open
        at t), forward_return, and the same over other `HORIZONS` as return_1, …
    facts : counts for the metrics; price_rows_in + price_gaps = rows + rows_outside_news, and
        news_in = news_used + news_after_last_session + news_without_row (the ticker was not listed then)

    Raises
    ------
    InputError
        Where a headline has no score, or no headline counts for any session with prices.
    """
    aligned = _aligned_scores(news, scores)
    panel = to_panel(prices, exchange)
    entry = entry_session(news["published_at"], exchange)
    cell = cells(entry, news["ticker"], panel)
    if not (cell >= 0).any():
        raise InputError("no news counts for any session that has prices; give prices and news of the same period")

    placed = entry[cell >= 0]
    inside = (panel.sessions >= placed.min()) & (panel.sessions <= placed.max())
    news_panel = Panel(
        panel.sessions[inside], panel.tickers, {k: v[inside] for k, v in panel.fields.items()}, panel.listed[inside]
    )
    cell, shape = cells(entry, news["ticker"], news_panel), news_panel.listed.shape
    counts = per_cell(cell, shape)
    columns = {name: array[inside] for name, array in price_features(panel, features.window).items()}
    columns |= attention_features(counts, features.window)
    for name, score in aligned.items():
        half_life, surprise_window = features.half_life, features.surprise_window
        columns |= sentiment_features(cell, score, shape, half_life, surprise_window, PREFIXES[name])
    columns["tradable"] = ~np.isnan(news_panel.fields["open"])
    columns["forward_return"] = forward_return(panel, features.horizon)[inside]
    columns |= {f"return_{h}": forward_return(panel, h)[inside] for h in HORIZONS}
    result = table(news_panel, columns)

    used, late = int(counts[news_panel.listed].sum()), int((entry > panel.sessions[-1]).sum())
    facts = {
        "rows": len(result),
        "rows_outside_news": int(panel.listed[~inside].sum()),
        "sessions": shape[0],
        "tickers": result["ticker"].nunique(),
        "price_rows_in": len(prices),
        "price_gaps": int(panel.listed.sum()) - len(prices),
        "rows_without_forward_return": int(result["forward_return"].isna().sum()),
        "coverage": float(result["attention_covered"].mean()),
        "news_in": len(news),
        "news_used": used,
        "news_after_last_session": late,
        "news_without_row": len(news) - used - late,
    }
    return result, facts


def check_no_look_ahead(
    table: pd.DataFrame,
    prices: pd.DataFrame,
    news: pd.DataFrame,
    scores: pd.DataFrame,
    features: params.Features,
    exchange: str,
    sessions: int,
) -> None:
    """Change everything that comes after an open, build again, and see that no feature of that session moved.

    Prices from the session on are disturbed; of the news published at its open or later, the tickers change and the
    scores turn round. Tried at `sessions` sessions of `table`, spread evenly.

    Raises
    ------
    LookAhead
        Naming the feature, session and ticker.
    """
    days = pd.DatetimeIndex(table["session"].unique())
    names = [name for name in table if name.startswith(("price_", "attention_", *(f"{p}_" for p in PREFIXES.values())))]
    rng = np.random.default_rng(0)
    for day in days[np.linspace(1, len(days) - 1, sessions + 2).astype(int)[1:-1]]:
        later = (prices["session"] >= day).to_numpy()
        moved = prices.copy()
        factor = np.exp(rng.normal(0, 0.2, len(prices)))
        moved[list(FIELDS)] = np.where(later[:, None], prices[list(FIELDS)].mul(factor, axis=0), prices[list(FIELDS)])
        after = (entry_session(news["published_at"], exchange) > day).to_numpy()
        other = news.assign(ticker=news["ticker"].where(~after, rng.permutation(news["ticker"])))
        turned = scores.copy()
        known = scores["news_id"].isin(news["news_id"][~after]).to_numpy()
        for name in PREFIXES.keys() & set(scores):
            turned[name] = np.where(known, scores[name], -scores[name] - 0.1)
        again, _ = build(moved, other, turned, features, exchange)
        before, now = (t[t["session"] == day].set_index("ticker")[names] for t in (table, again))
        differs = ~np.isclose(now.reindex(before.index), before, rtol=1e-9, atol=1e-12, equal_nan=True)
        if differs.any():
            row, column = np.argwhere(differs)[0]
            raise LookAhead(
                f"look-ahead: {names[column]} of {before.index[row]} at session {day.date()} moves when what comes "
                "after that session's open is changed; no result that rests on it can be trusted"
            )


class LookAhead(InputError):
    """A feature knows what was not known then: a defect of the code that builds it."""


def _aligned_scores(news: pd.DataFrame, scores: pd.DataFrame) -> Columns:
    """The scores of each row of `news`, by reader."""
    names = [name for name in PREFIXES if name in scores]
    aligned = scores.set_index("news_id")[names].reindex(news["news_id"]).to_numpy(dtype=float)
    missing = ~np.isfinite(aligned).all(axis=1)
    if missing.any():
        raise InputError(
            f"{missing.sum()} of {len(news)} headlines have no score, first news_id = "
            f"{news['news_id'].to_numpy()[missing][0]!r}; expected one each; run the stage score_news again"
        )
    return dict(zip(names, aligned.T, strict=True))


def _lag(array: np.ndarray, sessions: int, fill: float = np.nan) -> np.ndarray:
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
    decay = 0.5 ** (1 / half_life)
    total = np.empty_like(array)
    running = np.zeros(array.shape[1])
    for t, row in enumerate(array):
        running = decay * running + row
        total[t] = running
    return total
