"""A sentiment model ready to read: texts to calibrated probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from finsentiment.calibration import apply_temperature
from finsentiment.labels import LABELS, P_COLUMNS
from finsentiment.llm.batches import by_shape, padded
from finsentiment.text import clean_text


@dataclass(frozen=True)
class Reader:
    """A classifier, ready to read; threads may share one."""

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    max_tokens: int
    temperature: float

    def read(self, texts: Sequence[str], batch_tokens: int = 512) -> pd.DataFrame:
        """Read texts, cleaned as the corpus and the news are (`finsentiment.text.clean_text`).

        Returns
        -------
        DataFrame of n rows in the order of `texts`: `label`, `score` (p_positive - p_negative, in [-1, 1]),
        `p_negative`, `p_neutral`, `p_positive` (calibrated)
        """
        return labelled(self.probabilities(self.logits([clean_text(text) for text in texts], batch_tokens)))

    @torch.inference_mode()
    def batches(self, texts: list[str], batch_tokens: int) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield row numbers of `texts` and their logits (rows, 3), before the temperature, batch by batch."""
        tokens = tokenise(self.tokenizer, texts, self.max_tokens)
        device = next((weight.device for weight in self.model.parameters()), torch.device("cpu"))
        for rows, shape in by_shape([len(t) for t in tokens], batch_tokens):
            ids, mask = padded([tokens[row] for row in rows], self.tokenizer.pad_token_id, shape=shape)
            yield rows, self.model(ids.to(device), mask.to(device)).logits[: len(rows)].float().cpu().numpy()

    def logits(self, texts: list[str], batch_tokens: int = 512) -> np.ndarray:
        """Logits of shape (n, 3), before the temperature, in the order of `texts`."""
        result = np.empty((len(texts), len(LABELS)))
        for rows, logits in self.batches(texts, batch_tokens):
            result[rows] = logits
        return result

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities of shape (n, 3) from logits."""
        return apply_temperature(logits, self.temperature)


def labelled(p: np.ndarray) -> pd.DataFrame:
    """Probabilities (n, 3) as a table: `label`, `score`, `p_negative`, `p_neutral`, `p_positive`."""
    table = pd.DataFrame(p, columns=list(P_COLUMNS))
    table.insert(0, "label", [LABELS[code] for code in p.argmax(axis=1)])
    table.insert(1, "score", tone_of(p))
    return table


def tone_of(p: pd.DataFrame | np.ndarray) -> np.ndarray:
    """The score of each row of probabilities (n, 3): p_positive - p_negative, in [-1, 1]."""
    return np.asarray(p, dtype=float)[:, 2] - np.asarray(p, dtype=float)[:, 0]


def tokenise(tokenizer: PreTrainedTokenizerBase, texts: list[str], max_tokens: int) -> list[list[int]]:
    """Token ids of each text, cut after `max_tokens`; a text without any token is one padding token."""
    rows = tokenizer(texts, truncation=True, max_length=max_tokens)["input_ids"] if texts else []
    return [row or [tokenizer.pad_token_id] for row in rows]
