"""Features up to the session that comes next, whose prices are not known yet."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from finsentiment import params
from finsentiment.features.build import HORIZONS, build_features
from finsentiment.features.panel import PRICE_FIELDS
from finsentiment.market.live import Known
from finsentiment.market.sessions import calendar, next_entry, sessions_between

LATER = ["entry_price", "entry_gap", "forward_return", "forward_sessions", *(f"return_{h}" for h in HORIZONS)]
"""Columns that tell what comes after the entry, or at it."""
FLAGS = ["tradable", "delists"]
KEY = ["session", "ticker"]
MARK = "\N{END OF TEXT}"
"""A ticker that no exchange has: news on it makes the table go on to a session where nobody else has any."""


class Marked(NamedTuple):
    """Prices, news and scores with a mark at both ends, between which the table of features goes."""

    prices: pd.DataFrame
    news: pd.DataFrame
    scores: pd.DataFrame


def marked(
    prices: pd.DataFrame,
    news: pd.DataFrame,
    scores: pd.DataFrame,
    features: params.Features,
    exchange: str,
    first: pd.Timestamp,
    last: pd.Timestamp,
) -> Marked:
    """Prices, news and scores, and a ticker `MARK` that has news on the sessions `first` and `last`.

    So the table goes from one to the other, whether there is other news on them or not. News that counts after `last`
    is left out.
    """
    entry = next_entry(news["published_at"], exchange, features.entry, features.latency)
    told = news.loc[(entry <= last).to_numpy(), ["news_id", "published_at", "ticker"]]
    known = calendar(exchange)
    moments = (known.opens if features.entry == "open" else known.closes).loc[[first, last]]
    in_time = pd.DatetimeIndex(moments - pd.Timedelta(minutes=features.latency, seconds=1)).as_unit("us")
    marks = pd.DataFrame({"news_id": [f"{MARK}0", f"{MARK}1"], "published_at": in_time, "ticker": MARK})
    silent = pd.DataFrame({name: marks["news_id"] if name == "news_id" else 0.0 for name in scores})
    sessions = sessions_between(exchange, first, last)
    price = pd.DataFrame({"ticker": MARK, "session": sessions, **dict.fromkeys(PRICE_FIELDS, 1.0)})
    if "universe" in prices:
        price["universe"] = False
    pairs = ((prices, price), (told, marks), (scores[scores["news_id"].isin(told["news_id"])], silent))
    return Marked(*(pd.concat(pair, ignore_index=True) for pair in pairs))


def live_features(
    known: Known, scores: pd.DataFrame, features: params.Features, exchange: str
) -> tuple[pd.DataFrame, Marked]:
    """The table of `build_features`, from the coming session of the store's first run to the last that can be had.

    In rows after the last session with prices all that is known only later (`LATER`) is missing, and nothing is
    tradable yet. Only a ticker with a price of the session before has such a row. A feature does not look at the prices
    of its own session (the look-ahead check tests it), so the last close stands in for them while they are computed.

    Parameters
    ----------
    known : what the store knows
    scores, features, exchange : as of `build_features`

    Returns
    -------
    table, and what the rows up to the last session with prices were built from

    Raises
    ------
    InputError
        As `build_features`.
    """
    prices, reach = known.prices, known.reach
    last_session = prices["session"].max()
    first = min(known.began, reach)
    last = prices.sort_values(KEY).drop_duplicates("ticker", keep="last")
    listed = last[last["ticker"].isin(known.listed)]
    standing = {name: listed["close"] for name in PRICE_FIELDS if name != "volume"}
    ahead = pd.concat([prices, listed.assign(session=reach, **standing)], ignore_index=True)

    def until(session: pd.Timestamp, prices: pd.DataFrame) -> tuple[pd.DataFrame, Marked]:
        given = marked(prices, known.news, scores, features, exchange, min(first, session), session)
        table = build_features(*given, features, exchange)[0]
        return table[table["ticker"] != MARK].reset_index(drop=True), given

    table, _ = until(reach, ahead)
    told, given = until(last_session, prices)
    told = told.set_index(KEY)[[*LATER, *FLAGS]].reindex(pd.MultiIndex.from_frame(table[KEY]))
    later = {name: told[name].to_numpy(dtype=float) for name in LATER}
    flags = {name: told[name].fillna(False).to_numpy(dtype=bool) for name in FLAGS}
    row = known.universe.index.get_indexer(table["session"])
    column = known.universe.columns.get_indexer(table["ticker"])
    return table.assign(**later, **flags, ranked=known.universe.to_numpy()[row, column]), given


def moved(before: pd.DataFrame, now: pd.DataFrame, names: list[str], until: pd.Timestamp, same: float) -> str:
    """Which feature of a session before `until` moved, in one line; nothing if none did.

    Compared are rows of tickers that are in the universe of the session, then and now: the others rest on what came
    late, and are not counted. A row that nobody could trade may go: of a stock that turned out to be delisted.

    Parameters
    ----------
    before, now : tables of features
    names : columns to compare
    same : by how much a feature may differ
    """
    keyed, later = (table.set_index(KEY).sort_index() for table in (before[before["session"] < until], now))
    keyed = keyed[keyed["ranked"].to_numpy(dtype=bool)]
    lost = keyed.index.difference(later.index)
    lost = lost[keyed.loc[lost, "tradable"].to_numpy(dtype=bool)]
    if len(lost):
        return f"the row of {lost[0][1]} on {lost[0][0].date()} is gone ({len(lost)} rows)"
    later = later[later["ranked"].to_numpy(dtype=bool)]
    keyed = keyed[keyed.index.isin(later.index)][names]
    later = later.reindex(keyed.index)[names]
    differs = ~np.isclose(keyed, later, rtol=same, atol=same, equal_nan=True)
    if not differs.any():
        return ""
    row, column = np.argwhere(differs)[0]
    session, ticker = keyed.index[row]
    return (
        f"{names[column]} of {ticker} on {session.date()} was {keyed.iat[row, column]:g} and is "
        f"{later.iat[row, column]:g} ({int(differs.any(axis=1).sum())} of {len(keyed)} rows moved)"
    )
