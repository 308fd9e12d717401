"""Labelled sentences from a CSV file."""

from __future__ import annotations

import pandas as pd

from finsentiment.corpus.cleaning import check_rows
from finsentiment.files import read_csv_text

COLUMNS = ("text", "label", "agreement")


def read_sentences(path: str, required: tuple[str, ...] = ("text", "label")) -> pd.DataFrame:
    """Read and check a CSV file of sentences.

    Returns
    -------
    DataFrame indexed by line: those of the columns `text`, `label`, `agreement` that the file has; others are left out.

    Raises
    ------
    InputError
        The file can't be read, lacks a `required` column, or a row breaks the schema.
    """
    table = read_csv_text(path, required)
    return check_rows(table[[column for column in COLUMNS if column in table]], path)
