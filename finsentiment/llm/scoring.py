"""Scores of news by a fine-tuned classifier, each text read once per adapter, whatever runs come later."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import sqlite3
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from finsentiment.files import cache_folder, sha256_folder
from finsentiment.labels import LABELS
from finsentiment.llm.base import compute_dtype
from finsentiment.llm.classifier import Reader, load

CHUNK = 512
"""Texts between two commits to the store: what an interrupted run loses at most."""


def score(
    news: pd.DataFrame, adapter: str | Path, threads: int, batch_tokens: int
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Score the headlines of `news` with the classifier saved at `adapter`.

    Returns
    -------
    scores : DataFrame
        `news_id`, `p_negative`, `p_neutral`, `p_positive` and `score` = p_positive - p_negative, by news_id.
    facts : dict
        Rows, distinct texts. (How many were read anew depends on earlier runs, so it goes to standard error.)
    """
    texts = sorted(set(news["headline"]))
    with _store(adapter, threads) as store:
        missing = [text for text in texts if _key(text) not in store]
        print(f"{len(texts) - len(missing)} of {len(texts)} texts were scored before", file=sys.stderr)
        if missing:
            _fill(store, missing, lambda: load(adapter, threads), batch_tokens)
        p = pd.DataFrame([store[_key(text)] for text in texts], index=texts, columns=[f"p_{name}" for name in LABELS])
    scores = p.loc[news["headline"]].set_index(news["news_id"].to_numpy()).rename_axis("news_id").reset_index()
    scores["score"] = scores["p_positive"] - scores["p_negative"]
    facts = {"news": len(news), "texts": len(texts)}
    return scores.sort_values("news_id", ignore_index=True), facts


def _fill(store: Store, texts: list[str], reader: Callable[[], Reader], batch_tokens: int) -> None:
    model = reader()
    # Texts of like length share a chunk, so that batches hold little padding.
    texts = sorted(texts, key=lambda text: (-len(text), text))
    with tqdm(total=len(texts), desc="scoring", unit="text", file=sys.stderr, mininterval=2) as bar:
        for start in range(0, len(texts), CHUNK):
            chunk = texts[start : start + CHUNK]
            p = model.probabilities(chunk, batch_tokens)
            store.add({_key(text): row for text, row in zip(chunk, p, strict=True)})
            bar.update(len(chunk))


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
        try:
            with self.connection:
                self.connection.executemany(
                    "INSERT OR IGNORE INTO scores VALUES (?, ?)", [(key, p.tobytes()) for key, p in rows.items()]
                )
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            raise OSError(errno.ENOSPC, str(error), "the store of scores in the cache folder") from None


@contextlib.contextmanager
def _store(adapter: str | Path, threads: int) -> Iterator[Store]:
    """The store of one adapter on one kind of arithmetic: other adapters, libraries or threads have their own."""
    arithmetic = f"{sha256_folder(adapter)} {compute_dtype()} {version('torch')} {version('transformers')} {threads}"
    file = cache_folder("scores") / f"{hashlib.sha256(arithmetic.encode()).hexdigest()[:24]}.sqlite"
    with contextlib.closing(sqlite3.connect(file, timeout=60)) as connection:
        yield Store(connection)
