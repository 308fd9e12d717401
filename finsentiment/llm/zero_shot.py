"""Zero-shot and few-shot reading: which answer does the base model hold most likely after a prompt?

A decoder tells how likely each answer is after the prompt. An encoder that was trained to fill in masked words tells
how likely the answer's words are in masks after the prompt. One without such a head tells how alike the text is to the
question with each answer.
"""

from __future__ import annotations

import copy
import itertools
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from finsentiment.labels import LABELS, label_codes
from finsentiment.llm.batches import by_length, padded
from finsentiment.llm.families import reads_both_ways
from finsentiment.llm.zero_shot_encoder import encoder_likeness, masked_log_likelihoods
from finsentiment.params import Prompt

CONTENT_FREE = ("N/A", "", "[MASK]")
"""Inputs without content, as in Zhao et al. (2021), section 5."""


@dataclass(frozen=True)
class ZeroShot:
    """Probabilities of shape (n, 3) in the order of `LABELS`: as read, and after contextual calibration."""

    raw: np.ndarray
    calibrated: np.ndarray


@dataclass(frozen=True)
class Choice:
    """The prompt, shots filled in, that read best raw and the one that did calibrated, and what all of them reached.

    `tried` has a row for each prompt (numbered from 1) and number of shots, with the accuracies `raw` and `calibrated`.
    """

    raw: Prompt
    calibrated: Prompt
    tried: pd.DataFrame


def with_shots(prompt: Prompt, train: pd.DataFrame, shots: int, seed: int) -> Prompt:
    """The prompt with `shots` answered examples before the question, its last paragraph repeated for each.

    The examples are drawn from `train`, as many of each label as can be, in random order (Brown et al. 2020).
    """
    instruction, gap, question = prompt.template.rpartition("\n\n")
    usable = train[~train["text"].str.contains("{text}", regex=False)].sample(frac=1, random_state=seed)
    turn = usable.groupby("label").cumcount()
    examples = usable.loc[turn.sort_values(kind="stable").index[:shots]].sample(frac=1, random_state=seed)
    answer_of = dict(zip(LABELS, prompt.answers, strict=True))
    space = "" if question.endswith("\n") else " "
    answered = [
        question.replace("{text}", text) + space + answer_of[label]
        for text, label in zip(examples["text"], examples["label"], strict=True)
    ]
    return Prompt(template=instruction + gap + "\n\n".join([*answered, question]), answers=prompt.answers)


def choose_prompt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[Prompt],
    shots: list[int],
    train: pd.DataFrame,
    validation: pd.DataFrame,
    seed: int,
) -> Choice:
    """Try every prompt with every number of shots from `train`, and keep what is right most often on `validation`."""
    labels = label_codes(validation["label"])
    rows, filled = [], []
    for (number, prompt), count in itertools.product(enumerate(prompts, 1), shots):
        filled.append(with_shots(prompt, train, count, seed))
        reading = read_zero_shot(model, tokenizer, validation["text"].tolist(), filled[-1])
        hits = {name: (getattr(reading, name).argmax(axis=1) == labels).mean() for name in ("raw", "calibrated")}
        rows.append({"prompt": number, "shots": count, **hits})
    tried = pd.DataFrame(rows)
    return Choice(filled[tried["raw"].argmax()], filled[tried["calibrated"].argmax()], tried)


def read_zero_shot(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    prompt: Prompt,
    batch_tokens: int = 1024,
) -> ZeroShot:
    """Read `texts` by the likelihood of each answer after `prompt`; of an encoder without a head by likeness.

    Of a decoder the part of the prompt before the text is the same for all and is computed once. Contextual calibration
    divides by the mean probabilities of content-free texts: p' ~ p / p_cf (Zhao et al. 2021, "Calibrate
    Before Use", equation 1 with W = diag(p_cf)^-1, b = 0).
    """
    read = _log_likelihoods
    if reads_both_ways(model):
        read = encoder_likeness if model.get_output_embeddings() is None else masked_log_likelihoods
    likelihood = read(model, tokenizer, [*CONTENT_FREE, *texts], prompt, batch_tokens)
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
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str], prompt: Prompt, batch_tokens: int
) -> np.ndarray:
    """Log-likelihood of each answer as the continuation of each prompt: shape (len(texts), 3)."""
    before, after = prompt.template.split("{text}")
    # A trailing space would become a token of its own, where the model has learnt to join it to the next word.
    prefix = tokenizer(before.rstrip(" "), return_tensors="pt")["input_ids"].to(model.device)
    gap = " " if before.endswith(" ") else ""
    suffixes = [tokenizer(f"{gap}{text}{after}", add_special_tokens=False)["input_ids"] for text in texts]
    # An answer stands after a space, or, as in a chat template, at the start of a line.
    space = "" if after.endswith("\n") else " "
    labels = [tokenizer(f"{space}{answer}", add_special_tokens=False)["input_ids"] for answer in prompt.answers]
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
