"""A user's own news and prices: a folder with news.csv and prices.csv, or the same as Parquet."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd

from finsentiment.errors import InputError
from finsentiment.files import read_csv_text, read_user_parquet
from finsentiment.market.checks import RawMarket
from finsentiment.params import Market


def read_tables(market: Market, seed: int) -> RawMarket:
    """Read the two tables in the folder `market.path`; `seed` is not needed.

    Raises InputError naming the file, row, column and value that is wrong.
    """
    news_file, prices_file = (_find_table(Path(market.path), name) for name in ("news", "prices"))
    news, prices = _read_news(news_file), _read_prices(prices_file)
    return RawMarket(news, prices, {}, (str(news_file), str(prices_file)))


def _find_table(folder: Path, name: str) -> Path:
    """`name`.csv or `name`.parquet in the user's folder."""
    if not folder.is_dir():
        raise InputError(
            f"market.path = {str(folder)!r} is no folder; give one with news.csv and prices.csv (or .parquet)"
        )
    found = [folder / f"{name}{suffix}" for suffix in (".csv", ".parquet") if (folder / f"{name}{suffix}").is_file()]
    if len(found) != 1:
        raise InputError(f"{folder}: {len(found)} of {name}.csv and {name}.parquet are there; expected exactly one")
    return found[0]


def read_rows(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A CSV (all columns as text) or Parquet file, its rows numbered from 1 after the header."""
    if path.suffix == ".parquet":
        return read_user_parquet(path, columns)
    # As text, so that a ticker such as NA or TRUE stays what it is.
    table = read_csv_text(path, columns)
    return table.set_axis(pd.RangeIndex(1, len(table) + 1))


def _text(table: pd.DataFrame, column: str) -> pd.Series:
    return table[column].astype("str").fillna("").str.split().str.join(" ")


def _read_news(path: Path) -> pd.DataFrame:
    """A user's news. Times are cut to the second, which never moves one across an open."""
    raw = read_rows(path, ("published_at", "ticker", "headline"))
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
    raw = read_rows(path, ("ticker", "session", *numbers))
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
