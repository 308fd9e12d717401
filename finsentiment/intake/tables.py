"""A user's table, of whatever kind, as the columns asked for; every row keeps the number that messages name."""

from __future__ import annotations

import contextlib
import csv
import gc
import io
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from finsentiment.errors import InputError
from finsentiment.intake.columns import Columns, check_columns, match_columns
from finsentiment.intake.kinds import decode, read_user_bytes

NESTED = ("label",)
"""Columns in which JSON may have an object or a list."""
DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}
PLACE = "place"
"""Name of an index of texts that say where in a folder or a wide table each row is."""
FIRST_ROWS = 20  # by which the delimiter is told
CHUNK = 10_000  # rows whose values are Python's own objects at a time


class Layout(NamedTuple):
    """How a text file is written, where the user says so.

    encoding : None: what the byte order mark says, else UTF-8
    delimiter : None: the one with which the first line has the columns
    parameter : the section of the parameters that holds the two (`corpus`, `market`); None where there is none
    """

    encoding: str | None = None
    delimiter: str | None = None
    parameter: str | None = None

    def name_of(self, leaf: str) -> str | None:
        """The parameter `leaf` of the section, None where there is no section."""
        return self.parameter and f"{self.parameter}.{leaf}"


PLAIN = Layout()


@dataclass(frozen=True)
class UserTable:
    """Rows as read.

    rows : the columns asked for that the file has, under our names: texts, except in Parquet, which has types. The
        index is the number that messages name, its name what is counted: `line`s of the file, or `row`s
    converted : how many rows or columns were read otherwise than as they stand, by what was done
    header : all names of the file
    """

    rows: pd.DataFrame
    converted: dict[str, int]
    header: list[str]


def read_user_table(path: str | Path, wanted: Columns, layout: Layout = PLAIN) -> UserTable:
    """Read a CSV, JSON lines, JSON or Parquet file, gzip or not; its first bytes decide which it is.

    Raises
    ------
    InputError
        The file can't be read or is of another kind, lacks a required column, or a row of it is broken: the message
        names the line, what was expected, how many rows have the same fault, and what to do.
    """
    content, kind, packed = read_user_bytes(path)
    done = {"gzip": 1} if packed else {}
    if kind == "parquet":
        table = _read_parquet(path, content, wanted)
    else:
        text, encoding = decode(content, path, layout.encoding, layout.name_of("encoding"))
        if encoding not in ("utf-8", "utf-8-sig"):
            done[f"encoding_{encoding.replace('-', '_')}"] = 1
        reader = _read_csv if kind == "csv" else _read_json
        table = reader(path, text.removeprefix("\ufeff"), wanted, layout)
    return UserTable(table.rows, done | table.converted, table.header)


def where(path: object, table: pd.DataFrame | pd.Series, at: Any) -> str:
    """`path, line 5`: the place of the row with index `at`; an index of texts (`PLACE`) says the place itself."""
    if table.index.name == PLACE:
        return f"{path}, {at}"
    return f"{path}, {table.index.name or 'row'} {at}"


def places(path: object, table: pd.DataFrame, at: Iterable[Any]) -> str:
    """`path, lines 2, 5`: the places of several rows."""
    unit = "" if table.index.name == PLACE else f"{table.index.name or 'row'}s "
    return f"{path}, {unit}{', '.join(map(str, at))}"


def also(count: int, what: str = "rows") -> str:
    """How many share a fault, for the end of a message; nothing where it is alone."""
    return f" ({count} such {what})" if count > 1 else ""


def counts_in_words(counts: Mapping[str, int]) -> str:
    """`3 without_text, 1 duplicate`: counts that are not 0, by reason."""
    return ", ".join(f"{count} {reason}" for reason, count in counts.items() if count) or "none"


def _read_parquet(path: str | Path, content: bytes, wanted: Columns) -> UserTable:
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        names = file.schema_arrow.names
        found = _of_types(path, names, wanted)
        _refuse_nested(path, {name: file.schema_arrow.field(at).type for name, at in found.items()})
        # Without what pandas wrote about them: a column that was an index is a column like any other.
        arrow = file.read([names[at] for at in found.values()])
        arrow.validate(full=True)  # else a text that is no UTF-8 fails somewhere later
        table = arrow.to_pandas(ignore_metadata=True)
    except (pa.ArrowException, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: cannot be read as Parquet ({reason}); write it again") from None
    rows = pd.DataFrame({name: table[names[at]] for name, at in found.items()})
    return UserTable(rows.set_axis(pd.RangeIndex(1, len(rows) + 1, name="row")), {}, names)


def _refuse_nested(path: str | Path, types: dict[str, pa.DataType]) -> None:
    for name, kind in types.items():
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            raise InputError(f"{path}: {name} is a column of the type {kind}, expected texts, numbers or times")


def _of_types(path: str | Path, names: Sequence[str], wanted: Columns) -> dict[str, int]:
    """The columns of a file that has names of its own."""
    if wanted.headless:
        raise InputError(f"{path}: its columns have names; give names in {wanted.parameter} and not numbers")
    return check_columns(path, "names", names, wanted)


def _read_json(path: str | Path, text: str, wanted: Columns, layout: Layout) -> UserTable:
    """An object per line, or a list of objects. A column is there if any object has it."""
    numbers: list[int] = []
    objects: list[dict[str, Any]] = []
    unit = "row" if text.lstrip().startswith("[") else "line"
    for number, item in _json_items(path, text):
        if not isinstance(item, dict):
            raise InputError(f'{path}, {unit} {number}: expected an object such as {{"{wanted.required[0]}": …}}')
        numbers.append(number)
        objects.append(item)
    names = list(dict.fromkeys(name for item in objects for name in item))
    found = _of_types(path, names, wanted)
    columns: dict[str, list[str]] = {}
    for name, at in found.items():
        values = [item.get(names[at]) for item in objects]
        odd = [n for n, value in zip(numbers, values, strict=True) if isinstance(value, (list, dict))]
        if odd and name not in NESTED:
            raise InputError(f"{path}, {unit} {odd[0]}: {name} is a list or an object, expected a text{also(len(odd))}")
        columns[name] = [_as_text(value) for value in values]
    index = pd.Index(numbers, dtype="int64", name=unit)
    return UserTable(pd.DataFrame(columns, index=index, dtype="str"), {}, names)


def _json_items(path: str | Path, text: str) -> Iterator[tuple[int, Any]]:
    whole = text.lstrip().startswith("[")
    # Not splitlines(): a text may hold a line separator of Unicode, which JSON leaves as it is.
    lines = [text] if whole else text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                value = json.loads(line, object_pairs_hook=_object)
            except (ValueError, RecursionError) as error:
                place = "" if whole else f", line {number}"
                raise InputError(
                    f"{path}{place}: not JSON lines ({error}); expected one whole object per line, or a list of objects"
                ) from None
            yield from enumerate(value, start=1) if whole else [(number, value)]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice in one object")
    return found


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "ignore").decode()  # half a surrogate pair, which JSON can hold, is no character


class _Rows:
    """The rows of a CSV; `line` is where the row that is being read begins."""

    def __init__(self, text: str, delimiter: str) -> None:
        self.reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter, skipinitialspace=True)
        self.line, self.over_lines = 1, 0
        self.pending: list[list[str]] = []

    def __iter__(self) -> Iterator[list[str]]:
        if self.pending:
            yield self.pending.pop()
        self.line = self.reader.line_num + 1
        for row in self.reader:
            self.over_lines += self.reader.line_num > self.line
            if row:
                yield row
            self.line = self.reader.line_num + 1


def _read_csv(path: str | Path, text: str, wanted: Columns, layout: Layout) -> UserTable:
    csv.field_size_limit(2**31 - 1)
    if wanted.headless:
        _check_places(wanted)
    delimiter = _find_delimiter(text, wanted, layout.delimiter)
    rows = _Rows(text, delimiter)
    done = Counter({f"delimiter_{DELIMITERS.get(delimiter, 'other')}": 1} if delimiter != "," else {})
    try:
        first = next(iter(rows), [])
        if not any(first):
            raise InputError(f"{path}: the first line is empty; expected the names of the columns")
        if wanted.headless:
            found = _places(path, first, wanted)
            rows.pending.append(first)
        else:
            found = check_columns(path, f"line {rows.line}", first, wanted)
            done["column_names"] += sum(first[at] not in (name, wanted.mapped.get(name)) for name, at in found.items())
        table, uneven = _collect(rows, found, len(first))
    except csv.Error as error:
        mend = _quotes(text, rows.line, rows.reader.line_num)
        raise InputError(f"{path}, line {rows.line}: not CSV ({error}); {mend}") from None
    if uneven.count:
        raise InputError(f"{path}, {_uneven(uneven, first, delimiter)}")
    done["surplus_empty_values"] += uneven.trimmed
    done["rows_over_lines"] += rows.over_lines
    return UserTable(table, {name: n for name, n in done.items() if n}, first)


class _Uneven:
    """Rows with another number of values than the first line."""

    def __init__(self) -> None:
        self.line = self.values = self.count = self.trimmed = 0

    def add(self, line: int, values: int) -> None:
        if not self.count:
            self.line, self.values = line, values
        self.count += 1


def _collect(rows: _Rows, found: dict[str, int], width: int) -> tuple[pd.DataFrame, _Uneven]:
    """The columns `found` of all rows, and what rows of another width there are."""
    places = list(found.values())
    take: Callable[[list[str]], Any] = itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)
    uneven = _Uneven()
    lines: list[int] = []
    kept: list[Any] = []
    parts: list[list[pa.Array]] = []
    with _collector_paused():
        for row in rows:
            if len(row) != width:
                if len(row) < width or any(value.strip() for value in row[width:]):
                    uneven.add(rows.line, len(row))
                    continue
                uneven.trimmed += 1
            lines.append(rows.line)
            kept.append(take(row))
            if len(kept) == CHUNK:
                parts.append(_chunk(kept, len(places)))
                kept = []
    parts.append(_chunk(kept, len(places)))
    columns = {
        name: pd.Series(pa.chunked_array([part[i] for part in parts], type=pa.large_string()), dtype="str")
        for i, name in enumerate(found)
    }
    return pd.DataFrame(columns).set_axis(pd.Index(np.array(lines, dtype="int64"), name="line")), uneven


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Python's collector would walk a million rows again and again, and finds no cycle among them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _chunk(rows: list[Any], width: int) -> list[pa.Array]:
    columns = list(zip(*rows, strict=True)) if rows else [()] * width
    return [pa.array(column, pa.large_string()) for column in columns]


def _find_delimiter(text: str, wanted: Columns, given: str | None) -> str:
    """The delimiter with which the first line has the columns, the given one first; else that of most columns."""
    best, most = given or ",", 0
    for delimiter in dict.fromkeys([given or ",", *DELIMITERS]):
        try:
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
            rows = list(itertools.islice((row for row in reader if row), FIRST_ROWS))
        except csv.Error:
            continue
        header = rows[0] if rows else []
        if wanted.headless:
            wide = len(header) >= max(int(place) for place in wanted.mapped.values())
            fits = wide and all(len(row) == len(header) for row in rows)
        else:
            fits = set(wanted.required) <= set(match_columns(header, wanted))
        if fits:
            return delimiter
        if len(header) > most and delimiter != given:
            best, most = delimiter, len(header)
    return best


def _check_places(wanted: Columns) -> None:
    odd = [f"{name}: {place}" for name, place in wanted.mapped.items() if not isinstance(place, int)]
    missing = [name for name in wanted.required if name not in wanted.mapped]
    if odd or missing:
        raise InputError(
            f"{wanted.parameter}: with numbers, which say that the file has no first line of names, expected a number "
            f"for each of {', '.join(wanted.required)}; correct {', '.join(odd or missing)}"
        )


def _places(path: str | Path, first: list[str], wanted: Columns) -> dict[str, int]:
    """Positions from 1 as places from 0."""
    for name, place in wanted.mapped.items():
        if not 1 <= int(place) <= len(first):
            raise InputError(
                f"{path}, line 1: {wanted.parameter} says that {name} is column {place}, and there are {len(first)}"
            )
    return {name: int(place) - 1 for name, place in wanted.mapped.items()}


def _quotes(text: str, first: int, last: int) -> str:
    """What is wrong with the quotes of the lines from `first` to `last`."""
    lines = text.splitlines()[first - 1 : last]
    if any('\\"' in line for line in lines):
        mend = 'read_csv(…, escapechar="\\").to_csv(…, index=False)'
        return f'quotes within a text are written \\" there, expected ""; with pandas: {mend}'
    return "close every double quote, and write one within a text twice"


def _uneven(short: _Uneven, header: list[str], delimiter: str) -> str:
    what = f"line {short.line}: {short.values} values, expected {len(header)} ({delimiter.join(header)[:200]})"
    if short.values > len(header):
        mend = f"put a text that holds {'commas' if delimiter == ',' else f'a {delimiter!r}'} in double quotes"
    else:
        mend = "is there a line break within a text? put such a text in double quotes, or take the row out"
    return f"{what}{also(short.count)}; {mend}"
