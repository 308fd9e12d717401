"""A recorded run keeps its figures and no sentence of its corpus; a page tells of one run or of several."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finsentiment.errors import InputError
from finsentiment.files import read_json, write_csv, write_json, write_table
from scripts.page import Run, pictures, results_page, shared_errors
from scripts.side_by_side import difference, page, runs_of

ROOT = Path(__file__).parents[1]


def test_a_recorded_run_holds_figures_but_no_texts_and_no_folders_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "metrics/evaluate").mkdir(parents=True)
    (tmp_path / "metrics/evaluate.json").write_text('{"accuracy": 0.5}\n')
    (tmp_path / "metrics/report.html").write_text("<!doctype html>\n")
    (tmp_path / "metrics/evaluate/errors.csv").write_text("sentence_id,text,label\nab12,a secret,neutral\n")
    p = {"p_negative": 0.1, "p_neutral": 0.8, "p_positive": 0.1}
    predictions = pd.DataFrame([{"sentence_id": "ab12", "label": "neutral", "agreement": 1.0, **p}])
    write_table(tmp_path / "data/evaluate/predictions.parquet", predictions)
    (tmp_path / "params.yaml").write_text("corpus:\n  path: /home/me/corpus.csv # where it is\n")
    (tmp_path / "dvc.lock").write_text("deps:\n- path: data/sample/sentences.csv\n- path: /home/me/corpus.csv\n")
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for arguments in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "start"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    record = [sys.executable, "-m", "scripts.record", "mine", "dvc repro", "evaluate"]
    done = subprocess.run([*record, "report"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kept = {
        p.relative_to(tmp_path / "results/mine").as_posix(): p.read_text() for p in tmp_path.glob("results/mine/**/*.*")
    }
    assert set(kept) == {
        *("evaluate.json", "evaluate/errors.csv", "evaluate/predictions.csv"),
        *("report.html", "params.yaml", "dvc.lock", "run.json"),
    }
    assert not any("secret" in text or "/home/me" in text for text in kept.values())
    assert "path: corpus.csv # where it is" in kept["params.yaml"] and "data/sample/sentences.csv" in kept["dvc.lock"]

    missing = subprocess.run([*record, "backtest"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert missing.returncode == 1 and missing.stderr.startswith("error: metrics/backtest.json is missing")


def recorded(folder: Path, positive: list[float], agreement: list[float | None]) -> Run:
    """A run on sentences whose labels are all positive, each read as positive with the given probability."""
    n = len(positive)
    table = pd.DataFrame({"sentence_id": [f"s{i}" for i in range(n)], "label": "positive", "agreement": agreement})
    table = table.assign(p_negative=0.0, p_neutral=[1 - p for p in positive], p_positive=positive)
    write_csv(folder / "evaluate/predictions.csv", table)
    curve = {"epoch": [1, 2], "train_loss": [1.0, 0.5], "validation_loss": [0.9, 0.6], "accuracy": [0.5, 0.8]}
    write_csv(folder / "finetune/curve.csv", pd.DataFrame(curve))
    right = sum(p > 0.5 for p in positive) / n
    scores = {"sentences": n, "accuracy": right, "macro_f1": right, "ece": 0.1, "ece_before": 0.2, "temperature": 2.0}
    levels = {"100": {"accuracy": right, "sentences": n}} if agreement[0] else {}
    write_json(folder / "evaluate.json", scores | {"per_agreement": levels})
    write_json(folder / "run.json", {"command": "dvc exp run", "commit": "0123456789"})
    return Run(folder)


def test_a_page_gives_mean_and_spread_and_the_errors_that_all_runs_share(tmp_path: Path) -> None:
    agreement = [1.0, 1.0, 0.5, 0.75]
    one = recorded(tmp_path / "seed-1", [0.9, 0.2, 0.4, 0.7], agreement)  # wrong: s1, s2
    two = recorded(tmp_path / "seed-2", [0.9, 0.9, 0.1, 0.4], agreement)  # wrong: s2, s3
    shared = shared_errors([one, two])
    assert shared.index.tolist() == ["s2"]
    assert shared.loc["s2", "confidence"] == pytest.approx(0.75) and shared.loc["s2", "predicted"] == "neutral"
    text = results_page([one, two], "two seeds", "What a reader saw.")
    assert "| accuracy | 0.500 | 0.500 | 0.500 | 0.000 |" in text
    # The means are 0.9, 0.55, 0.25 and 0.55: three of four right, no other class there to be found.
    assert "of the 2 (mean of their probabilities): accuracy 0.750 (" in text and "macro F1 0.286" in text
    assert "accuracy where all annotators agree 1.000" in text and "ensemble" not in results_page([one], "one", "")
    assert "\n2 of 4 sentences are read wrong.\n" in results_page([one], "one", "")
    assert (
        "Wrong in every run: 1 of 4 sentences; the runs have 2 and 2 errors." in text
        and "| less than 66 % | 1 | 1 | 100.0% |" in text
    )
    assert text.rstrip().endswith("What a reader saw.") and "transfer" not in text
    assert set(pictures([one, two])) == {"curve.png", "confusion.png", "reliability.png", "agreement.png"}


def test_runs_on_different_sentences_make_no_page(tmp_path: Path) -> None:
    runs = [recorded(tmp_path / str(n), [0.9] * n, [1.0] * n) for n in (2, 3)]
    with pytest.raises(InputError, match="different sentences"):
        shared_errors(runs)


def test_a_corpus_without_agreement_makes_a_page_without_levels(tmp_path: Path) -> None:
    run = recorded(tmp_path / "one", [0.9, 0.2], [None, None])
    assert "annotators |" not in results_page([run], "one", "") and "agreement.png" not in pictures([run])


def test_readers_side_by_side_are_compared_in_pairs_of_sentences(tmp_path: Path) -> None:
    """One reads both of its runs alike, right on three of four; the other on one, and all are wrong on the last."""
    agreement = [1.0, 1.0, 1.0, 0.5]
    for seed in ("seed-17", "seed-18"):
        recorded(tmp_path / "one" / seed, [0.9, 0.9, 0.9, 0.1], agreement)
    recorded(tmp_path / "other/seed-17", [0.9, 0.1, 0.1, 0.1], agreement)
    text = page({name: runs_of(tmp_path / name) for name in ("one", "other")}, "Two", "")
    assert "| one less other | +0.500 |" in text and " | 2 | 0 |" in text
    assert "All 3 runs are wrong on 1 of 4 sentences" in text and "On 1 of the 1 less than three quarters" in text
    assert "| less than 66 % | 1 | 1 | 100.0% |" in text and "| all agree | 3 | 0 | 0.0% |" in text


def test_a_difference_that_every_sentence_shares_has_no_spread() -> None:
    assert difference(np.ones(5), np.zeros(5)) == (1.0, 1.0, 1.0)


def test_a_reader_whose_base_model_saw_the_corpus_stands_beside_no_other(tmp_path: Path) -> None:
    recorded(tmp_path / "finbert/seed-17", [0.9], [1.0])
    file = tmp_path / "finbert/seed-17/evaluate.json"
    write_json(file, read_json(file) | {"seen": "ProsusAI/finbert was trained on Financial PhraseBank"})
    with pytest.raises(InputError, match="left out of comparisons: ProsusAI/finbert was trained on"):
        runs_of(tmp_path / "finbert")
