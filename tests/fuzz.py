"""Mutate corpora, news, prices and parameters, and see that each is read or refused in one line: no traceback, no loss.

Run as `python -m tests.fuzz --count 1000`; the tests run a hundred. A seed gives the same mutations again.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import io
import json
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from finsentiment.corpus.cleaning import clean_corpus
from finsentiment.corpus.load import load_corpus
from finsentiment.errors import InputError
from finsentiment.market.load import load_market
from finsentiment.market.sessions import sessions_between
from finsentiment.params import Corpus, check_params
from finsentiment.reporting.rows import doubts, row_line, table_counts
from tests.markets import market

ROOT = Path(__file__).parents[1]
Rng = np.random.Generator
ODD = ["", " ", '"', '""', "'", ",", ";", "\t", "\n", "\r", "\x00", "\ufeff", "\u200b", "é", "ﬁ", "🚀", "\\", "&amp;"]
ODD += ["<br>", "NaN", "null", "None", "-", "1e309", "-1", "0", "1,234", "1.2M", "$5", "٣", "true", "[]", "{}", "=1+1"]
TIMES = [
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d %H:%M:%S+00:00",
    "%Y-%m-%d %H:%M:%S",
    "%a, %d %b %Y %H:%M:%S +0000",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %I:%M %p",
    "%Y%m%dT%H%M%S",
    "%Y-%m-%d",
    "%s",
    "%Y-%m-%d %H:%M:%S UTC",
    "%d.%m.%Y",
    "%B %d, %Y",
]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "latin-1", "utf-32", "cp1251"]


@functools.cache
def corpus_table() -> pd.DataFrame:
    """Sixty sentences of the sample."""
    sample = pd.read_csv(ROOT / "data/sample/sentences.csv")[["text", "label"]]
    return sample.groupby("label").head(20).reset_index(drop=True)


@functools.cache
def market_tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """News and prices of six tickers over sixty sessions, as text."""
    rng = np.random.default_rng(0)
    sessions = sessions_between("XNYS", pd.Timestamp("2023-01-03"), pd.Timestamp("2023-03-31"))
    tickers = ["AAA", "BBB", "BRK-B", "CCC", "NA", "TRUE"]
    prices = []
    for ticker in tickers:
        close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, len(sessions))))
        opened = close * np.exp(rng.normal(0, 0.005, len(sessions)))
        high, low = np.maximum(opened, close) * 1.01, np.minimum(opened, close) * 0.99
        four = {"open": opened, "high": high, "low": low, "close": close}
        table = pd.DataFrame({name: values.round(4).astype(str) for name, values in four.items()})
        table.insert(0, "session", sessions.strftime("%Y-%m-%d"))
        table.insert(0, "ticker", ticker)
        prices.append(table.assign(volume=rng.integers(1e5, 1e6, len(sessions)).astype(str)))
    at = pd.Timestamp("2023-01-05") + pd.to_timedelta(rng.integers(0, 80 * 86400, 200), unit="s")
    text = rng.choice(corpus_table()["text"], 200)
    news = pd.DataFrame({"published_at": at.strftime(TIMES[0]), "ticker": rng.choice(tickers, 200), "headline": text})
    return news, pd.concat(prices, ignore_index=True)


def to_csv(table: pd.DataFrame, **options: Any) -> bytes:
    """A table as bytes of CSV."""
    return table.to_csv(index=False, **options).encode("utf-8", "replace")


# Mutations of a table: they keep or count its rows.


def odd_cells(table: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    """Put something odd into a few cells, or into a part of them."""
    if table.empty or table.columns.duplicated().any():
        return table
    table = table.copy()
    column = rng.choice(table.columns)
    for row in rng.choice(len(table), rng.integers(1, 4)):
        value = str(rng.choice(ODD))
        old = str(table.loc[row, column])
        cut = int(rng.integers(0, len(old) + 1))
        table.loc[row, column] = value if rng.random() < 0.5 else old[:cut] + value + old[cut:]
    return table


def other_header(table: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    """Rename, double, drop, shuffle or add columns."""
    kind = rng.integers(5)
    name = str(rng.choice(table.columns))
    if kind == 0:
        return table.rename(columns={name: str(rng.choice([name.upper(), name.title(), f" {name} ", "x", "", "date"]))})
    if kind == 1:
        return pd.concat([table, table[[name]]], axis=1)
    if kind == 2:
        return table.drop(columns=name)
    if kind == 3:
        return table[list(rng.permutation(table.columns))]
    return table.assign(extra=str(rng.choice(ODD)))


def other_rows(table: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    """Repeat, drop, shuffle or empty rows."""
    if table.empty:
        return table
    kind = rng.integers(4)
    if kind == 0:
        return pd.concat([table, table.sample(int(rng.integers(1, 9)), random_state=int(rng.integers(99)))])
    if kind == 1:
        return table.iloc[: int(rng.integers(0, len(table)))]
    if kind == 2:
        return table.iloc[rng.permutation(len(table))]
    return pd.concat([table, pd.DataFrame([[""] * table.shape[1]], columns=table.columns)])


def other_times(table: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    """Write times or days in another format, in all rows or some, or lose their time of day."""
    name = next((name for name in ("published_at", "session") if name in table), None)
    if name is None or table.columns.duplicated().any():
        return odd_cells(table, rng)
    moments = pd.to_datetime(table[name], format="ISO8601", errors="coerce", utc=True)
    if moments.isna().any():
        return odd_cells(table, rng)
    form = str(rng.choice(TIMES))
    written = moments.dt.strftime(form) if form != "%s" else (moments.astype("int64") // 10**9).astype(str)
    if rng.random() < 0.3:
        written = moments.dt.normalize().dt.strftime(TIMES[0])
    rows = rng.random(len(table)) < rng.choice([1.0, 0.5, 0.02])
    return table.assign(**{name: np.where(rows, written, table[name])})


def other_numbers(table: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    """Write numbers otherwise, or scale a ticker from a day on."""
    if "close" not in table:
        return odd_cells(table, rng)
    table, name = table.copy(), str(rng.choice(["open", "high", "low", "close", "volume"]))
    if name not in table or table.columns.duplicated().any():
        return odd_cells(table, rng)
    number = pd.to_numeric(table[name], errors="coerce")
    forms: list[Callable[[float], str]] = [
        lambda x: f"{x:,.2f}",
        lambda x: f"${x:.2f}",
        lambda x: f"{x / 1e6:.2f}M",
        lambda x: f"{x:.2f}".replace(".", ","),
        lambda x: f"{x:e}",
        lambda x: f"{-x}",
        lambda x: f"{x * 10}",
    ]
    form = forms[rng.integers(len(forms))]
    rows = rng.random(len(table)) < rng.choice([1.0, 0.1])
    table[name] = np.where(rows, number.map(form), table[name])
    return table


# Mutations of bytes: they may break anything.


def broken_bytes(content: bytes, rng: Rng) -> bytes:
    """Cut, flip, insert or repeat bytes."""
    kind, at = rng.integers(4), int(rng.integers(0, max(len(content), 1)))
    if kind == 0:
        return content[:at]
    if kind == 1:
        flipped = bytearray(content)
        for place in rng.integers(0, len(content), int(rng.integers(1, 6))):
            flipped[place] = int(rng.integers(256))
        return bytes(flipped)
    if kind == 2:
        return content[:at] + str(rng.choice(ODD)).encode() * int(rng.integers(1, 4)) + content[at:]
    return content[:at] + content[max(at - 40, 0) :]


def written(table: pd.DataFrame, rng: Rng) -> bytes:
    """The table in some kind of file."""
    kind = rng.integers(6)
    if kind == 0:
        return to_csv(table, sep=str(rng.choice([";", "\t", "|", ","])))
    if kind == 1:
        return gzip.compress(to_csv(table), mtime=0)
    if kind == 2:
        rows = table.loc[:, ~table.columns.duplicated()].to_dict("records")
        return "\n".join(json.dumps(row, ensure_ascii=bool(rng.integers(2))) for row in rows).encode()
    if kind == 3:
        buffer = io.BytesIO()
        table.loc[:, ~table.columns.duplicated()].reset_index(drop=True).to_parquet(buffer)
        return buffer.getvalue()
    if kind == 4:
        return to_csv(table).decode().encode(str(rng.choice(ENCODINGS)), "replace")
    return to_csv(table, lineterminator=str(rng.choice(["\r\n", "\r", "\n"])))


TABLE_MUTATIONS = (odd_cells, other_header, other_rows, other_times, other_numbers)


def mutated(table: pd.DataFrame, rng: Rng) -> tuple[bytes, int | None]:
    """A mutated file, and how many rows are in it where that is still known."""
    table = table.astype(str)
    for _ in range(rng.integers(1, 3)):
        table = TABLE_MUTATIONS[rng.integers(len(TABLE_MUTATIONS))](table, rng).reset_index(drop=True)
    if rng.random() < 0.3:
        return broken_bytes(written(table, rng), rng), None
    whole = not table.apply(lambda row: (row == "").all(), axis=1).any() if len(table) else True
    plain = table.map(lambda value: not set(str(value)) & set('"\r\n\x00')).all(axis=None)
    return written(table, rng), len(table) if whole and plain else None


def random_parameter(rng: Rng) -> dict[str, Any]:
    """params.yaml with one leaf changed, dropped or added."""
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    section = tree
    while True:
        name = str(rng.choice(list(section)))
        if not isinstance(section[name], dict) or not section[name] or rng.random() < 0.1:
            break
        section = section[name]
    values = [None, -1, 0, 1e99, float("nan"), "", "x", [], {}, [1], {"a": 1}, True, "1970-01-01", 10**30, *ODD]
    if rng.random() < 0.1:
        del section[name]
    else:
        section[name] = values[rng.integers(len(values))]
    return tree


def one(number: int, seed: int, folder: Path) -> str:
    """Try mutation `number`; "" where all is well, else what went wrong."""
    rng = np.random.default_rng([seed, number])
    kind = ("corpus", "news", "prices", "parameters")[number % 4]
    attempt: Callable[[], str] = {
        "corpus": lambda: _corpus(rng, folder),
        "parameters": lambda: _parameters(rng),
    }.get(kind, lambda: _market(kind, rng, folder))()
    try:
        return attempt()
    except InputError as error:
        said = str(error)
        bad = "\n" in said or not 20 <= len(said) <= 1500 or "Traceback" in said
        return f"a poor message: {said!r}" if bad else ""
    except Exception:  # whatever it is, it is a defect
        return traceback.format_exc()


def _parameters(rng: Rng) -> Callable[[], str]:
    tree = random_parameter(rng)
    return lambda: "" if check_params(tree) else "no parameters"


def _corpus(rng: Rng, folder: Path) -> Callable[[], str]:
    content, rows = mutated(corpus_table(), rng)
    (folder / "mine.csv").write_bytes(content)
    columns: dict[str, Any] = [{}, {"text": 1, "label": 2}, {"label": "text"}][rng.choice(3, p=[0.8, 0.1, 0.1])]
    plain = {"labels": {}, "encoding": None, "delimiter": None, "agreement": 50}
    corpus = Corpus(source="csv", path=str(folder / "mine.csv"), columns=columns, **plain)

    def attempt() -> str:
        found = load_corpus(corpus)
        rows_in = len(found.rows) + sum(found.refused.values())
        if rows is not None and not columns and rows_in != rows:
            return f"corpus: {rows} rows were written and {rows_in} read"
        table, refused = clean_corpus(found.rows, "csv", "mine.csv")
        counts = {"rows_in": rows_in, "rows_out": len(table), "refused": refused | found.refused}
        row_line("sentences", {**counts, "converted": found.converted})
        return "" if len(found.rows) == len(table) + sum(refused.values()) else "corpus: rows were lost"

    return attempt


def _market(kind: str, rng: Rng, folder: Path) -> Callable[[], str]:
    tables = dict(zip(("news", "prices"), market_tables(), strict=True))
    content, rows = mutated(tables.pop(kind), rng)
    other, table = tables.popitem()
    (folder / f"{kind}.csv").write_bytes(content)
    (folder / f"{other}.csv").write_bytes(to_csv(table))
    rules = {
        "undated_news": str(rng.choice(["refuse", "next_session", "trust"])),
        "time_zone": [None, "America/New_York"][rng.integers(2)],
        "ticker_rule": str(rng.choice(["exact", "plain"])),
    }
    section = market("tables", folder, **rules)

    def attempt() -> str:
        found = load_market(section, 0)
        facts = {"refused": found.refused, "converted": found.converted, **found.facts}
        assert all(row_line(name, counts) for name, counts in table_counts(facts).items()) and doubts(facts) is not None
        for name, out in (("news", found.news), ("prices", found.prices)):
            refused = sum(count for reason, count in found.refused.items() if reason.startswith(f"{name}_"))
            if found.facts[f"{name}_in"] != len(out) + refused:
                return f"{name}: rows were lost"
        if rows is not None and found.facts[f"{kind}_in"] != rows:
            return f"{kind}: {rows} rows were written and {found.facts[f'{kind}_in']} read"
        return ""

    return attempt


def main() -> None:
    """Try `--count` mutations and print those that went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.count):
            said = one(number, given.seed, Path(folder))
            if said:
                wrong += 1
                print(f"mutation {number} of seed {given.seed}: {said}")
    print(f"{given.count} mutations, {wrong} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
