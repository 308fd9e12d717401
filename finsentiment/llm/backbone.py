"""The part of a base model that a classifier uses: frozen lower layers, and upper layers with adapters.

A model's last layers turn what it has understood into the next token, which a classifier has no use for, so layers
above a depth are left out. The layers below the adapters are frozen: their output for a sentence never changes, so
training computes it once per sentence (`lower_states`).

An encoder reads both ways as it is. Of a decoder the layers with LoRA adapters read both ways; those below them read
from left to right, as they were trained. Since a word read from left to right knows nothing of what follows it, they
read the sentence twice and hand on what they make of the second reading (Springer et al. 2024, "Repetition Improves
Language Model Embeddings").

The model's own forward pass does all this, on copies of it that share its weights and hold other layers. A copy is
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
from finsentiment.llm.families import UnfitError, differs, last_word_changed, reads_both_ways, refuse_unfit


class _LayerOutput:
    """Gives the layers' output the form that this model's own layers have: a tensor, or a tuple around it."""

    def __init__(self, length: int | None) -> None:
        self.length = length

    def __call__(self, hidden_states: Tensor) -> Any:
        return hidden_states if self.length is None else (hidden_states, *[None] * (self.length - 1))


class SkippedLayer(nn.Module):
    """Stands where a layer was and does nothing; the others keep their numbers, by which some choose their kind.

    Where the model asks a layer for its kind of attention (`attention_type`), it gives that of the layer.
    """

    def __init__(self, form: _LayerOutput, layer: nn.Module) -> None:
        super().__init__()
        self.form = form
        if hasattr(layer, "attention_type"):
            self.attention_type = layer.attention_type

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

    def __init__(self, form: _LayerOutput, layer: nn.Module, states: Tensor) -> None:
        super().__init__(form, layer)
        self.states = states

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> Any:
        """The given states."""
        return self.form(self.states)


class Backbone(nn.Module):
    """A base model without its language-model head, cut to a depth, its top layers reading both ways.

    Parameters
    ----------
    base
        A decoder or an encoder without language-model head. The layers above `depth` are taken out of it.
    depth
        How many of its layers are used, from the bottom; None: all.
    lora_layers
        How many of these, from the top, train and read both ways; the rest is frozen. None: all.
    echo
        Whether the frozen layers of a decoder read the sentence twice. An encoder reads it once.

    Raises
    ------
    InputError
        The model has fewer layers than asked for; or it is of a kind that can't be cut like this. Two inputs that
        differ in their last token alone show it: of a decoder the first word must learn of it in the upper layers and
        not in the lower; an encoder that is run in two parts must give what it gives as a whole.
    """

    def __init__(self, base: PreTrainedModel, depth: int | None, lora_layers: int | None, echo: bool) -> None:
        super().__init__()
        with refuse_unfit(base.config.model_type):
            self.path, layers = _layer_list(base)
        used = len(layers) if depth is None else depth
        upper = used if lora_layers is None else lora_layers
        if used > len(layers) or upper > used:
            raise InputError(
                f"finetune.depth = {depth} and finetune.lora.layers = {upper} don't fit a base model of "
                f"{len(layers)} layers: expected lora.layers <= depth <= {len(layers)}"
            )
        self.base, self.quantized = base, getattr(base, "hf_quantizer", None) is not None
        self.cut, self.depth = used - upper, used
        seen = base.device.type != "meta"  # where tensors have no content there is nothing to see
        with refuse_unfit(base.config.model_type):
            for layer in list(layers)[self.cut :]:
                _keep_differentiable(layer)  # before the first pass
            self.encoder = seen and reads_both_ways(base)
            self.echo = echo and not self.encoder
            for number, layer in enumerate(layers if not self.encoder else ()):
                _set_direction(layer, both_ways=number >= self.cut)
            self.form = _LayerOutput(_output_length(base, layers[0]))
            self._set_layers(base, [layers[n] if n < used else self._skipped(layers[n]) for n in range(len(layers))])
            if seen:
                self._prove()

    @property
    def layers(self) -> nn.ModuleList:
        """The model's layers; those above the depth do nothing."""
        return cast(nn.ModuleList, self.base.get_submodule(self.path))

    @property
    def linear_names(self) -> list[str]:
        """Names of the linear maps of the layers with adapters, sorted."""
        upper = [(f"base.{self.path}.{n}", self.layers[n]) for n in range(self.cut, self.depth)]
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
            given = GivenLayer(self.form, layers[self.cut - 1], cast(Tensor, states))
            layers[: self.cut] = [*map(self._skipped, layers[: self.cut - 1]), given]
        return self._with_layers(layers, both_ways=True)(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state

    def _lower(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """One reading by the frozen layers alone, of a decoder from left to right."""
        layers = list(self.layers)
        record = RecordingLayer(self.form, layers[self.cut])
        layers[self.cut :] = [record, *map(self._skipped, layers[self.cut + 1 :])]
        self._with_layers(layers, both_ways=self.encoder)(input_ids=input_ids, attention_mask=attention_mask)
        return record.recorded

    def _skipped(self, layer: nn.Module) -> nn.Module:
        return SkippedLayer(self.form, layer)

    def _with_layers(self, layers: list[nn.Module], both_ways: bool) -> nn.Module:
        """A copy of the model that shares all weights, with other layers and its own direction of attention."""
        top = module = _shallow_copy(self.base, both_ways)
        *parents, _ = self.path.split(".")
        for name in parents:
            child = _shallow_copy(module.get_submodule(name), both_ways)
            module._modules[name] = child
            module = child
        self._set_layers(top, layers)
        return top

    def _set_layers(self, model: nn.Module, layers: list[nn.Module]) -> None:
        *parents, name = self.path.split(".")
        model.get_submodule(".".join(parents))._modules[name] = nn.ModuleList(layers)

    @torch.no_grad()
    def _prove(self) -> None:
        """See with two inputs that lower and upper layers do what is said of them."""
        inputs = last_word_changed(self.base.device)
        mask = torch.ones_like(inputs[0])
        states = [self._lower(ids, mask) if self.cut else None for ids in inputs]
        if self.encoder:
            whole = self._with_layers(list(self.layers), both_ways=True)(input_ids=inputs[0], attention_mask=mask)
            parts = self(inputs[0], mask, states[0]).float()
            if (whole.last_hidden_state.float() - parts).abs().max() > 0.02 * parts.abs().max():
                raise UnfitError("in two parts it gives something else than as a whole")
            return
        if self.cut and differs((cast(Tensor, lower)[:, :-1] for lower in states), self.quantized):
            raise UnfitError("its lower layers don't read from left to right")
        if not differs(self(ids, mask, lower)[:, 0] for ids, lower in zip(inputs, states, strict=True)):
            raise UnfitError("its upper layers can't be made to read both ways")


def _layer_list(base: PreTrainedModel) -> tuple[str, nn.ModuleList]:
    """Name and list of a model's layers: its longest ModuleList, wherever the architecture puts it."""
    lists = [(name, child) for name, child in base.named_modules() if isinstance(child, nn.ModuleList)]
    count = base.config.get_text_config().num_hidden_layers
    fit = [item for item in lists if len(item[1]) == count]
    if not fit:
        raise UnfitError(f"no list of its {count} layers was found in it")
    return fit[0]


def _output_length(base: PreTrainedModel, layer: nn.Module) -> int | None:
    """Length of the tuple that a layer returns, None where it returns a tensor."""
    outputs: list[Any] = []
    handle = layer.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    try:
        ids = torch.ones((1, 2), dtype=torch.long, device=base.device)
        with torch.no_grad():
            base(input_ids=ids)
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
