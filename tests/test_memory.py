"""The memory estimate: what a fine-tune will need, before it starts."""

from __future__ import annotations

import pytest
import torch

from finsentiment.errors import InputError
from finsentiment.llm import base_models, memory
from finsentiment.llm.classifier import Classifier, with_adapter
from finsentiment.llm.runtime import start_runtime
from finsentiment.params import Finetune, Model

BATCH, TOKENS = (8, 16), 1000
RUNTIME = start_runtime("cpu", 1)


def test_the_estimate_is_what_the_loaded_model_takes(tiny_model: Model, recipe: Finetune) -> None:
    path = base_models.model_folder(tiny_model)
    need = memory.estimate_memory(path, recipe, BATCH, TOKENS, RUNTIME.dtype)
    backbone = base_models.load_backbone(path, "none", RUNTIME)
    assert need.base == sum(p.numel() * p.element_size() for p in backbone.parameters())
    assert need.states == TOKENS * 64 * RUNTIME.dtype.itemsize
    classifier = Classifier(backbone, recipe.depth, recipe.lora.layers, recipe.echo)
    adapted = with_adapter(classifier, recipe.lora).train()
    assert need.adapter == sum(8 * p.numel() for p in adapted.parameters() if p.requires_grad)
    assert need.activations == pytest.approx(memory._kept_for_backward(classifier, BATCH, RUNTIME.dtype), rel=0.25)


def test_activations_grow_with_the_batch_and_nothing_else_does(tiny_model: Model, recipe: Finetune) -> None:
    path = base_models.model_folder(tiny_model)
    one, two = (memory.estimate_memory(path, recipe, (size, 16), TOKENS, RUNTIME.dtype) for size in (8, 16))
    assert two.activations == pytest.approx(2 * one.activations, rel=0.01)
    assert (one.base, one.adapter, one.optimiser, one.states) == (two.base, two.adapter, two.optimiser, two.states)
    assert two.total - one.total == pytest.approx(1.4 * (two.activations - one.activations))


def test_nf4_takes_about_half_a_byte_for_each_quantised_weight(tiny_model: Model, recipe: Finetune) -> None:
    path = base_models.model_folder(tiny_model)
    nf4 = memory.estimate_memory(
        path, recipe.model_copy(update={"quantization": "nf4"}), BATCH, TOKENS, RUNTIME.dtype
    ).base
    backbone = base_models.load_backbone(path, "nf4", RUNTIME)
    stored = sum(p.numel() * p.element_size() for p in backbone.parameters())
    assert stored < nf4 < stored * 1.05  # the parameters themselves, without the scales of their blocks


def test_a_model_that_cannot_fit_is_refused_with_numbers_and_remedy(
    tiny_model: Model, recipe: Finetune, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = base_models.model_folder(tiny_model)
    need = memory.estimate_memory(path, recipe, BATCH, TOKENS, RUNTIME.dtype)
    monkeypatch.setattr(memory, "free_memory", lambda device: need.total - 1)
    with pytest.raises(InputError, match=r"needs about .* GB \(base .*activations.* are free; set finetune.quant.*nf4"):
        memory.require_memory(path, recipe, BATCH, TOKENS, RUNTIME)
    monkeypatch.setattr(memory, "free_memory", lambda device: need.total - 1.4 * need.activations / 4)
    with pytest.raises(InputError, match="set finetune.batch_size=6"):
        memory.require_memory(path, recipe, BATCH, TOKENS, RUNTIME)
    monkeypatch.setattr(memory, "free_memory", lambda device: 1)
    with pytest.raises(InputError, match="take a smaller model.spec"):
        memory.require_memory(path, recipe, BATCH, TOKENS, RUNTIME)
    monkeypatch.setattr(memory, "free_memory", lambda device: need.total)
    assert memory.require_memory(path, recipe, BATCH, TOKENS, RUNTIME) == need


def test_an_estimate_makes_no_tensor_with_content(tiny_model: Model, recipe: Finetune) -> None:
    state = torch.random.get_rng_state()
    memory.estimate_memory(base_models.model_folder(tiny_model), recipe, BATCH, TOKENS, RUNTIME.dtype)
    assert torch.equal(torch.random.get_rng_state(), state)
