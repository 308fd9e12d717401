"""How good a classifier is: scores with intervals, paired comparisons, calibration.

Probabilities are arrays of shape (n, 3) with columns in the order of `LABELS`; `labels` are the true classes as
codes 0 to 2, shape (n,). The class with the highest probability is predicted, the first of equals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, log_loss
from statsmodels.stats.contingency_tables import mcnemar

from finsentiment.calibration import apply_temperature
from finsentiment.labels import LABELS, P_COLUMNS, rows_by_agreement
from finsentiment.params import Evaluate

INTERVAL = (0.025, 0.975)


def confusion_counts(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts of sentences by true class (rows) and predicted class (columns), shape (3, 3)."""
    return confusion_matrix(labels, probabilities.argmax(axis=1), labels=range(len(LABELS)))


def per_class(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 of each class.

    Parameters
    ----------
    counts
        One confusion table or many, shape (..., 3, 3), true classes in rows.

    Returns
    -------
    tuple of arrays of shape (..., 3); 0 where there was nothing to divide by.
    """
    hits = np.diagonal(counts, axis1=-2, axis2=-1).astype(float)
    actual, predicted = counts.sum(axis=-1), counts.sum(axis=-2)

    def share(of: np.ndarray) -> np.ndarray:
        return np.divide(hits, of, out=np.zeros_like(hits), where=of > 0)

    return share(predicted), share(actual), share((actual + predicted) / 2)


def score_reading(
    probabilities: np.ndarray,
    labels: np.ndarray,
    agreement: np.ndarray | None = None,
    *,
    samples: int,
    seed: int,
    bins: int,
) -> dict[str, Any]:
    """Every score of one system; the keys are the same for all systems on the same sentences.

    The intervals are 95 % percentile intervals of a bootstrap over sentences. Accuracy and F1 depend on a resample
    only through its confusion table, and the table of n sentences drawn with replacement is a multinomial draw of
    n from the table's shares: so that is what is drawn.

    Parameters
    ----------
    probabilities, labels
        Shapes (n, 3) and (n,).
    agreement
        Share of annotators who agreed on each label, 0.5 to 1 or NaN, shape (n,); sentences without one are in no
        agreement level.
    samples, seed, bins
        Bootstrap samples, their seed, and the number of bins of the calibration error.
    """
    counts = confusion_counts(probabilities, labels)
    draws = np.random.default_rng(seed).multinomial(len(labels), counts.ravel() / len(labels), size=samples)
    draws = draws.reshape(samples, *counts.shape)
    precision, recall, f1 = per_class(counts)
    accuracy_low, accuracy_high = np.quantile(np.trace(draws, axis1=1, axis2=2) / len(labels), INTERVAL)
    f1_low, f1_high = np.quantile(per_class(draws)[2].mean(axis=1), INTERVAL)
    right = probabilities.argmax(axis=1) == labels
    return {
        "sentences": len(labels),
        "accuracy": right.mean(),
        "accuracy_low": accuracy_low,
        "accuracy_high": accuracy_high,
        "macro_f1": f1.mean(),
        "macro_f1_low": f1_low,
        "macro_f1_high": f1_high,
        "ece": calibration_error(probabilities, labels, bins),
        "per_class": {
            label: {"precision": precision[i], "recall": recall[i], "f1": f1[i], "support": counts[i].sum()}
            for i, label in enumerate(LABELS)
        },
        "per_agreement": {} if agreement is None else _per_agreement(right, agreement),
    }


def _per_agreement(right: np.ndarray, agreement: np.ndarray) -> dict[str, Any]:
    """Accuracy by agreement level, where there are sentences at it."""
    found = {name: right[rows] for name, rows in rows_by_agreement(agreement).items()}
    return {name: {"accuracy": hits.mean(), "sentences": len(hits)} for name, hits in found.items() if len(hits)}


def compare_paired(
    probabilities: np.ndarray, against: np.ndarray, labels: np.ndarray, *, samples: int, seed: int
) -> dict[str, float]:
    """Paired comparison of two systems on the same sentences.

    Returns
    -------
    dict with `difference` (accuracy of the first less that of the second), `low` and `high` (its 95 % percentile
    interval, sentences resampled in pairs, drawn as in `score_reading`) and `mcnemar_p` (McNemar's test, exact and
    two-sided: among the sentences that only one system got right, is each as often the one?).
    """
    ours, theirs = (p.argmax(axis=1) == labels for p in (probabilities, against))
    table = np.array([[(a & b).sum() for b in (theirs, ~theirs)] for a in (ours, ~ours)])
    draws = np.random.default_rng(seed).multinomial(len(labels), table.ravel() / len(labels), size=samples)
    low, high = np.quantile((draws[:, 1] - draws[:, 2]) / len(labels), INTERVAL)
    difference = (table[0, 1] - table[1, 0]) / len(labels)
    return {"difference": difference, "low": low, "high": high, "mcnemar_p": mcnemar(table, exact=True).pvalue}


@dataclass(frozen=True)
class Evaluation:
    """The fine-tuned model on the test sentences.

    metrics : its scores, its calibration before and after the temperature, and its lead over each baseline
    before, after : probabilities (n, 3) without and with the temperature
    """

    metrics: dict[str, Any]
    before: np.ndarray
    after: np.ndarray


def evaluate_logits(
    logits: np.ndarray,
    temperature: float,
    labels: np.ndarray,
    agreement: np.ndarray,
    baselines: dict[str, np.ndarray],
    settings: Evaluate,
    seed: int,
) -> Evaluation:
    """Score the fine-tuned model and compare it with every baseline on the same sentences.

    Parameters
    ----------
    logits : (n, 3), before the temperature
    agreement : (n,) share of annotators who agreed, or NaN
    baselines : probabilities (n, 3) by system; `zero_shot` and `zero_shot_calibrated` are among them
    settings : the section evaluate of the parameters
    """
    samples, bins = settings.bootstrap_samples, settings.calibration_bins
    before, after = apply_temperature(logits, 1.0), apply_temperature(logits, temperature)
    against = {
        system: compare_paired(after, theirs, labels, samples=samples, seed=seed)
        for system, theirs in baselines.items()
    }
    # the smaller lead is over the better reading
    best = min(("zero_shot", "zero_shot_calibrated"), key=lambda system: against[system]["difference"])
    ours = score_reading(after, labels, agreement, samples=samples, seed=seed, bins=bins)
    metrics = {
        **ours,
        "log_loss_before": log_loss(labels, before, labels=range(len(LABELS))),
        "log_loss_after": log_loss(labels, after, labels=range(len(LABELS))),
        "ece_before": calibration_error(before, labels, bins),
        "ece_after": ours["ece"],
        "temperature": temperature,
        "target": {"accuracy": settings.target_accuracy, "met": ours["accuracy"] >= settings.target_accuracy},
        "against": against,
        "best_zero_shot": {"system": best, **against[best]},
    }
    return Evaluation(metrics, before, after)


def reliability_table(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> pd.DataFrame:
    """Confidence against accuracy, in bins of equal width.

    Bin m of M holds the sentences whose highest probability is in ((m - 1) / M, m / M].

    Returns
    -------
    DataFrame with a row for each bin that is not empty: `confidence` and `accuracy` (means) and `count`.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    placed = np.ceil(confidence * bins).astype(int)
    count = np.bincount(placed)
    filled = count > 0
    means = {
        name: np.bincount(placed, values)[filled] / count[filled]
        for name, values in (("confidence", confidence), ("accuracy", right))
    }
    return pd.DataFrame({**means, "count": count[filled]})


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> float:
    """Expected calibration error: the mean over sentences of |accuracy - confidence| of their bin.

    Guo et al. (2017), "On Calibration of Modern Neural Networks", equation 3; bins as in `reliability_table`.
    """
    table = reliability_table(probabilities, labels, bins)
    return float(np.average(np.abs(table["accuracy"] - table["confidence"]), weights=table["count"]))


def worst_errors(sentences: pd.DataFrame, probabilities: np.ndarray, count: int) -> pd.DataFrame:
    """The wrong predictions with the highest confidence, at most `count`, the most confident first.

    Returns
    -------
    DataFrame of `sentence_id`, `text`, `label`, `predicted`, `confidence`.
    """
    table = sentences[["sentence_id", "text", "label"]].assign(
        predicted=np.array(LABELS)[probabilities.argmax(axis=1)], confidence=probabilities.max(axis=1)
    )
    wrong = table[(table["predicted"] != table["label"]).to_numpy()]
    return wrong.sort_values(["confidence", "sentence_id"], ascending=[False, True]).head(count)


def probability_table(probabilities: np.ndarray) -> pd.DataFrame:
    """Probabilities (n, 3) as columns `p_negative`, `p_neutral`, `p_positive`."""
    return pd.DataFrame(np.asarray(probabilities, dtype=float), columns=list(P_COLUMNS))
