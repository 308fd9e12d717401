"""Classifiers that a fine-tuned model has to beat, and that cost almost nothing: majority, lexicon, TF-IDF.

Each fits on training sentences (a table with columns `text` and `label`) and returns the probabilities of other
texts, shape (n, 3), columns in the order of `LABELS`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits

from finsentiment.calibration import apply_temperature, fit_temperature
from finsentiment.labels import LABELS, label_codes
from finsentiment.readers.lexicon import word_tones

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0)


def majority_baseline(train: pd.DataFrame, texts: Sequence[str]) -> np.ndarray:
    """The class shares of the training sentences for every text, so that the largest class always wins."""
    shares = np.bincount(label_codes(train["label"]), minlength=len(LABELS)) / len(train)
    return np.tile(shares, (len(texts), 1))


def lexicon_baseline(train: pd.DataFrame, texts: Sequence[str]) -> np.ndarray:
    """Count positive and negative words of the Loughran-McDonald lists.

    A text whose tone (positive less negative words) lies in a band around zero is neutral. The ends of the band are
    those with the best accuracy on the training sentences, and the confidence, one for all answers, is its share of
    right answers there. The labels teach the lexicon no more than that: which words are negative, the lists say.
    """
    tones, labels = word_tones(train["text"]), label_codes(train["label"])
    widest = range(np.abs(tones).max() + 1)
    # max keeps the first of equals, so the narrowest band
    band = max(itertools.product(widest, widest), key=lambda band: np.mean(_sides(tones, band) == labels))
    answers = np.eye(len(LABELS))
    temperature = fit_temperature(answers[_sides(tones, band)], labels, prior=np.inf)
    return apply_temperature(answers[_sides(word_tones(texts), band)], temperature)


def tfidf_baseline(train: pd.DataFrame, validation: pd.DataFrame, texts: Sequence[str]) -> np.ndarray:
    """Logistic regression on TF-IDF of single words and pairs of words.

    The inverse regularisation strength is the one of `STRENGTHS` with the lowest log loss on the validation
    sentences. They are not trained on afterwards: the fine-tuned model uses them for its choices alone, too.
    """
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    vectors, labels = vectorizer.fit_transform(train["text"]), label_codes(train["label"])
    held_out, truth = vectorizer.transform(validation["text"]), label_codes(validation["label"])

    def fitted(strength: float) -> LogisticRegression:
        return LogisticRegression(C=strength, max_iter=1000).fit(vectors, labels)

    # one thread: BLAS sums in another order with another number of threads
    with threadpool_limits(1):
        models = [fitted(strength) for strength in STRENGTHS]
        best = min(models, key=lambda model: log_loss(truth, model.predict_proba(held_out), labels=range(len(LABELS))))
        return best.predict_proba(vectorizer.transform(texts))


def _sides(tones: np.ndarray, band: tuple[int, int]) -> np.ndarray:
    """Class codes of tones when those from -band[0] to band[1] are neutral."""
    return 1 + (tones > band[1]).astype(int) - (tones < -band[0]).astype(int)
