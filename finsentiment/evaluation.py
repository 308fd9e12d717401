"""How good a classifier is: scores with intervals, paired comparisons, calibration.

Probabilities are arrays of shape (n, 3) with columns in the order of `LABELS`; `labels` are the true classes as
codes 0 to 2, shape (n,). The class with the highest probability is predicted, the first of equals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from statsmodels.stats.contingency_tables import mcnemar

from finsentiment.labels import LABELS

# The four levels of Financial PhraseBank: name (percent) and least share of agreeing annotators.
AGREEMENT_LEVELS = {"50": 0.5, "66": 0.66, "75": 0.75, "100": 1.0}
INTERVAL = (0.025, 0.975)


def codes(labels: Sequence[str]) -> np.ndarray:
    """Codes 0 to 2 of label names in the order of `LABELS`, shape (n,), integers.

    Raises KeyError on a name that is not in `LABELS`.
    """
    code = {label: i for i, label in enumerate(LABELS)}
    return np.array([code[label] for label in labels], dtype=int)


def confusion(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts of sentences by true class (rows) and predicted class (columns), shape (3, 3)."""
    counts = np.zeros((len(LABELS), len(LABELS)), dtype=int)
    np.add.at(counts, (labels, probabilities.argmax(axis=1)), 1)
    return counts


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


def scores(
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
    counts = confusion(probabilities, labels)
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
        "per_agreement": {} if agreement is None else _per_agreement(right, np.asarray(agreement, dtype=float)),
    }


def _per_agreement(right: np.ndarray, agreement: np.ndarray) -> dict[str, Any]:
    """Accuracy by agreement level: from the level's least share up to, not including, the next one's."""
    level = np.searchsorted(list(AGREEMENT_LEVELS.values()), agreement, side="right") - 1
    found = {name: right[(level == i) & ~np.isnan(agreement)] for i, name in enumerate(AGREEMENT_LEVELS)}
    return {name: {"accuracy": hits.mean(), "sentences": len(hits)} for name, hits in found.items() if len(hits)}


def compare(
    probabilities: np.ndarray, against: np.ndarray, labels: np.ndarray, *, samples: int, seed: int
) -> dict[str, float]:
    """Paired comparison of two systems on the same sentences.

    Returns
    -------
    dict with `difference` (accuracy of the first less that of the second), `low` and `high` (its 95 % percentile
    interval, sentences resampled in pairs, drawn as in `scores`) and `mcnemar_p` (McNemar's test, exact and
    two-sided: among the sentences that only one system got right, is each as often the one?).
    """
    ours, theirs = (p.argmax(axis=1) == labels for p in (probabilities, against))
    table = np.array([[(a & b).sum() for b in (theirs, ~theirs)] for a in (ours, ~ours)])
    draws = np.random.default_rng(seed).multinomial(len(labels), table.ravel() / len(labels), size=samples)
    low, high = np.quantile((draws[:, 1] - draws[:, 2]) / len(labels), INTERVAL)
    difference = (table[0, 1] - table[1, 0]) / len(labels)
    return {"difference": difference, "low": low, "high": high, "mcnemar_p": mcnemar(table, exact=True).pvalue}


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> pd.DataFrame:
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

    Guo et al. (2017), "On Calibration of Modern Neural Networks", equation 3; bins as in `reliability`.
    """
    table = reliability(probabilities, labels, bins)
    return float(np.average(np.abs(table["accuracy"] - table["confidence"]), weights=table["count"]))


def apply_temperature(log_probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities at a temperature: above 1 less confident, below 1 more, and never another class on top.

    Guo et al. (2017), equation 9. `log_probabilities` (n, 3) may be logits: a constant per row changes nothing.
    """
    return softmax(np.asarray(log_probabilities, dtype=float) / temperature, axis=1)


def fit_temperature(log_probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature, from 1/20 to 20, with the lowest negative log-likelihood of the labels.

    Guo et al. (2017), section 4.2. Takes log-probabilities or logits of shape (n, 3) and codes of shape (n,), of
    sentences that the model was not trained on. The bounds matter only for a model without error, which has no
    best temperature.
    """
    log_probabilities, rows = np.asarray(log_probabilities, dtype=float), np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        return -log_softmax(log_probabilities / np.exp(log_temperature), axis=1)[rows, labels].mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-np.log(20), np.log(20)), method="bounded").x))


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
    return pd.DataFrame(np.asarray(probabilities, dtype=float), columns=[f"p_{label}" for label in LABELS])
