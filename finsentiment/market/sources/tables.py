"""A user's own news and prices: a folder with a file or a folder `news`, and one `prices`."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from finsentiment.errors import InputError
from finsentiment.intake.columns import Columns
from finsentiment.intake.numbers import AMBIGUOUS, parse_numbers
from finsentiment.intake.tables import Layout, UserTable, also, read_user_table, where
from finsentiment.intake.times import Fail, parse_days, parse_times
from finsentiment.market.checks import RawMarket
from finsentiment.market.price_checks import NUMBERS
from finsentiment.market.sources.wide import is_wide, read_wide
from finsentiment.params import Market

SUFFIXES = tuple(
    f"{kind}{packed}" for kind in ("csv", "tsv", "txt", "json", "jsonl", "ndjson", "parquet") for packed in ("", ".gz")
)
"""What the name of a table may end in; its first bytes decide what it is."""


def read_tables(market: Market, seed: int) -> RawMarket:
    """Read the news and prices in the folder `market.path`; `seed` is not needed.

    Raises InputError naming the file, line or row, column and value that is wrong.
    """
    places = {name: find_table(Path(market.path), name) for name in ("news", "prices")}
    converted: Counter[str] = Counter()

    def read(name: str, reader: Callable[[Path, Market, str | None], tuple[pd.DataFrame, dict[str, int]]]) -> Any:
        files = files_of(places[name])
        alone = places[name].is_file()
        tables = []
        for file in files:
            table, done = reader(file, market, None if alone else file.name.split(".")[0])
            tables.append(table)
            converted.update({f"{name}_{what}": count for what, count in done.items()})
        unit = tables[0].index.name
        return tables[0] if alone else pd.concat(tables).rename_axis(unit)

    news, prices = read("news", _read_news), read("prices", _read_prices)
    refused: dict[str, int] = {}
    names = (str(places["news"]), str(places["prices"]))
    return RawMarket(news, prices, refused, names, converted=dict(converted))


def find_table(folder: Path, name: str) -> Path:
    """The file `name.csv` (or another of `SUFFIXES`) in the user's folder, or the folder `name` in it."""
    if not folder.is_dir():
        raise InputError(
            f"market.path = {str(folder)!r} is no folder; give one with news.csv and prices.csv (or .parquet, .jsonl)"
        )
    found = [folder / f"{name}.{suffix}" for suffix in SUFFIXES if (folder / f"{name}.{suffix}").is_file()]
    found += [folder / name] if (folder / name).is_dir() else []
    if len(found) != 1:
        there = f" ({', '.join(sorted(path.name for path in found))})" if found else ""
        raise InputError(
            f"{folder}: {len(found)} of {name}.csv, {name}.jsonl, {name}.parquet and a folder {name} are there{there}; "
            "expected exactly one"
        )
    return found[0]


def files_of(place: Path) -> list[Path]:
    """The file itself, or the tables in a folder, sorted by name."""
    if place.is_file():
        return [place]
    files = sorted(file for file in place.iterdir() if file.name.endswith(tuple(f".{s}" for s in SUFFIXES)))
    if not files:
        raise InputError(f"{place}: no table in this folder; expected files such as AAPL.csv")
    return files


def _layout(market: Market) -> Layout:
    return Layout(market.encoding, market.delimiter, "market")


def _text(table: pd.DataFrame, column: str) -> pd.Series:
    """Texts without white space at their ends, missing ones empty."""
    return table[column].astype("str").fillna("").str.strip()


def _fail_at(path: Path, column: str, values: pd.Series) -> Fail:
    """Refuse the rows where a condition holds, naming the first."""

    def fail(bad: pd.Series, expected: str, remedy: Mapping[str, Any] | None = None) -> None:
        if bad.any():
            at = bad.idxmax()
            value = values[at]
            shown = value if isinstance(value, str) else "" if value != value else str(value)
            raise InputError(
                f"{where(path, values, at)}: {column} = {shown[:80]!r}{also(int(bad.sum()))}: {expected}", remedy
            )

    return fail


def _with_ticker(raw: UserTable, stem: str | None) -> pd.DataFrame:
    """The rows, with the name of the file as their ticker where they have none."""
    return raw.rows if stem is None or "ticker" in raw.rows else raw.rows.assign(ticker=stem)


def news_columns(market: Market, of_one_ticker: bool = False) -> Columns:
    """What a file of news must and may have."""
    ticker = () if of_one_ticker else ("ticker",)
    required = ("published_at", *ticker, "headline")
    optional = ("source", "news_id", *(() if ticker else ("ticker",)))
    return Columns(required, optional, market.columns.news, "market.columns.news")


def price_columns(market: Market, of_one_ticker: bool = False) -> Columns:
    """What a file of prices must and may have."""
    ticker = () if of_one_ticker else ("ticker",)
    optional = ("adj_close", *(() if ticker else ("ticker",)))
    return Columns((*ticker, "session", *NUMBERS), optional, market.columns.prices, "market.columns.prices")


def _read_news(path: Path, market: Market, stem: str | None) -> tuple[pd.DataFrame, dict[str, int]]:
    """A user's news; `stem` is the ticker of a file without tickers."""
    table = read_user_table(path, news_columns(market, stem is not None), _layout(market))
    raw = _with_ticker(table, stem)
    fail = _fail_at(path, "published_at", raw["published_at"])
    times = parse_times(raw["published_at"], market.time_zone, market.time_format, fail)
    news = pd.DataFrame(
        {
            "published_at": times.moment,
            "ticker": _text(raw, "ticker"),
            "headline": pd.Series(
                [" ".join(text.split()) for text in _text(raw, "headline").tolist()], raw.index, dtype="str"
            ),
            "source": _text(raw, "source") if "source" in raw else "tables",
        }
    )
    if "news_id" in raw:
        news.insert(0, "news_id", _text(raw, "news_id"))
    else:
        columns = (news[name].tolist() for name in ("ticker", "headline", "source"))
        keys = map("\0".join, zip(times.moment.astype("int64").astype(str).tolist(), *columns, strict=True))
        news.insert(0, "news_id", [hashlib.sha256(key.encode()).hexdigest()[:16] for key in keys])
    return news.assign(written=times.written, only_day=times.only_day), table.converted | times.converted


def _read_prices(path: Path, market: Market, stem: str | None) -> tuple[pd.DataFrame, dict[str, int]]:
    """A user's prices, with one row per ticker and session or as yfinance spreads them."""
    if is_wide(path, _layout(market)):
        table = read_wide(path, _layout(market))
    else:
        table = read_user_table(path, price_columns(market, stem is not None), _layout(market))
    raw = _with_ticker(table, stem)
    days, done = parse_days(raw["session"], market.date_format, _fail_at(path, "session", raw["session"]))
    columns = [name for name in (*NUMBERS, "adj_close") if name in raw]
    numbers, converted, unclear = parse_numbers(raw[columns])
    for column in columns:
        fail = _fail_at(path, column, raw[column])
        fail(unclear[column], f"expected a number; {AMBIGUOUS}")
        missing = numbers[column].isna()
        empty = raw[columns].isna().all(axis=1) if not missing.any() else _all_empty(raw[columns])
        fail(missing & ~empty, "expected a number; correct it or take the row out")
    prices = pd.DataFrame({"ticker": _text(raw, "ticker"), "session": days, **numbers})
    return prices, table.converted | done | converted


def _all_empty(raw: pd.DataFrame) -> pd.Series:
    """Rows without anything in any of the columns: how some sources write a day without trade."""
    return pd.concat([_text(raw, column) == "" for column in raw], axis=1).all(axis=1)


def read_rows(path: str | Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A table of ours with these columns, by line (Parquet: row)."""
    return read_user_table(path, Columns(columns)).rows
