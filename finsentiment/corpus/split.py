"""Train, validation and test: stratified by label, twins on one side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from finsentiment import params
from finsentiment.corpus.cleaning import as_sentences
from finsentiment.corpus.twins import twin_groups, twins_across
from finsentiment.errors import InputError
from finsentiment.labels import LABELS

SIDES = ("train", "validation", "test")


def split_corpus(
    sentences: pd.DataFrame, listed: pd.DataFrame, settings: params.Split, seed: int
) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """Divide the sentences into train, validation and test.

    Parameters
    ----------
    sentences : the table `sentences`
    listed : the rows of `settings.test_file`; if there are any, they are the test, and every other sentence of
        their twin groups leaves the data. Without any, `settings.test_share` of all sentences is drawn.

    Returns
    -------
    the table `sentences` of each side, sorted by key, and the metrics: counts by side and class, sentences refused
    by reason, what the test file changed, and `twins_across_sides`: counted by comparing every pair, always 0

    Raises
    ------
    InputError
        The test file contradicts itself or has unknown sentences without labels; a class is absent from a side; twins
        lie across the sides.
    """
    rng = np.random.default_rng(seed)
    table, is_test, facts = _with_listed(sentences, listed, settings.test_file)
    table["twin_group"] = twin_groups(table, settings.twin_threshold)
    leaves = ~is_test & table["twin_group"].isin(table.loc[is_test, "twin_group"])
    table, is_test = table[~leaves], is_test[~leaves]
    total = len(table)
    if not is_test.any():
        is_test = draw_groups(table, settings.test_share * total, rng)
    rest = table[~is_test]
    is_validation = draw_groups(rest, settings.validation_share * total, rng)
    sides = {"train": rest[~is_validation], "validation": rest[is_validation], "test": table[is_test]}
    sides = {name: side.reset_index(drop=True) for name, side in sides.items()}
    classes = {name: {label: int((side["label"] == label).sum()) for label in LABELS} for name, side in sides.items()}
    for name, counts in classes.items():
        for label in LABELS:
            if not counts[label]:
                raise InputError(
                    f"the {name} side of the split has no {label} sentence ({total} sentences in all); expected some "
                    "of each class, so give a larger corpus, or change split.test_share, split.validation_share or "
                    "split.test_file"
                )
    across = ids_across(sides, settings.twin_threshold)
    if across:
        raise InputError(
            f"{len(across)} pairs of twins lie across the sides of the split, first the sentences "
            f"{' and '.join(across[0])}; the search for twins passed over them, so change split.twin_threshold a little"
        )
    return sides, {
        "rows_in": len(sentences),
        "rows_added": facts["added"],
        "rows_out": total,
        "refused": {"twin_of_test": int(leaves.sum())},
        "sides": {
            name: {"count": len(side), "share": len(side) / total, "classes": classes[name]}
            for name, side in sides.items()
        },
        "test_file": facts,
        "twin_groups": int((table["twin_group"].value_counts() > 1).sum()),
        "twins_across_sides": len(across),
    }


def draw_groups(table: pd.DataFrame, size: float, rng: np.random.Generator) -> pd.Series:
    """Draw whole twin groups that together have about `size` sentences and the label shares of `table`.

    Groups come in random order; one is taken if no class then has more than its part.

    Returns
    -------
    Series of bool, with the index of `table`
    """
    groups = pd.crosstab(table["twin_group"], table["label"])
    counts = groups.to_numpy()
    room = np.rint(size * counts.sum(axis=0) / len(table)).astype(int)
    taken = []
    for group in rng.permutation(len(groups)):
        if (counts[group] <= room).all():
            room = room - counts[group]
            taken.append(group)
    return table["twin_group"].isin(groups.index[taken])


def ids_across(sides: dict[str, pd.DataFrame], threshold: float) -> list[tuple[str, str]]:
    """Keys of all twins with one sentence on one side and one on another, every pair compared."""
    found = []
    for name, others in (("validation", ["train"]), ("test", ["train", "validation"])):
        one, other = sides[name], pd.concat([sides[side] for side in others], ignore_index=True)
        pairs = twins_across(one["text"].tolist(), other["text"].tolist(), threshold)
        found += [(one["sentence_id"][i], other["sentence_id"][j]) for i, j in pairs]
    return found


def _with_listed(
    sentences: pd.DataFrame, listed: pd.DataFrame, path: str
) -> tuple[pd.DataFrame, pd.Series, dict[str, int]]:
    """All sentences, the listed ones among them as the list has them; which are listed; and what the list changed.

    Where the list and the corpus differ in a label the list is right, since a figure measured on it is to be
    compared with what others measured on it. The annotators' agreement was on the corpus's label, so it goes.
    """
    once = listed.drop_duplicates([column for column in ("text", "label") if column in listed])
    twice = once[once["text"].duplicated(keep=False)].sort_values("text", kind="stable")
    if len(twice):
        raise InputError(
            f"{path}, lines {twice.index[0]} and {twice.index[1]}: one sentence, labelled {twice['label'].iloc[0]} and "
            f"{twice['label'].iloc[1]}; take one of the lines out"
        )
    table = sentences.drop(columns="twin_group")
    new = once[~once["text"].isin(table["text"])]
    if "label" in once:
        labels = dict(zip(once["text"], once["label"], strict=True))
        label = [labels.get(*row) for row in zip(table["text"], table["label"], strict=True)]
        changed = table["label"] != label
        table = table.assign(label=label, agreement=table["agreement"].mask(changed))
        table = pd.concat([table, as_sentences(new, "test_file")]) if len(new) else table
    elif len(new):
        raise InputError(
            f"{path}, line {new.index[0]}: the sentence {new['text'].iloc[0][:60]!r} is not in the corpus ({len(new)} "
            "such lines); correct it, or add a column label, so that it can be tested on nevertheless"
        )
    table = table.sort_values("sentence_id", ignore_index=True)
    return (
        table,
        table["text"].isin(once["text"]),
        {
            "rows": len(listed),
            "exact_duplicates": len(listed) - len(once),
            "labels_changed": int(changed.sum()) if "label" in once else 0,
            "added": len(new),
        },
    )
