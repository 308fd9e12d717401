"""News and prices from every source, checked alike: simulated, StockNet, and a user's own tables."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from finsentiment import files, params
from finsentiment.errors import InputError
from finsentiment.market import stocknet
from finsentiment.market.sessions import sessions_between
from finsentiment.market.simulate import simulate

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


@dataclass(frozen=True)
class MarketData:
    """A market, ready for the pipeline.

    news, prices : tables in the final schema, sorted by key
    refused : rows left out, by reason; each reason starts with its table (`news_`, `prices_`)
    facts : counts for the metrics; `news_in` = `news_out` + the refused of news, and so for prices
    truth : `news_id` and its true `tone`, known for the simulated market only; elsewhere without rows
    """

    news: pd.DataFrame
    prices: pd.DataFrame
    refused: dict[str, int]
    facts: dict[str, Any]
    truth: pd.DataFrame


def load(market: params.Market, seed: int) -> MarketData:
    """Load the market that the parameters name.

    Parameters
    ----------
    market : the section market of the parameters
    seed : for the simulated market

    Raises
    ------
    InputError
        Naming the file, row, column and value that is wrong.
    """
    if market.source == "simulated":
        simulation = simulate(market.simulated, market.exchange, read_headlines(market.path), seed)
        return checked(*simulation[:2], {}, market.exchange, ("simulated news", "simulated prices"), simulation.truth)
    if market.source == "stocknet":
        where = (f"{market.path}: tweets", f"{market.path}: price/raw")
        return checked(*stocknet.read(market.path), market.exchange, where)
    news_file, prices_file = (_find(Path(market.path), name) for name in ("news", "prices"))
    news, prices = _read_news(news_file), _read_prices(prices_file)
    return checked(news, prices, {}, market.exchange, (str(news_file), str(prices_file)))


def read_headlines(path: str | Path) -> pd.DataFrame:
    """Read the headlines of the simulated market: `headline` with `{company}` once, and its `tone` -1, 0 or 1."""
    table = _read(Path(path), ("headline", "tone"))
    for row, headline, tone in zip(table.index, table["headline"], table["tone"], strict=True):
        if headline.count("{company}") != 1:
            raise InputError(f"{path}, row {row}: headline = {headline!r}: expected {{company}} in it exactly once")
        if tone not in ("-1", "0", "1"):
            raise InputError(f"{path}, row {row}: tone = {tone!r}: expected -1, 0 or 1")
    if table.empty:
        raise InputError(f"{path}: no headlines; expected at least one row below headline,tone")
    return table.assign(tone=table["tone"].astype(int))


def price_gaps(prices: pd.DataFrame, exchange: str) -> int:
    """Sessions of the exchange between a ticker's first and last price for which it has none, over all tickers."""
    sessions = sessions_between(exchange, prices["session"].min(), prices["session"].max())
    span = prices.groupby("ticker")["session"].agg(["min", "max", "size"])
    return int((sessions.searchsorted(span["max"]) - sessions.searchsorted(span["min"]) + 1 - span["size"]).sum())


def checked(
    news: pd.DataFrame,
    prices: pd.DataFrame,
    refused: dict[str, int],
    exchange: str,
    where: tuple[str, str],
    truth: pd.DataFrame | None = None,
) -> MarketData:
    """What every source passes through: rows refused and counted, the rest checked and sorted.

    Refused are news for tickers without prices, news without text and repeated rows of news. A gap in a ticker's
    prices (a halt) is no error: it is counted, and the features keep it as a missing session.

    Parameters
    ----------
    news, prices : tables in the final columns; their index is the row number that messages name
    refused : rows that the source itself left out, by reason
    exchange : calendar code of exchange_calendars
    where : what messages call the two tables
    truth : passed on
    """
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
        "price_gaps": price_gaps(prices, exchange),
    }
    truth = pd.DataFrame({"news_id": [], "tone": []}).astype({"news_id": "str"}) if truth is None else truth
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


def _find(folder: Path, name: str) -> Path:
    """`name`.csv or `name`.parquet in the user's folder."""
    if not folder.is_dir():
        raise InputError(
            f"market.path = {str(folder)!r} is no folder; give one with news.csv and prices.csv (or .parquet)"
        )
    found = [folder / f"{name}{suffix}" for suffix in (".csv", ".parquet") if (folder / f"{name}{suffix}").is_file()]
    if len(found) != 1:
        raise InputError(f"{folder}: {len(found)} of {name}.csv and {name}.parquet are there; expected exactly one")
    return found[0]


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A CSV (all columns as text) or Parquet file, its rows numbered from 1 after the header."""
    if path.suffix == ".parquet":
        try:
            table = pd.read_parquet(path)
        except (ValueError, OSError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{path}: cannot be read ({reason}); expected Parquet") from None
        missing = [column for column in columns if column not in table]
        if missing:
            raise InputError(f"{path}: no column {', '.join(missing)}; expected {', '.join(columns)}")
    else:
        # As text, so that a ticker such as NA or TRUE stays what it is.
        table = files.read_csv(path, columns)
    table.index = pd.RangeIndex(1, len(table) + 1)
    return table


def _text(table: pd.DataFrame, column: str) -> pd.Series:
    return table[column].astype("str").fillna("").str.split().str.join(" ")


def _read_news(path: Path) -> pd.DataFrame:
    """A user's news. Times are cut to the second, which never moves one across an open."""
    raw = _read(path, ("published_at", "ticker", "headline"))
    news = pd.DataFrame(
        {
            "published_at": _moments(raw["published_at"], path),
            "ticker": _text(raw, "ticker"),
            "headline": _text(raw, "headline"),
            "source": _text(raw, "source") if "source" in raw else "tables",
        }
    )
    if "news_id" in raw:
        news.insert(0, "news_id", _text(raw, "news_id"))
    else:
        keys = news["published_at"].astype(str).str.cat(news[["ticker", "headline", "source"]], sep="\0")
        news.insert(0, "news_id", [hashlib.sha256(key.encode()).hexdigest()[:16] for key in keys])
    return news


def _moments(values: pd.Series, path: Path) -> pd.Series:
    """Publication times with a zone, as UTC to the second."""

    def fail(bad: pd.Series, expected: str) -> None:
        if bad.any():
            raise InputError(f"{path}, row {bad.idxmax()}: published_at = {str(values[bad].iloc[0])!r}: {expected}")

    remedy = "write 2024-03-01T14:30:00Z, or 2024-03-01T09:30:00-05:00 for the same moment in New York"
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        moments = values
    else:
        fail(values.isna(), f"expected a time; {remedy}")
        text = values.astype(str)
        fail(~text.str.contains(r":\d\d(?:\.\d+)?\s*(?:Z|[+-]\d\d:?\d\d)$"), f"expected a time with its zone; {remedy}")
        moments = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce")
    fail(moments.isna(), f"not a time; {remedy}")
    return moments.dt.tz_convert("UTC").dt.floor("s").astype("datetime64[us, UTC]")


def _read_prices(path: Path) -> pd.DataFrame:
    """A user's prices."""
    numbers = ("open", "high", "low", "close", "volume")
    raw = _read(path, ("ticker", "session", *numbers))
    prices = pd.DataFrame({"ticker": _text(raw, "ticker")})
    # A date that comes as a time of Parquet prints with it, and must be midnight.
    days = raw["session"].astype(str).str.removesuffix(" 00:00:00")
    prices["session"] = pd.to_datetime(days, format="%Y-%m-%d", errors="coerce").astype("datetime64[us]")
    for column in numbers:
        prices[column] = pd.to_numeric(raw[column], errors="coerce").astype(float)
    for column, expected in (("session", "a date such as 2024-03-01"), *((c, "a number") for c in numbers)):
        bad = prices[column].isna()
        if bad.any():
            raise InputError(
                f"{path}, row {bad.idxmax()}: {column} = {str(raw[column][bad].iloc[0])!r}: expected {expected}; "
                "correct it or take the row out"
            )
    return prices
