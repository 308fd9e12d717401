"""The classifier: a base model of which the top layers train, by adapters or whole, and a head."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.pytorch_utils import Conv1D

from finsentiment.llm.backbone import Backbone
from finsentiment.llm.families import refuse_unfit
from finsentiment.llm.heads import make_head
from finsentiment.llm.lora import LeanLinear
from finsentiment.params import Lora


class Classifier(nn.Module):
    """Backbone and head: logits in the order of `LABELS`.

    Parameters are those of `Backbone`, and `label_smoothing` of the training loss. Raises InputError as it does.
    `arithmetic` is the number format that the base model multiplies in where its weights are in another.
    """

    arithmetic: torch.dtype | None = None

    def __init__(
        self,
        base: PreTrainedModel,
        depth: int | None,
        lora_layers: int | None,
        echo: bool,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(base, depth, lora_layers, echo)
        with refuse_unfit(base.config.model_type):
            self.head = make_head(base, self.backbone.encoder)
        self.loss = nn.CrossEntropyLoss(label_smoothing=label_smoothing)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor | None = None,
        lower_states: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Logits of shape (batch, 3), and the loss where `labels` are given."""
        with self._multiplying():
            hidden = self.backbone(input_ids, attention_mask, lower_states)
        logits = self.head(hidden, attention_mask)
        return SequenceClassifierOutput(loss=None if labels is None else self.loss(logits, labels), logits=logits)

    def _multiplying(self) -> contextlib.AbstractContextManager[Any]:
        if self.arithmetic is None:
            return contextlib.nullcontext()
        return torch.autocast(self.backbone.base.device.type, self.arithmetic)


def trainable(classifier: Classifier, method: str, lora: Lora) -> nn.Module:
    """The classifier with what `finetune.method` trains: fresh adapters (lora) or every weight (full), and the head."""
    return with_adapter(classifier, lora) if method == "lora" else classifier.requires_grad_(True)


def with_adapter(classifier: Classifier, lora: Lora) -> PeftModel:
    """The classifier with fresh LoRA adapters on all linear maps of its top layers; they and the head train."""
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=[f"backbone.{name}" for name in classifier.backbone.linear_names],
        modules_to_save=["head"],
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in classifier.modules()),
    )
    if not classifier.backbone.quantized:
        config._register_custom_module({nn.Linear: LeanLinear})
    return get_peft_model(classifier, config)


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights that training changes, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}
