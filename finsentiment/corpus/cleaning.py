"""Clean texts, checked rows, and the table of sentences."""

from __future__ import annotations

import hashlib
import unicodedata

import pandas as pd
import pandera.pandas as pa

from finsentiment.errors import InputError
from finsentiment.labels import LABELS

# What a source gives; the descriptions are what an error says was expected.
ROWS = pa.DataFrameSchema(
    {
        "text": pa.Column(str, pa.Check.str_length(min_value=1), description="a sentence"),
        "label": pa.Column(str, pa.Check.isin(LABELS), description=f"{', '.join(LABELS)}, in lower case"),
        "agreement": pa.Column(
            float,
            pa.Check.in_range(0.5, 1),
            nullable=True,
            coerce=True,
            description="a share from 0.5 to 1, or nothing",
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


def clean_text(text: str) -> str:
    """`text` in Unicode NFC, without control and format characters, every run of white space one space."""
    visible = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf"))
    return " ".join(unicodedata.normalize("NFC", visible).split())


def check_rows(raw: pd.DataFrame, path: str) -> pd.DataFrame:
    """Rows as read, with texts cleaned, once each of them was found to keep the schema `ROWS`.

    Parameters
    ----------
    raw : strings in `text` and, where the source has them, `label` and `agreement`; indexed by line
    path : what an error names as the file

    Raises
    ------
    InputError
        Names the first line that breaks the schema, its column and value, what was expected, and how many more do.
    """
    table = raw.assign(text=raw["text"].map(clean_text).astype("str"))
    if "agreement" in table:
        table["agreement"] = table["agreement"].replace("", None)
    try:
        return ROWS.select_columns(list(table.columns)).validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        faults = error.failure_cases.dropna(subset="index").drop_duplicates(["index", "column"]).sort_values("index")
        line, column = faults[["index", "column"]].iloc[0]
        value, expected = raw.at[line, column], ROWS.columns[column].description
        more = f" ({len(faults) - 1} more bad values after it)" if len(faults) > 1 else ""
        raise InputError(f"{path}, line {line}: {column} = {value!r}, expected {expected}; correct it{more}") from None


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
            f"refused: {refused}); expected some of each of {', '.join(LABELS)}, so add them"
        )
    return as_sentences(kept, source).sort_values("sentence_id", ignore_index=True), refused
