"""`finsentiment daily` and `finsentiment export`: what the commands do, in their order."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from finsentiment.backtest.enough import MIN_IC_SESSIONS
from finsentiment.daily.fetch import FEW, fetch_all, tickers_of
from finsentiment.daily.run import Built, behind, build, keep, rests_on
from finsentiment.daily.settings import Daily, read_settings
from finsentiment.daily.summary import day_lines, news_age, sources_table
from finsentiment.errors import InputError
from finsentiment.features.export import check_daily, write_exports
from finsentiment.files import read_json, read_table, write_json, write_table, write_text
from finsentiment.llm.adapter import adapter_hash
from finsentiment.llm.registry import adapter_folder
from finsentiment.market.history import last_settled
from finsentiment.market.store import Store
from finsentiment.params import Features, check_params
from finsentiment.reporting.store_page import store_page

STATUS, SUMMARY, PAGE = "status.json", "summary.md", "store.html"


def now() -> pd.Timestamp:
    """The moment, UTC: this machine's clock, or FINSENTIMENT_NOW, with which a past day is played again."""
    given = os.environ.get("FINSENTIMENT_NOW")
    return _moment("FINSENTIMENT_NOW", given) if given else pd.Timestamp.now(tz="UTC")


def _moment(name: str, given: str) -> pd.Timestamp:
    """A time with its zone; a day alone is its end, UTC. Raises InputError for anything else."""
    try:
        moment = pd.Timestamp(given)
    except ValueError:
        moment = pd.NaT
    if moment is pd.NaT:
        raise InputError(f"{name} {given}: expected a day such as 2026-03-02, or a time with its zone")
    if moment.tzinfo is None and moment != moment.normalize():
        raise InputError(f"{name} {given}: a time needs its zone, such as 2026-03-02T09:00:00-05:00")
    if moment.tzinfo is None:
        moment = (moment + pd.Timedelta(days=1, microseconds=-1)).tz_localize("UTC")
    return moment.tz_convert("UTC")


def run_daily(path: str, accepted: list[str], changed: bool, fetch: bool) -> None:
    """Fetch, keep, score, build, compare with the past, export; then say what happened.

    What came is kept before anything else can fail. What failed is an error at the end, when all that the others gave
    is exported.
    """
    settings, stopped = read_settings(path), []
    tickers, folder = tickers_of(settings), Path(settings.export)
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
        if late := fetched.run["clock_behind_s"]:
            lines.append(f"\nThe clock is {late:g} s behind the last run: what came counts from that run on.")
    stale = False
    try:
        if told:
            built = build(settings, None)
            facts = keep(settings, built, changed, set(accepted))
            write_exports(folder, built.features, settings.exchange, settings.features, facts)
            lines += ["", *day_lines(built, settings.backfill), *_missing_for_verdict(built, settings)]
            stopped += _behind(built, tickers, settings)
            hours = news_age(Store(settings.store), built.known.moment)
            stale = hours is not None and hours > settings.stale_after
            if hours is not None:
                lines.append(
                    f"The newest story is {hours:.0f} h old"
                    f"{f', more than stale_after = {settings.stale_after}' * stale}."
                )
        if Store(settings.store).runs():
            write_text(folder / PAGE, store_page(Store(settings.store), settings, tickers))
    except InputError as error:
        stopped.append(str(error))
    print("\n".join(lines))
    write_text(folder / SUMMARY, "\n".join([*lines, *(f"\n**Failed:** {line}" for line in stopped)]) + "\n")
    write_json(folder / STATUS, {"stopped": stopped, "stale": stale})
    if stopped:
        raise InputError("; ".join(stopped))


def _behind(built: Built, tickers: list[str], settings: Daily) -> list[str]:
    """That prices of more than a few tickers are older than they should be, in one line; nothing if they aren't."""
    late = behind(built, tickers, settings.exchange)
    if len(late) <= FEW * len(tickers):
        return []
    settled = last_settled(built.known.moment, settings.exchange).date()
    return [
        f"{len(late)} of {len(tickers)} tickers have no price of {settled}, such as {late[0]}: they have no row for "
        "the coming session; a source of prices is late or fails"
    ]


def _missing_for_verdict(built: Built, settings: Daily) -> list[str]:
    """How many sessions are missing until a verdict can be had."""
    rows = built.features[built.features["ranked"] & built.features["forward_return"].notna()]
    sessions = rows["session"].nunique()
    needed = settings.verdict_sessions + MIN_IC_SESSIONS + settings.features.horizon - 1
    if sessions >= needed:
        return []
    return [f"{sessions} sessions have features and returns: for a verdict {needed - sessions} more are needed."]


def rebuild(path: str, until: str, output: str) -> None:
    """Write what was known at a past moment, as features and exports, into a folder of its own."""
    settings, moment = read_settings(path), _moment("--as-of", until)
    built, told = build(settings, moment), rests_on(settings)
    then = {name: Store(settings.store).runs(moment)[-1].get(name) for name in told}
    facts = {"rests_on": told, **built.facts}
    write_table(Path(output) / "features.parquet", built.features)
    write_exports(Path(output), built.features, settings.exchange, settings.features, facts)
    print(f"{output}: what was known at {built.known.moment}, {len(built.features)} rows")
    for name in told:
        if then[name] not in (None, told[name]):
            print(f"warning: the {name} of that day was another ({str(then[name])[:12]}, now {told[name][:12]})")


class _Section(NamedTuple):
    exchange: str
    features: Features
    adapter: str


def export_file(features: str, output: str, settings_file: str, adapter: str | None) -> None:
    """Export a table of features that the pipeline or the daily job wrote."""
    try:
        tree: Any = yaml.safe_load(Path(settings_file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{settings_file}: cannot be read ({' '.join(str(error).split())[:120]})") from None
    if isinstance(tree, dict) and "market" in tree:
        params = check_params(tree)
        section = _Section(params.market.exchange, params.features, "models/adapter")
    else:
        settings = read_settings(settings_file)
        section = _Section(settings.exchange, settings.features, settings.adapter)
    beside = Path(features).with_suffix(".json")
    if beside.is_file():  # written by the daily job, which knows what its features rest on
        facts = read_json(beside)
        given = {"exchange": section.exchange, "entry": section.features.entry, "latency": section.features.latency}
        if other := [name for name, value in given.items() if facts.get(name) != value]:
            raise InputError(
                f"{settings_file}: {other[0]} = {given[other[0]]}, but {features} was built with "
                f"{facts.get(other[0])}; give its settings with --settings"
            )
    else:
        facts = {"rests_on": {"adapter": adapter_hash(adapter_folder(adapter or section.adapter))}}
    for path in write_exports(Path(output), read_table(features), section.exchange, section.features, facts):
        print(path)


def check_export(path: str) -> None:
    """Say whether a file keeps the contract; exit with 1 if not."""
    faults, notes = check_daily(path)
    print("\n".join(f"{path}: {line}" for line in (*faults, *notes)))
    if faults:
        sys.exit(1)
    print(f"{path}: keeps the contract")
