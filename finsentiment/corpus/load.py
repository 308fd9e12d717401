"""The labelled sentences of the source that the parameters name."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from finsentiment.corpus.cleaning import check_rows
from finsentiment.corpus.sources.csv_file import read_sentences
from finsentiment.corpus.sources.phrasebank import read_phrasebank
from finsentiment.params import Corpus

SOURCES: dict[str, Callable[[Corpus], pd.DataFrame]] = {
    "sample": lambda corpus: read_sentences(corpus.path),
    "csv": lambda corpus: read_sentences(corpus.path),
    "phrasebank": lambda corpus: read_phrasebank(corpus.path, corpus.agreement),
}
"""A row for each value of `corpus.source`."""


def load_corpus(corpus: Corpus) -> pd.DataFrame:
    """The rows of a corpus, checked, duplicates and all.

    Returns
    -------
    DataFrame indexed by the line of the file, with `text` (cleaned), `label` and, where the source has it,
    `agreement` (share of the annotators, 0.5 to 1, or NaN).

    Raises
    ------
    InputError
        The file can't be had or read, or a row breaks the schema.
    """
    # A source checks its rows where it knows their file; here nothing passes that a source forgot to check.
    return check_rows(SOURCES[corpus.source](corpus), corpus.path)
