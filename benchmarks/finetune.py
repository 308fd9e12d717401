"""Fine-tuning speed: the recipe that nearly every repository has against ours, one after the other.

Run as `python -m benchmarks.finetune` when data/splits/ is there (`dvc repro split`). Both train on the same
sentences for the same epochs with LoRA of the same rank on all linear maps of the layers they adapt, and each
has a process of its own, so that its peak memory can be read.

plain  float32, every layer adapted, batches in random order padded to their longest, causal attention and the
       last token, `Trainer` and PEFT as their examples have it
ours   `finsentiment.llm.training.finetune` with params.yaml as it is
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from benchmarks.machine import matrix_product
from finsentiment.errors import InputError, run_main
from finsentiment.files import read_table
from finsentiment.labels import LABELS, label_codes
from finsentiment.llm import training
from finsentiment.llm.base_models import load_tokenizer, model_folder
from finsentiment.llm.runtime import start_runtime
from finsentiment.params import Params
from stages.parameters import stage_params

COUNTED_STEPS = 5


class Clock(TrainerCallback):
    """Seconds in training steps, and the floating point operations of a step (mean over the first few)."""

    def __init__(self) -> None:
        self.seconds, self.steps, self.operations = 0.0, 0, 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock, and in the first steps the count of operations."""
        self.counter = FlopCounterMode(display=False) if self.steps < COUNTED_STEPS else None
        if self.counter:
            self.counter.__enter__()
        self.start = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Stop them."""
        self.steps += 1
        if self.counter:  # counting takes time, so these steps have none
            self.counter.__exit__(None, None, None)
            self.operations += self.counter.get_total_flops() / COUNTED_STEPS
        else:
            self.seconds += time.perf_counter() - self.start

    def figures(self, tokens: int, once: float = 0.0) -> dict[str, float]:
        """Rates over all steps; `once` are seconds spent before the first of them."""
        if self.steps <= COUNTED_STEPS:
            raise InputError(f"{self.steps} steps of training, expected more than {COUNTED_STEPS}: raise --sentences")
        seconds = self.seconds * self.steps / (self.steps - COUNTED_STEPS)
        return {
            "tokens_per_s": tokens / (seconds + once),
            "seconds": seconds + once,
            "gflop_per_s": self.operations * self.steps / seconds / 1e9,
        }


def plain(params: Params, train: pd.DataFrame, validation: pd.DataFrame) -> dict[str, float]:
    """What the examples of Transformers and PEFT do."""
    recipe, path = params.finetune, model_folder(params.model)
    torch.set_num_threads(params.threads)
    set_seed(params.seed)
    tokenizer = load_tokenizer(path)
    model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=len(LABELS), dtype=torch.float32)
    model.config.pad_token_id = tokenizer.pad_token_id
    lora = LoraConfig(task_type="SEQ_CLS", r=recipe.lora.r, lora_alpha=recipe.lora.alpha, target_modules="all-linear")
    sets = [
        Dataset.from_dict(
            {
                **tokenizer(t["text"].tolist(), truncation=True, max_length=recipe.max_tokens),
                "labels": label_codes(t["label"]),
            }
        )
        for t in (train, validation)
    ]
    clock = Clock()
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(
            model=get_peft_model(model, lora),
            args=TrainingArguments(
                output_dir=scratch,
                num_train_epochs=recipe.epochs,
                per_device_train_batch_size=recipe.batch_size,
                per_device_eval_batch_size=recipe.batch_size,
                learning_rate=recipe.learning_rate,
                warmup_steps=recipe.warmup_share,
                save_strategy="no",
                report_to="none",
                disable_tqdm=False,
                use_cpu=True,
                seed=params.seed,
            ),
            train_dataset=sets[0],
            data_collator=DataCollatorWithPadding(tokenizer),
            callbacks=[clock],
        )
        trainer.train()
        predicted = trainer.predict(sets[1]).predictions.argmax(1)
    tokens = sum(map(len, sets[0]["input_ids"])) * recipe.epochs
    return clock.figures(tokens) | {"accuracy": float((predicted == label_codes(validation["label"])).mean())}


def ours(params: Params, train: pd.DataFrame, validation: pd.DataFrame) -> dict[str, float]:
    """The project's own fine-tuning; what it computes once before the first step counts as training too."""
    clock, make = Clock(), training._trainer
    lower, once = training._lower_states, []

    def timed(*arguments: Any) -> Any:
        start = time.perf_counter()
        states = lower(*arguments)
        once.append(time.perf_counter() - start)
        return states

    def clocked(*arguments: Any) -> Trainer:
        trainer = make(*arguments)
        trainer.add_callback(clock)
        return trainer

    training._trainer, training._lower_states = clocked, timed
    trained = training.finetune_classifier(
        train, validation, params.model, params.finetune, params.seed, params.threads
    )
    trained.done()
    epochs = len(trained.curve)
    share = len(train) / (len(train) + len(validation))  # of the states kept, those of the training sentences
    return clock.figures(trained.facts["tokens_train"] * epochs, once[0] * share) | {
        "accuracy": trained.facts["validation"]["accuracy"]
    }


ARMS: dict[str, Callable[..., dict[str, float]]] = {"plain": plain, "ours": ours}


def measure(arm: str, sentences: int | None, epochs: int | None) -> dict[str, float]:
    """Run one arm in this process."""
    params = stage_params("finetune")
    if epochs:
        params = params.model_copy(update={"finetune": params.finetune.model_copy(update={"epochs": epochs})})
    train, validation = (read_table(f"data/splits/{part}.parquet") for part in ("train", "validation"))
    train = train.sample(min(sentences or len(train), len(train)), random_state=params.seed)
    runtime = start_runtime("cpu", params.threads)
    dtype = torch.float32 if arm == "plain" else runtime.dtype
    peak = matrix_product(dtype)
    figures = ARMS[arm](params, train, validation)
    peak = (peak + matrix_product(dtype)) / 2
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return figures | {"matrix_product_gflop_per_s": peak, "share": figures["gflop_per_s"] / peak, "peak_memory": memory}


def main() -> None:
    """Run both arms and print them side by side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, help="training sentences, drawn at random (default: all)")
    parser.add_argument("--epochs", type=int, help="instead of params.yaml's")
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.arm:
        print(json.dumps(measure(given.arm, given.sentences, given.epochs)))
        return
    found = {}
    for arm in ARMS:
        options = [f"--{k}={v}" for k, v in (("sentences", given.sentences), ("epochs", given.epochs)) if v]
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.finetune", "--arm", arm, *options], stdout=subprocess.PIPE
        )
        if done.returncode:  # it has said why
            sys.exit(done.returncode)
        found[arm] = json.loads(done.stdout.splitlines()[-1])
    print(f"{'':8}{'tokens/s':>10}{'seconds':>10}{'peak GB':>10}{'accuracy':>10}{'GFLOP/s':>10}{'of matmul':>10}")
    for arm, f in found.items():
        print(
            f"{arm:8}{f['tokens_per_s']:10.0f}{f['seconds']:10.0f}{f['peak_memory'] / 1e9:10.2f}{f['accuracy']:10.3f}"
            f"{f['gflop_per_s']:10.0f}{f['share']:10.0%}"
        )
    ratio = found["ours"]["tokens_per_s"] / found["plain"]["tokens_per_s"]
    print(f"ours reads {ratio:.1f} times the tokens a second; tokens are the sentences' own, without padding")


if __name__ == "__main__":
    run_main(main)
