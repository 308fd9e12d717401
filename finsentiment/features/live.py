"""Features up to the session that comes next, whose prices are not known yet."""

from __future__ import annotations

import numpy as np
import pandas as pd

from finsentiment import params
from finsentiment.features.build import HORIZONS, build_features
from finsentiment.features.columns import LATE
from finsentiment.features.panel import PRICE_FIELDS
from finsentiment.market.sessions import calendar, next_entry, sessions_between

LATER = ["entry_price", "entry_gap", "forward_return", "forward_sessions", *(f"return_{h}" for h in HORIZONS)]
"""Columns that tell what comes after the entry, or at it."""
FLAGS = ["tradable", "delists"]
KEY = ["session", "ticker"]
END = "\N{END OF TEXT}"
"""A ticker that no exchange has: news on it makes the table go on to a session where nobody else has any."""


def live_features(
    prices: pd.DataFrame,
    news: pd.DataFrame,
    scores: pd.DataFrame,
    features: params.Features,
    exchange: str,
    coming: pd.Timestamp,
    priced: set[str],
) -> pd.DataFrame:
    """The table of `build_features`, going on to the session `coming`, whether it has news or not.

    In rows after the last session with prices all that is known only later (`LATER`) is missing, and nothing is
    tradable yet. A ticker whose prices ended more than five sessions before has no such rows. A feature does not look
    at the prices of its own session (the look-ahead check tests it), so the last close stands in for them while they
    are computed.

    Parameters
    ----------
    priced : tickers that get a row for `coming`: of the others it is not known whether they traded last
    prices, news, scores, features, exchange : as of `build_features`; news that counts after `coming` is left out

    Raises
    ------
    InputError
        As `build_features`.
    """
    entry = next_entry(news["published_at"], exchange, features.entry, features.latency)
    news = news.loc[(entry <= coming).to_numpy(), ["news_id", "published_at", "ticker"]]
    last_session = prices["session"].max()
    last = prices.sort_values(KEY).drop_duplicates("ticker", keep="last")
    since = sessions_between(exchange, last["session"].min(), coming)[-1 - LATE :][0]
    listed = last[(last["session"] >= since) & last["ticker"].isin(priced)]
    standing = {name: listed["close"] for name in PRICE_FIELDS if name != "volume"}
    ahead = pd.concat([prices, listed.assign(session=coming, **standing)], ignore_index=True)
    ahead = ahead if coming > last_session else prices
    table = _until(max(coming, last_session), ahead, news, scores, features, exchange)
    known = _until(last_session, prices, news, scores, features, exchange).set_index(KEY)[[*LATER, *FLAGS]]
    told = known.reindex(pd.MultiIndex.from_frame(table[KEY]))
    later = {name: told[name].to_numpy(dtype=float) for name in LATER}
    flags = {name: told[name].fillna(False).to_numpy(dtype=bool) for name in FLAGS}
    return table.assign(**later, **flags)


def _until(
    session: pd.Timestamp,
    prices: pd.DataFrame,
    news: pd.DataFrame,
    scores: pd.DataFrame,
    features: params.Features,
    exchange: str,
) -> pd.DataFrame:
    """The table of `build_features` up to a session, whether news counts for it or not."""
    known = calendar(exchange)
    entry = known.session_open(session) if features.entry == "open" else known.session_close(session)
    just_in_time = (entry - pd.Timedelta(minutes=features.latency, seconds=1)).as_unit("us")
    mark = pd.DataFrame({"news_id": [END], "published_at": [just_in_time], "ticker": [END]})
    silent = pd.DataFrame({name: [END if name == "news_id" else 0.0] for name in scores})
    price = pd.DataFrame({"ticker": [END], "session": [session], **dict.fromkeys(PRICE_FIELDS, 1.0)})
    if "universe" in prices:
        price["universe"] = False
    told = scores[scores["news_id"].isin(news["news_id"])]
    pairs = ((prices, price), (news, mark), (told, silent))
    priced, marked, scored = (pd.concat(pair, ignore_index=True) for pair in pairs)
    table = build_features(priced, marked, scored, features, exchange)[0]
    return table[table["ticker"] != END].reset_index(drop=True)


def moved(before: pd.DataFrame, now: pd.DataFrame, names: list[str], until: pd.Timestamp, same: float) -> str:
    """Which feature of a session before `until` moved, in one line; nothing if none did.

    A row that nobody could trade may go: of a stock that turned out to be delisted.

    Parameters
    ----------
    before, now : tables of features
    names : columns to compare
    same : by how much a feature may differ
    """
    before = before[before["session"] < until]
    keyed, later = (table.set_index(KEY).sort_index() for table in (before, now))
    lost = keyed.index.difference(later.index)
    lost = lost[keyed.loc[lost, "tradable"].to_numpy(dtype=bool)]
    if len(lost):
        return f"the row of {lost[0][1]} on {lost[0][0].date()} is gone ({len(lost)} rows)"
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
