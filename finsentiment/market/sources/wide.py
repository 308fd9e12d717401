"""Prices as yfinance spreads them: a column per field and ticker, under two lines of names (`Price`, `Ticker`)."""

from __future__ import annotations

import ast
import csv
import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from finsentiment.errors import InputError
from finsentiment.intake.columns import squeezed
from finsentiment.intake.kinds import decode, read_user_bytes
from finsentiment.intake.tables import DELIMITERS, PLACE, Layout, UserTable
from finsentiment.market.price_checks import NUMBERS

FIELDS = {squeezed(name): name for name in (*NUMBERS, "adj_close")}
LEVELS = ({"price", "ticker"}, {"attributes", "symbols"})
"""What the first two lines begin with: yfinance's names, and pandas-datareader's."""


def read_wide(path: Path, layout: Layout) -> UserTable | None:
    """The rows of a wide table, one per ticker and session, as text, by line of the file (Parquet: row).

    None where the first two lines don't name fields and tickers, as yfinance writes them.

    A ticker without any value on a day has no row there: the table is wide because another ticker has one.

    Raises InputError where a ticker lacks one of the fields.
    """
    found = _cells(path, layout)
    if found is None:
        return None
    names, table, packed = found
    tickers = list(dict.fromkeys(ticker for _, ticker in names if ticker))
    parts = []
    twice = [name for name in names if name[1] and name[0] in FIELDS and names.count(name) > 1]
    if twice:
        raise InputError(
            f"{path}: {twice[0][0]} of {twice[0][1]} is there {names.count(twice[0])} times; keep one column"
        )
    without = 0
    for ticker in tickers:
        columns = {FIELDS[field]: at for at, (field, owner) in enumerate(names) if owner == ticker and field in FIELDS}
        missing = [name for name in NUMBERS if name not in columns]
        if missing:
            raise InputError(
                f"{path}: no {', '.join(missing)} of {ticker}; expected {', '.join(NUMBERS)} of every ticker, as "
                "yfinance.download gives them"
            )
        part = pd.DataFrame({name: table.iloc[:, at] for name, at in columns.items()})
        part = part[~(part == "").all(axis=1)]
        without += part.empty
        part = part.assign(ticker=ticker, session=table[0][part.index])
        parts.append(part.set_axis([f"{table.index.name} {at} ({ticker})" for at in part.index]))
    rows = pd.concat(parts).rename_axis(PLACE)
    done = {"wide_columns": len(names), "wide_empty_tickers": without, **packed}
    return UserTable(
        rows, {name: count for name, count in done.items() if count}, [f"{field} {ticker}" for field, ticker in names]
    )


def _cells(path: Path, layout: Layout) -> tuple[list[tuple[str, str]], pd.DataFrame, dict[str, int]] | None:
    """Field and ticker of each column, and all cells as text, the dates in column 0; None if the table is not wide."""
    content, kind, packed = read_user_bytes(path)
    done = {"gzip": 1} if packed else {}
    if kind == "parquet":
        return _parquet_cells(path, content, done)
    if kind != "csv":
        return None
    start = content[:64].lstrip(b"\xef\xbb\xbf\"'").lower()
    beginnings = tuple(level.encode() for levels in LEVELS for level in levels)
    if not start.startswith(beginnings) and content[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        return None
    text, _ = decode(content, path, layout.encoding, layout.name_of("encoding"))
    for delimiter in dict.fromkeys([layout.delimiter or ",", *DELIMITERS]):
        reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter)
        first, second = next(reader, [""]), next(reader, [""])
        if first and second and {squeezed(first[0]), squeezed(second[0])} in LEVELS and len(first) == len(second):
            break
    else:
        return None
    fields, tickers = (first, second) if squeezed(first[0]) in ("price", "attributes") else (second, first)
    lines, rows = [], []
    for row in reader:
        if len(row) == len(first) and any(value.strip() for value in row[1:]):
            lines.append(reader.line_num)
            rows.append(row)
        elif len(row) not in (0, len(first)):
            raise InputError(f"{path}, line {reader.line_num}: {len(row)} values, expected {len(first)}")
    names = [("", ""), *((squeezed(f), t.strip()) for f, t in zip(fields[1:], tickers[1:], strict=True))]
    table = pd.DataFrame(
        rows, index=pd.Index(lines, name="line", dtype="int64"), columns=range(len(first)), dtype="str"
    )
    return names, table, done


def _parquet_cells(
    path: Path, content: bytes, done: dict[str, int]
) -> tuple[list[tuple[str, str]], pd.DataFrame, dict[str, int]] | None:
    """Pandas writes the two names of a column as the text of a pair."""
    try:
        names = pq.read_schema(io.BytesIO(content)).names
    except (pa.ArrowException, OSError):
        return None  # whoever reads it as a plain table says what is wrong
    pairs = [_pair(name) for name in names]
    if sum(pair is not None for pair in pairs) < len(NUMBERS):
        return None
    try:
        arrow = pq.read_table(io.BytesIO(content))
        arrow.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({' '.join(str(error).split())[:200]})") from None
    table = arrow.to_pandas(ignore_metadata=True)
    dates = [at for at, pair in enumerate(pairs) if pair is None or not pair[1]]
    if not dates:
        return None
    order = [dates[0], *(at for at in range(len(names)) if at not in dates)]
    known = [pairs[at] or ("", "") for at in order[1:]]
    # yfinance groups by field or by ticker.
    by_field = squeezed(known[0][0]) in FIELDS
    pairs_of = [(squeezed(a), b) if by_field else (squeezed(b), a) for a, b in known]
    cells = pd.DataFrame({i: table.iloc[:, at].astype("str").fillna("") for i, at in enumerate(order)})
    cells = cells.replace({"nan": "", "NaT": "", "None": ""})
    return [("", ""), *pairs_of], cells.set_axis(pd.RangeIndex(1, len(cells) + 1, name="row")), done


def _pair(name: str) -> tuple[str, str] | None:
    try:
        value = ast.literal_eval(name)
    except (ValueError, SyntaxError):
        return None
    return (str(value[0]), str(value[1])) if isinstance(value, tuple) and len(value) == 2 else None
