"""A page on the store of the daily job: what came from where and on whom, how late, and what is missing."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from finsentiment.market.live import ages
from finsentiment.market.sessions import sessions_between
from finsentiment.market.store import KEYS, Store
from finsentiment.reporting.pictures import png

TEMPLATE = "store.html"
SHOWN = 50  # tickers, at most


def store_page(store: Store, exchange: str, tickers: list[str]) -> str:
    """The page, as HTML in one file.

    Parameters
    ----------
    tickers : those that the job asks about; one without any story is shown too
    """
    runs, rows = store.runs(), store.read("news")
    first = rows.drop_duplicates(KEYS["news"])
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template(TEMPLATE).render(
        summary=_summary(runs, first, rows, exchange),
        picture=base64.b64encode(_stories_by_day(first)).decode(),
        caption="Stories by the day on which they were first seen, and by source.",
        tables=[_by_source(first, runs), _by_ticker(first, tickers), _gaps(runs, store, exchange)],
    )


def _summary(runs: list[dict[str, Any]], first: pd.DataFrame, rows: pd.DataFrame, exchange: str) -> list[str]:
    begin, end = (pd.Timestamp(runs[place]["seen_at"]) for place in (0, -1))
    missed = missed_sessions(runs, exchange)
    return [
        f"{len(runs)} runs from {begin.date()} to {end.date()} kept {len(first)} stories and {len(rows) - len(first)} "
        "corrections.",
        f"{len(missed)} sessions began without a run since the session before."
        + (f" The last was {missed[-1].date()}." if len(missed) else ""),
    ]


def missed_sessions(runs: list[dict[str, Any]], exchange: str) -> pd.DatetimeIndex:
    """Sessions, from the first run to the last, in the night before which no run took place."""
    days = pd.DatetimeIndex([pd.Timestamp(run["seen_at"]) for run in runs]).tz_convert(None).normalize()
    sessions = sessions_between(exchange, days.min(), days.max())
    place = np.unique(sessions.searchsorted(days))
    return sessions.delete(place[place < len(sessions)])


def _by_source(first: pd.DataFrame, runs: list[dict[str, Any]]) -> dict[str, Any]:
    table = []
    for source in sorted({name for run in runs for name in run["sources"]}):
        mine = first[first["source"] == source]
        told = mine[mine["asked_before_at"].notna()]
        hours = np.quantile(ages(told), (0.1, 0.5, 0.9)) if len(told) else [np.nan] * 3
        failed = sum(bool(run["sources"].get(source, {}).get("failed")) for run in runs)
        delays = ["–" if np.isnan(hour) else f"{hour:.1f}" for hour in hours]
        table.append([source, len(mine), mine["ticker"].nunique(), *delays, failed])
    return {
        "title": "Sources",
        "sentence": "Hours from publication to the moment when a story was first seen; what a source had before it was "
        "first asked is left out. The last column counts runs in which something could not be had.",
        "head": ["source", "stories", "tickers", "10 %", "half", "90 %", "runs with failures"],
        "rows": table,
    }


def _by_ticker(first: pd.DataFrame, tickers: list[str]) -> dict[str, Any]:
    counts = first.groupby("ticker").size().reindex(sorted({*tickers, *first["ticker"]}), fill_value=0)
    days = first.groupby("ticker")["first_seen_at"].agg(lambda moments: moments.dt.normalize().nunique())
    newest = first.groupby("ticker")["published_at"].max()
    order = counts.sort_values(ascending=False, kind="stable").index
    silent = int((counts == 0).sum())
    rows = [
        [ticker, counts[ticker], days.get(ticker, 0), str(newest[ticker].date()) if ticker in newest.index else "–"]
        for ticker in order[:SHOWN]
    ]
    more = f" The {SHOWN} with the most are shown." if len(order) > SHOWN else ""
    return {
        "title": "Tickers",
        "sentence": f"{silent} of {len(counts)} tickers have no story.{more}",
        "head": ["ticker", "stories", "days with news", "newest"],
        "rows": rows,
    }


def _gaps(runs: list[dict[str, Any]], store: Store, exchange: str) -> dict[str, Any]:
    prices = store.read("prices").drop_duplicates(KEYS["prices"])
    last = prices["session"].max() if len(prices) else None
    rows = [[str(day.date()), "no run before this session"] for day in missed_sessions(runs, exchange)]
    behind = prices.groupby("ticker")["session"].max() if len(prices) else pd.Series(dtype="datetime64[us]")
    rows += [[ticker, f"prices end on {day.date()}"] for ticker, day in behind[behind < last].items()]
    return {
        "title": "Gaps",
        "sentence": f"Prices of {prices['ticker'].nunique()} tickers, the newest of "
        f"{'no session' if last is None else last.date()}.",
        "head": ["session or ticker", "what is missing"],
        "rows": rows or [["–", "nothing"]],
    }


def _stories_by_day(first: pd.DataFrame) -> bytes:
    table = first.groupby([first["first_seen_at"].dt.date, "source"]).size().unstack(fill_value=0)
    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.add_subplot(ylabel="stories")
    bottom = np.zeros(len(table))
    for source in table:
        axes.bar(range(len(table)), table[source], bottom=bottom, label=source)
        bottom = bottom + table[source].to_numpy()
    step = max(1, len(table) // 8)
    axes.set_xticks(range(0, len(table), step), [str(day) for day in table.index[::step]], rotation=30, fontsize=8)
    if len(table.columns):
        axes.legend(fontsize=8)
    return png(figure)
