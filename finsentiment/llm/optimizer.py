"""The optimiser: AdamW, with a learning rate for each layer."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from finsentiment.llm.backbone import Backbone
from finsentiment.params import Finetune


def make_optimizer(weights: dict[str, Tensor], backbone: Backbone, recipe: Finetune) -> torch.optim.Optimizer:
    """AdamW over the weights that train; biases and norms don't decay.

    The head has a rate of its own. A layer has that of the layer above times `layer_decay`, the top one
    `learning_rate`, and what belongs to no layer (embeddings) that of a layer below the lowest (Howard and Ruder 2018,
    "discriminative fine-tuning").
    """
    place = re.compile(rf"\.{re.escape(backbone.path)}\.(\d+)\.")

    def rate(name: str) -> float:
        if ".head." in f".{name}":
            return recipe.head_learning_rate
        layer = place.search(name)
        above = backbone.depth - 1 - int(layer[1]) if layer else backbone.depth
        return recipe.learning_rate * recipe.layer_decay**above

    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, weight in weights.items():
        groups.setdefault((rate(name), recipe.weight_decay if weight.ndim > 1 else 0.0), []).append(weight)
    tree: list[dict[str, Any]] = [{"params": p, "lr": lr, "weight_decay": w} for (lr, w), p in groups.items()]
    return torch.optim.AdamW(tree, fused=True)
