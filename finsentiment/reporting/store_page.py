"""A page on the store of the daily job: what came from where and on whom, how late, and what is missing."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from finsentiment.daily.settings import Daily
from finsentiment.market.history import coming_session
from finsentiment.market.live import ages, placed
from finsentiment.market.sessions import sessions_between
from finsentiment.market.store import KEYS, Store
from finsentiment.reporting.pictures import png

TEMPLATE = "store.html"
SHOWN = 100  # tickers, at most


def store_page(store: Store, settings: Daily, tickers: list[str]) -> str:
    """The page, as HTML in one file.

    Parameters
    ----------
    tickers : those that the job asks about; one without any story is shown too
    """
    runs, rows = store.runs(), store.read("news")
    exchange, entry, latency = settings.exchange, settings.features.entry, settings.features.latency
    first = rows.drop_duplicates(KEYS["news"])
    told = placed(first, exchange, entry, latency)["backfill"] if len(first) else False
    first = first.assign(backfill=told).astype({"backfill": bool})
    reached = [coming_session(pd.Timestamp(run["seen_at"]), exchange, entry, latency) for run in runs if _answered(run)]
    missed = missed_sessions(reached, exchange)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    live = first[~first["backfill"]]
    return environment.get_template(TEMPLATE).render(
        summary=[
            f"{len(runs)} runs from {runs[0]['seen_at'][:10]} to {runs[-1]['seen_at'][:10]} kept {len(first)} stories "
            f"and {len(rows) - len(first)} corrections. {int(first['backfill'].sum())} of the stories are backfill: "
            "they were there before the job could see them.",
            f"{len(missed)} sessions had no run in time for their entry.",
        ],
        picture=base64.b64encode(_stories_by_day(live)).decode(),
        caption="Stories by the day (UTC) on which they were first seen, and by source, without backfill.",
        tables=[
            _by_source(first, runs),
            _by_ticker(live, store.read("prices"), tickers, len(set(reached))),
            _gaps(missed, store.read("prices"), tickers),
        ],
    )


def _answered(run: dict[str, Any]) -> bool:
    return any("all" not in told["failed"] for told in run["sources"].values())


def missed_sessions(reached: list[pd.Timestamp], exchange: str) -> pd.DatetimeIndex:
    """Sessions between the first and the last that runs came in time for, for which none did."""
    if not reached:
        return pd.DatetimeIndex([])
    return sessions_between(exchange, min(reached), max(reached)).difference(pd.DatetimeIndex(reached))


def _by_source(first: pd.DataFrame, runs: list[dict[str, Any]]) -> dict[str, Any]:
    table = []
    for source in sorted({name for run in runs for name in run["sources"]}):
        mine = first[first["source"] == source]
        live = mine[~mine["backfill"]]
        hours = np.quantile(ages(live), (0.1, 0.5, 0.9)) if len(live) else [np.nan] * 3
        asked = [run["sources"][source] for run in runs if source in run["sources"]]
        delays = ["–" if np.isnan(hour) else f"{hour:.1f}" for hour in hours]
        failed = sum(bool(told["failed"]) for told in asked)
        left_out = sum(sum(told["refused"].values()) for told in asked)
        table.append([source, len(live), len(mine) - len(live), live["ticker"].nunique(), *delays, left_out, failed])
    return {
        "title": "Sources",
        "sentence": "The delay is from publication to when a story was first seen, in hours: 10th percentile, median, "
        "90th percentile, without backfill. The last column counts runs in which something could not be had.",
        "head": ["source", "stories", "backfill", "tickers", "10 %", "median", "90 %", "rows left out", "failed runs"],
        "rows": table,
    }


def _by_ticker(live: pd.DataFrame, prices: pd.DataFrame, tickers: list[str], sessions: int) -> dict[str, Any]:
    names = sorted({*tickers, *live["ticker"]})
    counts = live.groupby(["ticker", "source"]).size().unstack(fill_value=0).reindex(names, fill_value=0)
    days = live.groupby("ticker")["first_seen_at"].agg(lambda moments: moments.dt.normalize().nunique())
    newest = live.groupby("ticker")["published_at"].max()
    priced = prices.groupby("ticker")["session"].max()
    order = counts.sum(axis=1).sort_values(kind="stable").index
    silent = int((counts.sum(axis=1) == 0).sum())
    rows = [
        [
            ticker,
            *counts.loc[ticker],
            days.get(ticker, 0),
            *(str(found[ticker].date()) if ticker in found.index else "–" for found in (newest, priced)),
        ]
        for ticker in order[:SHOWN]
    ]
    more = f" The {SHOWN} with the fewest are shown." if len(order) > SHOWN else ""
    return {
        "title": "Tickers",
        "sentence": f"{silent} of {len(names)} tickers have no story in the {sessions} sessions that runs came in time "
        f"for.{more}",
        "head": ["ticker", *counts.columns, "days with news", "newest story", "newest price"],
        "rows": rows,
    }


def _gaps(missed: pd.DatetimeIndex, prices: pd.DataFrame, tickers: list[str]) -> dict[str, Any]:
    newest = prices.groupby("ticker")["session"].max().reindex(tickers)
    last = newest.max()
    rows = [[str(day.date()), "no run in time for its entry"] for day in missed]
    rows += [[ticker, "no price yet"] for ticker in newest.index[newest.isna()]]
    rows += [[ticker, f"prices end on {day.date()}"] for ticker, day in newest[newest < last].items()]
    return {
        "title": "Gaps",
        "sentence": f"{int(newest.notna().sum())} of {len(tickers)} tickers have prices"
        + ("." if pd.isna(last) else f", the newest of {last.date()}."),
        "head": ["session or ticker", "what is missing"],
        "rows": rows or [["–", "nothing"]],
    }


def _stories_by_day(live: pd.DataFrame) -> bytes:
    days = live["first_seen_at"].dt.normalize().dt.tz_localize(None)
    table = live.groupby([days, "source"]).size().unstack(fill_value=0)
    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.add_subplot(ylabel="stories")
    if len(table):
        table = table.reindex(pd.date_range(table.index.min(), table.index.max()), fill_value=0)
        bottom = np.zeros(len(table))
        for source in table:
            axes.bar(range(len(table)), table[source], bottom=bottom, label=source)
            bottom = bottom + table[source].to_numpy()
        step = max(1, len(table) // 8)
        shown = [str(day.date()) for day in table.index[::step]]
        axes.set_xticks(range(0, len(table), step), shown, rotation=30, fontsize=8)
        axes.legend(fontsize=8)
    return png(figure)
