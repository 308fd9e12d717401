"""The table of features: one row per session and ticker, only from what was known then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from finsentiment import params
from finsentiment.arms import ARMS, READERS
from finsentiment.errors import InputError
from finsentiment.features.columns import (
    attention_features,
    delisted,
    entry_gap,
    forward_return,
    leaves_for_good,
    price_features,
    sentiment_features,
)
from finsentiment.features.panel import Columns, Panel, cells, listed_rows, per_cell, to_panel
from finsentiment.labels import P_COLUMNS
from finsentiment.market.sessions import next_entry

EntryRule = Callable[[pd.Series, str], pd.Series]
HORIZONS = (1, 5, 21)
"""Sessions over which a forecast is looked at, besides the one that it is made for."""


def build_features(
    prices: pd.DataFrame,
    news: pd.DataFrame,
    scores: pd.DataFrame,
    features: params.Features,
    exchange: str,
    entry_rule: EntryRule | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """All features and the forward return.

    The rows go from the first session that news counts for to the last: outside no news was gathered, and none
    can't be told from no coverage. Within, each ticker has a row for every session from its first price to its
    last, with or without news, and with NaN for what a gap in its prices hides.

    Parameters
    ----------
    prices, news : tables of `prepare`
    scores : `news_id` and a column for one or more of `finsentiment.arms.READERS`, each a score for every headline;
        probabilities (`p_…`) are left out
    features : the section features of the parameters
    exchange : calendar code of exchange_calendars
    entry_rule : the session that each headline counts for, from its time and the exchange; `next_entry` with the
        entry and the latency of `features` if None

    Returns
    -------
    table : the columns of `feature_table`
    facts : counts for the metrics; price_rows_in + price_gaps = rows + rows_outside_news, and
        news_in = news_used + news_after_last_session + news_without_row (the ticker was not listed then)

    Raises
    ------
    InputError
        Where a column of scores belongs to no reader, a headline has no score, or no headline counts for any session
        that has prices.
    """
    aligned = _aligned_scores(news, scores)
    panel = to_panel(prices, exchange)
    if entry_rule is None:
        entry = next_entry(news["published_at"], exchange, features.entry, features.latency)
    else:
        entry = entry_rule(news["published_at"], exchange)
    cell = cells(entry, news["ticker"], panel)
    if not (cell >= 0).any():
        raise InputError("no news counts for any session that has prices; give prices and news of the same period")

    result = feature_table(panel, cell, aligned, features)

    used, late = int(panel.listed.ravel()[cell[cell >= 0]].sum()), int((entry > panel.sessions[-1]).sum())
    facts = {
        "rows": len(result),
        "rows_outside_news": int(panel.listed.sum()) - len(result),
        "rows_outside_universe": int((~result["ranked"]).sum()),
        "delisted": int(delisted(panel).sum()),
        "sessions": result["session"].nunique(),
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


def feature_table(panel: Panel, cell: np.ndarray, scores: Columns, features: params.Features) -> pd.DataFrame:
    """The rows of the table, from where each headline counts.

    Parameters
    ----------
    panel : S sessions x K tickers
    cell : n flat indices into the panel, from `cells`; headlines at -1 are left out
    scores : by reader, n scores in [-1, 1]
    features : the section features of the parameters

    Returns
    -------
    DataFrame from the first session that news counts for to the last: session, ticker, price_*, attention_*, four
    features of each reader's scores, and of what comes after:
        tradable : there is a price to enter at
        ranked : the ticker is in the universe
        entry_price : the price at which a position is opened or closed
        delists : this is the last session of a stock that is delisted
        entry_gap : log return from the last close to it
        forward_return, forward_sessions : over `features.horizon`, and how long it takes (`forward_return`)
        return_1, … : the same return over other `HORIZONS`
    """
    counted = np.unique(cell[cell >= 0] // len(panel.tickers))
    inside = np.arange(len(panel.sessions))
    inside = (inside >= counted[0]) & (inside <= counted[-1])
    part = panel.between(inside)
    placed = np.where(cell >= 0, cell - counted[0] * len(panel.tickers), -1)
    shape = part.listed.shape
    columns = {name: array[inside] for name, array in price_features(panel, features.window).items()}
    columns |= attention_features(per_cell(placed, shape), features.window)
    half_life, surprise_window = features.half_life, features.surprise_window
    for name, score in scores.items():
        columns |= sentiment_features(placed, score, shape, half_life, surprise_window, ARMS[name].prefix)

    def earned(horizon: int) -> Columns:
        found = forward_return(panel, horizon, features.entry, features.delisting_return)
        return dict(zip(("forward_return", "forward_sessions"), (part[inside] for part in found), strict=True))

    columns["ranked"] = part.ranked
    columns["entry_price"] = part.fields[features.entry]
    columns["tradable"] = ~np.isnan(columns["entry_price"])
    columns["delists"] = leaves_for_good(panel)[inside]
    columns["entry_gap"] = entry_gap(panel, features.entry)[inside]
    columns |= earned(features.horizon)
    columns |= {f"return_{h}": earned(h)["forward_return"] for h in HORIZONS}
    return listed_rows(part, columns)


def _aligned_scores(news: pd.DataFrame, scores: pd.DataFrame) -> Columns:
    """The scores of each row of `news`, by reader."""
    names = [name for name in READERS if name in scores]
    unknown = [name for name in scores if name not in ("news_id", *P_COLUMNS, *names)]
    if unknown or not names:
        raise InputError(
            f"the scores have the columns {', '.join(unknown or scores)}, which no reader has; "
            f"expected some of {', '.join(READERS)}; run the stage score_news again"
        )
    aligned = scores.set_index("news_id")[names].reindex(news["news_id"]).to_numpy(dtype=float)
    missing = ~np.isfinite(aligned).all(axis=1)
    if missing.any():
        raise InputError(
            f"{missing.sum()} of {len(news)} headlines have no score, first news_id = "
            f"{news['news_id'].to_numpy()[missing][0]!r}; expected one each; run the stage score_news again"
        )
    return dict(zip(names, aligned.T, strict=True))
