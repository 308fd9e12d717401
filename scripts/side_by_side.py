"""Lay recorded readers side by side: run as `python -m scripts.side_by_side NAME FOLDER...` after scripts.record.

Each FOLDER below results/ holds the runs of one reader, a seed each, all on the same test sentences. Writes
results/NAME/README.md: accuracy with intervals, paired comparisons, calibration, and what all of them get wrong. A
file notes.md in results/NAME, written by hand, stands at the end of the page.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
from sklearn.metrics import log_loss

from finsentiment.errors import InputError, run_main
from finsentiment.evaluation import INTERVAL, score_reading
from finsentiment.files import write_text
from finsentiment.labels import AGREEMENT_LEVELS, LABELS, label_codes, rows_by_agreement
from scripts.page import Run

SAMPLES, SEED, BINS = 2000, 0, 10
DOUBTED = 0.75
"""Share of agreeing annotators below which a label is in doubt."""


def runs_of(folder: Path) -> list[Run]:
    """The recorded runs of a reader. Raises InputError where there are none, or its base model saw the corpus."""
    runs = [Run(path.parent) for path in sorted(folder.glob("*/evaluate.json"))]
    if not runs:
        raise InputError(f"{folder}: no recorded evaluation below it; run `python -m scripts.record` first")
    if seen := next((run.scores["seen"] for run in runs if run.scores.get("seen")), ""):
        raise InputError(f"{folder}: left out of comparisons: {seen}")
    return runs


def hits(runs: list[Run], labels: np.ndarray) -> np.ndarray:
    """Share of the runs that read each sentence right, shape (n,)."""
    return np.mean([run.p.argmax(axis=1) == labels for run in runs], axis=0)


def difference(one: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """Mean of one less other over sentences, with its 95 % interval: sentences resampled in pairs."""
    apart = one - other
    draws = np.random.default_rng(SEED).integers(len(apart), size=(SAMPLES, len(apart)))
    low, high = np.quantile(apart[draws].mean(axis=1), INTERVAL)
    return float(apart.mean()), float(low), float(high)


def scores_table(readers: dict[str, list[Run]], labels: np.ndarray, agreement: np.ndarray) -> list[str]:
    """A row for each reader: means over its runs, with the interval that the sentences leave."""
    lines = ["| | runs | accuracy | 95 % interval | macro F1 | where all agree | calibration error | log-loss |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for name, runs in readers.items():
        found = [score_reading(r.p, labels, agreement, samples=SAMPLES, seed=SEED, bins=BINS) for r in runs]
        _, low, high = difference(hits(runs, labels), np.zeros(len(labels)))
        losses = [log_loss(labels, _whole(run.p), labels=range(len(LABELS))) for run in runs]
        values = [
            _spread([one["accuracy"] for one in found]),
            f"{low:.3f} to {high:.3f}",
            _spread([one["macro_f1"] for one in found]),
            _spread([one["per_agreement"]["100"]["accuracy"] for one in found if "100" in one["per_agreement"]]),
            _spread([one["ece"] for one in found]),
            _spread(losses),
        ]
        lines.append(f"| {name} | {len(runs)} | {' | '.join(values)} |")
    return lines


def _whole(p: np.ndarray) -> np.ndarray:
    """Probabilities that were rounded when they were recorded, so that a row's sum is 1 again."""
    return p / p.sum(axis=1, keepdims=True)


def _spread(values: list[float]) -> str:
    if not values:
        return ""
    return f"{np.mean(values):.3f}" + (f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else "")


def pairs_table(readers: dict[str, list[Run]], labels: np.ndarray) -> list[str]:
    """A row for each pair of readers."""
    lines = [
        "| | accuracy apart | 95 % interval | only the first right | only the second right |",
        "|---|---|---|---|---|",
    ]
    for one, other in itertools.combinations(readers, 2):
        a, b = hits(readers[one], labels), hits(readers[other], labels)
        mean, low, high = difference(a, b)
        only = [int(((x > 0.5) & (y < 0.5)).sum()) for x, y in ((a, b), (b, a))]
        lines.append(f"| {one} less {other} | {mean:+.3f} | {low:+.3f} to {high:+.3f} | {only[0]} | {only[1]} |")
    return lines


def errors_in_common(readers: dict[str, list[Run]], labels: np.ndarray, agreement: np.ndarray) -> list[str]:
    """What every run of every reader gets wrong, by how many annotators agreed on the label."""
    everywhere = [run for runs in readers.values() for run in runs]
    wrong = np.all([run.p.argmax(axis=1) != labels for run in everywhere], axis=0)
    same = np.all([run.p.argmax(axis=1) == everywhere[0].p.argmax(axis=1) for run in everywhere], axis=0)
    lines = [
        f"All {len(everywhere)} runs are wrong on {wrong.sum()} of {len(labels)} sentences, and on "
        f"{(wrong & same).sum()} of these they give the same other label."
    ]
    if np.isnan(agreement).all():
        return lines
    doubted = agreement < DOUBTED
    lines[0] += (
        f" On {(wrong & doubted).sum()} of the {wrong.sum()} less than three quarters of the annotators agreed, as on "
        f"{doubted.mean():.0%} of all sentences: there the label itself is in doubt."
    )
    lines += ["", "| annotators | sentences | wrong in all runs | share |", "|---|---|---|---|"]
    for name, rows in rows_by_agreement(agreement).items():
        if rows.any():
            share = wrong[rows].mean()
            lines.append(f"| {AGREEMENT_LEVELS[name][1]} | {rows.sum()} | {wrong[rows].sum()} | {share:.1%} |")
    return lines


def page(readers: dict[str, list[Run]], title: str, notes: str) -> str:
    """The page in Markdown. Raises InputError where the runs were evaluated on different sentences."""
    first = next(iter(readers.values()))[0].table
    if any(not run.table.index.equals(first.index) for runs in readers.values() for run in runs):
        raise InputError("the readers were evaluated on different sentences: give them the same split.test_file")
    labels, agreement = label_codes(first["label"]), first["agreement"].to_numpy(dtype=float)
    return "\n".join(
        [
            f"# {title}",
            "",
            f"{len(labels)} test sentences, the same for all. Means over the runs, which differ in their seed, ± the "
            "standard deviation between them. An interval says what other sentences would have changed.",
            "",
            *scores_table(readers, labels, agreement),
            "",
            "## In pairs",
            "",
            "For each sentence the share of a reader's runs that are right, less the other's. The last columns count "
            "the sentences that most runs of one read right and most of the other wrong.",
            "",
            *pairs_table(readers, labels),
            "",
            "## What all of them get wrong",
            "",
            *errors_in_common(readers, labels, agreement),
            *(["", notes.strip()] if notes else []),
            "",
        ]
    )


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="folder below results/ that the page goes to")
    parser.add_argument("readers", nargs="+", help="folders below results/ with the runs of a reader each")
    parser.add_argument("--title", help="of the page (default: the name)")
    given = parser.parse_args()
    root, notes = Path("results") / given.name, Path("results") / given.name / "notes.md"
    readers = {name: runs_of(Path("results") / name) for name in given.readers}
    told = notes.read_text(encoding="utf-8") if notes.is_file() else ""
    write_text(root / "README.md", page(readers, given.title or given.name, told))


if __name__ == "__main__":
    run_main(main)
