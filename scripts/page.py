"""One page about an evaluation and its repeats: run as `python -m scripts.page NAME` after scripts.record.

Reads results/NAME, or the runs below it (results/NAME/seed-17, …), and writes README.md and pictures there: scores
with their spread over the runs, what the runs reach together, training curve, confusion, reliability, accuracy by
annotator agreement, and the errors that all runs share. A file notes.md in the folder, written by hand, stands at
the end of the page.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from finsentiment.calibration import apply_temperature
from finsentiment.errors import InputError, run_main
from finsentiment.evaluation import calibration_error, confusion_counts, reliability_table, score_reading
from finsentiment.files import read_json, write_bytes, write_text
from finsentiment.labels import AGREEMENT_LEVELS, LABELS, P_COLUMNS, label_codes, rows_by_agreement
from finsentiment.reporting.pictures import agreement_picture, confusion_picture, curve_picture, reliability_picture
from finsentiment.reporting.words import joined

TINY = np.finfo(float).tiny  # a probability that was rounded to 0 has no logarithm


class Run:
    """A recorded evaluation."""

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.info, self.scores = read_json(folder / "run.json"), read_json(folder / "evaluate.json")
        self.curve = pd.read_csv(folder / "finetune/curve.csv")
        self.table = pd.read_csv(folder / "evaluate/predictions.csv").set_index("sentence_id").sort_index()
        self.p = self.table[list(P_COLUMNS)].to_numpy()
        self.predicted = np.array(LABELS)[self.p.argmax(axis=1)]


def shared_errors(runs: list[Run]) -> pd.DataFrame:
    """The sentences that every run gets wrong, the surest error first.

    Returns
    -------
    DataFrame by `sentence_id` of `label`, `predicted` (by the mean of the probabilities), `confidence` (its mean
    probability) and `agreement`.
    """
    table, mean = runs[0].table, _together(runs)
    wrong = np.all([run.predicted != table["label"].to_numpy() for run in runs], axis=0)
    found = table[["label", "agreement"]].assign(
        predicted=np.array(LABELS)[mean.argmax(axis=1)], confidence=mean.max(axis=1)
    )
    return found[wrong].sort_values("confidence", ascending=False)


def _together(runs: list[Run]) -> np.ndarray:
    """Mean of the runs' probabilities, shape (n, 3)."""
    if any(not run.table.index.equals(runs[0].table.index) for run in runs):
        raise InputError("the runs were evaluated on different sentences: give them the same split.test_file")
    return np.mean([run.p for run in runs], axis=0)


def results_page(runs: list[Run], title: str, notes: str) -> str:
    """The page in Markdown."""
    pick = {
        "accuracy": lambda s: s["accuracy"],
        "macro F1": lambda s: s["macro_f1"],
        "accuracy where all annotators agree": lambda s: s["per_agreement"].get("100", {}).get("accuracy"),
        "expected calibration error": lambda s: s["ece"],
        "the same before temperature scaling": lambda s: s["ece_before"],
        "transfer: accuracy": lambda s: s.get("transfer", {}).get("accuracy"),
        "transfer: macro F1": lambda s: s.get("transfer", {}).get("macro_f1"),
        "transfer: largest class": lambda s: s.get("transfer", {}).get("largest_class"),
    }
    rows = {name: [get(run.scores) for run in runs] for name, get in pick.items()}
    several = len(runs) > 1
    head = ["", *(run.name for run in runs), *(["mean", "standard deviation"] if several else [])]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, values in rows.items():
        if None not in values:
            more = [np.mean(values), np.std(values, ddof=1)] if several else []
            lines.append(f"| {name} | {' | '.join(f'{value:.3f}' for value in [*values, *more])} |")
    sizes = f"{runs[0].scores['sentences']} test sentences"
    if "transfer" in runs[0].scores:
        sizes += f"; transfer: {runs[0].scores['transfer']['sentences']} sentences of another domain, never trained on"
    commands = [f"{run.info['command']}   # at {run.info['commit'][:7]}" for run in runs]
    return "\n".join(
        [
            f"# {title}",
            "",
            *["```console", *(f"$ {command}" for command in commands), "```"],
            "",
            *lines,
            "",
            f"{sizes}. Parameters, metrics, hashes and the environment lie beside this page.",
            *(["", f"**{runs[0].scores['seen']}.**"] if runs[0].scores.get("seen") else []),
            "",
            *([_ensemble(runs), ""] if several else []),
            "![training curve](curve.png)",
            "![confusion](confusion.png)",
            "![reliability](reliability.png)",
            *(["![accuracy by agreement](agreement.png)"] if runs[0].scores["per_agreement"] else []),
            "",
            *_errors(runs),
            *(["", notes.strip()] if notes else []),
            "",
        ]
    )


def _ensemble(runs: list[Run]) -> str:
    table = runs[0].table
    found = score_reading(
        _together(runs), label_codes(table["label"]), table["agreement"].to_numpy(), samples=2000, seed=0, bins=10
    )
    agreed = found["per_agreement"].get("100")
    return (
        f"An ensemble of the {len(runs)} (mean of their probabilities): accuracy {found['accuracy']:.3f} "
        f"(95 % interval {found['accuracy_low']:.3f} to {found['accuracy_high']:.3f}), "
        f"macro F1 {found['macro_f1']:.3f}, "
        + (f"accuracy where all annotators agree {agreed['accuracy']:.3f}, " if agreed else "")
        + f"expected calibration error {found['ece']:.3f}."
    )


def _errors(runs: list[Run]) -> list[str]:
    shared = shared_errors(runs)
    single = [int((run.predicted != run.table["label"]).sum()) for run in runs]
    sentences = len(runs[0].table)
    if len(runs) > 1:
        errors = joined([str(count) for count in single])
        said = f"Wrong in every run: {len(shared)} of {sentences} sentences; the runs have {errors} errors."
        lines = ["## Errors that all runs share", "", said]
    else:
        lines = ["## Errors", "", f"{single[0]} of {sentences} sentences are read wrong."]
    everywhere, wrong = (_by_level(table["agreement"]) for table in (runs[0].table, shared))
    if any(everywhere.values()):
        lines += ["", "| annotators | sentences | errors | share |", "|---|---|---|---|"]
        lines += [
            f"| {words} | {everywhere[name]} | {wrong[name]} | {wrong[name] / everywhere[name]:.1%} |"
            for name, (_, words) in AGREEMENT_LEVELS.items()
            if everywhere[name]
        ]
    lines += ["", "| label | read as | sentences |", "|---|---|---|"]
    pairs = shared.groupby(["label", "predicted"]).size().sort_values(ascending=False)
    return lines + [f"| {label} | {predicted} | {count} |" for (label, predicted), count in pairs.items()]


def _by_level(agreement: pd.Series) -> dict[str, int]:
    """Sentences at each level of agreement, those without a known agreement left out."""
    return {name: int(rows.sum()) for name, rows in rows_by_agreement(agreement).items()}


def pictures(runs: list[Run]) -> dict[str, bytes]:
    """File names and contents of the page's pictures, the runs taken together."""
    p, labels = np.concatenate([r.p for r in runs]), np.concatenate([label_codes(r.table["label"]) for r in runs])
    # p is softmax(logits / T), so this is softmax(logits)
    before = np.concatenate(
        [apply_temperature(np.log(np.maximum(r.p, TINY)), 1 / r.scores["temperature"]) for r in runs]
    )
    found = {
        "curve.png": curve_picture({run.name: run.curve for run in runs}),
        "confusion.png": confusion_picture(confusion_counts(p, labels), f"{(p.argmax(1) == labels).mean():.1%} right"),
        "reliability.png": reliability_picture(
            reliability_table(before, labels, 10),
            reliability_table(p, labels, 10),
            (calibration_error(before, labels, 10), calibration_error(p, labels, 10)),
        ),
    }
    levels: dict[str, Any] = {}
    for key, (_, name) in AGREEMENT_LEVELS.items():
        at = [run.scores["per_agreement"][key] for run in runs if key in run.scores["per_agreement"]]
        if at:
            right = [level["accuracy"] for level in at]
            levels[name] = (np.mean(right), min(right), max(right), at[0]["sentences"])
    return found | ({"agreement.png": agreement_picture(levels)} if levels else {})


def main() -> None:
    """Write the page and its pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="folder below results/")
    parser.add_argument("--title", help="of the page (default: the name)")
    given = parser.parse_args()
    root = Path("results") / given.name
    folders = [root] if (root / "evaluate.json").is_file() else sorted(p.parent for p in root.glob("*/evaluate.json"))
    if not folders:
        raise InputError(f"{root}: no recorded evaluation there; run `python -m scripts.record {given.name} ...` first")
    runs = [Run(folder) for folder in folders]
    notes = root / "notes.md"
    for name, content in pictures(runs).items():
        write_bytes(root / name, content)
    text = results_page(runs, given.title or given.name, notes.read_text(encoding="utf-8") if notes.is_file() else "")
    write_text(root / "README.md", text)


if __name__ == "__main__":
    run_main(main)
