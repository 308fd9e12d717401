"""What the daily job has gathered in its store."""

from __future__ import annotations

import pandas as pd

from finsentiment.errors import InputError
from finsentiment.market.checks import Entry, RawMarket
from finsentiment.market.live import known_market
from finsentiment.market.store import Store
from finsentiment.params import Market


def read_live(market: Market, seed: int, entry: Entry) -> RawMarket:
    """Read the store at `market.path`; `seed` is not needed.

    News counts from when it was seen (`published_at` is the later of both times). Of a corrected story the version
    counts that was known at the entry of its session.

    Raises InputError where the store has no prices or no news that counts.
    """
    known = known_market(Store(market.path), market.exchange, entry.at, entry.latency, market.backfill)
    news, facts = known.news, known.facts
    if news.empty:
        raise InputError(
            f"{market.path}: no news counts yet: {facts['news_backfill']} stories were there before the first run; "
            "set market.backfill=true to count them from when they were seen, or wait for the next day"
        )
    refused = {
        "news_backfill": 0 if market.backfill else facts["news_backfill"],
        "news_corrected": facts["news_corrected"],
    }
    refused["prices_revised"] = facts["prices_revised"]
    table = news.drop(columns="backfill").set_axis(pd.RangeIndex(1, len(news) + 1, name="row"))
    return RawMarket(
        table,
        known.prices.rename_axis("row"),
        refused,
        (f"{market.path}/*/*/news.parquet", f"{market.path}/*/*/prices.parquet"),
        seen=True,
    )
