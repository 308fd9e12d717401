"""A folder that something else drops tables of news, prices, splits and dividends into."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from finsentiment.daily.ask import Ask
from finsentiment.daily.settings import Files
from finsentiment.daily.web import Unavailable
from finsentiment.errors import InputError
from finsentiment.intake.columns import Columns
from finsentiment.intake.tables import read_user_table
from finsentiment.market.sources.tables import SUFFIXES, read_news_file, read_prices_file
from finsentiment.market.store import Answer
from finsentiment.params import Market, MarketColumns

DAY = 86399  # seconds from midnight to the last of the day
ACTIONS = Columns(("ticker", "session", "split", "dividend"))


def fetch_files(settings: Files, ask: Ask) -> Answer:
    """Read every table in the folder. A file that is broken is named, and the others are read."""
    folder = Path(settings.folder)
    if not folder.is_dir():
        raise Unavailable(f"{folder} is no folder")
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and SUFFIXES.search(path.name)]
    market = Market.model_construct(
        encoding=None,
        delimiter=None,
        columns=MarketColumns(news={}, prices={}),
        time_zone=settings.time_zone,
        time_format=None,
        date_format=None,
        adjusted_close="ignore",
    )
    readers: dict[str, Callable[[Path, Market], pd.DataFrame]] = {
        "news": _news,
        "prices": lambda path, market: read_prices_file(path, market, None)[0],
        "actions": _actions,
    }
    answer, refused = Answer(asked={"news": list(ask.tickers)}), 0
    for name, read in readers.items():
        parts = []
        for path in (path for path in files if path.name.startswith(name)):
            try:
                parts.append(read(path, market))
            except InputError as error:
                answer.failed[path.name] = str(error).removeprefix(f"{path}: ")
        table = pd.concat(parts, ignore_index=True) if parts else None
        if table is not None:
            wanted = table["ticker"].isin(ask.tickers)
            refused += int((~wanted).sum())
            setattr(answer, name, table[wanted])
    if any(name.startswith("news") for name in answer.failed):
        answer.asked = {}  # what a broken file holds may come tomorrow
    answer.refused["rows_on_other_tickers"] = refused
    return answer


def _news(path: Path, market: Market) -> pd.DataFrame:
    table = read_news_file(path, market, None)[0]
    # Without a time of day news may have come at any: that it was there before, nobody knows.
    table["published_at"] += pd.to_timedelta(np.where(table["only_day"], DAY, 0), unit="s")
    said = table["ticker"] + "\0" + table["headline"] + "\0" + table["published_at"].astype(str)
    own = said.map(lambda text: hashlib.sha256(text.encode()).hexdigest()[:16])
    given = table["news_id"] if "news_id" in table else pd.Series("", index=table.index)
    table["source_id"] = given.where(given != "", own)
    return table.assign(url="")[["source_id", "ticker", "published_at", "headline", "url"]]


def _actions(path: Path, market: Market) -> pd.DataFrame:
    rows = read_user_table(path, ACTIONS).rows
    days = pd.to_datetime(rows["session"], format="%Y-%m-%d", errors="coerce").astype("datetime64[us]")
    numbers = rows[["split", "dividend"]].apply(pd.to_numeric, errors="coerce")
    bad = days.isna() | numbers.isna().any(axis=1) | (numbers["split"] <= 0) | (numbers["dividend"] < 0)
    if bad.any():
        raise InputError(
            f"{path}: line {bad.idxmax()}: expected a day such as 2024-03-01, a split such as 2 (1 for none) and a "
            "dividend per share (0 for none)"
        )
    return pd.DataFrame({"ticker": rows["ticker"], "session": days, **numbers.astype(float)})
