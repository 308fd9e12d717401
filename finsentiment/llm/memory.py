"""How much memory a fine-tune will need, worked out before anything large is loaded.

The model is built on PyTorch's meta device, where tensors have shapes and no content, and reads one batch there;
what autograd keeps of it for the backward pass is counted. So it holds for any architecture.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from finsentiment.errors import InputError
from finsentiment.llm.classifier import Classifier, trainable, trained_weights
from finsentiment.llm.families import refuse_unfit
from finsentiment.llm.runtime import Runtime
from finsentiment.params import Finetune

BYTES_PER_WEIGHT = {"int8": 1.0, "nf4": 0.5 + 0.127 / 8}
"""Of a quantised linear map. NF4 with double quantisation adds 0.127 bits (Dettmers et al. 2023, section 3)."""
BYTES_PER_TRAINED = {"adapter": 4 + 4, "optimiser": 8}
"""float32 weight and gradient; the two moments of AdamW."""
BYTES_IN_FULL = {"adapter": 4 + 4 + 8, "optimiser": 8}
"""The same where every weight trains: with the moving average, and the weights that it takes the place of."""
WORKING_SHARE = 0.4
"""What a process takes beyond the rest: temporaries, and gaps between what was freed. tests/test_real_model.py
measures it with the default model."""


@dataclass(frozen=True)
class Memory:
    """Bytes by purpose: `states` are the outputs of the frozen layers, kept for every sentence, `working` a margin."""

    base: float
    adapter: float
    optimiser: float
    activations: float
    states: float
    working: float

    @property
    def total(self) -> float:
        """Bytes in all."""
        return sum(asdict(self).values())

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {size / 1e9:.2f}" for name, size in asdict(self).items())
        return f"{self.total / 1e9:.2f} GB ({parts})"


def estimate_memory(path: Path, recipe: Finetune, batch: tuple[int, int], tokens: int, dtype: torch.dtype) -> Memory:
    """Memory of fine-tuning the base model in the folder `path`.

    Parameters
    ----------
    batch : shape (sentences, tokens) of the largest batch
    tokens : number of tokens in all sentences together
    dtype : of the base model's weights and arithmetic

    Raises
    ------
    InputError
        The base model is of a kind that can't be used.
    """
    config = AutoConfig.from_pretrained(path)
    with torch.device("meta"), refuse_unfit(config.model_type):
        backbone = AutoModel.from_config(config, dtype=dtype).requires_grad_(False)
        linear = {id(m.weight) for m in backbone.modules() if isinstance(m, nn.Linear)}
        base = sum(
            p.numel() * BYTES_PER_WEIGHT.get(recipe.quantization, p.element_size())
            if id(p) in linear
            else p.numel() * p.element_size()
            for p in backbone.parameters()
        )
        full = recipe.method == "full"
        classifier = Classifier(backbone, recipe.depth, None if full else recipe.lora.layers, recipe.echo)
        tuned = trainable(classifier, recipe.method, recipe.lora).train()
        trained = sum(p.numel() for p in trained_weights(tuned).values())
        activations = _kept_for_backward(classifier, batch, dtype)
    state = config.get_text_config().hidden_size * dtype.itemsize if classifier.backbone.cut else 0
    parts = {
        "base": base,
        "activations": activations,
        "states": tokens * state,
        **{name: trained * size for name, size in (BYTES_IN_FULL if full else BYTES_PER_TRAINED).items()},
    }
    return Memory(**parts, working=WORKING_SHARE * sum(parts.values()))


def require_memory(path: Path, recipe: Finetune, batch: tuple[int, int], tokens: int, runtime: Runtime) -> Memory:
    """The estimate, if it fits into what is free; else InputError with the numbers and what to do."""
    need, free = estimate_memory(path, recipe, batch, tokens, runtime.dtype), free_memory(runtime.device)
    if need.total <= free:
        return need
    remedies = []
    for quantization in BYTES_PER_WEIGHT:
        quantized = recipe.model_copy(update={"quantization": quantization})
        smaller = estimate_memory(path, quantized, batch, tokens, runtime.dtype)
        if recipe.method == "lora" and recipe.quantization == "none" and smaller.total <= free:
            remedies.append(f"set finetune.quantization={quantization} ({smaller.total / 1e9:.2f} GB)")
    if recipe.method == "full":
        remedies.append("set finetune.method=lora")
    activations = (1 + WORKING_SHARE) * need.activations
    if need.total - activations <= free:
        fewer = int(batch[0] * (free - need.total + activations) / activations)
        if fewer:
            remedies.append(f"set finetune.batch_size={fewer} and raise finetune.gradient_accumulation")
    remedies = remedies or ["take a smaller model.spec, or a machine with more memory"]
    raise InputError(
        f"model.spec: fine-tuning needs about {need}, and {free / 1e9:.2f} GB are free; {', or '.join(remedies)}"
    )


def free_memory(device: torch.device) -> int:
    """Bytes that can be had on the device that trains."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info()[0]
    return psutil.virtual_memory().available


def _kept_for_backward(classifier: Classifier, batch: tuple[int, int], dtype: torch.dtype) -> int:
    """Bytes of the tensors that autograd saves in one pass, weights aside, each counted once."""
    weights = {p.untyped_storage()._cdata for p in classifier.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return tensor

    ids = torch.zeros(batch, dtype=torch.long)
    # The mask of attention itself: a mask of padding would be looked into, and there is nothing to see.
    mask = torch.zeros(batch[0], 1, batch[1], batch[1], dtype=dtype)
    hidden = classifier.backbone.base.config.get_text_config().hidden_size
    states = torch.zeros(*batch, hidden, dtype=dtype)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = classifier.head(classifier.backbone(ids, mask, lower_states=states), torch.ones(batch))
    del output
    return sum(storage.nbytes() for storage in kept.values())
