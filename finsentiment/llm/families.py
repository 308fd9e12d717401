"""Which kinds of base models can be used, seen from what they do and not from their names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from transformers import PreTrainedModel

from finsentiment.errors import InputError

TESTED_DECODERS = (
    *("llama", "smollm3", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "phi", "phi3", "olmo2"),
    *("granite", "stablelm", "gpt2", "gptj", "gpt_neox", "opt", "bloom", "falcon"),
)
TESTED_ENCODERS = ("mpnet", "bert", "roberta", "xlm-roberta", "deberta-v2", "electra", "modernbert", "distilbert")
"""Model types that the tests take through a training step and a reading, tiny and random."""


class UnfitError(Exception):
    """What of a model does not fit."""


@contextlib.contextmanager
def refuse_unfit(model_type: str) -> Iterator[None]:
    """Turn whatever an unknown kind of model makes its own code raise into one line.

    Raises InputError, which names the model type and the families that are tested.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # the code of any architecture runs in here
        reason = str(error) if isinstance(error, UnfitError) else f"{type(error).__name__} in its own code"
        raise InputError(
            f"model.spec: a base model of the type {model_type} can't be used ({reason}); "
            f"take a decoder of a family that is tested: {', '.join(TESTED_DECODERS)}, "
            f"or an encoder: {', '.join(TESTED_ENCODERS)}"
        ) from error


def last_word_changed(device: torch.device) -> list[Tensor]:
    """Token ids of two inputs, (1, 4) each, that differ in their last token alone."""
    return [torch.tensor([[1, 2, 3, last]], device=device) for last in (4, 5)]


def differs(readings: Iterable[Tensor], rounded: bool = False) -> bool:
    """Whether two readings differ; with `rounded` by more than 8-bit weights may make them differ.

    They round a row by its largest values, so that there a little moves with what stands elsewhere.
    """
    one, other = (reading.float() for reading in readings)
    return bool((one - other).abs().max() > (0.05 if rounded else 0.0) * one.abs().max())


@torch.no_grad()
def reads_both_ways(model: PreTrainedModel) -> bool:
    """Whether the first word of a model knows of the last, as it is: then it is an encoder."""
    inputs = last_word_changed(model.device)
    first = [model(input_ids=ids, attention_mask=torch.ones_like(ids))[0][:, 0] for ids in inputs]
    return differs(first, rounded=getattr(model, "hf_quantizer", None) is not None)
