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
        "run_id": "str",
        "asked_before_at": MOMENT,
    },
    "actions": {
        "source": "str",
        "ticker": "str",
        "session": DAY,
        "split": "float64",
        "dividend": "float64",
        "as_of": MOMENT,
        "run_id": "str",
        "asked_before_at": MOMENT,
    },
}
"""The tables. `asked_before_at` is when the same source was last asked about the same ticker, missing the first time:
what could have been seen then and was not came late."""
SEEN_AT = {"news": "first_seen_at", "prices": "as_of", "actions": "as_of"}
KEYS = {
    "news": ["source", "source_id", "ticker"],
    "prices": ["source", "ticker", "session"],
    "actions": ["source", "ticker", "session"],
}
"""What a row is about. Of rows with the same key the last one seen corrects those before."""
WAIT = 60.0  # seconds for another run on the same store


@dataclass
class Answer:
    """What one source answered.

    news : source_id, ticker, published_at, headline, url
    prices : ticker, session, open, high, low, close, volume, as traded but adjusted for splits known to the source
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
        found = [read_json(file) for file in self.folder.glob("[!.]*/[!.]*/run.json")]
        found = [run for run in found if until is None or pd.Timestamp(run["seen_at"]) <= until]
        return sorted(found, key=lambda run: (run["seen_at"], run["run_id"]))

    def read(self, name: str, until: pd.Timestamp | None = None) -> pd.DataFrame:
        """All rows of a table that were seen until a moment, in the order in which they were seen."""
        parts = [read_table(self._run_folder(run) / f"{name}.parquet") for run in self.runs(until) if run["rows"][name]]
        empty = pd.DataFrame({column: pd.Series(dtype=kind) for column, kind in COLUMNS[name].items()})
        return pd.concat(parts, ignore_index=True) if parts else empty

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs on this machine out. Raises InputError where one doesn't end within a minute."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with filelock.FileLock(self.folder / ".lock", timeout=WAIT):
                for left in self.folder.glob("[!.]*/.*"):  # by a run that was killed
                    shutil.rmtree(left, ignore_errors=True)
                yield
        except filelock.Timeout:
            raise InputError(
                f"{self.folder}: another run holds this store for {WAIT:g} s; wait until it ends"
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
        self, answers: dict[str, Answer], began_at: pd.Timestamp, seen_at: pd.Timestamp, facts: dict[str, Any]
    ) -> dict[str, Any]:
        """Keep what is new in the answers of all sources as one run. Hold the lock.

        Parameters
        ----------
        answers : by source
        began_at, seen_at : from `moment`, before the first source was asked and after the last one answered: what a
            source told counts from the second, what it had to tell may have come after the first
        facts : what else the run writes down of itself

        Returns
        -------
        dict
            What the run wrote down: `run_id`, `began_at`, `seen_at`, `rows` by table, and of each source `asked`, `new`
            rows, `refused`, `failed` and `cursor`
        """
        run_id = f"{seen_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        asked = self.asked()
        tables: dict[str, list[pd.DataFrame]] = {name: [] for name in COLUMNS}
        sources: dict[str, Any] = {}
        for source, answer in answers.items():
            new = {}
            for name in COLUMNS:
                given = getattr(answer, name)
                if given is None or given.empty:
                    continue
                before = given["ticker"].map(asked.get((source, name), {}))
                stamped = given.assign(source=source, run_id=run_id, asked_before_at=before)
                rows = self._new(name, _typed(name, stamped.assign(**{SEEN_AT[name]: seen_at})))
                tables[name].append(rows)
                new[name] = len(rows)
            told = {name: getattr(answer, name) for name in ("asked", "refused", "failed", "cursor")}
            sources[source] = {"new": new, **told}
        whole = {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items() if parts}
        rows = {name: len(whole.get(name, ())) for name in COLUMNS}
        stamps = {"began_at": began_at.isoformat(), "seen_at": seen_at.isoformat()}
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

    def _run_folder(self, run: dict[str, Any]) -> Path:
        return self.folder / str(run["seen_at"])[:10] / str(run["run_id"])

    def asked(self, until: pd.Timestamp | None = None) -> dict[tuple[str, str], dict[str, pd.Timestamp]]:
        """By source and table: when it was last asked about each ticker, and answered."""
        found: dict[tuple[str, str], dict[str, pd.Timestamp]] = {}
        for run in self.runs(until):
            for source, told in run["sources"].items():
                for name, tickers in told["asked"].items():
                    moments = dict.fromkeys(tickers, pd.Timestamp(run["began_at"]))
                    found.setdefault((source, name), {}).update(moments)
        return found

    def _new(self, name: str, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows that say something which the last row of the same key does not."""
        said = [c for c in COLUMNS[name] if c not in ("run_id", "asked_before_at", SEEN_AT[name])]
        rows = rows.drop_duplicates(KEYS[name], keep="last")
        last = self.read(name).drop_duplicates(KEYS[name], keep="last")[said]
        known = rows[said].merge(last.assign(known=True), on=said, how="left")["known"].notna()
        return rows[~known.to_numpy()].sort_values(KEYS[name], ignore_index=True)


def _typed(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The table's columns, in their order and of their types."""
    return rows.reindex(columns=list(COLUMNS[name])).astype(COLUMNS[name])
