"""Every reader of the news, side by side: a column of scores in [-1, 1] for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from finsentiment.arms import FINE_TUNED
from finsentiment.files import read_json
from finsentiment.llm.base_models import load_untrained
from finsentiment.llm.reader import tone_of
from finsentiment.llm.runtime import start_runtime
from finsentiment.llm.zero_shot import read_zero_shot
from finsentiment.params import Model, Prompt
from finsentiment.readers.fine_tuned import score_texts
from finsentiment.readers.lexicon import word_polarity
from finsentiment.readers.masking import mask_companies, read_names


@dataclass(frozen=True)
class ReaderInputs:
    """What the readers read with.

    adapter : folder of the fine-tuned classifier
    model : the base model, for zero_shot
    prompt_file : JSON of the prompt that the stage baseline chose, for zero_shot
    names_file : CSV ticker,name of the companies that masked hides; `tickers` it hides anyway
    sample : texts on which the backend must agree with PyTorch
    threads, device, batch_tokens, backend : as in params.yaml
    """

    adapter: Path
    model: Model
    prompt_file: Path
    names_file: str
    tickers: frozenset[str]
    threads: int
    device: str
    batch_tokens: int
    backend: str = "torch"
    sample: tuple[str, ...] = ()

    def fine_tuned(self, texts: Iterable[str]) -> pd.DataFrame:
        """Probabilities by the fine-tuned classifier, indexed by text."""
        return score_texts(texts, self.adapter, self.threads, self.batch_tokens, self.device, self.backend, self.sample)


def _lexicon(texts: list[str], given: ReaderInputs) -> np.ndarray:
    return word_polarity(texts)


def _zero_shot(texts: list[str], given: ReaderInputs) -> np.ndarray:
    """The whole base model with the prompt that reads best calibrated."""
    prompt = Prompt(**read_json(given.prompt_file))
    model, tokenizer = load_untrained(given.model, start_runtime(given.device, given.threads))
    return tone_of(read_zero_shot(model, tokenizer, texts, prompt).calibrated)


def _masked(texts: list[str], given: ReaderInputs) -> np.ndarray:
    """The fine-tuned classifier, company names and tickers hidden from it."""
    names = read_names(given.names_file)
    hidden = mask_companies(texts, names["name"], {*names["ticker"], *given.tickers})
    return tone_of(given.fine_tuned(hidden).loc[hidden])


OTHER_READER_FUNCTIONS: dict[str, Callable[[list[str], ReaderInputs], np.ndarray]] = {
    "lexicon": _lexicon,
    "zero_shot": _zero_shot,
    "masked": _masked,
}
"""A row for each of `finsentiment.arms.OTHER_READERS`: distinct texts (n) to scores (n,)."""


def read_news(texts: Iterable[str], readers: Sequence[str], given: ReaderInputs) -> pd.DataFrame:
    """Scores of texts by the fine-tuned classifier and by `readers`.

    Returns
    -------
    DataFrame indexed by the distinct texts, sorted: `p_negative`, `p_neutral`, `p_positive` of the fine-tuned
    classifier, its score `fine_tuned` (p_positive - p_negative), and a column of scores for each of `readers`

    Raises
    ------
    InputError
        An input of a reader is missing or broken.
    """
    p = given.fine_tuned(texts)
    found = {FINE_TUNED: tone_of(p)}
    for name in readers:
        scores = np.asarray(OTHER_READER_FUNCTIONS[name](list(p.index), given), dtype=float)
        if scores.shape != (len(p),) or not (np.abs(scores) <= 1).all():
            raise ValueError(f"the reader {name} must give one score in [-1, 1] for each of {len(p)} texts")
        found[name] = scores
    return p.assign(**found)
