"""A look at labelled sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from finsentiment.check.report import Report, absolute, odd_keys
from finsentiment.corpus.cleaning import clean_corpus
from finsentiment.corpus.labelling import plain_label
from finsentiment.corpus.load import load_corpus
from finsentiment.corpus.twins import twin_groups
from finsentiment.errors import InputError
from finsentiment.intake.columns import Columns
from finsentiment.intake.tables import Layout, read_user_table
from finsentiment.labels import LABELS
from finsentiment.params import Corpus
from finsentiment.readers.lexicon import word_tones
from finsentiment.reporting.rows import row_line

TWIN_THRESHOLD = 0.8
MOST_FOR_TWINS = 20_000  # sentences among which twins are looked for: more take longer than seconds
SMALL_CLASS = 20  # fewer sentences than these can't be learnt and tested
CLEAR = 4.0  # standard errors between the tones of two labels, from which their order is taken for known
PLAIN: dict[str, Any] = {"columns": {}, "labels": {}, "encoding": None, "delimiter": None, "agreement": 50}


def check_corpus(path: str, source: Literal["csv", "phrasebank"] = "csv") -> Report:
    """Read the file as a corpus, trying what messages propose, and say what is in it."""
    found: dict[str, Any] = {}
    tried: list[dict[str, Any]] = []
    doubts: list[str] = []
    corpus = Corpus(source=source, path=path, **PLAIN)
    while True:
        try:
            rows = load_corpus(corpus)
            break
        except InputError as error:
            remedy = _completed(error.remedy, corpus, doubts)
            if not remedy or remedy in tried:
                return Report(f"{path}: taken for labelled sentences", found, doubts=doubts, error=str(error))
            if "corpus.encoding" in remedy:
                doubts.append(f"the encoding is a guess: {error}")
            tried.append(remedy)
            found |= remedy
            corpus = corpus.model_copy(update={name.partition(".")[2]: value for name, value in found.items()})
    parameters = {"corpus.source": source, "corpus.path": absolute(path), **found}
    report = Report(f"{path}: labelled sentences ({source})", parameters, doubts=doubts + odd_keys(found))
    rows_in = len(rows.rows) + sum(rows.refused.values())
    try:
        sentences, refused = clean_corpus(rows.rows, source, path)
    except InputError as error:
        report.error = str(error)
        return report
    refused |= rows.refused
    counts = {"rows_in": rows_in, "rows_out": len(sentences), "refused": refused, "converted": rows.converted}
    report.facts.append(row_line("sentences", counts))
    _describe(report, sentences, rows_in, refused)
    return report


def _describe(report: Report, sentences: pd.DataFrame, rows_in: int, refused: Mapping[str, int]) -> None:
    classes = sentences["label"].value_counts().reindex(list(LABELS))
    shares = ", ".join(f"{count} {label} ({count / len(sentences):.0%})" for label, count in classes.items())
    report.facts.append(f"classes: {shares}")
    words = sentences["text"].str.split().str.len()
    report.facts.append(f"length: {words.median():.0f} words in the median sentence, {words.max()} at most")
    if len(sentences) <= MOST_FOR_TWINS:
        groups = twin_groups(sentences, TWIN_THRESHOLD).value_counts()
        twins = int(groups[groups > 1].sum())
        report.facts.append(f"near-duplicates: {twins} sentences ({twins / len(sentences):.0%})")
    small = [label for label, count in classes.items() if count < SMALL_CLASS]
    if small:
        report.doubts.append(
            f"fewer than {SMALL_CLASS} sentences are {' or '.join(small)}: too few to learn from and to test on"
        )
    twice = refused["exact_duplicate"] / rows_in
    if twice > 0.05:
        report.doubts.append(f"{twice:.0%} of the rows repeat another one")
    if refused["conflicting_labels"]:
        report.doubts.append(f"{refused['conflicting_labels']} rows have a text that is labelled in two ways")


def _completed(remedy: dict[str, Any], corpus: Corpus, doubts: list[str]) -> dict[str, Any]:
    """The remedy, with labels that may mean anything shown, and guessed where their sentences are clear."""
    labels = remedy.get("corpus.labels", {})
    unknown = [label for label, ours in labels.items() if ours is None]
    if not unknown:
        return remedy
    wanted = Columns(("text", "label"), (), corpus.columns, "corpus.columns")
    rows = read_user_table(corpus.path, wanted, Layout(corpus.encoding, corpus.delimiter, "corpus")).rows
    words = pd.Series([plain_label(str(label)) for label in rows["label"].tolist()], index=rows.index, dtype="str")
    if not set(unknown) <= set(words):
        return {}
    texts = rows["text"].astype("str")
    doubts += [f"labelled {label}: {texts[words == label].iloc[0][:100]!r}" for label in unknown]
    guess = _by_tone(texts, words, unknown, _free(words, labels))
    if not guess:
        return {}
    said = ", ".join(f"{label} is {ours}" for label, ours in guess.items())
    doubts.append(f"what the labels mean is a guess from the words of all their sentences: {said}")
    return {**remedy, "corpus.labels": {**labels, **guess}}


def _free(words: pd.Series, labels: Mapping[str, str | None]) -> list[str]:
    """Our labels that stand for nothing in the file yet."""
    taken = {*labels.values(), *words.str.casefold()}
    return [label for label in LABELS if label not in taken]


def _by_tone(texts: pd.Series, labels: pd.Series, unknown: list[str], free: list[str]) -> dict[str, str]:
    """Each unknown label to one of the free ones, by the mean tone of its sentences in the finance lexicon.

    Nothing where the means of two labels are nearer than `CLEAR` standard errors.
    """
    if len(unknown) != len(free) or len(unknown) < 2:
        return {}
    try:
        tones = pd.Series(word_tones(texts), index=texts.index)
    except InputError:  # the lexicon is not installed
        return {}
    by_label = tones.groupby(labels).agg(["mean", "var", "size"]).loc[unknown].sort_values("mean", kind="stable")
    steps = by_label["mean"].diff().to_numpy()[1:]
    error = np.sqrt((by_label["var"] / by_label["size"]).rolling(2).sum().to_numpy()[1:])
    return dict(zip(by_label.index, free, strict=True)) if (steps > CLEAR * error).all() else {}
