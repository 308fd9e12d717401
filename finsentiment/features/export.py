"""Sentiment features as files that other programs take, and a check that a file keeps its contract.

    EXPORT/sentiment_daily.parquet   the contract: one row per session and ticker
    EXPORT/monthly/NAME.csv          one wide table per feature, a row per month, as financial-ML joins them
    EXPORT/factor.parquet            a factor as alphalens takes it

Beside each stands its JSON schema, with the hash of the adapter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from finsentiment import params
from finsentiment.arms import FINE_TUNED
from finsentiment.errors import InputError
from finsentiment.files import atomic_path, write_csv, write_json
from finsentiment.market.sessions import calendar, sessions_between

LARGE = {"string": pa.large_string()}  # as pandas and polars write texts
VERSION = "1.0"
"""Of the contract: the first number changes when a column is taken out or means something else."""
DAILY, FACTOR, MONTHLY = "sentiment_daily.parquet", "factor.parquet", "monthly"
COLUMNS: dict[str, tuple[str, str, str]] = {
    "date": ("session", "timestamp[us]", "session of the exchange, as a date: the features are for its entry"),
    "ticker": ("ticker", "string", "as in the prices"),
    "sentiment_level": (
        f"{FINE_TUNED}_level",
        "double",
        "mean score of the news that counts for the session, -1 (negative) to 1 (positive); 0 without news",
    ),
    "sentiment_decayed": (
        f"{FINE_TUNED}_decayed",
        "double",
        "mean score of all news so far, whose weight halves every half_life sessions; one neutral story is added, so "
        "that it returns to 0; -1 to 1",
    ),
    "sentiment_change": (
        f"{FINE_TUNED}_change",
        "double",
        "level less the decayed mean of the session before; -2 to 2; 0 without news",
    ),
    "sentiment_surprise": (
        f"{FINE_TUNED}_surprise",
        "double",
        "level less the mean score of the ticker's own news over the surprise window; -2 to 2; 0 without news",
    ),
    "news": ("attention_count", "int64", "number of stories that count for the session"),
    "covered": ("attention_covered_window", "bool", "whether there was news on the ticker within the price window"),
    "known_at": (
        "",
        "timestamp[us, tz=UTC]",
        "the entry less the latency: all news of the row was seen before it",
    ),
}
"""Column, where it comes from in the table of features, its Arrow type, and what it says. None is ever missing."""
FACTOR_COLUMNS: dict[str, tuple[str, str, str]] = {
    "date": ("date", "timestamp[us]", "session of the exchange, as a date"),
    "asset": ("ticker", "string", "as in the prices"),
    "factor": ("sentiment_level", "double", "mean score of the news that counts for the session; rows with news alone"),
}
BOUNDS = {"factor": 1, "sentiment_level": 1, "sentiment_decayed": 1, "sentiment_change": 2, "sentiment_surprise": 2}
MONTHS = {
    "SentimentLevel": ("sentiment_level", "mean of the sessions of the month with news, 0 without any"),
    "SentimentDecayed": ("sentiment_decayed", "of the last session of the month, 0 if the ticker has no row there"),
    "SentimentSurprise": ("sentiment_surprise", "mean of the sessions of the month with news, 0 without any"),
    "NewsCount": ("news", "number of stories in the month"),
    "NewsCoverage": ("news", "share of the sessions of the month with news; 0 where there is no coverage"),
}
"""Names of the monthly files, from which daily column, and how."""


def daily_table(features: pd.DataFrame, exchange: str, entry: str, latency: int) -> pd.DataFrame:
    """The contract's table, sorted by date and ticker, from the table of features. Tickers in the universe alone.

    Raises InputError where it is no table of features, or has a date that is no session of the exchange.
    """
    needed = [*(source for source, _, _ in COLUMNS.values() if source), "attention_count", "ranked"]
    if lacking := [name for name in needed if name not in features]:
        raise InputError(
            f"no table of features: it lacks {lacking[0]} ({len(lacking)} columns); give that of the stage "
            "build_features or of the daily job (to check an exported file: finsentiment export --check FILE)"
        )
    kept = features[features["ranked"].to_numpy(dtype=bool)]
    moments = _known_at(kept["session"], exchange, entry, latency)
    if (strange := moments.isna()).any():
        day = kept["session"].to_numpy()[strange][0]
        raise InputError(f"{pd.Timestamp(day).date()} is no session of {exchange}; give the settings of these features")
    table = {name: kept[source].to_numpy() for name, (source, _, _) in COLUMNS.items() if source}
    found = pd.DataFrame(table).assign(
        news=np.rint(np.expm1(kept["attention_count"].to_numpy())).astype("int64"),
        covered=kept["attention_covered_window"].to_numpy() > 0,
        known_at=moments,
    )
    return found[list(COLUMNS)].sort_values(["date", "ticker"], ignore_index=True)


def _known_at(sessions: pd.Series, exchange: str, entry: str, latency: int) -> pd.DatetimeIndex:
    """The entries less the latency, UTC; NaT for what is no session."""
    known = calendar(exchange)
    entries = (known.opens if entry == "open" else known.closes).reindex(sessions)
    return pd.DatetimeIndex(entries - pd.Timedelta(minutes=latency)).tz_convert("UTC").as_unit("us")


def schema_of(
    title: str, columns: dict[str, tuple[str, str, str]], facts: dict[str, Any], others: str = ""
) -> dict[str, Any]:
    """A JSON schema of one row, with what the file rests on. The first two columns are the key.

    `others` tells of further columns of numbers, of which there may be any; without it there are none.
    """
    kinds = {"double": "number", "int64": "integer", "bool": "boolean"}
    properties = {}
    for name, (_, arrow, told) in columns.items():
        dated = {"timestamp[us]": "date", "timestamp[us, tz=UTC]": "date-time"}.get(arrow)
        limits: dict[str, Any] = {"format": dated} if dated else {"minimum": 0} if arrow == "int64" else {}
        if bound := BOUNDS.get(name):
            limits = {"minimum": -bound, "maximum": bound}
        properties[name] = {"type": kinds.get(arrow, "string"), "description": told, "arrow_type": arrow, **limits}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "version": VERSION,
        "type": "object",
        "required": list(columns),
        "additionalProperties": {"type": "number", "description": others} if others else False,
        "properties": properties,
        "key": list(columns)[:2],
        "made_of": facts,
    }


def write_contract(
    path: Path, title: str, columns: dict[str, tuple[str, str, str]], table: pd.DataFrame, facts: dict[str, Any]
) -> Path:
    """Write a table as Parquet, the adapter's hash and the version inside it, and its schema beside it."""
    schema = pa.schema([(name, _arrow(kind)) for name, (_, kind, _) in columns.items()])
    made_of = json.dumps(facts, sort_keys=True, default=str)
    told = {"contract": path.stem, "version": VERSION, "made_of": made_of}
    arrow = pa.Table.from_pandas(table, schema=schema, preserve_index=False)
    # For pandas: the first two columns are the index. Others see them as columns.
    index = {"index_columns": list(columns)[:2], "column_indexes": [], "pandas_version": "2.0.0"}
    described = {**told, "pandas": json.dumps({**index, "columns": _for_pandas(columns)})}
    with atomic_path(path) as scratch:
        pq.write_table(arrow.replace_schema_metadata(described), scratch, compression="zstd")
    write_json(path.with_suffix(".schema.json"), schema_of(title, columns, facts))
    return path


def _for_pandas(columns: dict[str, tuple[str, str, str]]) -> list[dict[str, Any]]:
    names = {"double": "float64", "int64": "int64", "bool": "bool", "string": "unicode"}
    return [
        {
            "name": name,
            "field_name": name,
            "pandas_type": names.get(kind, "datetimetz" if "tz" in kind else "datetime"),
            "numpy_type": {"string": "str"}.get(kind, names.get(kind, "datetime64[us]")),
            "metadata": {"timezone": "UTC"} if "tz" in kind else None,
        }
        for name, (_, kind, _) in columns.items()
    ]


def _arrow(kind: str) -> pa.DataType:
    special = {"timestamp[us]": pa.timestamp("us"), "timestamp[us, tz=UTC]": pa.timestamp("us", tz="UTC")}
    return special.get(kind) or pa.type_for_alias(kind)


def monthly_tables(daily: pd.DataFrame, exchange: str, final: pd.Timestamp) -> dict[str, pd.DataFrame]:
    """One wide table per name of `MONTHS`: rows are the last business days of whole months, columns dotted tickers.

    A month has a row if the table has all its sessions and none comes after `final`, the last session whose rows don't
    change any more. Without news there is a 0, never a gap, since whoever drops rows with a gap would lose every month
    before the coverage begins; `NewsCoverage` tells the two apart.

    Raises InputError where two tickers are one when written with a dot.
    """
    tickers = np.unique(daily["ticker"])
    names = [dotted(ticker) for ticker in tickers]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{twice[0]} is written in two ways in the prices; write each ticker in one (market.tickers)")
    month = daily["date"].dt.to_period("M")
    sessions = {m: sessions_between(exchange, m.start_time, m.end_time) for m in month.unique()}
    whole = [m for m, days in sessions.items() if daily["date"].min() <= days[0] and days[-1] <= final]
    daily = daily.assign(month=month, told=daily["news"] > 0)[month.isin(whole)]
    ends = daily[daily["date"] == daily["month"].map({m: sessions[m][-1] for m in whole})]
    every, told, last = (rows.groupby(["month", "ticker"]) for rows in (daily, daily[daily["told"]], ends))
    length = pd.Series({m: len(sessions[m]) for m in whole}, dtype=float)
    found = {
        "SentimentLevel": told["sentiment_level"].mean(),
        "SentimentDecayed": last["sentiment_decayed"].last(),
        "SentimentSurprise": told["sentiment_surprise"].mean(),
        "NewsCount": every["news"].sum(),
        "NewsCoverage": every["told"].sum(),
    }
    dates = pd.DatetimeIndex([_month_end(m) for m in whole], name="Date")
    tables = {name: s.unstack().reindex(index=whole, columns=tickers).fillna(0.0) for name, s in found.items()}
    tables["NewsCoverage"] = tables["NewsCoverage"].div(length, axis=0)
    return {name: wide.set_axis(dates).set_axis(names, axis=1) for name, wide in tables.items()}


def _month_end(month: pd.Period) -> pd.Timestamp:
    """The last business day of a month, whether the exchange was open or not."""
    return pd.offsets.BMonthEnd().rollback(month.end_time.normalize())


def dotted(ticker: str) -> str:
    """A class of shares after a dot, `BRK.B`, where Yahoo writes a hyphen."""
    stem, mark, share = ticker.rpartition("-")
    return f"{stem}.{share}" if mark and len(share) == 1 else ticker


def write_exports(
    folder: Path, features: pd.DataFrame, exchange: str, section: params.Features, facts: dict[str, Any]
) -> list[Path]:
    """Write every export of a table of features. Other files in the folder are left alone.

    Parameters
    ----------
    facts : `rests_on`, with the hash of the adapter, and of the daily job `coming`, whose rows may still change
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder")
    daily = daily_table(features, exchange, section.entry, section.latency)
    final = daily["date"].max()
    if "coming" in facts:
        final = calendar(exchange).previous_session(pd.Timestamp(facts["coming"]))
    facts = {**facts, "exchange": exchange, "entry": section.entry, "latency": section.latency}
    tables = monthly_tables(daily, exchange, final)
    factor = factor_of(daily).rename("factor").reset_index()
    return [
        write_contract(folder / DAILY, "Daily sentiment of companies", COLUMNS, daily, facts),
        write_contract(folder / FACTOR, "A factor for alphalens", FACTOR_COLUMNS, factor, facts),
        *write_monthly(folder / MONTHLY, tables, facts),
    ]


def write_monthly(folder: Path, tables: dict[str, pd.DataFrame], facts: dict[str, Any]) -> list[Path]:
    """Write the monthly tables, each with its schema beside it."""
    paths = []
    for name, table in tables.items():
        path = folder / f"{name}.csv"
        write_csv(path, table.reset_index().assign(Date=table.index.strftime("%Y-%m-%d")))
        date = {"Date": ("", "timestamp[us]", "last business day of a whole month")}
        others = f"{MONTHS[name][1]}; a column for each ticker, a class of shares after a dot (BRK.B)"
        write_json(path.with_suffix(".schema.json"), schema_of(f"{name} by month", date, facts, others))
        paths.append(path)
    return paths


def factor_of(daily: pd.DataFrame, column: str = "sentiment_level") -> pd.Series:
    """The factor as alphalens takes it: index `date`, `asset`; sessions and tickers with news alone."""
    told = daily[daily["news"] > 0]
    index = pd.MultiIndex.from_arrays([told["date"], told["ticker"]], names=["date", "asset"])
    return pd.Series(told[column].to_numpy(), index=index, name=column)


def check_daily(path: str | Path) -> tuple[list[str], list[str]]:
    """Why a file does not keep the contract, one line each, nothing if it does; and what can't be told.

    Raises InputError where it can't be read as Parquet.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({' '.join(str(error).split())[:150]})") from None
    told = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    faults, notes, facts = [], [], {}
    if "contract" in told:
        version, stem = told.get("version", "none"), Path(DAILY).stem
        if told["contract"] != stem or version.split(".")[0] != VERSION.split(".")[0]:
            faults.append(f"{told['contract']} {version}, expected {stem} {VERSION.split('.')[0]}.x")
        facts = json.loads(told.get("made_of", "{}"))
        if not re.fullmatch("[0-9a-f]{64}", str(facts.get("rests_on", {}).get("adapter"))):
            faults.append("it does not say which adapter it rests on")
    else:
        notes.append("another program rewrote it, so that its version and adapter are not told")
    for name, (_, kind, _) in COLUMNS.items():
        if name not in table.column_names:
            faults.append(f"no column {name}")
        elif table.schema.field(name).type not in (_arrow(kind), LARGE.get(kind)):
            faults.append(f"{name} is of type {table.schema.field(name).type}, expected {kind}")
        elif table[name].null_count:
            faults.append(f"{name} is missing in {table[name].null_count} of {len(table)} rows")
    faults += [f"a column {name}, which the contract has not" for name in table.column_names if name not in COLUMNS]
    if not len(table):
        faults.append("no rows")
    return faults or list(_faults_in(table.to_pandas(ignore_metadata=True), facts)), notes


def _faults_in(rows: pd.DataFrame, facts: dict[str, Any]) -> Iterable[str]:
    def wrong(bad: pd.Series | np.ndarray, what: str) -> Iterable[str]:
        bad = np.asarray(bad)
        if bad.any():
            row = rows.iloc[int(bad.argmax())]
            yield f"{what} in {int(bad.sum())} of {len(rows)} rows, first {row['ticker']} on {row['date']}"

    yield from wrong(rows.duplicated(["date", "ticker"]), "the date and ticker of another row")
    if not pd.MultiIndex.from_frame(rows[["date", "ticker"]]).is_monotonic_increasing:
        yield "the rows are not sorted by date and ticker"
    for name in (name for name in rows if name in BOUNDS):
        yield from wrong(~rows[name].between(-BOUNDS[name], BOUNDS[name]), f"{name} outside ±{BOUNDS[name]}")
    yield from wrong(rows["news"] < 0, "a negative number of news")
    for name in ("sentiment_level", "sentiment_change", "sentiment_surprise"):
        yield from wrong((rows["news"] == 0) & (rows[name] != 0), f"{name} without news")
    yield from wrong((rows["news"] > 0) & ~rows["covered"], "news, but not covered")
    known = ("exchange", "entry", "latency")
    if all(name in facts for name in known):
        expected = _known_at(rows["date"], *(facts[name] for name in known))
        yield from wrong(expected.isna(), f"a date that is no session of {facts['exchange']}")
        yield from wrong(
            expected.notna() & (expected != rows["known_at"]), "known_at is not the entry less the latency"
        )
    else:
        yield from wrong(rows["date"] != rows["date"].dt.normalize(), "a date with a time of day")
        ahead = rows["known_at"].dt.tz_localize(None) - rows["date"]
        far = ~ahead.between(pd.Timedelta(days=-1), pd.Timedelta(days=1, hours=12))
        yield from wrong(far, "known_at more than a day from the date")
