"""Sentiment features as files that other programs take, and a check that a file keeps its contract.

    EXPORT/sentiment_daily.parquet   the contract: one row per session and ticker
    EXPORT/monthly/NAME.csv          one wide table per feature, a row per month, as financial-ML joins them
    EXPORT/factor.parquet            a factor as alphalens takes it

Beside each stands its JSON schema, with the hash of the adapter.
"""

from __future__ import annotations

import json
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
from finsentiment.files import atomic_path, write_csv, write_json, write_table
from finsentiment.market.sessions import calendar

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
        "mean score of all news so far, the older the less weight, with one neutral story beside it; -1 to 1",
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
    "known_at": ("", "timestamp[us, tz=UTC]", "by when all of the row was known: the entry less the latency"),
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
    "SentimentDecayed": ("sentiment_decayed", "of the last session of the month"),
    "SentimentSurprise": ("sentiment_surprise", "mean of the sessions of the month with news, 0 without any"),
    "NewsCount": ("news", "number of stories in the month"),
    "NewsCoverage": ("news", "share of the sessions of the month with news; 0 where there is no coverage"),
}
"""Names of the monthly files, from which daily column, and how."""


def daily_table(features: pd.DataFrame, exchange: str, entry: str, latency: int) -> pd.DataFrame:
    """The contract's table, sorted by date and ticker, from the table of features. Tickers in the universe alone."""
    kept = features[features["ranked"]] if "ranked" in features else features
    known = calendar(exchange)
    moments = (known.opens if entry == "open" else known.closes).reindex(kept["session"]) - pd.Timedelta(
        minutes=latency
    )
    table = {name: kept[source].to_numpy() for name, (source, _, _) in COLUMNS.items() if source}
    found = pd.DataFrame(table).assign(
        news=np.rint(np.expm1(kept["attention_count"].to_numpy())).astype("int64"),
        covered=kept["attention_covered_window"].to_numpy() > 0,
        known_at=pd.DatetimeIndex(moments).tz_convert("UTC").as_unit("us"),
    )
    return found[list(COLUMNS)].sort_values(["date", "ticker"], ignore_index=True)


def schema_of(title: str, columns: dict[str, tuple[str, str, str]], facts: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema of one row, with what the file rests on. The first two columns are the key."""
    kinds = {"double": "number", "int64": "integer", "bool": "boolean", "string": "string"}
    properties = {}
    for name, (_, arrow, told) in columns.items():
        kind = kinds.get(arrow)
        bound = BOUNDS.get(name)
        limits: dict[str, Any] = {"minimum": 0} if arrow == "int64" else {}
        limits = {"minimum": -bound, "maximum": bound} if bound else limits
        dated = {} if kind else {"format": "date-time"}
        properties[name] = {"type": kind or "string", "description": told, "arrow_type": arrow, **limits, **dated}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "version": VERSION,
        "type": "object",
        "required": list(columns),
        "additionalProperties": False,
        "properties": properties,
        "key": list(columns)[:2],
        "made_of": facts,
    }


def write_daily(folder: Path, table: pd.DataFrame, facts: dict[str, Any]) -> Path:
    """Write the contract's file, the adapter's hash and the version inside it, and the schema beside it."""
    path = folder / DAILY
    schema = pa.schema([(name, _arrow(kind)) for name, (_, kind, _) in COLUMNS.items()])
    told = {
        "contract": "sentiment_daily",
        "version": VERSION,
        "made_of": json.dumps(facts, sort_keys=True, default=str),
    }
    arrow = pa.Table.from_pandas(table, schema=schema, preserve_index=False)
    # For pandas: the first two columns are the index. Others see them as columns.
    index = {"index_columns": ["date", "ticker"], "column_indexes": [], "columns": [], "pandas_version": "2.0.0"}
    described = {**told, "pandas": json.dumps({**index, "columns": _for_pandas()})}
    with atomic_path(path) as scratch:
        pq.write_table(arrow.replace_schema_metadata(described), scratch, compression="zstd")
    write_json(folder / "sentiment_daily.schema.json", schema_of("Daily sentiment of companies", COLUMNS, facts))
    return path


def _for_pandas() -> list[dict[str, Any]]:
    names = {"double": "float64", "int64": "int64", "bool": "bool", "string": "unicode"}
    return [
        {
            "name": name,
            "field_name": name,
            "pandas_type": names.get(kind, "datetimetz" if "tz" in kind else "datetime"),
            "numpy_type": {"string": "str"}.get(kind, names.get(kind, "datetime64[us]")),
            "metadata": {"timezone": "UTC"} if "tz" in kind else None,
        }
        for name, (_, kind, _) in COLUMNS.items()
    ]


def _arrow(kind: str) -> pa.DataType:
    special = {"timestamp[us]": pa.timestamp("us"), "timestamp[us, tz=UTC]": pa.timestamp("us", tz="UTC")}
    return special.get(kind) or pa.type_for_alias(kind)


def monthly_tables(daily: pd.DataFrame, exchange: str) -> dict[str, pd.DataFrame]:
    """One wide table per name of `MONTHS`: rows are the last business days of whole months, columns dotted tickers.

    A month whose last session is not in the table has no row. Without news there is a 0, never a gap, since whoever
    drops rows with a gap would lose every month before the coverage begins; `NewsCoverage` tells the two apart.
    """
    month = daily["date"].dt.to_period("M")
    last = daily["date"].max()
    whole = [m for m in month.unique() if last >= _last_session(m, exchange)]
    daily = daily.assign(month=month, told=daily["news"] > 0)[month.isin(whole)]
    keys = ["month", "ticker"]
    told = daily[daily["told"]].groupby(keys)
    every = daily.groupby(keys)
    found = {
        "SentimentLevel": told["sentiment_level"].mean(),
        "SentimentDecayed": every["sentiment_decayed"].last(),
        "SentimentSurprise": told["sentiment_surprise"].mean(),
        "NewsCount": every["news"].sum(),
        "NewsCoverage": every["told"].mean(),
    }
    tickers, ends = np.unique(daily["ticker"]), pd.DatetimeIndex([_month_end(m) for m in whole], name="Date")
    tables = {}
    for name, series in found.items():
        wide = series.unstack().reindex(index=whole, columns=tickers).fillna(0.0)
        tables[name] = wide.set_axis(ends).set_axis([dotted(ticker) for ticker in tickers], axis=1)
    return tables


def _month_end(month: pd.Period) -> pd.Timestamp:
    """The last business day of a month, whether the exchange was open or not."""
    return pd.offsets.BMonthEnd().rollback(month.end_time.normalize())


def _last_session(month: pd.Period, exchange: str) -> pd.Timestamp:
    sessions = calendar(exchange).sessions
    return sessions[sessions.searchsorted(month.end_time, side="right") - 1]


def dotted(ticker: str) -> str:
    """A class of shares after a dot, `BRK.B`, where Yahoo writes a hyphen."""
    stem, mark, share = ticker.rpartition("-")
    return f"{stem}.{share}" if mark and len(share) == 1 else ticker


def write_exports(
    folder: Path, features: pd.DataFrame, exchange: str, section: params.Features, facts: dict[str, Any]
) -> list[Path]:
    """Write every export of a table of features; `facts` say what they rest on. Other files there are left alone."""
    daily = daily_table(features, exchange, section.entry, section.latency)
    factor = factor_of(daily).rename("factor").reset_index()
    write_table(folder / FACTOR, factor)
    write_json(folder / "factor.schema.json", schema_of("A factor for alphalens", FACTOR_COLUMNS, facts))
    return [write_daily(folder, daily, facts), *write_monthly(folder, daily, exchange, facts), folder / FACTOR]


def write_monthly(folder: Path, daily: pd.DataFrame, exchange: str, facts: dict[str, Any]) -> list[Path]:
    """Write the monthly tables into the folder `monthly`. Files of other names there are left alone."""
    paths = []
    for name, table in monthly_tables(daily, exchange).items():
        path = folder / MONTHLY / f"{name}.csv"
        write_csv(path, table.reset_index().assign(Date=table.index.strftime("%Y-%m-%d")))
        paths.append(path)
    for name, (source, told) in MONTHS.items():
        columns = {
            "Date": ("", "timestamp[us]", "last business day of a whole month"),
            "TICKER": (source, "double", f"{told}; a column for each ticker, a class of shares after a dot (BRK.B)"),
        }
        write_json(folder / MONTHLY / f"{name}.schema.json", schema_of(f"{name} by month", columns, facts))
    return paths


def factor_of(daily: pd.DataFrame, column: str = "sentiment_level") -> pd.Series:
    """The factor as alphalens takes it: index `date`, `asset`; sessions and tickers with news alone."""
    told = daily[daily["news"] > 0]
    index = pd.MultiIndex.from_arrays([told["date"], told["ticker"]], names=["date", "asset"])
    return pd.Series(told[column].to_numpy(), index=index, name=column)


def check_daily(path: str | Path) -> list[str]:
    """Why a file does not keep the contract, one line each; nothing if it does.

    Raises InputError where it can't be read as Parquet.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({' '.join(str(error).split())[:150]})") from None
    told = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    faults = []
    version = told.get("version", "none")
    if version.split(".")[0] != VERSION.split(".")[0]:
        faults.append(f"version {version}, expected {VERSION.split('.')[0]}.x")
    for name, (_, kind, _) in COLUMNS.items():
        if name not in table.column_names:
            faults.append(f"no column {name}")
        elif table.schema.field(name).type not in (_arrow(kind), LARGE.get(kind)):
            faults.append(f"{name} is of type {table.schema.field(name).type}, expected {kind}")
        elif table[name].null_count:
            faults.append(f"{name} is missing in {table[name].null_count} of {len(table)} rows")
    if faults:
        return faults
    return [*_faults_in(table.to_pandas(ignore_metadata=True))]


def _faults_in(rows: pd.DataFrame) -> Iterable[str]:
    twice = int(rows.duplicated(["date", "ticker"]).sum())
    if twice:
        yield f"{twice} rows have the date and ticker of another"
    if not rows[["date", "ticker"]].apply(tuple, axis=1).is_monotonic_increasing:
        yield "the rows are not sorted by date and ticker"
    for name, bound in ((name, BOUNDS[name]) for name in rows if name in BOUNDS):
        outside = ~rows[name].between(-bound, bound)
        if outside.any():
            yield f"{name} lies outside -{bound} to {bound} in {int(outside.sum())} rows, first row {outside.idxmax()}"
    silent = (rows["news"] == 0) & (rows["sentiment_level"] != 0)
    if silent.any() or (rows["news"] < 0).any():
        yield f"sentiment_level without news in {int(silent.sum())} rows, or a negative number of news"
    late = rows["known_at"].dt.tz_localize(None) >= rows["date"] + pd.Timedelta(days=1, hours=12)
    if late.any():
        yield f"known_at lies after the date in {int(late.sum())} rows"
