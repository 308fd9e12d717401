"""From the store to features: news scored, features built, the past compared with what it was."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
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
from finsentiment.market.history import SETTLED, coming_session, last_settled
from finsentiment.market.live import known_market
from finsentiment.market.sessions import calendar
from finsentiment.market.store import Store

CHECKED_SESSIONS = 2
SAME = 1e-9  # by which a feature of a past session may move: a new dividend rescales the prices before it


@dataclass(frozen=True)
class Built:
    """Features, and what there is to say of them.

    features : the table of `live_features`
    known_at : the moment of the last run that they rest on
    coming : the session that comes next
    facts : counts
    """

    features: pd.DataFrame
    known_at: pd.Timestamp
    coming: pd.Timestamp
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
        The store has no prices or no news yet.
    finsentiment.features.look_ahead.LookAhead
        A feature moves when what comes after its entry is changed.
    """
    store, section, exchange = Store(settings.store), settings.features, settings.exchange
    runs = store.runs(until)
    if not runs:
        raise InputError(
            f"{store.folder}: no run{'' if until is None else f' until {until}'}; run `finsentiment daily`"
        )
    moment = pd.Timestamp(runs[-1]["seen_at"])
    news, prices, facts = known_market(store, exchange, section.entry, section.latency, settings.backfill, until)
    news = news[news["ticker"].isin(set(prices["ticker"]))].reset_index(drop=True)
    if news.empty:
        raise InputError(
            f"{store.folder}: no news counts yet ({facts['news_backfill']} stories were there before the first run, "
            "and backfill: false leaves them out); features begin with the first story that comes from now on"
        )
    p = scores_of(store, news["headline"], settings)
    scores = pd.DataFrame({"news_id": news["news_id"], FINE_TUNED: p["p_positive"] - p["p_negative"]})
    coming = coming_session(moment, exchange, section.entry, section.latency)
    priced = _priced(store, coming, exchange, until)
    table = live_features(prices, news, scores, section, exchange, coming, priced)
    known = table[table["session"] <= prices["session"].max()]
    if len(known):
        sessions = min(CHECKED_SESSIONS, known["session"].nunique())
        check_no_look_ahead(known, prices, news, scores, section, exchange, sessions)
    last = str(prices["session"].max().date())
    return Built(
        table, moment, coming, {**facts, "news": len(news), "coming": str(coming.date()), "priced_until": last}
    )


def _priced(store: Store, coming: pd.Timestamp, exchange: str, until: pd.Timestamp | None) -> set[str]:
    """Tickers whose source answered after the close before the coming session, with a price or without one."""
    known = calendar(exchange)
    before = known.sessions[known.sessions.get_loc(coming) - 1]
    settled = known.session_close(before) + SETTLED
    return {
        ticker
        for (_, table), moments in store.asked(until).items()
        if table == "prices"
        for ticker, moment in moments.items()
        if moment >= settled
    }


def stale_prices(built: Built, exchange: str) -> str:
    """That the newest prices are older than they should be, in one line; nothing if they aren't."""
    settled, last = last_settled(built.known_at, exchange), built.facts["priced_until"]
    if last >= str(settled.date()):
        return ""
    return f"the newest prices are of {last}, and those of {settled.date()} are final: a source of prices fails"


def keep(settings: Daily, built: Built, changed: bool) -> dict[str, Any]:
    """Write the features where `settings` says, once no feature of a past session has moved since they were written.

    They may move where the adapter or the settings are others, which the file beside them tells, and with `changed`.

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
        names = [name for name in before if arm_of(name) and name in built.features]
        if fault := moved(before, built.features, names, built.coming, SAME):
            raise InputError(
                f"{path}: the past moved: {fault}; nothing was written; if that is right, run again with --changed"
            )
    facts = {"rests_on": told, "known_at": built.known_at.isoformat(), **built.facts}
    write_table(path, built.features)
    write_json(beside, facts)
    return facts
