"""Zero-shot reading by an encoder: by masked words, or by likeness."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from finsentiment.llm.batches import by_length, padded
from finsentiment.params import Prompt

SHARPNESS = 20.0
"""Of the softmax over cosines, as sentence encoders are trained (all-mpnet-base-v2: scale 20)."""


@torch.inference_mode()
def masked_log_likelihoods(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str], prompt: Prompt, batch_tokens: int
) -> np.ndarray:
    """Log-likelihood of each answer in masks after each prompt: shape (len(texts), 3).

    An answer of several tokens stands in as many masks, and their log-likelihoods are added (Schick and Schuetze 2021,
    "It's Not Just Size That Matters", read at once). What is too long for the model is cut at its beginning.
    """
    result = np.empty((len(texts), len(prompt.answers)))
    answers = [tokenizer(f" {answer}", add_special_tokens=False)["input_ids"] for answer in prompt.answers]
    with _bar(len(texts) * len(set(map(len, answers)))) as bar:
        for count in sorted(set(map(len, answers))):
            masks = tokenizer.mask_token * count
            rows = _tokens(model, tokenizer, [f"{prompt.template.replace('{text}', t)} {masks}" for t in texts])
            for batch, ids, mask in _batches(rows, tokenizer, batch_tokens, model.device):
                log_p = model(input_ids=ids, attention_mask=mask).logits.float().log_softmax(-1)
                for place, row in enumerate(batch):
                    at = (ids[place] == tokenizer.mask_token_id).nonzero()[-count:, 0]
                    for column, answer in enumerate(answers):
                        if len(answer) == count:
                            result[row, column] = log_p[place, at, answer].sum().item()
                bar.update(len(batch))
    return result


@torch.inference_mode()
def encoder_likeness(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str], prompt: Prompt, batch_tokens: int
) -> np.ndarray:
    """Cosine of each text with the question and each answer, times `SHARPNESS`: shape (len(texts), 3).

    The vector of a text is the mean over its tokens.
    """
    question = " ".join(prompt.template.replace("{text}", "").split())
    told = [*texts, *(f"{question} {answer}" for answer in prompt.answers)]
    rows, vectors = _tokens(model, tokenizer, told), np.empty((len(told), model.config.hidden_size))
    with _bar(len(told)) as bar:
        for batch, ids, mask in _batches(rows, tokenizer, batch_tokens, model.device):
            hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            weight = mask.unsqueeze(-1).float()
            vectors[batch] = ((hidden * weight).sum(1) / weight.sum(1)).cpu().numpy()
            bar.update(len(batch))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return SHARPNESS * vectors[: len(texts)] @ vectors[len(texts) :].T


def _tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Token ids of each text, cut at its beginning to what the model takes: the end is what is asked."""
    most = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", 512) - 2)
    before, tokenizer.truncation_side = tokenizer.truncation_side, "left"
    rows = tokenizer(texts, truncation=True, max_length=most)["input_ids"]
    tokenizer.truncation_side = before
    return [row or [tokenizer.pad_token_id] for row in rows]


def _batches(
    rows: list[list[int]], tokenizer: PreTrainedTokenizerBase, batch_tokens: int, device: torch.device
) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    for batch in by_length([len(row) for row in rows], batch_tokens):
        ids, mask = padded([rows[row] for row in batch], tokenizer.pad_token_id)
        yield batch, ids.to(device), mask.to(device)


def _bar(total: int) -> tqdm:
    return tqdm(total=total, desc="zero-shot", unit="text", file=sys.stderr, mininterval=2)
