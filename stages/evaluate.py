"""Score the fine-tuned model on the test sentences and compare it with every baseline.

The only place where a fine-tuned model meets the test sentences.
Run by DVC, or as `python -m stages.evaluate`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from finsentiment.corpus.cleaning import drop_duplicates
from finsentiment.corpus.sources.csv_file import read_sentences
from finsentiment.errors import run_main
from finsentiment.evaluation import (
    confusion_counts,
    evaluate_logits,
    probability_table,
    reliability_table,
    score_reading,
    worst_errors,
)
from finsentiment.files import read_table, write_bytes, write_csv, write_json, write_table
from finsentiment.labels import LABELS, label_codes
from finsentiment.llm.reader import Reader
from finsentiment.llm.saved import load_reader
from finsentiment.llm.seen import warning
from finsentiment.params import Params
from finsentiment.reporting.pictures import confusion_picture, reliability_picture
from stages.parameters import stage_params


def main() -> None:
    """Write scores, comparisons, plots and the worst errors."""
    params = stage_params("evaluate")
    test = read_table("data/splits/test.parquet")
    labels = label_codes(test["label"])
    reader = load_reader("models/adapter", params.device, params.threads)
    logits = reader.logits(test["text"].tolist())
    predictions = read_table("data/baseline/predictions.parquet").set_index(["system", "sentence_id"])
    systems = predictions.index.unique("system")
    baselines = {system: predictions.loc[system].loc[test["sentence_id"]].to_numpy() for system in systems}
    given = (labels, test["agreement"], baselines, params.evaluate, params.seed)
    found = evaluate_logits(logits, reader.temperature, *given)
    if seen := warning(params.model.spec, params.corpus.source):
        found.metrics["target"]["met"] = None  # neither met nor missed
    write_json("metrics/evaluate.json", {**found.metrics, "seen": seen, **_transfer(reader, params)})

    predicted = [LABELS[code] for code in found.after.argmax(axis=1)]
    write_csv("metrics/evaluate/confusion.csv", pd.DataFrame({"actual": test["label"], "predicted": predicted}))
    bins = params.evaluate.calibration_bins
    curves = {name: reliability_table(getattr(found, name), labels, bins) for name in ("before", "after")}
    for scaling, curve in curves.items():
        write_csv(f"metrics/evaluate/reliability_{scaling}.csv", curve)
    write_csv("metrics/evaluate/errors.csv", worst_errors(test, found.after, params.evaluate.worst_errors))
    title = f"{found.metrics['accuracy']:.1%} of {len(test)} sentences right"
    write_bytes("metrics/evaluate/confusion.png", confusion_picture(confusion_counts(found.after, labels), title))
    errors = (found.metrics["ece_before"], found.metrics["ece_after"])
    write_bytes("metrics/evaluate/reliability.png", reliability_picture(curves["before"], curves["after"], errors))
    table = pd.concat([test[["sentence_id", "label", "agreement"]], probability_table(found.after)], axis=1)
    write_table("data/evaluate/predictions.parquet", table)


def _transfer(reader: Reader, params: Params) -> dict[str, Any]:
    """Scores on the labelled sentences of another domain, if a file of them is given."""
    rows = read_sentences(params.evaluate.transfer_file).rows
    if rows.empty:
        return {}
    kept, refused = drop_duplicates(rows)
    labels = label_codes(kept["label"])
    p = reader.probabilities(reader.logits(kept["text"].tolist()))
    samples, bins = params.evaluate.bootstrap_samples, params.evaluate.calibration_bins
    found = score_reading(p, labels, kept.get("agreement"), samples=samples, seed=params.seed, bins=bins)
    return {"transfer": {**found, "refused": refused, "largest_class": np.bincount(labels).max() / len(labels)}}


if __name__ == "__main__":
    run_main(main)
