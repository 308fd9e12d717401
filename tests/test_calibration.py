"""The temperature: over resampled validation sets, no worse on what was left out than none at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax

from finsentiment.calibration import PRIOR, fit_temperature
from finsentiment.labels import P_COLUMNS, label_codes

ROOT = Path(__file__).parents[1]
WIDTHS = (0.1, PRIOR, 0.3, np.inf)
PHRASEBANK = sorted(ROOT.glob("results/phrasebank-50*/seed-*"))
VALIDATION = 226  # sentences, as in the default run


def log_loss(log_p: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    return float(-log_softmax(log_p / temperature, axis=1)[np.arange(len(labels)), labels].mean())


def gains(log_p: np.ndarray, labels: np.ndarray, prior: float = PRIOR) -> np.ndarray:
    """Log-loss on what was left out, less that without a temperature, for ten resampled validation sets."""
    found = []
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(len(labels))
        kept, left = order[:VALIDATION], order[VALIDATION:]
        temperature = fit_temperature(log_p[kept], labels[kept], prior)
        found.append(log_loss(log_p[left], labels[left], temperature) - log_loss(log_p[left], labels[left], 1.0))
    return np.array(found)


@pytest.mark.parametrize("run", PHRASEBANK, ids=lambda run: f"{run.parent.name}-{run.name}")
def test_on_phrasebank_the_temperature_lowers_the_log_loss_nearly_as_much_as_without_a_prior(run: Path) -> None:
    table = pd.read_csv(run / "evaluate/predictions.csv")
    scaled_by = json.loads((run / "evaluate.json").read_text())["temperature"]
    # what the run predicted before its own temperature, up to a constant per row
    log_p, labels = np.log(table[list(P_COLUMNS)].to_numpy()) * scaled_by, label_codes(table["label"])
    gain = gains(log_p, labels).mean()
    assert gain < -0.005 and gain < 0.9 * gains(log_p, labels, prior=np.inf).mean()


@pytest.mark.parametrize("seed", range(3))
def test_where_the_confidence_is_right_already_the_prior_saves_most_of_what_a_temperature_costs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2.0, size=(2000, 3))
    p = np.exp(log_softmax(logits, axis=1))
    labels = (p.cumsum(axis=1) < rng.random((2000, 1))).sum(axis=1)
    cost, alone = gains(logits, labels).mean(), gains(logits, labels, prior=np.inf).mean()
    assert cost < 0.8 * alone and cost < 0.003


def test_the_default_run_is_no_worse_for_its_temperature_and_no_other_width_of_the_prior_is_better() -> None:
    table = pd.read_csv(ROOT / "tests/data/default_logits.csv")
    logits, labels = table[["negative", "neutral", "positive"]].to_numpy(), label_codes(table["label"])
    found = {width: gains(logits, labels, width).mean() for width in WIDTHS}
    assert found[PRIOR] <= 0.0 and min(found, key=found.__getitem__) == PRIOR


def test_few_sentences_move_the_temperature_less_than_many() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(scale=4.0, size=(4000, 3))
    p = np.exp(log_softmax(logits / 2, axis=1))
    labels = (p.cumsum(axis=1) < rng.random((4000, 1))).sum(axis=1)
    few, many = (fit_temperature(logits[:n], labels[:n]) for n in (40, 4000))
    alone = fit_temperature(logits[:40], labels[:40], prior=np.inf)
    assert abs(np.log(few)) < abs(np.log(alone)) and many == pytest.approx(2.0, rel=0.05)
