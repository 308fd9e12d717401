"""The classifier: the lower part of a decoder, whose top layers carry LoRA adapters, and a linear head.

A decoder's last layers turn what it has understood into the next token, which a classifier has no use for,
so layers above `depth` are left out. The layers with adapters read both ways. Those below them are frozen
and read from left to right, as they were trained: their output for a sentence never changes, so training
computes it once per sentence (`lower_states`) and then passes through the adapted layers only. Since a word read
from left to right knows nothing of what follows it, the frozen layers read the sentence twice and hand on what
they make of the second reading (Springer et al. 2024, "Repetition Improves Language Model Embeddings").
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import SequenceClassifierOutput

from finsentiment.errors import InputError
from finsentiment.evaluation import apply_temperature
from finsentiment.files import read_json, whole, write_json
from finsentiment.labels import LABELS
from finsentiment.llm.base import folder, load_backbone, load_tokenizer, use_threads
from finsentiment.llm.batches import of_one_shape, padded
from finsentiment.llm.lora import LeanLinear
from finsentiment.params import Lora, Model


class _Tap(nn.Module):
    """Stands in a decoder where a layer was: gives on what `kept` holds, or keeps what comes by."""

    kept: Tensor | None = None

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        if self.kept is None:
            self.kept = hidden_states
        return self.kept

    def take(self) -> Tensor:
        kept, self.kept = self.kept, None
        return kept


class _Pass(nn.Module):
    """Stands in a decoder where a layer was, and does nothing; the others keep their numbers."""

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        return hidden_states


def _decoder_layers(backbone: PreTrainedModel) -> tuple[str, nn.ModuleList]:
    """Name and list of a decoder's layers: its longest ModuleList, whatever the architecture calls it."""
    lists = [(name, child) for name, child in backbone.named_children() if isinstance(child, nn.ModuleList)]
    return max(lists, key=lambda item: len(item[1]))


def _with_layers(backbone: PreTrainedModel, name: str, layers: list[nn.Module], both_ways: bool) -> PreTrainedModel:
    """The same model, sharing all weights, with other layers and its own direction of attention."""
    part = copy.copy(backbone)
    part._modules = dict(backbone._modules)
    part.config = copy.copy(backbone.config)
    part.config.is_causal = not both_ways
    setattr(part, name, nn.ModuleList(layers))
    for module in getattr(part, name).modules():
        if hasattr(module, "is_causal"):
            module.is_causal = not both_ways
    return part


def _stand_ins(count: int) -> list[nn.Module]:
    return [_Pass() for _ in range(count)]


class Classifier(nn.Module):
    """Decoder, mean over the tokens of its last hidden states, linear head onto `LABELS`.

    Parameters
    ----------
    backbone
        A decoder without language-model head.
    depth
        How many of its layers are used, from the bottom; None: all.
    adapted
        How many of these, from the top, carry adapters and attend both ways; the rest attends causally.
    echo
        Whether the layers without adapters read the sentence twice.
    label_smoothing
        Of the training loss.

    Raises
    ------
    InputError
        where the model has fewer layers than asked for.
    """

    def __init__(
        self, backbone: PreTrainedModel, depth: int | None, adapted: int, echo: bool, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        name, layers = _decoder_layers(backbone)
        used = layers[:depth]
        if (depth or 1) > len(layers) or adapted > len(used):
            raise InputError(
                f"finetune.depth = {depth} and finetune.lora.layers = {adapted} don't fit a base model of "
                f"{len(layers)} layers: expected lora.layers <= depth <= {len(layers)}"
            )
        self.echo = echo
        cut = len(used) - adapted
        self.adapted_layers = list(range(cut, len(used)))
        self.quantized = getattr(backbone, "hf_quantizer", None) is not None
        self._tap = _Tap()
        # The stand-ins keep each layer at its number, by which some models choose its kind of attention.
        below = [*_stand_ins(cut - 1), self._tap] if cut else []
        unused = _stand_ins(len(layers) - len(used))
        self.upper = _with_layers(backbone, name, [*below, *used[cut:], *unused], both_ways=True)
        above = _stand_ins(len(layers) - cut - 1)
        self.lower = _with_layers(backbone, name, [*used[:cut], self._tap, *above], both_ways=False) if cut else None
        self.head = nn.Linear(backbone.config.hidden_size, len(LABELS), device=backbone.device)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.loss = nn.CrossEntropyLoss(label_smoothing=label_smoothing)

    @property
    def linear_names(self) -> list[str]:
        """Names, within a layer, of the linear maps that an adapter can be put on."""
        top = _decoder_layers(self.upper)[1][self.adapted_layers[-1]]
        names = {name.rsplit(".")[-1] for name, module in top.named_modules() if isinstance(module, nn.Linear)}
        return sorted(names)

    @torch.no_grad()
    def lower_states(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor | None:
        """What the lowest adapted layer receives, (batch, tokens, hidden); None where all layers are adapted."""
        if self.lower is None:
            return None
        if not self.echo:
            self.lower(input_ids=input_ids, attention_mask=attention_mask)
            return self._tap.take()
        # A row of n tokens and padding becomes the n tokens, the n tokens again, and padding.
        length, width = attention_mask.sum(1, keepdim=True), input_ids.shape[1]
        place = torch.arange(2 * width, device=input_ids.device).expand(len(input_ids), -1)
        twice = input_ids.gather(1, torch.where(place < length, place, place - length).clamp(0, width - 1))
        self.lower(input_ids=twice, attention_mask=(place < 2 * length).long())
        second = (place[:, :width] + length).unsqueeze(-1)
        states = self._tap.take()
        return states.gather(1, second.expand(-1, -1, states.shape[-1]))

    def hidden(self, input_ids: Tensor, attention_mask: Tensor, lower_states: Tensor | None = None) -> Tensor:
        """The last hidden states, (batch, tokens, hidden)."""
        if self.lower is not None:
            self._tap.kept = self.lower_states(input_ids, attention_mask) if lower_states is None else lower_states
        hidden = self.upper(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        self._tap.kept = None
        return hidden

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor | None = None,
        lower_states: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Logits of shape (batch, 3), and the loss where `labels` are given."""
        hidden = self.hidden(input_ids, attention_mask, lower_states)
        weight = attention_mask.unsqueeze(-1).float()
        pooled = (hidden.float() * weight).sum(1) / weight.sum(1)
        logits = self.head(pooled)
        return SequenceClassifierOutput(loss=None if labels is None else self.loss(logits, labels), logits=logits)


def with_adapter(classifier: Classifier, lora: Lora) -> PeftModel:
    """The classifier with fresh LoRA adapters on all linear maps of its top layers; they and the head train."""
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=classifier.linear_names,
        layers_to_transform=classifier.adapted_layers,
        modules_to_save=["head"],
    )
    if not classifier.quantized:
        config._register_custom_module({nn.Linear: LeanLinear})
    return get_peft_model(classifier, config)


def save(adapted: PeftModel, path: str | Path, description: dict[str, Any]) -> None:
    """Write adapter and head as safetensors and all that `load` needs, the same bytes for the same training."""
    with whole(path) as scratch:
        adapted.save_pretrained(scratch)
        (scratch / "README.md").unlink(missing_ok=True)
        config = read_json(scratch / "adapter_config.json")
        config["base_model_name_or_path"] = description["base"]["spec"]
        # PEFT keeps these as sets, whose order changes from process to process.
        write_json(
            scratch / "adapter_config.json", {k: sorted(v) if isinstance(v, list) else v for k, v in config.items()}
        )
        write_json(scratch / "classifier.json", description)


@dataclass(frozen=True)
class Reader:
    """A fine-tuned classifier, ready to read."""

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    max_tokens: int
    temperature: float

    @torch.inference_mode()
    def batches(self, texts: list[str], batch_tokens: int) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield row numbers of `texts` and their logits (rows, 3), before the temperature, batch by batch."""
        tokens = tokenise(self.tokenizer, texts, self.max_tokens)
        device = self.model.head.weight.device
        for rows, shape in of_one_shape([len(t) for t in tokens], batch_tokens):
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


def tokenise(tokenizer: PreTrainedTokenizerBase, texts: list[str], max_tokens: int) -> list[list[int]]:
    """Token ids of each text, cut after `max_tokens`; a text without any token is one padding token."""
    rows = tokenizer(texts, truncation=True, max_length=max_tokens)["input_ids"] if texts else []
    return [row or [tokenizer.pad_token_id] for row in rows]


def load(path: str | Path, threads: int) -> Reader:
    """Read a saved classifier, its adapter merged into the base weights where those are not quantised.

    Raises InputError when the base model can't be had.
    """
    use_threads(threads)
    description = read_json(Path(path) / "classifier.json")
    base = folder(Model(**description["base"]))
    classifier = Classifier(
        load_backbone(base, description["quantization"]),
        description["depth"],
        description["adapted_layers"],
        description["echo"],
    )
    try:
        adapted = PeftModel.from_pretrained(classifier, path)
    except (SafetensorError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:150]
        raise InputError(
            f"{path}: not the adapter that finetune wrote ({reason}); run the stage finetune again"
        ) from None
    # Merging into 4- or 8-bit weights would round the adapter away.
    model = adapted.merge_and_unload() if description["quantization"] == "none" else adapted.base_model.model
    return Reader(model.eval(), load_tokenizer(base), description["max_tokens"], description["temperature"])
