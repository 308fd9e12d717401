"""Clean texts, checked rows, and the table of sentences."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd
import pandera.pandas as pa

from finsentiment.corpus.labelling import our_labels
from finsentiment.errors import InputError
from finsentiment.intake.numbers import MISSING
from finsentiment.intake.tables import also, counts_in_words, where
from finsentiment.labels import LABELS
from finsentiment.text import clean_texts

# What a source gives; the descriptions are what an error says was expected.
ROWS = pa.DataFrameSchema(
    {
        "text": pa.Column(str, pa.Check.str_length(min_value=1), description="a sentence"),
        "label": pa.Column(str, pa.Check.isin(LABELS), description=f"{', '.join(LABELS)}"),
        "agreement": pa.Column(
            float,
            pa.Check.in_range(0.5, 1),
            nullable=True,
            coerce=True,
            description="a share from 0.5 to 1 (or a percentage from 50 to 100), or nothing",
        ),
    }
)

# The table `sentences` as it is written.
_ID = pa.Check.str_matches("^[0-9a-f]{16}$")
SENTENCES = pa.DataFrameSchema(
    {
        "sentence_id": pa.Column(str, _ID, unique=True),
        **ROWS.columns,
        "source": pa.Column(str),
        "twin_group": pa.Column(str, _ID),
    },
    strict=True,
    ordered=True,
)


class Checked(NamedTuple):
    """Rows of a corpus that keep the schema `ROWS`.

    rows : `text` (cleaned) and, where the source has them, `label` and `agreement`; indexed by line
    refused : rows that were left out, by reason
    converted : rows that were read otherwise than as they stand, by what was done
    """

    rows: pd.DataFrame
    refused: dict[str, int]
    converted: dict[str, int]


def check_rows(
    raw: pd.DataFrame,
    path: str,
    labels: Mapping[str, str | None] | None = None,
    parameter: str | None = None,
    converted: Mapping[str, int] | None = None,
) -> Checked:
    """Rows as read, with texts cleaned and labels in our words, once each of them was found to keep the schema `ROWS`.

    Parameters
    ----------
    raw : `text` and, where the source has them, `label` and `agreement`; indexed by line
    path : what an error names as the file
    labels, parameter : what the file's own labels are, and the parameter that says so
    converted : what the source did already

    Raises
    ------
    InputError
        Names the first line that breaks the schema, its column and value, what was expected, and how many more do.
    """
    texts, done = clean_texts(raw["text"])
    refused: dict[str, int] = {}
    table = raw.assign(text=texts)
    if "label" in table:
        ours, refused = our_labels(table["label"], labels or {}, path, parameter)
        done["labels_renamed"] = int((ours != table["label"][ours.index]).sum())
        table = table.loc[ours.index].assign(label=ours)
    if "agreement" in table:
        shares, percent = _shares(table["agreement"])
        table, done["agreement_from_percent"] = table.assign(agreement=shares), percent
    counts = {**(converted or {}), **{name: count for name, count in done.items() if count}}
    try:
        return Checked(ROWS.select_columns(list(table.columns)).validate(table, lazy=True), refused, counts)
    except pa.errors.SchemaErrors as error:
        faults = error.failure_cases.dropna(subset="index").drop_duplicates(["index", "column"]).sort_values("index")
        line, column = faults[["index", "column"]].iloc[0]
        value, expected = raw.at[line, column], ROWS.columns[column].description
        same = int((faults["column"] == column).sum())
        raise InputError(
            f"{where(path, raw, line)}: {column} = {value!r}, expected {expected}{also(same)}; "
            "correct it or take the row out"
        ) from None


def _shares(agreement: pd.Series) -> tuple[pd.Series, int]:
    """Agreement as a share, and how many rows gave it in percent: all do where one is above 1."""
    text = agreement.astype("str").str.strip().str.removesuffix("%").str.replace(",", ".", regex=False)
    text = text.where(~text.str.lower().isin(MISSING), None)
    numbers = pd.to_numeric(text, errors="coerce")
    if not (numbers > 1).any() or (numbers < 50).any():
        return text, 0
    return numbers.div(100).where(numbers.notna(), text), int(numbers.notna().sum())


def as_sentences(rows: pd.DataFrame, source: str) -> pd.DataFrame:
    """The table `sentences` without its `twin_group`: one row for each of `rows`, which have labels."""
    return (
        pd.DataFrame(
            {
                "sentence_id": [hashlib.sha256(text.encode("utf-8")).hexdigest()[:16] for text in rows["text"]],
                "text": rows["text"],
                "label": rows["label"],
                "agreement": rows["agreement"] if "agreement" in rows else float("nan"),
                "source": source,
            }
        )
        .reset_index(drop=True)
        .astype({"sentence_id": "str", "source": "str", "agreement": "float64"})
    )


def drop_duplicates(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """One row for each text: of exact duplicates the one most agreed on; no row of a text with two labels.

    Returns
    -------
    the rows left, sorted by text, and the number refused by reason: `exact_duplicate`, `conflicting_labels`
    """
    conflicting = rows.groupby("text")["label"].transform("nunique") > 1
    by = ["text", "agreement"] if "agreement" in rows else ["text"]
    agreed = rows[~conflicting].sort_values(by, ascending=[True, False][: len(by)], kind="stable")
    kept = agreed.drop_duplicates("text")
    return kept, {"exact_duplicate": len(agreed) - len(kept), "conflicting_labels": int(conflicting.sum())}


def clean_corpus(rows: pd.DataFrame, source: str, path: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """The table `sentences` (without `twin_group`) of a corpus, sorted by key, and the rows refused by reason.

    Raises
    ------
    InputError
        A class has no sentence left.
    """
    kept, refused = drop_duplicates(rows)
    absent = [label for label in LABELS if label not in set(kept["label"])]
    if absent:
        raise InputError(
            f"{path}: no sentence is labelled {' or '.join(absent)} ({len(kept)} sentences left of {len(rows)} rows, "
            f"refused: {counts_in_words(refused)}); expected some of each of {', '.join(LABELS)}, so add them"
        )
    return as_sentences(kept, source).sort_values("sentence_id", ignore_index=True), refused
