"""The head: from the last hidden states of a base model to three logits.

A decoder gets the mean over the tokens and a linear map: it has no token that stands for the whole text. An encoder
gets the head that its family has for classification, so that what was trained can be written in the family's own
format (`finsentiment export-model`).
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from transformers.modeling_layers import GenericForSequenceClassification
from transformers.modeling_outputs import BaseModelOutputWithPooling

from finsentiment.labels import LABELS


class MeanHead(nn.Linear):
    """The mean over the tokens and a linear map onto `LABELS`; weights normal with deviation 0.02, bias 0."""

    def __init__(self, base: PreTrainedModel) -> None:
        super().__init__(base.config.get_text_config().hidden_size, len(LABELS), device=base.device)
        if not self.weight.is_meta:
            nn.init.normal_(self.weight, std=0.02)
            nn.init.zeros_(self.bias)

    # A linear map of its own would change the names of weights in adapters that were saved before.
    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:  # type: ignore[override]
        """Logits (batch, 3) of hidden states (batch, tokens, hidden)."""
        weight = attention_mask.unsqueeze(-1).float()
        return super().forward((hidden.float() * weight).sum(1) / weight.sum(1))


def make_head(base: PreTrainedModel, encoder: bool) -> nn.Module:
    """The head of a base model: an encoder's is that of its family, if that can read hidden states alone.

    Families of decoders take the last token for the text and look for it in the token ids, so one of theirs that reads
    both ways gets the mean as well.
    """
    head = FamilyHead(base) if encoder else None
    return MeanHead(base) if head is None or isinstance(head.model, GenericForSequenceClassification) else head


class FamilyHead(nn.Module):
    """The classification head of the base model's own family, fresh, in float32.

    It is the family's own model for classification, built small and with its base model taken out.
    """

    def __init__(self, base: PreTrainedModel) -> None:
        super().__init__()
        config = copy.deepcopy(base.config)
        config.num_labels, config.num_hidden_layers, config.vocab_size = len(LABELS), 1, (config.pad_token_id or 0) + 2
        config.dtype = torch.float32
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:1]
        self.model = AutoModelForSequenceClassification.from_config(config).to(base.device)
        inner = getattr(self.model, self.model.base_model_prefix)
        setattr(self.model, self.model.base_model_prefix, _Given(getattr(inner, "pooler", None)))

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits (batch, 3) of hidden states (batch, tokens, hidden)."""
        return self.model(inputs_embeds=hidden.float(), attention_mask=attention_mask).logits


class _Given(nn.Module):
    """Stands where the base model was, and gives the hidden states that it was given."""

    def __init__(self, pooler: nn.Module | None) -> None:
        super().__init__()
        self.pooler = pooler

    def forward(self, *_: Any, inputs_embeds: Tensor, **__: Any) -> BaseModelOutputWithPooling:
        pooled = None if self.pooler is None else self.pooler(inputs_embeds)
        return BaseModelOutputWithPooling(last_hidden_state=inputs_embeds, pooler_output=pooled)


def classification_model(base: PreTrainedModel, depth: int, head: FamilyHead, temperature: float) -> PreTrainedModel:
    """The family's own model for classification with these weights, its logits divided by the temperature, in float32.

    Parameters
    ----------
    base : encoder without adapters, of which the lowest `depth` layers are used
    head : its trained head
    """
    config = copy.deepcopy(base.config)
    config.num_hidden_layers, config.dtype = depth, torch.float32
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:depth]
    config.id2label, config.label2id = dict(enumerate(LABELS)), {label: code for code, label in enumerate(LABELS)}
    model = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    prefix = model.base_model_prefix
    own = {name: weight.float() for name, weight in base.state_dict().items() if not name.startswith("pooler.")}
    weights = {f"{prefix}.{name}": weight for name, weight in own.items()}
    weights |= {name: weight.float() for name, weight in head.model.state_dict().items()}
    model.load_state_dict(weights)
    _last_linear(model).load_state_dict({k: v / temperature for k, v in _last_linear(model).state_dict().items()})
    return model.eval()


def _last_linear(model: nn.Module) -> nn.Linear:
    """The linear map that gives the logits."""
    return [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == len(LABELS)][-1]
