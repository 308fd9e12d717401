"""The table of features: one row per session and ticker, only from what was known then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from finsentiment import params
from finsentiment.arms import ARMS, READERS
from finsentiment.errors import InputError
from finsentiment.features.columns import attention_features, forward_return, price_features, sentiment_features
from finsentiment.features.panel import Columns, Panel, cells, listed_rows, per_cell, to_panel
from finsentiment.labels import P_COLUMNS
from finsentiment.market.sessions import next_open

EntryRule = Callable[[pd.Series, str], pd.Series]
HORIZONS = (1, 5, 21)
"""Sessions over which a forecast is looked at, besides the one that it is made for."""


def build_features(
    prices: pd.DataFrame,
    news: pd.DataFrame,
    scores: pd.DataFrame,
    features: params.Features,
    exchange: str,
    entry_rule: EntryRule = next_open,
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
    entry_rule : the session that each headline counts for, from its time and the exchange

    Returns
    -------
    table : session, ticker, price_*, attention_*, four features of each reader's scores, tradable (there is an open
        at t), forward_return, and the same over other `HORIZONS` as return_1, …
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
    entry = entry_rule(news["published_at"], exchange)
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
        columns |= sentiment_features(cell, score, shape, half_life, surprise_window, ARMS[name].prefix)
    columns["tradable"] = ~np.isnan(news_panel.fields["open"])
    columns["forward_return"] = forward_return(panel, features.horizon)[inside]
    columns |= {f"return_{h}": forward_return(panel, h)[inside] for h in HORIZONS}
    result = listed_rows(news_panel, columns)

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
