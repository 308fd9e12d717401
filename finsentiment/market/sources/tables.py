"""A user's own news and prices: a folder with a file or a folder `news`, and one `prices`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from finsentiment.errors import InputError
from finsentiment.intake.columns import Columns
from finsentiment.intake.numbers import AMBIGUOUS, MISSING, parse_numbers
from finsentiment.intake.tables import PLACE, Layout, UserTable, also, read_user_table, where
from finsentiment.intake.times import Fail, parse_days, parse_times
from finsentiment.market.adjust import FOUR
from finsentiment.market.checks import OPEN, Entry, RawMarket
from finsentiment.market.price_checks import NUMBERS
from finsentiment.market.sources.wide import read_wide
from finsentiment.params import Market

SUFFIXES = re.compile(r"\.(?:csv|tsv|txt|json|jsonl|ndjson|parquet)(?:\.gz)?$", re.IGNORECASE)
"""What the name of a table may end in; its first bytes decide what it is."""

MEMBER = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
"""What the column `universe` may hold: whether the ticker is in the universe of the session."""

Reader = Callable[[Path, Market, str | None], tuple[pd.DataFrame, dict[str, int]]]


def read_tables(market: Market, seed: int, entry: Entry = OPEN) -> RawMarket:
    """Read the two tables in the folder `market.path`; neither `seed` nor `entry` is needed.

    Raises InputError naming the file, line or row, column and value that is wrong.
    """
    found = {name: find_table(Path(market.path), name) for name in ("news", "prices")}
    converted: Counter[str] = Counter()

    def read(name: str, reader: Reader) -> pd.DataFrame:
        if found[name].is_file():
            table, done = reader(found[name], market, None)
            converted.update({f"{name}_{what}": count for what, count in done.items()})
            return table
        parts = []
        for file in files_of(found[name]):
            table, done = reader(file, market, SUFFIXES.sub("", file.name))
            converted.update({f"{name}_{what}": count for what, count in done.items()})
            if table.empty:
                raise InputError(f"{file}: no rows; take the file out")
            parts.append(table.set_axis([where(file.name, table, at) for at in table.index]))
        return pd.concat(parts).rename_axis(PLACE)

    news, prices = read("news", read_news_file), read("prices", read_prices_file)
    return RawMarket(news, prices, {}, (str(found["news"]), str(found["prices"])), converted=dict(converted))


def find_table(folder: Path, name: str) -> Path:
    """The file `name.csv` (or another of `SUFFIXES`) in the user's folder, or the folder `name` in it."""
    try:
        inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except (OSError, ValueError):
        raise InputError(
            f"market.path = {str(folder)[:200]!r} is no folder; give one with news.csv and prices.csv (or .parquet, "
            ".jsonl)"
        ) from None
    found = [path for path in inside if path.is_file() and SUFFIXES.sub("", path.name).lower() == name]
    found = [path for path in found if SUFFIXES.search(path.name)]
    found += [path for path in inside if path.is_dir() and path.name.lower() == name]
    if len(found) != 1:
        odd = [path.name for path in inside if path.name.split(".")[0].lower() == name and path not in found]
        if odd and not found:
            raise InputError(
                f"{folder}: {odd[0]} is no table that is read here; save it as CSV UTF-8, JSON lines or Parquet"
            )
        shown = ", ".join(path.name for path in (found or inside)[:10]) or "nothing"
        raise InputError(
            f"{folder}: {len(found)} of {name}.csv, {name}.jsonl, {name}.parquet and a folder {name} are there; "
            f"expected exactly one (there is {shown})"
        )
    return found[0]


def files_of(folder: Path) -> list[Path]:
    """The tables in a folder of tables, sorted by name. Raises InputError where something else lies there too."""
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    odd = [path.name for path in inside if path.is_dir() or not SUFFIXES.search(path.name)]
    if odd or not inside:
        raise InputError(
            f"{folder}: {odd[0] if odd else 'nothing'} is in this folder, expected tables alone, such as AAPL.csv; "
            "take other files out"
        )
    return inside


def _layout(market: Market) -> Layout:
    return Layout(market.encoding, market.delimiter, "market")


def _text(table: pd.DataFrame, column: str) -> pd.Series:
    """Texts without white space at their ends, missing ones empty; whole numbers without a point."""
    values = table[column]
    if pd.api.types.is_float_dtype(values):
        values = values.map(lambda value: "" if value != value else f"{value:.0f}" if value % 1 == 0 else str(value))
    return values.astype("str").fillna("").str.strip()


def _fail_at(path: Path, column: str, values: pd.Series, distinct: pd.Series | None = None) -> Fail:
    """Refuse the rows where a condition holds, naming the first; conditions may be on the `distinct` values alone."""

    def fail(bad: pd.Series, expected: str, remedy: Mapping[str, Any] | None = None) -> None:
        if bad.any():
            at = bad.idxmax()
            value = values[at]
            count = int(bad.sum()) if distinct is None else int(values.isin(distinct[bad]).sum())
            shown = value if isinstance(value, str) else "" if value != value else str(value)
            raise InputError(f"{where(path, values, at)}: {column} = {shown[:80]!r}{also(count)}: {expected}", remedy)

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
    optional = ("adj_close", "universe", *(() if ticker else ("ticker",)))
    return Columns((*ticker, "session", *NUMBERS), optional, market.columns.prices, "market.columns.prices")


def read_news_file(path: Path, market: Market, stem: str | None) -> tuple[pd.DataFrame, dict[str, int]]:
    """A user's news; `stem` is the ticker of a file without tickers."""
    table = read_user_table(path, news_columns(market, stem is not None), _layout(market))
    raw = _with_ticker(table, stem)
    fail = _fail_at(path, "published_at", raw["published_at"])
    times = parse_times(raw["published_at"], market.time_zone, market.time_format, fail)
    news = pd.DataFrame(
        {
            "published_at": times.moment,
            "ticker": _text(raw, "ticker"),
            "headline": _text(raw, "headline"),
            "source": _text(raw, "source").replace("", "tables") if "source" in raw else "tables",
        }
    )
    if "news_id" in raw:
        news.insert(0, "news_id", _text(raw, "news_id"))
    return news.assign(written=times.written, only_day=times.only_day), table.converted | times.converted


def read_prices_file(path: Path, market: Market, stem: str | None) -> tuple[pd.DataFrame, dict[str, int]]:
    """A user's prices, with one row per ticker and session or as yfinance spreads them."""
    table = read_wide(path, _layout(market))
    if table is None:
        table = read_user_table(path, price_columns(market, stem is not None), _layout(market))
    raw = _with_ticker(table, stem)
    days, done = _days_of(raw["session"], market, path)
    used = (*NUMBERS, "adj_close") if market.adjusted_close != "ignore" else NUMBERS
    columns = [name for name in used if name in raw]
    numbers, converted, unclear = parse_numbers(raw[columns])
    empty = numbers[FOUR].isna().all(axis=1) & numbers["volume"].fillna(0).eq(0)
    empty &= pd.concat([_text(raw, column).str.lower().isin(MISSING) for column in FOUR], axis=1).all(axis=1)
    for column in columns:
        fail = _fail_at(path, column, raw[column])
        fail(unclear[column], f"expected a number; {AMBIGUOUS}")
        traded = ", or write 0 if nothing was traded" if column == "volume" else ""
        fail(numbers[column].isna() & ~empty, f"expected a number; correct it or take the row out{traded}")
    prices = pd.DataFrame({"ticker": _text(raw, "ticker"), "session": days, **numbers})
    if "universe" in raw:
        said = _text(raw, "universe").str.lower()
        _fail_at(path, "universe", raw["universe"])(~said.isin(MEMBER), f"expected one of {', '.join(MEMBER)}")
        prices["universe"] = said.map(MEMBER).astype(bool)
    return prices, table.converted | done | converted


def _days_of(values: pd.Series, market: Market, path: Path) -> tuple[pd.Series, dict[str, int]]:
    """The days of sessions. Each is there for every ticker, so only one of each is parsed."""
    codes, _ = pd.factorize(values, use_na_sentinel=False)
    first = values[~values.duplicated()]
    days, forms = parse_days(first, market.date_format, _fail_at(path, "session", values, first))
    counts = pd.Series(forms.to_numpy()[codes]).value_counts().to_dict()
    return pd.Series(days.to_numpy()[codes], index=values.index), {name: n for name, n in counts.items() if name}
