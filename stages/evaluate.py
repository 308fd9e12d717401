"""Score the fine-tuned model on the test sentences and compare it with every baseline.

The only place where a fine-tuned model meets the test sentences.
Run by DVC, or as `python -m stages.evaluate`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from finsentiment.corpus.cleaning import unique
from finsentiment.corpus.sources import read_csv
from finsentiment.errors import command
from finsentiment.evaluation import (
    apply_temperature,
    calibration_error,
    codes,
    compare,
    confusion,
    probability_table,
    reliability,
    scores,
    worst_errors,
)
from finsentiment.files import read_table, write_bytes, write_csv, write_json, write_table
from finsentiment.labels import LABELS
from finsentiment.llm.classifier import Reader
from finsentiment.llm.classifier import load as load_classifier
from finsentiment.params import Params
from finsentiment.pictures import confusion_picture, reliability_picture
from stages.parameters import load


def main() -> None:
    """Write scores, comparisons, plots and the worst errors."""
    params = load("evaluate")
    samples, bins = params.evaluate.bootstrap_samples, params.evaluate.calibration_bins
    test = read_table("data/splits/test.parquet")
    labels = codes(test["label"])

    classifier = load_classifier("models/adapter", threads=params.threads)
    logits = classifier.logits(test["text"].tolist())
    before, after = apply_temperature(logits, 1.0), apply_temperature(logits, classifier.temperature)

    baselines = read_table("data/baseline/predictions.parquet").set_index(["system", "sentence_id"])
    against = {}
    for system in baselines.index.unique("system"):
        theirs = baselines.loc[system].loc[test["sentence_id"]].to_numpy()
        against[system] = compare(after, theirs, labels, samples=samples, seed=params.seed)
    # the smaller lead is over the better reading
    best = min(("zero_shot", "zero_shot_calibrated"), key=lambda system: against[system]["difference"])
    ours = scores(after, labels, test["agreement"], samples=samples, seed=params.seed, bins=bins)
    ece_before = calibration_error(before, labels, bins)
    target = params.evaluate.target_accuracy
    write_json(
        "metrics/evaluate.json",
        {
            **ours,
            "ece_before": ece_before,
            "ece_after": ours["ece"],
            "temperature": classifier.temperature,
            "target": {"accuracy": target, "met": ours["accuracy"] >= target},
            "against": against,
            "best_zero_shot": {"system": best, **against[best]},
            **_transfer(classifier, params),
        },
    )

    predicted = [LABELS[code] for code in after.argmax(axis=1)]
    write_csv("metrics/evaluate/confusion.csv", pd.DataFrame({"actual": test["label"], "predicted": predicted}))
    curves = {"before": reliability(before, labels, bins), "after": reliability(after, labels, bins)}
    for scaling, curve in curves.items():
        write_csv(f"metrics/evaluate/reliability_{scaling}.csv", curve)
    write_csv("metrics/evaluate/errors.csv", worst_errors(test, after, params.evaluate.worst_errors))
    title = f"Fine-tuned: {ours['accuracy']:.1%} of {len(test)} sentences right"
    write_bytes("metrics/evaluate/confusion.png", confusion_picture(confusion(after, labels), title))
    picture = reliability_picture(curves["before"], curves["after"], (ece_before, ours["ece"]))
    write_bytes("metrics/evaluate/reliability.png", picture)
    table = pd.concat([test[["sentence_id", "label", "agreement"]], probability_table(after)], axis=1)
    write_table("data/evaluate/predictions.parquet", table)


def _transfer(classifier: Reader, params: Params) -> dict[str, Any]:
    """Scores on the labelled sentences of another domain, if a file of them is given."""
    rows = read_csv(params.evaluate.transfer_file, required=("text", "label"))
    if rows.empty:
        return {}
    kept, refused = unique(rows)
    labels = codes(kept["label"])
    found = scores(
        apply_temperature(classifier.logits(kept["text"].tolist()), classifier.temperature),
        labels,
        kept.get("agreement"),
        samples=params.evaluate.bootstrap_samples,
        seed=params.seed,
        bins=params.evaluate.calibration_bins,
    )
    return {"transfer": {**found, "refused": refused, "largest_class": np.bincount(labels).max() / len(labels)}}


if __name__ == "__main__":
    command(main)
