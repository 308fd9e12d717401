"""`make verify`: what counts as reproduced, and what it says where a run is not."""

from __future__ import annotations

import pytest

from scripts.verify import compare_figures, figures_of, tolerance_of

PUBLISHED = {
    "prepare.sentences.rows_out": 1500,
    "evaluate.accuracy": 0.867,
    "evaluate.target.met": True,
    "backtest.verdict": "improves",
    "backtest.gain.fine_tuned.mean": 0.024,
    "backtest.questions.informative.mean": 0.03,
    "backtest.questions.pays.answer": "yes",
    "evaluate.best_zero_shot.mcnemar_p": 0.001,
}


def test_the_first_pattern_that_fits_a_figure_is_its_tolerance() -> None:
    assert tolerance_of("prepare.sentences.words.mean") == 0.0
    assert tolerance_of("baseline.tfidf.accuracy") == 0.0 < tolerance_of("baseline.zero_shot.accuracy")
    assert tolerance_of("evaluate.accuracy") == 0.02 and tolerance_of("backtest.gain.fine_tuned.p") is None


@pytest.mark.parametrize(
    ("changed", "outside"),
    [
        ({}, []),
        ({"evaluate.accuracy": 0.870, "backtest.gain.fine_tuned.mean": 0.027}, []),
        ({"evaluate.best_zero_shot.mcnemar_p": 0.2}, []),  # shown, not judged
        ({"prepare.sentences.rows_out": 1499}, ["prepare.sentences.rows_out"]),
        ({"evaluate.accuracy": 0.70}, ["evaluate.accuracy"]),
        ({"backtest.verdict": "no evidence"}, ["backtest.verdict"]),
        ({"backtest.questions.pays.answer": "no evidence"}, ["backtest.questions.pays.answer"]),
        ({"backtest.questions.informative.mean": 0.06}, ["backtest.questions.informative.mean"]),
        ({"evaluate.accuracy": None}, ["evaluate.accuracy"]),
    ],
)
def test_only_what_lies_beyond_its_tolerance_is_not_reproduced(changed: dict[str, object], outside: list[str]) -> None:
    lines, found = compare_figures(PUBLISHED, PUBLISHED | changed)
    assert found == outside and len(lines) == len(changed)


def test_figures_are_the_leaves_of_the_json_files() -> None:
    files = {"metrics/evaluate.json": b'{"accuracy": 0.5, "target": {"met": true}}', "metrics/evaluate/a.png": b"\x89"}
    assert figures_of(files) == {"evaluate.accuracy": 0.5, "evaluate.target.met": True}
