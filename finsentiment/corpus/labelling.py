"""The labels of a file as ours: negative, neutral, positive."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from finsentiment.errors import InputError
from finsentiment.intake.columns import in_yaml
from finsentiment.intake.tables import also, where
from finsentiment.labels import LABELS, LIKELY
from finsentiment.text import clean_text

MOST_LABELS = 8  # more kinds than these are no labels
LONGEST_LABEL = 40  # characters; what is longer is a text
SEVERAL, LEFT_OUT = "several_labels", "label_left_out"


def our_labels(
    values: pd.Series, mapping: Mapping[str, str | None], path: object, parameter: str | None
) -> tuple[pd.Series, dict[str, int]]:
    """The labels of a file in our words.

    Our own words are taken in any case; for others `mapping` says what they are, or None: such rows are left out. A
    label per company, as JSON (`{"ACME": "positive"}`), counts where all companies have the same.

    Returns
    -------
    labels : Series over the rows that are left
    refused : rows left out by reason: `several_labels`, `label_left_out`; reasons that hold nowhere are missing

    Raises
    ------
    InputError
        A label is empty or unknown: it shows every unknown label, how often it is there, and the mapping to write.
    """
    texts = pd.Series(["" if _is_missing(v) else str(v).strip() for v in values.tolist()], values.index, dtype="object")
    known = {label: label for label in LABELS} | {plain_label(k).casefold(): v for k, v in mapping.items()}
    known |= {label.strip().casefold(): ours for label, ours in mapping.items()}
    read = {text: text if text.casefold() in known else plain_label(text) for text in texts.unique()}
    found = {text: SEVERAL if plain == SEVERAL else known.get(plain.casefold(), "") for text, plain in read.items()}
    labels = texts.map(found)
    unknown = labels == ""
    if unknown.any():
        first = unknown.idxmax()
        counts = texts[unknown].map(read).value_counts()
        mend, remedy = _remedy(counts, mapping, parameter)
        raise InputError(
            f"{where(path, values, first)}: label = {texts[first][:LONGEST_LABEL]!r}, expected {', '.join(LABELS)}"
            f"{also(int(unknown.sum()))}; {mend}",
            remedy,
        )
    refused = {SEVERAL: int((labels == SEVERAL).sum()), LEFT_OUT: int(labels.isna().sum())}
    labels = labels[labels.notna() & (labels != SEVERAL)]
    return labels.astype("str"), {reason: count for reason, count in refused.items() if count}


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value != value


def plain_label(text: str) -> str:
    """A label as a word: without invisible characters and `.0`; of a list or mapping the one that all agree on."""
    text = clean_text(text)
    if re.fullmatch(r"-?\d+\.0+", text):
        return text.partition(".")[0]
    if text[:1] in ("{", "["):
        for parse in (json.loads, ast.literal_eval):
            try:
                inner = parse(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
                continue
            if not isinstance(inner, (dict, list)):
                return text
            words = {plain_label(str(word)) for word in (inner.values() if isinstance(inner, dict) else inner)}
            return words.pop() if len({word.casefold() for word in words}) == 1 else SEVERAL if words else ""
    return text


def _remedy(
    counts: pd.Series, mapping: Mapping[str, str | None], parameter: str | None
) -> tuple[str, dict[str, dict[str, str | None]]]:
    """What to do about unknown labels, and the parameter that does it: None for a label that may be anything."""
    shown = ", ".join(f"{str(label)[:LONGEST_LABEL]!r} ({count})" for label, count in counts.head(MOST_LABELS).items())
    more = f" and {len(counts) - MOST_LABELS} others" if len(counts) > MOST_LABELS else ""
    if set(counts.index) == {""}:
        return "give a label or take the row out", {}
    if parameter is None:
        return f"the file has {shown}{more}; write {', '.join(LABELS)} in place of them", {}
    if more or counts.index.astype("str").str.len().max() > LONGEST_LABEL:
        said = f"the file has {shown}{more}: is this the column of labels? if not, set corpus.columns={{label: NAME}}"
        return said, {}
    guess = {str(label): _likely(str(label)) for label in counts.index if label}
    say = in_yaml({**mapping, **{label: ours or "|".join(LABELS) for label, ours in guess.items()}})
    said = f"the file has {shown}: say what each is, as in {parameter}={say} (null leaves such rows out)"
    return said, {parameter: {**mapping, **guess}}


def _likely(label: str) -> str | None:
    return next((ours for ours, words in LIKELY.items() if label.casefold() in words), None)
