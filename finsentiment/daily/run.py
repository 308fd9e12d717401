"""From the store to features: news scored, features built, the past compared with what it was."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from finsentiment.arms import FINE_TUNED, arm_of
from finsentiment.daily.scores import scores_of
from finsentiment.daily.settings import Daily
from finsentiment.errors import InputError
from finsentiment.features.live import live_features, moved
from finsentiment.features.look_ahead import check_no_look_ahead
from finsentiment.files import read_json, read_table, write_json, write_table
from finsentiment.llm.adapter import adapter_hash
from finsentiment.llm.registry import adapter_folder
from finsentiment.market.history import last_settled
from finsentiment.market.live import Known, known_market
from finsentiment.market.store import Store

CHECKED_SESSIONS = 2
SAME = 1e-9  # by which a feature of a past session may move: a new dividend rescales the prices before it


@dataclass(frozen=True)
class Built:
    """Features, and what there is to say of them.

    features : the table of `live_features`
    known : what they rest on
    facts : counts
    """

    features: pd.DataFrame
    known: Known
    facts: dict[str, Any]


def rests_on(settings: Daily) -> dict[str, str]:
    """What features depend on besides the store: SHA-256 of the adapter and of the settings."""
    told = json.dumps([settings.features.model_dump(), settings.backfill, settings.exchange], sort_keys=True)
    return {
        "adapter": adapter_hash(adapter_folder(settings.adapter)),
        "settings": hashlib.sha256(told.encode()).hexdigest(),
    }


def build(settings: Daily, until: pd.Timestamp | None) -> Built:
    """Features from what the store knew at a moment, or knows.

    Raises
    ------
    InputError
        The store has no prices yet.
    finsentiment.features.look_ahead.LookAhead
        A feature moves when what comes after its entry is changed.
    """
    store, section, exchange = Store(settings.store), settings.features, settings.exchange
    known = known_market(store, exchange, section.entry, section.latency, settings.backfill, until)
    news = known.news[known.news["ticker"].isin(set(known.prices["ticker"]))].reset_index(drop=True)
    p = scores_of(store, news["headline"], settings)
    scores = pd.DataFrame({"news_id": news["news_id"], FINE_TUNED: p["p_positive"] - p["p_negative"]})
    known = replace(known, news=news)
    table, given = live_features(known, scores, section, exchange)
    past = table[table["session"] <= known.prices["session"].max()]
    if len(past):
        check_no_look_ahead(past, *given, section, exchange, min(CHECKED_SESSIONS, past["session"].nunique()))
    facts = {
        **known.facts,
        "news": len(news),
        "known_at": known.moment.isoformat(),
        "coming": str(known.coming.date()),
        "priced_until": str(known.prices["session"].max().date()),
        "rows_known_late": int((~table["ranked"]).sum()),
        "exchange": exchange,
        "entry": section.entry,
        "latency": section.latency,
    }
    return Built(table, known, facts)


def behind(built: Built, tickers: list[str], exchange: str) -> list[str]:
    """Tickers whose newest price is older than the last final session, or that have none."""
    settled = last_settled(built.known.moment, exchange)
    newest = built.known.prices.groupby("ticker")["session"].max().reindex(tickers)
    return [str(ticker) for ticker in newest.index[~(newest >= settled).to_numpy()]]


def keep(settings: Daily, built: Built, changed: bool, accepted: set[str]) -> dict[str, Any]:
    """Write the features where `settings` says, once no feature of a past session has moved since they were written.

    They may move where the adapter or the settings are others, which the file beside them tells, with `changed`, and
    those of tickers that are `accepted`.

    Returns
    -------
    dict
        What stands beside them: `rests_on`, `known_at`, and counts

    Raises
    ------
    InputError
        Naming the first feature that moved.
    """
    path = Path(settings.features_file)
    beside = path.with_suffix(".json")
    told = rests_on(settings)
    if path.is_file() and beside.is_file() and not changed and read_json(beside)["rests_on"] == told:
        before = read_table(path)
        before = before[~before["ticker"].isin(accepted)]
        names = [name for name in before if arm_of(name) and name in built.features]
        if fault := moved(before, built.features, names, built.known.coming, SAME):
            raise InputError(
                f"{path}: the past moved: {fault}; nothing was written; if that is right, run again with --changed"
            )
    facts = {"rests_on": told, **built.facts}
    write_table(path, built.features)
    write_json(beside, facts)
    return facts
