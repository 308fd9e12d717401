"""Scores of news by a fine-tuned classifier, each text read once per adapter, whatever runs come later."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from finsentiment.errors import InputError
from finsentiment.files import cache_folder, full_disk_is_said, sha256_folder
from finsentiment.labels import LABELS
from finsentiment.llm.base import compute_dtype
from finsentiment.llm.classifier import Reader, load


def score(texts: Iterable[str], adapter: str | Path, threads: int, batch_tokens: int) -> pd.DataFrame:
    """Calibrated probabilities of `texts` by the classifier saved at `adapter`.

    Returns
    -------
    DataFrame indexed by the distinct texts, sorted: `p_negative`, `p_neutral`, `p_positive`. (How many were read
    anew depends on earlier runs, so it goes to standard error.)
    """
    distinct = sorted(set(texts))
    with _store(adapter, threads, batch_tokens) as store:
        missing = [text for text in distinct if _key(text) not in store]
        print(f"{len(distinct) - len(missing)} of {len(distinct)} texts were scored before", file=sys.stderr)
        if missing:
            _fill(store, missing, load(adapter, threads), batch_tokens)
        rows = [store[_key(text)] for text in distinct]
    return pd.DataFrame(rows, index=distinct, columns=[f"p_{name}" for name in LABELS])


def tone(p: pd.DataFrame | np.ndarray) -> np.ndarray:
    """The score of each row of probabilities (n, 3): p_positive - p_negative, in [-1, 1]."""
    return np.asarray(p, dtype=float)[:, 2] - np.asarray(p, dtype=float)[:, 0]


def _fill(store: Store, texts: list[str], reader: Reader, batch_tokens: int) -> None:
    with tqdm(total=len(texts), desc="scoring", unit="text", file=sys.stderr, mininterval=2) as bar:
        for rows, logits in reader.batches(texts, batch_tokens):
            p = reader.probabilities(logits.astype(float))
            store.add({_key(texts[row]): values for row, values in zip(rows, p, strict=True)})
            bar.update(len(rows))


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Store:
    """Probabilities by text hash in a SQLite file, which a killed process can't break."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        connection.execute("CREATE TABLE IF NOT EXISTS scores (text TEXT PRIMARY KEY, p BLOB) WITHOUT ROWID")
        self.known = {key: np.frombuffer(p) for key, p in connection.execute("SELECT text, p FROM scores")}

    def __contains__(self, key: str) -> bool:
        return key in self.known

    def __getitem__(self, key: str) -> np.ndarray:
        return self.known[key]

    def add(self, rows: dict[str, np.ndarray]) -> None:
        """Keep `rows` for this and for later runs."""
        self.known.update(rows)
        with self.connection:
            self.connection.executemany(
                "INSERT OR IGNORE INTO scores VALUES (?, ?)", [(key, p.tobytes()) for key, p in rows.items()]
            )


@contextlib.contextmanager
def _store(adapter: str | Path, threads: int, batch_tokens: int) -> Iterator[Store]:
    """The store of one adapter on one kind of arithmetic: other adapters, libraries or shapes have their own."""
    libraries = " ".join(version(name) for name in ("torch", "transformers", "peft"))
    arithmetic = f"{sha256_folder(adapter)} {compute_dtype()} {libraries} {threads} {batch_tokens}"
    file = cache_folder("scores") / f"{hashlib.sha256(arithmetic.encode()).hexdigest()[:24]}.sqlite"
    with full_disk_is_said(file):
        try:
            with contextlib.closing(sqlite3.connect(file, timeout=60)) as connection:
                yield Store(connection)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            raise InputError(f"{file}: the store of scores is damaged ({error}); delete it and run again") from None
