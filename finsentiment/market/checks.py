"""News and prices of every source, checked alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pandera.pandas as pa

from finsentiment.arms import TRUTH
from finsentiment.errors import InputError
from finsentiment.market.sessions import sessions_between

PRICE = pa.Column(float, pa.Check(lambda x: np.isfinite(x) & (x > 0), error="a positive number"))
TEXT = pa.Column(str, pa.Check(lambda x: x.str.strip() != "", error="a text that is not empty"))
NEWS_SCHEMA = pa.DataFrameSchema(
    {
        "news_id": TEXT,
        "published_at": pa.Column("datetime64[us, UTC]"),
        "ticker": TEXT,
        "headline": TEXT,
        "source": TEXT,
    },
    strict=True,
    ordered=True,
)
PRICES_SCHEMA = pa.DataFrameSchema(
    {
        "ticker": TEXT,
        "session": pa.Column("datetime64[us]"),
        "open": PRICE,
        "high": PRICE,
        "low": PRICE,
        "close": PRICE,
        "volume": pa.Column(float, pa.Check(lambda x: np.isfinite(x) & (x >= 0), error="a number, 0 or more")),
    },
    strict=True,
    ordered=True,
)


class RawMarket(NamedTuple):
    """What a source reads, not yet checked.

    news, prices : tables in the final columns; their index is the row number that messages name
    refused : rows that the source itself left out, by reason
    where : what messages call the two tables
    truth : `news_id` and its true tone `truth`, where it is known
    """

    news: pd.DataFrame
    prices: pd.DataFrame
    refused: dict[str, int]
    where: tuple[str, str]
    truth: pd.DataFrame | None = None


@dataclass(frozen=True)
class MarketData:
    """A market, ready for the pipeline.

    news, prices : tables in the final schema, sorted by key
    refused : rows left out, by reason; each reason starts with its table (`news_`, `prices_`)
    facts : counts for the metrics; `news_in` = `news_out` + the refused of news, and so for prices
    truth : `news_id` and its true tone `truth`, known for the simulated market only; elsewhere without rows
    """

    news: pd.DataFrame
    prices: pd.DataFrame
    refused: dict[str, int]
    facts: dict[str, Any]
    truth: pd.DataFrame


def count_price_gaps(prices: pd.DataFrame, exchange: str) -> int:
    """Sessions of the exchange between a ticker's first and last price for which it has none, over all tickers."""
    sessions = sessions_between(exchange, prices["session"].min(), prices["session"].max())
    span = prices.groupby("ticker")["session"].agg(["min", "max", "size"])
    return int((sessions.searchsorted(span["max"]) - sessions.searchsorted(span["min"]) + 1 - span["size"]).sum())


def check_market(raw: RawMarket, exchange: str) -> MarketData:
    """What every source passes through: rows refused and counted, the rest checked and sorted.

    Refused are news for tickers without prices, news without text and repeated rows of news. A gap in a ticker's
    prices (a halt) is no error: it is counted, and the features keep it as a missing session.

    `exchange` is a calendar code of exchange_calendars. Raises InputError naming the row and what is wrong with it.
    """
    news, prices, refused, where, truth = raw
    counts = {"news_in": len(news), "prices_in": len(prices)}
    for table in ("news", "prices"):
        counts[f"{table}_in"] += sum(n for reason, n in refused.items() if reason.startswith(f"{table}_"))

    if prices.empty:
        raise InputError(f"{where[1]}: no prices; expected a row per ticker and session")
    _check(prices, PRICES_SCHEMA, where[1])
    _check_prices(prices, exchange, where[1])
    refused = dict(refused)
    for reason, bad in (
        ("news_ticker_without_prices", lambda table: ~table["ticker"].isin(prices["ticker"])),
        ("news_without_text", lambda table: table["headline"] == ""),
        ("news_duplicate", lambda table: table.duplicated()),
    ):
        rows = bad(news)
        refused[reason] = int(rows.sum())
        news = news[~rows]
    if news.empty:
        raise InputError(f"{where[0]}: no news left after {refused} were refused; expected news on tickers with prices")
    _check(news, NEWS_SCHEMA, where[0])
    twice = news["news_id"].duplicated(keep=False)
    if twice.any():
        first = news["news_id"][twice].iloc[0]
        rows = ", ".join(map(str, news.index[news["news_id"] == first]))
        raise InputError(
            f"{where[0]}, rows {rows}: news_id = {first!r} for news that differ; expected one id per row; "
            "for a story on several tickers append the ticker to the id"
        )

    news = news.sort_values("news_id", ignore_index=True)
    prices = prices.sort_values(["ticker", "session"], ignore_index=True)
    facts = counts | {
        "news_out": len(news),
        "prices_out": len(prices),
        "tickers": prices["ticker"].nunique(),
        "tickers_with_news": news["ticker"].nunique(),
        "unique_headlines": news["headline"].nunique(),
        "mean_words": float(news["headline"].str.split().str.len().mean()),
        "first_session": str(prices["session"].min().date()),
        "last_session": str(prices["session"].max().date()),
        "price_gaps": count_price_gaps(prices, exchange),
    }
    truth = pd.DataFrame({"news_id": [], TRUTH: []}).astype({"news_id": "str"}) if truth is None else truth
    return MarketData(news, prices, refused, facts, truth)


def _check(table: pd.DataFrame, schema: pa.DataFrameSchema, where: str) -> None:
    """Check types and values, naming the first row that breaks the schema."""
    try:
        schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as errors:
        fault = errors.failure_cases.iloc[0]
        expected = {"not_nullable": "a value", "column_in_dataframe": "this column"}.get(fault["check"], fault["check"])
        row = "" if pd.isna(fault["index"]) else f", row {int(fault['index'])}"
        more = f" ({len(errors.failure_cases)} faults in all)" if len(errors.failure_cases) > 1 else ""
        raise InputError(
            f"{where}{row}: {fault['column']} = {fault['failure_case']}: expected {expected}; "
            f"correct it or take the row out{more}"
        ) from None


def _check_prices(prices: pd.DataFrame, exchange: str, where: str) -> None:
    """What no single column shows: prices in order, one row per ticker and session, real sessions only."""

    def fail(bad: pd.Series, what: str) -> None:
        if bad.any():
            row = prices[bad].iloc[0]
            key = f"{row['ticker']}, {row['session'].date()}"
            raise InputError(f"{where}, row {bad.idxmax()} ({key}): {what.format(**row)}")

    fail(
        prices["high"] < prices[["open", "low", "close"]].max(axis=1),
        "high = {high} is below another price of the session (open {open}, low {low}, close {close}); correct the row",
    )
    fail(
        prices["low"] > prices[["open", "close"]].min(axis=1),
        "low = {low} is above another price of the session (open {open}, close {close}); correct the row",
    )
    twice = prices.duplicated(["ticker", "session"], keep=False)
    if twice.any():
        first = prices[twice].iloc[0]
        same = (prices["ticker"] == first["ticker"]) & (prices["session"] == first["session"])
        rows = ", ".join(map(str, prices.index[same]))
        raise InputError(
            f"{where}, rows {rows}: {same.sum()} prices for {first['ticker']} on {first['session'].date()}; "
            "expected one row per ticker and session; keep one"
        )
    sessions = sessions_between(exchange, prices["session"].min(), prices["session"].max())
    fail(
        ~prices["session"].isin(sessions),
        f"this day is no session of {exchange}; take the row out, "
        "or set market.exchange to the exchange of these prices",
    )
