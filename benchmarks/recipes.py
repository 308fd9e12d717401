"""Recipes of fine-tuning compared on the validation sentences; the test sentences have no part in it.

Run as `python -m benchmarks.recipes [NAME ...] [--seeds 17 18]` when data/splits/ is there (`dvc repro split`).
Each recipe is params.yaml with a few leaves of `finetune` changed, in a process of its own. Log-loss, after the
temperature, tells recipes apart sooner than accuracy does: it uses how sure the model was of each sentence, and not
only what it said. Size is that of the saved weights, seconds are those of the whole fine-tune, the frozen layers'
pass included, and memory is the peak of the process.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from finsentiment.errors import InputError, run_main
from finsentiment.files import read_table
from finsentiment.llm.adapter import WEIGHTS
from finsentiment.llm.saved import save_adapter
from finsentiment.llm.training import finetune_classifier
from finsentiment.params import Finetune
from stages.parameters import stage_params

RECIPES: dict[str, dict[str, Any]] = {
    "params.yaml": {},
    "frozen layers read once": {"echo": False},
    "last weights, not their average": {"average": 0.0},
    "longer average": {"average": 0.99},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "LoRA dropout 0.1": {"lora.dropout": 0.1},
    "learning rate halved": {"learning_rate": 1.5e-4},
    "learning rate doubled": {"learning_rate": 6e-4},
    "rank 2": {"lora.r": 2, "lora.alpha": 4},
    "rank 8": {"lora.r": 8, "lora.alpha": 16},
    "rank 64": {"lora.r": 64, "lora.alpha": 128},
    "int8": {"quantization": "int8"},
    "nf4": {"quantization": "nf4"},
    "batches of 32": {"batch_size": 32},
    "all layers, 10 adapted": {"depth": None, "lora.layers": 10},
    "16 layers, all adapted": {"depth": 16, "lora.layers": 16},
    "16 layers, 9 adapted": {"depth": 16, "lora.layers": 9},
    "14 layers, 8 adapted": {"depth": 14, "lora.layers": 8},
    "12 layers, 8 adapted": {"depth": 12, "lora.layers": 8},
    "10 layers, 7 adapted": {"depth": 10, "lora.layers": 7},
    "8 layers, 6 adapted": {"depth": 8, "lora.layers": 6},
}
FIGURES = {"accuracy": ".3f", "macro_f1": ".3f", "log_loss": ".3f", "weights, MB": ".2f", "s": ".0f", "peak GB": ".2f"}


def changed(recipe: Finetune, leaves: dict[str, Any]) -> Finetune:
    """The recipe with other leaves, checked as params.yaml is."""
    tree = recipe.model_dump()
    for name, value in leaves.items():
        section, _, leaf = name.rpartition(".")
        (tree[section] if section else tree)[leaf] = value
    return Finetune.model_validate(tree)


def measure(name: str, seed: int) -> list[float]:
    """One fine-tune in this process: its `FIGURES`."""
    params = stage_params("finetune")
    train, validation = (read_table(f"data/splits/{part}.parquet") for part in ("train", "validation"))
    recipe = changed(params.finetune, RECIPES[name])
    start = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):  # Trainer prints its log
        trained = finetune_classifier(train, validation, params.model, recipe, seed, params.threads, params.device)
    seconds = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        save_adapter(trained.tuned, Path(folder) / "adapter", trained.description)
        size = (Path(folder) / "adapter" / WEIGHTS).stat().st_size / 1e6
    trained.done()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    found = trained.facts["validation"]
    return [found["accuracy"], found["macro_f1"], found["log_loss"], size, seconds, peak]


def main() -> None:
    """Print a row for each recipe as soon as its seeds are through."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(RECIPES)} (default: all)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[17])
    given = parser.parse_args()
    if unknown := set(given.names) - RECIPES.keys():
        raise InputError(f"no recipe {', '.join(sorted(unknown))}; there are {', '.join(RECIPES)}")
    sizes = [len(read_table(f"data/splits/{part}.parquet")) for part in ("train", "validation")]
    print(f"| recipe ({sizes[0]} sentences, {sizes[1]} for validation) | {' | '.join(FIGURES)} |")
    print("|---" * (1 + len(FIGURES)) + "|")
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        for name in given.names or RECIPES:
            mean = np.mean([pool.submit(measure, name, seed).result() for seed in given.seeds], axis=0)
            cells = [f"{value:{form}}" for value, form in zip(mean, FIGURES.values(), strict=True)]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    run_main(main)
