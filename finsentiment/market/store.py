"""The store of what was seen and when: news, prices, splits and dividends, appended run by run, never rewritten.

    STORE/2026-11-25/20261125T123015Z-1f3a9c/news.parquet  prices.parquet  actions.parquet  run.json

A run is a folder that appears whole or not at all. A correction is a new row in a later run; the old one stays. So what
was known at any past moment is what stood in the runs until then (`as_of`).
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock
import pandas as pd

from finsentiment.errors import InputError
from finsentiment.files import atomic_path, read_json, read_table, write_json, write_table

MOMENT = "datetime64[us, UTC]"
DAY = "datetime64[us]"
COLUMNS: dict[str, dict[str, str]] = {
    "news": {
        "source": "str",
        "source_id": "str",
        "ticker": "str",
        "published_at": MOMENT,
        "first_seen_at": MOMENT,
        "headline": "str",
        "url": "str",
        "run_id": "str",
        "asked_before_at": MOMENT,
    },
    "prices": {
        "source": "str",
        "ticker": "str",
        "session": DAY,
        **dict.fromkeys(("open", "high", "low", "close", "volume"), "float64"),
        "as_of": MOMENT,
        "accepted": "bool",
        "run_id": "str",
    },
    "actions": {
        "source": "str",
        "ticker": "str",
        "session": DAY,
        "split": "float64",
        "dividend": "float64",
        "as_of": MOMENT,
        "run_id": "str",
    },
}
"""The tables. `asked_before_at` is when the same source was last asked for news of the same ticker, missing the first
time: what could have been seen then and was not came late. `accepted`: a person took this price for one that the store
had."""
SEEN_AT = {"news": "first_seen_at", "prices": "as_of", "actions": "as_of"}
KEYS = {
    "news": ["source", "source_id", "ticker"],
    "prices": ["source", "ticker", "session"],
    "actions": ["source", "ticker", "session"],
}
"""What a row is about. Of rows with the same key the last one seen corrects those before."""
WAIT = 3600.0  # seconds for another run on the same store: a long one
TAKEN_IN = "taken_in.json"
"""Beside a run of another machine that came into the store later than others: from when it counts."""


@dataclass
class Answer:
    """What one source answered.

    news : source_id, ticker, published_at, headline, url
    prices : ticker, session, open, high, low, close, volume, as traded but adjusted for splits known to the source;
        `accepted` where a row takes the place of one that the store has
    actions : ticker, session (the first without the right), split (new shares for an old one, 1 for none), dividend
        (per share, in the money of the prices, adjusted for splits as they are; 0 for none)
    asked : by table, tickers that the source answered about, with or without rows
    refused : rows left out, by reason
    failed : what could not be had, and why
    cursor : what the source wants to know the next time, such as the ETag of a feed
    """

    news: pd.DataFrame | None = None
    prices: pd.DataFrame | None = None
    actions: pd.DataFrame | None = None
    asked: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    cursor: dict[str, Any] = field(default_factory=dict)


class Store:
    """A store in a folder, which is made by its first run."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def runs(self, until: pd.Timestamp | None = None) -> list[dict[str, Any]]:
        """What each run wrote down of itself, in the order of the runs; those after the moment `until` left out."""
        found = [_run(file.parent) for file in self.folder.glob("[!.]*/[!.]*/run.json")]
        found = [run for run in found if until is None or pd.Timestamp(run["seen_at"]) <= until]
        return sorted(found, key=lambda run: (pd.Timestamp(run["seen_at"]), run["run_id"]))

    def read(self, name: str, until: pd.Timestamp | None = None) -> pd.DataFrame:
        """All rows of a table that were seen until a moment, in the order in which they were seen."""
        parts = []
        for run in self.runs(until):
            if run["rows"][name]:
                table = read_table(self._run_folder(run) / f"{name}.parquet")
                parts.append(table.assign(**{SEEN_AT[name]: pd.Timestamp(run["seen_at"]).as_unit("us")}))
        empty = pd.DataFrame({column: pd.Series(dtype=kind) for column, kind in COLUMNS[name].items()})
        return pd.concat(parts, ignore_index=True) if parts else empty

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs on this machine out. Raises InputError where one doesn't end within an hour."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with filelock.FileLock(self.folder.with_name(f".{self.folder.name}.lock"), timeout=WAIT):
                for left in self.folder.glob("[!.]*/.*"):  # by a run that was killed
                    shutil.rmtree(left, ignore_errors=True)
                yield
        except filelock.Timeout:
            raise InputError(
                f"{self.folder}: another run has held this store for {WAIT:g} s; end it, or wait"
            ) from None

    def moment(self, clock: Callable[[], pd.Timestamp]) -> tuple[pd.Timestamp, float]:
        """The moment at which a run sees what it sees, and by how many seconds the clock lies behind the store.

        Always after that of an earlier run: where the clock was set back, news counts late rather than early.
        """
        now, runs = clock().as_unit("us"), self.runs()
        if not runs:
            return now, 0.0
        last = pd.Timestamp(runs[-1]["seen_at"])
        return max(now, last + pd.Timedelta(microseconds=1)), max(0.0, (last - now).total_seconds())

    def append(
        self, answers: dict[str, Answer], asked_at: pd.Timestamp, seen_at: pd.Timestamp, facts: dict[str, Any]
    ) -> dict[str, Any]:
        """Keep what is new in the answers of all sources as one run. Hold the lock.

        Parameters
        ----------
        answers : by source
        asked_at : the clock before the first source was asked: what a source had to tell may have come after it
        seen_at : from `moment`, after the last one answered: what a source told counts from it
        facts : what else the run writes down of itself

        Returns
        -------
        dict
            What the run wrote down: `run_id`, `asked_at`, `seen_at`, `rows` by table, and of each source `asked`, `new`
            rows, `refused`, `failed` and `cursor`
        """
        run_id = f"{seen_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        asked = self.asked(asked_at)
        tables: dict[str, list[pd.DataFrame]] = {name: [] for name in COLUMNS}
        sources: dict[str, Any] = {}
        for source, answer in answers.items():
            new = {}
            for name in COLUMNS:
                given = getattr(answer, name)
                if given is None or given.empty:
                    continue
                stamped = given.assign(source=source, run_id=run_id, **{SEEN_AT[name]: seen_at})
                if name == "news":
                    stamped["asked_before_at"] = given["ticker"].map(asked.get(source, {}))
                rows = self._new(name, _typed(name, stamped))
                tables[name].append(rows)
                new[name] = len(rows)
            told = {name: getattr(answer, name) for name in ("asked", "refused", "failed", "cursor")}
            sources[source] = {"new": new, **told}
        whole = {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items() if parts}
        rows = {name: len(whole.get(name, ())) for name in COLUMNS}
        stamps = {"asked_at": asked_at.isoformat(), "seen_at": seen_at.isoformat()}
        run = {"run_id": run_id, **stamps, "rows": rows, "sources": sources, **facts}
        with atomic_path(self._run_folder(run)) as folder:
            folder.mkdir()
            for name, table in whole.items():
                if len(table):
                    write_table(folder / f"{name}.parquet", table)
            write_json(folder / "run.json", run)
        return run

    def cursor(self, source: str) -> dict[str, Any]:
        """What the source wanted to know the next time; nothing before its first answer."""
        told = [run["sources"][source]["cursor"] for run in self.runs() if source in run["sources"]]
        return told[-1] if told else {}

    def take_in(self, other: Path, clock: Callable[[], pd.Timestamp]) -> None:
        """Take in what another copy of this store holds and this one lacks.

        Where this one has runs that the other lacks, features may have been built without those of the other: they
        count from now on.
        """
        mine, theirs = Store(self.folder).runs(), Store(other).runs()
        late = {run["run_id"] for run in mine} - {run["run_id"] for run in theirs}
        for run in theirs:
            target = self._run_folder(run)
            if target.exists():
                continue
            with atomic_path(target) as folder:
                shutil.copytree(other / target.relative_to(self.folder), folder)
                if late:
                    write_json(folder / TAKEN_IN, {"seen_at": self.moment(clock)[0].isoformat()})
        for file in sorted(other.glob("scores/*/*.parquet")):
            target = self.folder / file.relative_to(other)
            if not target.exists():
                # The first score of a text stands, by the name of its file: the others' were published.
                target = target.with_name(f"{clock():%Y%m%dT%H%M%S%f}Z-{file.name}") if late else target
                with atomic_path(target) as scratch:
                    shutil.copyfile(file, scratch)

    def _run_folder(self, run: dict[str, Any]) -> Path:
        return self.folder / str(run.get("told_at", run["seen_at"]))[:10] / str(run["run_id"])

    def asked(self, now: pd.Timestamp) -> dict[str, dict[str, pd.Timestamp]]:
        """By source: when it was last asked for news of each ticker, and answered.

        By the clock, which may have been ahead: never later than the clock of a later run, or than `now`.
        """
        found: dict[str, dict[str, pd.Timestamp]] = {}
        for run in self.runs():
            moment = pd.Timestamp(run["asked_at"])
            found = _capped(found, moment)
            for source, told in run["sources"].items():
                found.setdefault(source, {}).update(dict.fromkeys(told["asked"].get("news", ()), moment))
        return _capped(found, now)

    def _new(self, name: str, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows that say something which the last row of the same key does not."""
        said = [c for c in COLUMNS[name] if c not in ("run_id", "asked_before_at", "accepted", SEEN_AT[name])]
        rows = rows.drop_duplicates(KEYS[name], keep="last")
        last = self.read(name).drop_duplicates(KEYS[name], keep="last")[said]
        known = rows[said].merge(last.assign(known=True), on=said, how="left")["known"].notna()
        return rows[~known.to_numpy()].sort_values(KEYS[name], ignore_index=True)


def _run(folder: Path) -> dict[str, Any]:
    """What a run wrote down. Where it came into this store later, `seen_at` is then and `told_at` what it wrote."""
    run = read_json(folder / "run.json")
    if (folder / TAKEN_IN).is_file():
        return run | {"told_at": run["seen_at"], **read_json(folder / TAKEN_IN)}
    return run


def _capped(asked: dict[str, dict[str, pd.Timestamp]], limit: pd.Timestamp) -> dict[str, dict[str, pd.Timestamp]]:
    return {source: {name: min(moment, limit) for name, moment in told.items()} for source, told in asked.items()}


def _typed(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The table's columns, in their order and of their types."""
    rows = rows if "accepted" in rows or name != "prices" else rows.assign(accepted=False)
    return rows.reindex(columns=list(COLUMNS[name])).astype(COLUMNS[name])
