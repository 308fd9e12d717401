"""Scores of headlines, kept beside the store: a text is read once by an adapter, on whatever machine."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from finsentiment.daily.settings import Daily
from finsentiment.files import read_table, write_table
from finsentiment.labels import P_COLUMNS
from finsentiment.llm.adapter import adapter_hash
from finsentiment.llm.registry import adapter_folder
from finsentiment.market.store import Store


def scores_of(store: Store, headlines: Iterable[str], settings: Daily) -> pd.DataFrame:
    """`p_negative`, `p_neutral`, `p_positive` of each headline, in their order.

    Those of earlier runs are taken as they are, also where this processor rounds otherwise.
    """
    texts = pd.Index(headlines)
    folder = store.folder / "scores" / adapter_hash(adapter_folder(settings.adapter))[:16]
    with store.locked():
        parts = [read_table(file) for file in sorted(folder.glob("[!.]*.parquet"))]
        columns = ["headline", *P_COLUMNS]
        known = pd.concat([pd.DataFrame(columns=columns), *parts]).drop_duplicates("headline").set_index("headline")
        missing = texts.unique().difference(known.index)
        if len(missing):
            from finsentiment.readers.fine_tuned import score_texts

            p = score_texts(missing, adapter_folder(settings.adapter), settings.threads, settings.batch_tokens)
            new = p.rename_axis("headline").reset_index()
            # The first score of a text counts, also where another machine scored it too.
            write_table(folder / f"{pd.Timestamp.now(tz='UTC'):%Y%m%dT%H%M%S%f}Z.parquet", new)
            known = pd.concat([known, new.set_index("headline")])
    return known.loc[texts].astype(float).reset_index(drop=True)
