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
    `learning_rate` (Howard and Ruder 2018, "discriminative fine-tuning"). What comes before the layers (embeddings) has
    that of a layer below the lowest, what comes after them (a last norm) that of the top one.
    """
    layers = re.compile(rf"\.{re.escape(backbone.path)}\.(\d+)\.")
    lowest = next((place for place, name in enumerate(weights) if layers.search(name)), 0)
    places = {name: place for place, name in enumerate(weights)}

    def rate(name: str) -> float:
        if ".head." in f".{name}":
            return recipe.head_learning_rate
        layer = layers.search(name)
        below = backbone.depth if places[name] < lowest else 0
        above = backbone.depth - 1 - int(layer[1]) if layer else below
        return recipe.learning_rate * recipe.layer_decay**above

    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, weight in weights.items():
        groups.setdefault((rate(name), recipe.weight_decay if weight.ndim > 1 else 0.0), []).append(weight)
    tree: list[dict[str, Any]] = [{"params": p, "lr": lr, "weight_decay": w} for (lr, w), p in groups.items()]
    return torch.optim.AdamW(tree, fused=True)
