"""The part of a decoder that a classifier uses: frozen lower layers, and upper layers that read both ways.

A decoder's last layers turn what it has understood into the next token, which a classifier has no use for, so layers
above a depth are left out. The layers with LoRA adapters read both ways. Those below them are frozen and read from
left to right, as they were trained: their output for a sentence never changes, so training computes it once per
sentence (`lower_states`). Since a word read from left to right knows nothing of what follows it, the frozen layers
read the sentence twice and hand on what they make of the second reading (Springer et al. 2024, "Repetition Improves
Language Model Embeddings").

The decoder's own forward pass does all this, on copies of it that share its weights and hold other layers. A copy is
made for each pass and thrown away, so nothing is handed on in attributes and threads don't disturb one another.
"""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from finsentiment.errors import InputError
from finsentiment.llm.families import UnfitError, differs, last_word_changed, refuse_encoder, refuse_unfit


class _LayerOutput:
    """Gives the layers' output the form that this decoder's own layers have: a tensor, or a tuple around it."""

    def __init__(self, length: int | None) -> None:
        self.length = length

    def __call__(self, hidden_states: Tensor) -> Any:
        return hidden_states if self.length is None else (hidden_states, *[None] * (self.length - 1))


class SkippedLayer(nn.Module):
    """Stands where a layer was and does nothing; the others keep their numbers, by which some choose their kind."""

    def __init__(self, form: _LayerOutput) -> None:
        super().__init__()
        self.form = form

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> Any:
        """What comes by, unchanged."""
        return self.form(hidden_states)


class RecordingLayer(SkippedLayer):
    """Stands above the frozen layers and keeps what they hand on."""

    recorded: Tensor

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> Any:
        """What comes by, unchanged and kept."""
        self.recorded = hidden_states
        return self.form(hidden_states)


class GivenLayer(SkippedLayer):
    """Stands below the upper layers and hands on the states that it was given, whatever comes by."""

    def __init__(self, form: _LayerOutput, states: Tensor) -> None:
        super().__init__(form)
        self.states = states

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> Any:
        """The given states."""
        return self.form(self.states)


class Backbone(nn.Module):
    """A decoder without its language-model head, cut to a depth, its top layers reading both ways.

    Parameters
    ----------
    decoder
        A decoder without language-model head. The layers above `depth` are taken out of it.
    depth
        How many of its layers are used, from the bottom; None: all.
    lora_layers
        How many of these, from the top, carry adapters and read both ways; the rest reads from left to right.
    echo
        Whether the layers without adapters read the sentence twice.

    Raises
    ------
    InputError
        The model has fewer layers than asked for; or it is of a kind that can't be cut like this, as two inputs that
        differ in their last token alone show: the first word must learn of it in the upper layers, not in the lower.
    """

    def __init__(self, decoder: PreTrainedModel, depth: int | None, lora_layers: int, echo: bool) -> None:
        super().__init__()
        with refuse_unfit(decoder.config.model_type):
            self.path, layers = _layer_list(decoder)
        used = len(layers) if depth is None else depth
        if used > len(layers) or lora_layers > used:
            raise InputError(
                f"finetune.depth = {depth} and finetune.lora.layers = {lora_layers} don't fit a base model of "
                f"{len(layers)} layers: expected lora.layers <= depth <= {len(layers)}"
            )
        self.decoder, self.echo = decoder, echo
        self.quantized = getattr(decoder, "hf_quantizer", None) is not None
        self.cut, self.depth = used - lora_layers, used
        with refuse_unfit(decoder.config.model_type):
            for number, layer in enumerate(layers):
                _set_direction(layer, both_ways=number >= self.cut)
                if number >= self.cut:
                    _keep_differentiable(layer)
            if decoder.device.type != "meta":  # where tensors have no content there is nothing to see
                refuse_encoder(decoder)
            self.form = _LayerOutput(_output_length(decoder, layers[0]))
            self._set_layers(decoder, [layers[n] if n < used else SkippedLayer(self.form) for n in range(len(layers))])
            if decoder.device.type != "meta":
                self._prove_directions()

    @property
    def layers(self) -> nn.ModuleList:
        """The decoder's layers; those above the depth do nothing."""
        return cast(nn.ModuleList, self.decoder.get_submodule(self.path))

    @property
    def linear_names(self) -> list[str]:
        """Names of the linear maps of the layers with adapters, sorted."""
        upper = [(f"decoder.{self.path}.{n}", self.layers[n]) for n in range(self.cut, self.depth)]
        return sorted(
            f"{place}.{name}"
            for place, layer in upper
            for name, module in layer.named_modules()
            if isinstance(module, (nn.Linear, Conv1D))
        )

    @torch.no_grad()
    def lower_states(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor | None:
        """What the lowest layer with adapters receives, (batch, tokens, hidden); None where there is none below it."""
        if not self.cut:
            return None
        if not self.echo:
            return self._lower(input_ids, attention_mask)
        # A row of n tokens and padding becomes the n tokens, the n tokens again, and padding.
        length, width = attention_mask.sum(1, keepdim=True), input_ids.shape[1]
        place = torch.arange(2 * width, device=input_ids.device).expand(len(input_ids), -1)
        twice = input_ids.gather(1, torch.where(place < length, place, place - length).clamp(0, width - 1))
        states = self._lower(twice, (place < 2 * length).long())
        second = (place[:, :width] + length).unsqueeze(-1)
        return states.gather(1, second.expand(-1, -1, states.shape[-1]))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, lower_states: Tensor | None = None) -> Tensor:
        """The last hidden states, (batch, tokens, hidden); `lower_states` are computed where they are not given."""
        layers = list(self.layers)
        if self.cut:
            states = self.lower_states(input_ids, attention_mask) if lower_states is None else lower_states
            skipped: list[nn.Module] = [SkippedLayer(self.form) for _ in range(self.cut - 1)]
            layers[: self.cut] = [*skipped, GivenLayer(self.form, cast(Tensor, states))]
        return self._with_layers(layers, both_ways=True)(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state

    def _lower(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """One reading from left to right by the frozen layers alone."""
        layers, record = list(self.layers), RecordingLayer(self.form)
        above = [SkippedLayer(self.form) for _ in range(len(layers) - self.cut - 1)]
        layers[self.cut :] = [record, *above]
        self._with_layers(layers, both_ways=False)(input_ids=input_ids, attention_mask=attention_mask)
        return record.recorded

    def _with_layers(self, layers: list[nn.Module], both_ways: bool) -> nn.Module:
        """A copy of the decoder that shares all weights, with other layers and its own direction of attention."""
        top = module = _shallow_copy(self.decoder, both_ways)
        *parents, _ = self.path.split(".")
        for name in parents:
            child = _shallow_copy(module.get_submodule(name), both_ways)
            module._modules[name] = child
            module = child
        self._set_layers(top, layers)
        return top

    def _set_layers(self, decoder: nn.Module, layers: list[nn.Module]) -> None:
        *parents, name = self.path.split(".")
        decoder.get_submodule(".".join(parents))._modules[name] = nn.ModuleList(layers)

    @torch.no_grad()
    def _prove_directions(self) -> None:
        """See with two inputs that the lower layers read from left to right and the upper ones both ways."""
        inputs = last_word_changed(self.decoder.device)
        mask = torch.ones_like(inputs[0])
        states = [self._lower(ids, mask) if self.cut else None for ids in inputs]
        if self.cut and differs((cast(Tensor, lower)[:, :-1] for lower in states), self.quantized):
            raise UnfitError("its lower layers don't read from left to right")
        if not differs(self(ids, mask, lower)[:, 0] for ids, lower in zip(inputs, states, strict=True)):
            raise UnfitError("its upper layers can't be made to read both ways")


def _layer_list(decoder: PreTrainedModel) -> tuple[str, nn.ModuleList]:
    """Name and list of a decoder's layers: its longest ModuleList, wherever the architecture puts it."""
    lists = [(name, child) for name, child in decoder.named_modules() if isinstance(child, nn.ModuleList)]
    count = decoder.config.get_text_config().num_hidden_layers
    fit = [item for item in lists if len(item[1]) == count]
    if not fit:
        raise UnfitError(f"no list of its {count} layers was found in it")
    return fit[0]


def _output_length(decoder: PreTrainedModel, layer: nn.Module) -> int | None:
    """Length of the tuple that a layer returns, None where it returns a tensor."""
    outputs: list[Any] = []
    handle = layer.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    try:
        ids = torch.ones((1, 2), dtype=torch.long, device=decoder.device)
        with torch.no_grad():
            decoder(input_ids=ids)
    finally:
        handle.remove()
    return len(outputs[0]) if isinstance(outputs[0], tuple) else None


def _shallow_copy(module: nn.Module, both_ways: bool) -> nn.Module:
    """The same module, sharing its children, whose children and configuration can be changed."""
    part = copy.copy(module)
    part._modules = dict(module._modules)
    if hasattr(part, "config"):
        config: Any = copy.copy(part.config)
        config.is_causal = not both_ways
        part.config = config
    return part


def _set_direction(layer: nn.Module, both_ways: bool) -> None:
    for module in layer.modules():
        if hasattr(module, "is_causal"):
            setattr(module, "is_causal", not both_ways)  # noqa: B010 (mypy takes a module's attributes for tensors)


def _keep_differentiable(layer: nn.Module) -> None:
    """Keep bitsandbytes from packing 4-bit weights for reading, where the processor multiplies in bfloat16.

    Its packed product has no gradient, and once packed, in the first pass without gradients, weights stay so.
    """
    for module in layer.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010
