"""Scores, comparisons, calibration and their pictures against hand-checked values and other libraries."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from finsentiment.calibration import apply_temperature, fit_temperature
from finsentiment.errors import InputError
from finsentiment.evaluation import (
    calibration_error,
    compare_paired,
    confusion_counts,
    per_class,
    probability_table,
    reliability_table,
    score_reading,
    worst_errors,
)
from finsentiment.files import write_json, write_text
from finsentiment.labels import label_codes
from finsentiment.reporting.pictures import confusion_picture, reliability_picture
from scripts.summary import experiments_known, summary, tries_in_words

SETTINGS = {"samples": 2000, "seed": 3, "bins": 10}


def drawn(n, skill=1.0, seed=0):
    """Probabilities and labels of `n` sentences; more `skill`, more often right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    logits = rng.normal(size=(n, 3))
    logits[np.arange(n), labels] += skill
    return apply_temperature(logits, 1.0), labels


def one_hot(predicted):
    return np.eye(3)[np.asarray(predicted)]


def test_label_names_become_codes_in_label_order():
    assert label_codes(["positive", "negative", "neutral"]).tolist() == [2, 0, 1]
    with pytest.raises(KeyError, match="bullish"):
        label_codes(["bullish"])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40))
def test_scores_agree_with_scikit_learn_even_where_a_class_is_absent(pairs):
    labels, predicted = np.array(pairs).T
    found = score_reading(one_hot(predicted), labels, samples=100, seed=0, bins=10)
    expected = precision_recall_fscore_support(labels, predicted, labels=[0, 1, 2], zero_division=0)
    table = [[found["per_class"][c][k] for c in found["per_class"]] for k in ("precision", "recall", "f1", "support")]
    np.testing.assert_allclose(table, expected)
    counts = confusion_matrix(labels, predicted, labels=[0, 1, 2])
    np.testing.assert_array_equal(confusion_counts(one_hot(predicted), labels), counts)
    assert found["accuracy"] == pytest.approx(np.mean(labels == predicted))
    macro = f1_score(labels, predicted, labels=[0, 1, 2], average="macro", zero_division=0)
    assert found["macro_f1"] == pytest.approx(macro)


def test_macro_f1_of_a_confusion_table_by_hand():
    # class 0: precision 2/3, recall 2/2, F1 0.8; class 1: 1/1, 1/2, 2/3; class 2: 1/1, 1/1, 1
    f1 = per_class(np.array([[2, 0, 0], [1, 1, 0], [0, 0, 1]]))[2]
    np.testing.assert_allclose(f1, [0.8, 2 / 3, 1])


def test_intervals_are_those_of_resampled_sentences():
    probabilities, labels = drawn(300)
    found = score_reading(probabilities, labels, **SETTINGS)
    predicted = probabilities.argmax(axis=1)
    rows = np.random.default_rng(9).integers(0, 300, (2000, 300))
    accuracy = np.quantile((labels == predicted)[rows].mean(axis=1), [0.025, 0.975])
    macro = np.quantile([f1_score(labels[r], predicted[r], average="macro") for r in rows[:400]], [0.025, 0.975])
    np.testing.assert_allclose([found["accuracy_low"], found["accuracy_high"]], accuracy, atol=0.01)
    np.testing.assert_allclose([found["macro_f1_low"], found["macro_f1_high"]], macro, atol=0.015)


def test_the_interval_of_the_accuracy_covers_the_truth_95_times_in_100():
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(200):
        right = rng.random(200) < 0.8
        found = score_reading(one_hot(np.where(right, 1, 0)), np.ones(200, dtype=int), samples=300, seed=seed, bins=2)
        covered += found["accuracy_low"] <= 0.8 <= found["accuracy_high"]
    assert 0.9 <= covered / 200 <= 0.99


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    probabilities, labels = drawn(300)
    assert score_reading(probabilities, labels, **SETTINGS) == score_reading(probabilities, labels, **SETTINGS)
    other = score_reading(probabilities, labels, **{**SETTINGS, "seed": 4})
    assert other["macro_f1_low"] != score_reading(probabilities, labels, **SETTINGS)["macro_f1_low"]


def test_each_agreement_level_holds_what_is_up_to_the_next_and_no_level_what_has_none():
    labels = np.array([0, 0, 0, 1, 1, 1])
    agreement = np.array([0.5, 0.66, 2 / 3, 0.75, 1.0, np.nan])
    found = score_reading(one_hot([0, 1, 0, 1, 0, 1]), labels, agreement, **SETTINGS)["per_agreement"]
    assert found == {
        "50": {"accuracy": 1, "sentences": 1},
        "66": {"accuracy": 0.5, "sentences": 2},
        "75": {"accuracy": 1, "sentences": 1},
        "100": {"accuracy": 0, "sentences": 1},
    }
    assert score_reading(one_hot(labels), labels, np.full(6, None), **SETTINGS)["per_agreement"] == {}


def test_mcnemar_counts_only_the_sentences_that_one_system_alone_got_right():
    # 9 right by ours alone, 2 by theirs alone, 20 by both, 5 by neither
    labels = np.zeros(36, dtype=int)
    ours, theirs = [0] * 9 + [1] * 2 + [0] * 20 + [1] * 5, [1] * 9 + [0] * 2 + [0] * 20 + [2] * 5
    found = compare_paired(one_hot(ours), one_hot(theirs), labels, samples=2000, seed=0)
    assert found["difference"] == pytest.approx(7 / 36)
    # 2 (C(11,0) + C(11,1) + C(11,2)) / 2**11 = 134 / 2048
    assert found["mcnemar_p"] == pytest.approx(134 / 2048)
    assert found["mcnemar_p"] == pytest.approx(2 * binom.cdf(2, 11, 0.5))
    back = compare_paired(one_hot(theirs), one_hot(ours), labels, samples=2000, seed=0)
    assert back["difference"] == -found["difference"]
    assert back["mcnemar_p"] == pytest.approx(found["mcnemar_p"])


def test_the_interval_of_a_difference_is_that_of_resampled_pairs():
    better, labels = drawn(400, skill=2)
    worse, _ = drawn(400, skill=2, seed=0)
    worse = one_hot(np.where(np.arange(400) % 5 == 0, 0, worse.argmax(axis=1)))
    found = compare_paired(better, worse, labels, samples=4000, seed=0)
    gain = (better.argmax(axis=1) == labels).astype(int) - (worse.argmax(axis=1) == labels)
    rows = np.random.default_rng(5).integers(0, 400, (4000, 400))
    expected = np.quantile(gain[rows].mean(axis=1), [0.025, 0.975])
    np.testing.assert_allclose([found["low"], found["high"]], expected, atol=0.005)


def test_a_system_compared_with_itself_shows_no_difference():
    probabilities, labels = drawn(50)
    found = compare_paired(probabilities, probabilities, labels, samples=200, seed=0)
    assert found == {"difference": 0, "low": 0, "high": 0, "mcnemar_p": 1}


def test_calibration_error_by_hand():
    # bin (0.6, 0.7]: confidence 0.65, right 1 in 2; bin (0.8, 0.9]: confidence 0.9, right 1 in 1
    probabilities = np.array([[0.6 + 0.02, 0.38, 0], [0.68, 0.32, 0], [0.05, 0.9, 0.05]])
    labels = np.array([0, 1, 1])
    assert calibration_error(probabilities, labels, 10) == pytest.approx((2 * 0.15 + 0.1) / 3)
    table = reliability_table(probabilities, labels, 10)
    assert table["count"].tolist() == [2, 1]
    np.testing.assert_allclose(table[["confidence", "accuracy"]], [[0.65, 0.5], [0.9, 1]])


def test_confidences_that_are_true_have_little_calibration_error():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([1, 1, 1], 20000)
    labels = (probabilities.cumsum(axis=1) < rng.random((20000, 1))).sum(axis=1)
    assert calibration_error(probabilities, labels, 10) < 0.015
    assert calibration_error(one_hot(probabilities.argmax(axis=1)), labels, 10) > 0.3


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_fitting_finds_the_temperature_that_the_labels_were_drawn_at(temperature):
    rng = np.random.default_rng(2)
    logits = rng.normal(scale=2, size=(20000, 3))
    cumulated = apply_temperature(logits, temperature).cumsum(axis=1)
    labels = (cumulated < rng.random((20000, 1))).sum(axis=1)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)
    shifted = logits - 7  # logits and log-probabilities are read alike
    assert fit_temperature(shifted, labels) == pytest.approx(fit_temperature(logits, labels), rel=1e-6)


def test_a_model_without_error_gets_a_temperature_at_the_bound_and_no_warning():
    assert 0.04 < fit_temperature(np.eye(3), np.arange(3), prior=np.inf) < 0.06


@settings(deadline=None, max_examples=50)
@given(arrays(float, (4, 3), elements=st.floats(-30, 0)), st.floats(0.05, 20))
def test_no_temperature_changes_the_most_likely_class(log_probabilities, temperature):
    scaled = apply_temperature(log_probabilities, temperature)
    before = log_probabilities.argmax(axis=1)
    # float64 can't tell apart what differs by less than its precision: then it is a tie, not another class
    np.testing.assert_array_equal(scaled[range(4), before], scaled.max(axis=1))
    np.testing.assert_allclose(scaled.sum(axis=1), 1)


def test_the_worst_errors_are_the_wrong_ones_most_confident_first():
    sentences = pd.DataFrame(
        {
            "sentence_id": list("abcd"),
            "text": list("wxyz"),
            "label": ["negative", "neutral", "positive", "positive"],
        }
    )
    probabilities = np.array([[0.9, 0.1, 0], [0.6, 0.3, 0.1], [0.7, 0.2, 0.1], [0.2, 0.6, 0.2]])
    found = worst_errors(sentences, probabilities, 2)
    assert found["sentence_id"].tolist() == ["c", "b"]
    assert found["predicted"].tolist() == ["negative", "negative"]
    assert found["confidence"].tolist() == [0.7, 0.6]
    assert worst_errors(sentences, probabilities, 0).empty


def test_probability_columns_are_named_in_label_order():
    assert list(probability_table(np.eye(3))) == ["p_negative", "p_neutral", "p_positive"]


def test_the_same_evaluation_draws_the_same_pictures():
    probabilities, labels = drawn(200)
    table = reliability_table(probabilities, labels, 10)

    def drawn_once():
        return (
            confusion_picture(confusion_counts(probabilities, labels), "title"),
            reliability_picture(table, table, (0.1, 0.05)),
        )

    first = drawn_once()
    assert first == drawn_once()
    assert all(picture.startswith(b"\x89PNG") and b"Software" not in picture for picture in first)


@pytest.fixture
def metrics(tmp_path):
    """The metrics folder of a small run."""
    better, labels = drawn(200, skill=3)
    worse, _ = drawn(200, skill=0, seed=0)
    systems = ("zero_shot", "zero_shot_calibrated", "tfidf", "lexicon", "majority")
    write_json(tmp_path / "baseline.json", {system: score_reading(worse, labels, **SETTINGS) for system in systems})
    lead = compare_paired(better, worse, labels, samples=200, seed=0)
    ours = {
        **score_reading(better, labels, **SETTINGS),
        "target": {"accuracy": 0.85, "met": True},
        "best_zero_shot": {"system": "zero_shot", **lead},
    }
    write_json(tmp_path / "evaluate.json", ours)
    words = (
        "Sentiment improves the forecast: mean daily rank IC 0.0500 with it and 0.0100 without, a difference of "
        "+0.0400 (95% interval +0.0200 to +0.0600, p = 0.001); 20 of 20 placebos with shuffled sentiment gain less "
        "(placebo p = 0.048)."
    )
    write_json(tmp_path / "backtest.json", {"verdict": "improves"})
    market = {"undated_news": 3, "undated_rule": "next_session", "tickers_like_split": 0, "tickers": 2}
    market |= {"tickers_without_prices": [{"ticker": "BRK.B", "rows": 2, "nearest": "BRK-B"}]}
    market |= {"news_in": 9, "news_out": 7, "prices_in": 5, "prices_out": 5, "converted": {}}
    market |= {"refused": {"news_ticker_without_prices": 2}}
    sentences = {"rows_in": 210, "rows_out": 200, "refused": {"exact_duplicate": 10}, "converted": {}}
    write_json(tmp_path / "prepare.json", {"sentences": sentences, "market": market})
    write_text(tmp_path / "backtest/verdict.txt", words)
    return tmp_path


def test_the_summary_says_how_good_the_verdict_and_that_the_market_is_simulated(metrics):
    text = summary(metrics, "sample", "simulated")
    for expected in (
        "200 test sentences",
        "the same, calibrated",
        "Target accuracy 0.85: met",
        "VERDICT: improves",
        "simulated market",
        "dvc metrics show",
        "dvc plots show",
        "p < 0.001",
    ):
        assert expected in text
    assert text.startswith("Data: 200 of 210 sentences, 7 of 9 headlines and 5 of 5 prices\nwarning: 3 of 7 headlines")
    assert "The prices have BRK-B for BRK.B: set" in " ".join(text.split())
    assert len(text.splitlines()) <= 30
    assert max(map(len, text.splitlines())) <= 80


def test_the_summary_of_a_real_market_says_nothing_of_a_simulated_one(metrics):
    text = summary(metrics, "phrasebank", "stocknet")
    assert "market stocknet" in text
    assert "simulated" not in text


def test_the_summary_of_an_unfinished_run_says_what_is_missing_and_what_to_do(metrics):
    (metrics / "backtest.json").unlink()
    with pytest.raises(InputError, match=r"backtest\.json is missing.*dvc repro"):
        summary(metrics, "sample", "simulated")


def test_the_summary_says_how_many_tries_the_answers_leave_out():
    assert tries_in_words(3, 3) == tries_in_words(0, 0) == ""
    assert tries_in_words(4, 3).startswith("DVC knows of 4 experiments, and the answers count 3 ")
    assert tries_in_words(4, 3).endswith("dvc exp run -S backtest.trials_before=4")


def test_the_experiments_that_dvc_keeps_are_counted_without_dvc_on_the_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.defpath)
    assert experiments_known() == 0, "no repository"
    dvc = [sys.executable, "-m", "dvc"]
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    for command in (
        ["git", "init", "-q"],
        [*dvc, "init", "-q"],
        ["git", "add", "-A"],
        [*git, "commit", "-qm", "start"],
    ):
        subprocess.run(command, check=True)
    for number in (2, 3):
        (tmp_path / "params.yaml").write_text(f"seed: {number}\n")
        subprocess.run([*dvc, "exp", "save", "-q", "-n", f"try-{number}"], check=True)
    assert experiments_known() == 2
