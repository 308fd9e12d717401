"""What a corpus looks like before anything is trained on it: classes, lengths, twins, sample texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from finsentiment.labels import LABELS, rows_by_agreement
from finsentiment.reporting.pictures import BLUE, GREY, ORANGE, png

COLOURS = dict(zip(LABELS, (ORANGE, GREY, BLUE), strict=True))
QUANTILES = {"min": 0.0, "p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "max": 1.0}


def describe_corpus(sentences: pd.DataFrame) -> dict[str, Any]:
    """Figures on the table `sentences`: `classes` (count, share), `words` (length), `twins` and `agreement`."""
    counts = sentences["label"].value_counts()
    length = word_counts(sentences)
    groups = sentences["twin_group"].value_counts()
    groups = groups[groups > 1]
    agreement = {name: int(rows.sum()) for name, rows in rows_by_agreement(sentences["agreement"]).items()}
    return {
        "classes": {label: {"count": counts[label], "share": counts[label] / len(sentences)} for label in LABELS},
        "words": {name: length.quantile(q) for name, q in QUANTILES.items()} | {"mean": length.mean()},
        "twins": {"groups": len(groups), "sentences": int(groups.sum()), "largest_group": max(groups, default=0)},
        "agreement": agreement | {"unknown": int(sentences["agreement"].isna().sum())},
    }


def word_counts(sentences: pd.DataFrame) -> pd.Series:
    """Number of words of each sentence, parted by white space."""
    return sentences["text"].str.split().str.len().rename("words")


def class_table(sentences: pd.DataFrame) -> pd.DataFrame:
    """Columns `label` and `count`, all classes in their order."""
    return sentences["label"].value_counts().reindex(list(LABELS)).rename_axis("label").reset_index(name="count")


def length_table(sentences: pd.DataFrame) -> pd.DataFrame:
    """Columns `words`, `label`, `count`: how many sentences of a class have how many words."""
    return sentences.groupby([word_counts(sentences), "label"]).size().reset_index(name="count")


def sample_table(sentences: pd.DataFrame, seed: int, each: int = 5) -> pd.DataFrame:
    """Columns `label`, `sentence_id`, `text`: up to `each` sentences of each class, drawn by `seed`."""
    shuffled = sentences.iloc[np.random.default_rng(seed).permutation(len(sentences))]
    drawn = shuffled.groupby("label").head(each).sort_values(["label", "sentence_id"])
    return drawn[["label", "sentence_id", "text"]]


def corpus_picture(sentences: pd.DataFrame) -> bytes:
    """PNG of the class balance beside the lengths of each class."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    counts = class_table(sentences)["count"]
    bars = left.bar(LABELS, counts, color=list(COLOURS.values()))
    left.bar_label(bars, [f"{count}\n{count / len(sentences):.0%}" for count in counts])
    left.set(title=f"{len(sentences)} sentences", ylabel="sentences")
    left.margins(y=0.2)
    length = word_counts(sentences)
    width = int(np.ceil(length.quantile(0.99) / 20))  # the few longest would flatten the rest
    bins = np.arange(0, 21 * width, width)
    for label, colour in COLOURS.items():
        of_class = length[sentences["label"] == label].clip(upper=bins[-1])
        weights = np.full(len(of_class), 1 / len(of_class))
        right.hist(of_class, bins, weights=weights, histtype="step", color=colour, label=label, linewidth=1.5)
    right.set(title="Length by class", xlabel=f"words (the last bar: {bins[-2]} or more)", ylabel="share of the class")
    right.legend()
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return png(figure)
