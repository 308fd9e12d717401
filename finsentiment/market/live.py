"""What a store knows at a moment, as news and prices that the pipeline reads.

News counts from the later of its publication and the moment when it was first seen. So a job that runs late trades
late. Of a story that was corrected the last version counts that was seen before the entry of its session: what a
session's features rest on does not move afterwards.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from finsentiment.errors import InputError
from finsentiment.market.history import adjusted_prices, coming_session, known_in_time, last_settled
from finsentiment.market.sessions import calendar, next_entry, sessions_between
from finsentiment.market.store import KEYS, Store


def placed(rows: pd.DataFrame, exchange: str, entry: str, latency: int) -> pd.DataFrame:
    """Rows of the store's news with when they count.

    `published_at` is the later of both times, `counts` the session of the row, `session` that of its story, `backfill`
    as in `known_news`.
    """
    known_at = rows[["published_at", "first_seen_at"]].max(axis=1).astype("datetime64[us, UTC]")
    counts = next_entry(known_at, exchange, entry, latency)
    early = next_entry(rows["published_at"].astype("datetime64[us, UTC]"), exchange, entry, latency) < counts
    could = rows["asked_before_at"].isna() | (rows["published_at"] <= rows["asked_before_at"])
    table = rows.assign(published_at=known_at, counts=counts, backfill=early & could)
    first = table.groupby(KEYS["news"], sort=False)
    # A correction is as much backfill as the story that it corrects, and may only make it count earlier.
    return table.assign(backfill=first["backfill"].transform("first"), session=first["counts"].cummin())


def known_news(
    rows: pd.DataFrame, exchange: str, entry: str, latency: int, backfill: bool
) -> tuple[pd.DataFrame, dict[str, int]]:
    """One row of each story, at the moment from which it counts.

    Backfill is what the source had, or may have had, when it was asked before, or what it had when it was asked for
    the first time, and what would have counted for an earlier session: nobody could have read it here in time.

    Parameters
    ----------
    rows : the table `news` of the store
    exchange, entry, latency : which session news counts for
    backfill : whether backfill counts, from when it was seen; else it is left out

    Returns
    -------
    news : news_id, published_at (the later of both times), ticker, headline, source, backfill
    facts : `news_corrected`: versions that another took the place of, or that came too late for it; `news_backfill`
    """
    if rows.empty:
        columns = ["news_id", "published_at", "ticker", "headline", "source", "backfill"]
        return rows.reindex(columns=columns), {"news_corrected": 0, "news_backfill": 0}
    table = placed(rows, exchange, entry, latency)
    in_time = table[table["counts"] <= table["session"]]
    kept = in_time.drop_duplicates(KEYS["news"], keep="last")
    facts = {"news_corrected": len(table) - len(kept), "news_backfill": int(kept["backfill"].sum())}
    kept = kept if backfill else kept[~kept["backfill"]]
    key = kept["source"] + "\0" + kept["source_id"] + "\0" + kept["ticker"]
    news_id = key.map(lambda text: hashlib.sha256(text.encode()).hexdigest()[:16])
    columns = ["news_id", "published_at", "ticker", "headline", "source", "backfill"]
    return kept.assign(news_id=news_id)[columns].sort_values("news_id", ignore_index=True), facts


@dataclass(frozen=True)
class Known:
    """What a store knows at a moment.

    news, prices : as `prepare` writes them, the prices with `universe`
    moment : of the last run
    coming : the session whose entry comes next
    reach : the last session that features can be had for: all prices before it are final. It is the coming one, or the
        one that trades now
    universe : sessions until `reach` x tickers: those with a price of the session before whose features rest on nothing
        that came late
    listed : tickers with a price of the session before `reach`
    began : the coming session of the first run
    facts : counts of what was left out or revised
    """

    news: pd.DataFrame
    prices: pd.DataFrame
    moment: pd.Timestamp
    coming: pd.Timestamp
    reach: pd.Timestamp
    universe: pd.DataFrame
    listed: set[str]
    began: pd.Timestamp
    facts: dict[str, Any]


def known_market(
    store: Store, exchange: str, entry: str, latency: int, backfill: bool, until: pd.Timestamp | None = None
) -> Known:
    """News and prices that were known at a moment, all that is known if None. Parameters: `known_news`.

    A ticker is in the `universe` of a session where it has a price of the session before, and all that its features
    rest on was known here before the entry. Its prices are those of the source that gave some first.

    Raises InputError where the store has no run or no prices.
    """
    runs, when = store.runs(until), f" until {until}" if until is not None else ""
    if not runs:
        raise InputError(f"{store.folder}: no run{when}; run `finsentiment daily`")
    prices, actions = (_of_first_source(store, name, until) for name in ("prices", "actions"))
    if prices.empty:
        raise InputError(f"{store.folder}: no prices yet{when}; see which source of prices fails")
    moment = pd.Timestamp(runs[-1]["seen_at"])
    coming = coming_session(moment, exchange, entry, latency)
    sessions = calendar(exchange).sessions.as_unit("us")
    before = last_settled(moment, exchange)
    reach = min(coming, sessions[sessions.get_loc(before) + 1])
    before = sessions[sessions.get_loc(reach) - 1]
    table, revised = adjusted_prices(prices, actions)
    span = sessions_between(exchange, table["session"].min(), max(reach, table["session"].max()))
    universe = known_in_time(prices, actions, span, exchange, entry, latency)
    row, column = universe.index.get_indexer(table["session"]), universe.columns.get_indexer(table["ticker"])
    priced = np.zeros(universe.shape, dtype=bool)
    priced[row, column] = True
    universe &= np.vstack([np.zeros(len(universe.columns), dtype=bool), priced[:-1]])
    table["universe"] = universe.to_numpy()[row, column]
    listed = set(table.loc[table["session"] == before, "ticker"])
    news, facts = known_news(store.read("news", until), exchange, entry, latency, backfill)
    began = coming_session(pd.Timestamp(runs[0]["seen_at"]), exchange, entry, latency)
    facts = {**facts, "prices_revised": revised}
    return Known(news, table, moment, coming, reach, universe, listed, began, facts)


def _of_first_source(store: Store, name: str, until: pd.Timestamp | None) -> pd.DataFrame:
    """The rows of each ticker that come from the source that gave prices of it first."""
    first = store.read("prices", until).drop_duplicates("ticker").set_index("ticker")["source"]
    rows = store.read(name, until)
    return rows[(rows["source"] == rows["ticker"].map(first)).to_numpy()].reset_index(drop=True)


def ages(news: pd.DataFrame) -> np.ndarray:
    """Hours from publication to the moment when each row of the store was first seen (n,)."""
    return ((news["first_seen_at"] - news["published_at"]).dt.total_seconds() / 3600).to_numpy()
