"""Zero-shot reading: which label does the base model hold most likely after a prompt?"""

from __future__ import annotations

import copy
import itertools
import sys
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from finsentiment.labels import LABELS
from finsentiment.llm.batches import by_length, padded

CONTENT_FREE = ("N/A", "", "[MASK]")
"""Inputs without content, as in Zhao et al. (2021), section 5."""


@dataclass(frozen=True)
class ZeroShot:
    """Probabilities of shape (n, 3) in the order of `LABELS`: as read, and after contextual calibration."""

    raw: np.ndarray
    calibrated: np.ndarray


def read(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str], prompt: str, batch_tokens: int = 1024
) -> ZeroShot:
    """Read `texts` by the likelihood of each label after `prompt` (which holds `{text}` once).

    The part of the prompt before the text is the same for all and is computed once. Contextual calibration
    divides by the mean probabilities of content-free texts: p' ~ p / p_cf (Zhao et al. 2021, "Calibrate
    Before Use", equation 1 with W = diag(p_cf)^-1, b = 0).
    """
    likelihood = _log_likelihoods(model, tokenizer, [*CONTENT_FREE, *texts], prompt, batch_tokens)
    raw = _normalised(likelihood)
    content_free = raw[: len(CONTENT_FREE)].mean(axis=0)
    raw = raw[len(CONTENT_FREE) :]
    calibrated = raw / content_free
    return ZeroShot(raw, calibrated / calibrated.sum(axis=1, keepdims=True))


def _normalised(log_likelihood: np.ndarray) -> np.ndarray:
    p = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


@torch.inference_mode()
def _log_likelihoods(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str], prompt: str, batch_tokens: int
) -> np.ndarray:
    """Log-likelihood of each label as the continuation of each prompt: shape (len(texts), 3)."""
    before, after = prompt.split("{text}")
    # A trailing space would become a token of its own, where the model has learnt to join it to the next word.
    prefix = tokenizer(before.rstrip(" "), return_tensors="pt")["input_ids"].to(model.device)
    gap = " " if before.endswith(" ") else ""
    suffixes = [tokenizer(f"{gap}{text}{after}", add_special_tokens=False)["input_ids"] for text in texts]
    # A label stands after a space, or, as in a chat template, at the start of a line.
    space = "" if after.endswith("\n") else " "
    labels = [tokenizer(f"{space}{label}", add_special_tokens=False)["input_ids"] for label in LABELS]
    shared = model(prefix, use_cache=True, past_key_values=DynamicCache(config=model.config)).past_key_values

    result = np.empty((len(texts), len(LABELS)))
    with tqdm(total=len(texts), desc="zero-shot", unit="text", file=sys.stderr, mininterval=2) as bar:
        for rows in by_length([len(s) for s in suffixes], batch_tokens):
            # Padded on the left, so that every row's prompt ends in the last column.
            ids, mask = padded([suffixes[row] for row in rows], tokenizer.pad_token_id, left=True)
            result[rows] = _label_scores(model, shared, prefix.shape[1], ids, mask, labels)
            bar.update(len(rows))
    return result


def _label_scores(
    model: PreTrainedModel,
    shared: DynamicCache,
    prefix_length: int,
    ids: torch.Tensor,
    mask: torch.Tensor,
    labels: list[list[int]],
) -> np.ndarray:
    cache = copy.deepcopy(shared)
    cache.batch_repeat_interleave(len(ids))
    mask = torch.cat([mask.new_ones(len(ids), prefix_length), mask], dim=1).to(model.device)
    position = mask.cumsum(1)[:, prefix_length:] - 1

    def following(
        tokens: torch.Tensor, cache: DynamicCache, mask: torch.Tensor, position: torch.Tensor
    ) -> torch.Tensor:
        out = model(
            tokens.to(model.device),
            attention_mask=mask,
            position_ids=position.clamp(min=0),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return out.logits[:, -1].float().log_softmax(-1)

    first = following(ids, cache, mask, position)
    scores = torch.stack([first[:, label[0]] for label in labels], dim=1)
    for column, label in enumerate(labels):
        continued, seen, place = copy.deepcopy(cache) if len(label) > 1 else cache, mask, position[:, -1:]
        for token, target in itertools.pairwise(label):
            seen = torch.cat([seen, seen.new_ones(len(ids), 1)], dim=1)
            place = place + 1
            log_p = following(ids.new_full((len(ids), 1), token), continued, seen, place)
            scores[:, column] += log_p[:, target]
    return scores.cpu().numpy().astype(float)
