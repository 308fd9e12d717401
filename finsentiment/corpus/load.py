"""The labelled sentences of the source that the parameters name."""

from __future__ import annotations

from collections.abc import Callable

from finsentiment.corpus.cleaning import ROWS, Checked
from finsentiment.corpus.sources.csv_file import read_corpus
from finsentiment.corpus.sources.phrasebank import read_phrasebank
from finsentiment.params import Corpus

SOURCES: dict[str, Callable[[Corpus], Checked]] = {
    "sample": read_corpus,
    "csv": read_corpus,
    "phrasebank": lambda corpus: read_phrasebank(corpus.path, corpus.agreement),
}
"""A row for each value of `corpus.source`."""


def load_corpus(corpus: Corpus) -> Checked:
    """The rows of a corpus, checked, duplicates and all, with what was refused and converted.

    Raises
    ------
    InputError
        The file can't be had or read, or a row breaks the schema.
    """
    found = SOURCES[corpus.source](corpus)
    # A source checks its rows where it knows their file; here nothing passes that a source forgot to check.
    return found._replace(rows=ROWS.select_columns(list(found.rows.columns)).validate(found.rows))
