"""The store of scores: each text is read once per adapter and kind of arithmetic, whatever runs come later."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator

import numpy as np

from finsentiment.errors import InputError
from finsentiment.files import cache_folder, report_full_disk


class ScoreStore:
    """Probabilities by text in a SQLite file, which a killed process can't break."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        connection.execute("CREATE TABLE IF NOT EXISTS scores (text TEXT PRIMARY KEY, p BLOB) WITHOUT ROWID")
        self.known = {key: np.frombuffer(p) for key, p in connection.execute("SELECT text, p FROM scores")}

    def __contains__(self, text: str) -> bool:
        return _key(text) in self.known

    def __getitem__(self, text: str) -> np.ndarray:
        return self.known[_key(text)]

    def add(self, rows: dict[str, np.ndarray]) -> None:
        """Keep the probabilities of each text, shape (3,), for this and for later runs."""
        keyed = {_key(text): p for text, p in rows.items()}
        self.known.update(keyed)
        with self.connection:
            self.connection.executemany(
                "INSERT OR IGNORE INTO scores VALUES (?, ?)", [(key, p.tobytes()) for key, p in keyed.items()]
            )


@contextlib.contextmanager
def open_store(reads_by: str) -> Iterator[ScoreStore]:
    """The store of everything that `reads_by` names: adapter, device, number format, threads, libraries, shapes.

    Raises InputError where the file is damaged.
    """
    file = cache_folder("scores") / f"{hashlib.sha256(reads_by.encode()).hexdigest()[:24]}.sqlite"
    with report_full_disk(file):
        try:
            with contextlib.closing(sqlite3.connect(file, timeout=60)) as connection:
                yield ScoreStore(connection)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            raise InputError(f"{file}: the store of scores is damaged ({error}); delete it and run again") from None


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
