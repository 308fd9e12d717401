"""Labelled sentences from a table: CSV, JSON lines or Parquet."""

from __future__ import annotations

from finsentiment.corpus.cleaning import Checked, check_rows
from finsentiment.errors import InputError
from finsentiment.intake.columns import Columns
from finsentiment.intake.tables import Layout, read_user_table
from finsentiment.params import Corpus


def read_corpus(corpus: Corpus) -> Checked:
    """Read and check the file `corpus.path` with the columns, labels and layout that the parameters name.

    Raises InputError where the file can't be read, lacks a column, has no rows, or a row breaks the schema.
    """
    wanted = Columns(("text", "label"), ("agreement",), corpus.columns, "corpus.columns")
    table = read_user_table(corpus.path, wanted, Layout(corpus.encoding, corpus.delimiter, "corpus"))
    if table.rows.empty:
        raise InputError(f"{corpus.path}: no rows; expected a labelled sentence in each")
    return check_rows(table.rows, corpus.path, corpus.labels, "corpus.labels", table.converted)


def read_sentences(path: str, required: tuple[str, ...] = ("text", "label")) -> Checked:
    """Read and check a file of sentences with our own names of columns and labels; it may be without rows.

    Raises
    ------
    InputError
        The file can't be read, lacks a `required` column, or a row breaks the schema.
    """
    optional = tuple(name for name in ("label", "agreement") if name not in required)
    table = read_user_table(path, Columns(required, optional))
    return check_rows(table.rows, path, converted=table.converted)
