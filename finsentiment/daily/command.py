"""`finsentiment daily` and `finsentiment export`: what the commands do, in their order."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from finsentiment.daily.fetch import fetch_all, tickers_of
from finsentiment.daily.run import Built, build, keep, rests_on, stale_prices
from finsentiment.daily.settings import Daily, read_settings
from finsentiment.daily.summary import day_lines, hours_since_news, sources_table
from finsentiment.errors import InputError
from finsentiment.features.export import check_daily, write_exports
from finsentiment.files import read_table, write_json, write_table, write_text
from finsentiment.llm.adapter import adapter_hash
from finsentiment.market.store import Store
from finsentiment.params import Features, check_params
from finsentiment.reporting.store_page import store_page

STATUS, SUMMARY, PAGE = "status.json", "summary.md", "store.html"


def now() -> pd.Timestamp:
    """The moment, UTC: this machine's clock, or FINSENTIMENT_NOW, with which a past day is played again."""
    given = os.environ.get("FINSENTIMENT_NOW")
    return pd.Timestamp(given).tz_convert("UTC") if given else pd.Timestamp.now(tz="UTC")


def run_daily(path: str, accepted: list[str], changed: bool, fetch: bool) -> None:
    """Fetch, keep, score, build, compare with the past, export; then say what happened.

    What came is kept before anything else can fail. What failed is an error at the end, when all that the others gave
    is exported.
    """
    settings, stopped = read_settings(path), []
    folder, store = Path(settings.export), Store(settings.store)
    (folder / STATUS).unlink(missing_ok=True)
    lines: list[str] = []
    told: dict[str, str] = {}
    try:
        told = rests_on(settings)
    except InputError as error:  # today's news is kept all the same: tomorrow a feed may not have it any more
        stopped.append(str(error))
    if fetch:
        fetched = fetch_all(settings, now, set(accepted), told)
        stopped += fetched.stopped
        lines += sources_table(fetched.run)
        if behind := fetched.run["clock_behind_s"]:
            lines.append(f"\nThe clock lies {behind:g} s behind the last run: what came counts from that moment on.")
    stale = False
    try:
        if not told:
            raise InputError(stopped.pop(0))
        built = build(settings, None)
        facts = keep(settings, built, changed or bool(accepted))
        write_exports(folder, built.features, settings.exchange, settings.features, facts)
        lines += ["", *day_lines(built.features, built.coming), *_missing_for_verdict(built, settings)]
        if fault := stale_prices(built, settings.exchange):
            stopped.append(fault)
        hours = hours_since_news(store, built.known_at)
        stale = hours is not None and hours > settings.stale_after
        if hours is not None:
            lines.append(f"The newest story was published {hours:.0f} hours before{'; that is stale' * stale}.")
    except InputError as error:
        stopped.append(str(error))
    if store.runs():
        write_text(folder / PAGE, store_page(store, settings.exchange, tickers_of(settings)))
    print("\n".join(lines))
    write_text(folder / SUMMARY, "\n".join([*lines, *(f"\n**Failed:** {line}" for line in stopped)]) + "\n")
    write_json(folder / STATUS, {"stopped": stopped, "stale": stale})
    if stopped:
        raise InputError("; ".join(stopped))


def _missing_for_verdict(built: Built, settings: Daily) -> list[str]:
    """How many sessions are missing until a verdict can be had."""
    sessions, least = built.features["session"].nunique(), settings.verdict_sessions
    if sessions > least:
        return []
    return [f"The features hold {sessions} sessions: for a verdict {least - sessions + 1} more are needed."]


def rebuild(path: str, until: str, output: str) -> None:
    """Write what was known at a past moment, as features and exports, into a folder of its own."""
    settings = read_settings(path)
    try:
        moment = pd.Timestamp(until)
    except ValueError:
        raise InputError(f"--as-of {until}: expected a day such as 2026-03-02, or a time with its zone") from None
    if moment.tzinfo is None:
        if moment != moment.normalize():
            raise InputError(f"--as-of {until}: a time needs its zone, such as 2026-03-02T09:00:00-05:00")
        moment = (moment + pd.Timedelta(days=1, microseconds=-1)).tz_localize("UTC")
    built, told = build(settings, moment), rests_on(settings)
    then = {name: Store(settings.store).runs(moment)[-1].get(name) for name in told}
    write_table(Path(output) / "features.parquet", built.features)
    facts = {"rests_on": told, "known_at": built.known_at.isoformat(), **built.facts}
    write_exports(Path(output), built.features, settings.exchange, settings.features, facts)
    print(f"{output}: what was known at {built.known_at}, {len(built.features)} rows")
    for name in told:
        if then[name] not in (None, told[name]):
            print(f"warning: the {name} of that day was another ({str(then[name])[:12]}, now {told[name][:12]})")


class _Section(NamedTuple):
    exchange: str
    features: Features


def export_file(features: str, output: str, settings_file: str, adapter: str) -> None:
    """Export a table of features that the pipeline or the daily job wrote."""
    try:
        tree: Any = yaml.safe_load(Path(settings_file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{settings_file}: cannot be read ({' '.join(str(error).split())[:120]})") from None
    if isinstance(tree, dict) and "market" in tree:
        params = check_params(tree)
        section = _Section(params.market.exchange, params.features)
    else:
        settings = read_settings(settings_file)
        section = _Section(settings.exchange, settings.features)
    facts = {"rests_on": {"adapter": adapter_hash(adapter)}}
    for path in write_exports(Path(output), read_table(features), section.exchange, section.features, facts):
        print(path)


def check_export(path: str) -> None:
    """Say whether a file keeps the contract; exit with 1 if not."""
    faults = check_daily(path)
    print("\n".join(f"{path}: {fault}" for fault in faults) or f"{path}: keeps the contract")
    if faults:
        sys.exit(1)
