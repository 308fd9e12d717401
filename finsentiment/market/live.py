"""What a store knows at a moment, as news and prices that the pipeline reads.

News counts from the later of its publication and the moment when it was first seen. So a job that runs late trades
late. Of a story that was corrected the last version counts that was seen before the entry of its session: what a
session's features rest on does not move afterwards.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from finsentiment.errors import InputError
from finsentiment.market.history import adjusted_prices, coming_session
from finsentiment.market.sessions import next_entry
from finsentiment.market.store import KEYS, Store


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
    known_at = rows[["published_at", "first_seen_at"]].max(axis=1).astype("datetime64[us, UTC]")
    counts = next_entry(known_at, exchange, entry, latency)
    early = next_entry(rows["published_at"].astype("datetime64[us, UTC]"), exchange, entry, latency) < counts
    could = rows["asked_before_at"].isna() | (rows["published_at"] <= rows["asked_before_at"])
    table = rows.assign(published_at=known_at, counts=counts, backfill=early & could)
    first = table.groupby(KEYS["news"], sort=False)
    # A correction is as much backfill as the story that it corrects.
    table = table.assign(backfill=first["backfill"].transform("first"), session=first["counts"].transform("first"))
    in_time = table[table["counts"] <= table["session"]]
    kept = in_time.drop_duplicates(KEYS["news"], keep="last")
    facts = {"news_corrected": len(table) - len(kept), "news_backfill": int(kept["backfill"].sum())}
    kept = kept if backfill else kept[~kept["backfill"]]
    key = kept["source"] + "\0" + kept["source_id"] + "\0" + kept["ticker"]
    news_id = key.map(lambda text: hashlib.sha256(text.encode()).hexdigest()[:16])
    columns = ["news_id", "published_at", "ticker", "headline", "source", "backfill"]
    return kept.assign(news_id=news_id)[columns].sort_values("news_id", ignore_index=True), facts


def known_market(
    store: Store, exchange: str, entry: str, latency: int, backfill: bool, until: pd.Timestamp | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """News and prices that were known at a moment, all that is known if None. Parameters: `known_news`.

    A ticker is in the `universe` from the first session after its prices were first seen: what came before is history
    that was chosen afterwards.

    Raises InputError where the store has no prices, or those of two sources for one ticker.
    """
    prices, actions = store.read("prices", until), store.read("actions", until)
    if prices.empty:
        when = f" until {until}" if until is not None else ""
        raise InputError(f"{store.folder}: the store has no prices{when}; run `finsentiment daily` first")
    sources = prices.groupby("ticker")["source"].nunique()
    if (sources > 1).any():
        raise InputError(f"{store.folder}: {sources.idxmax()} has prices of two sources; give one source of prices")
    table, price_facts = adjusted_prices(prices, actions, exchange)
    since = prices.groupby("ticker")["as_of"].min().map(lambda moment: coming_session(moment, exchange, entry, latency))
    table["universe"] = table["session"] >= table["ticker"].map(since)
    news, news_facts = known_news(store.read("news", until), exchange, entry, latency, backfill)
    return news, table, {**news_facts, **price_facts}


def ages(news: pd.DataFrame) -> np.ndarray:
    """Hours from publication to the moment when each row of the store was first seen (n,)."""
    return ((news["first_seen_at"] - news["published_at"]).dt.total_seconds() / 3600).to_numpy()
