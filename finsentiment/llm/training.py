"""Fine-tuning: `transformers.Trainer` over a classifier of which adapters or all weights train.

Resumable, and the same every time.
"""

from __future__ import annotations

import gc
import hashlib
import json
import shutil
import sys
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from filelock import FileLock
from safetensors.torch import load_file, save_file
from sklearn.metrics import accuracy_score, f1_score, log_loss
from torch import nn
from tqdm import tqdm
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments, set_seed

from finsentiment.calibration import apply_temperature, fit_temperature
from finsentiment.files import cache_folder, read_json, report_full_disk, sha256_file, write_json
from finsentiment.labels import LABELS, label_codes
from finsentiment.llm.base_models import load_backbone, load_tokenizer, model_folder
from finsentiment.llm.batches import by_length, padded
from finsentiment.llm.classifier import Classifier, trainable, trained_weights
from finsentiment.llm.memory import require_memory
from finsentiment.llm.optimizer import make_optimizer
from finsentiment.llm.published import load_published
from finsentiment.llm.reader import Reader, tokenise
from finsentiment.llm.runtime import Runtime, start_runtime
from finsentiment.params import Finetune, Model

TRAINED_FILE = "trained.safetensors"
WEIGHT_FILES = ("adapter_model.safetensors", "model.safetensors")
"""Of adapters, or of all weights."""
CHECKPOINT_FILES = (
    TRAINED_FILE,
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "trainer_state.json",
)
CHOSEN_FILE = "chosen.json"
"""What the first of two trainings found, while the second runs (`give_back_validation`)."""
LOWER_BATCH_TOKENS = 1024


@dataclass(frozen=True)
class Trained:
    """A fine-tuned classifier: what `save_adapter` takes, the training curve and the facts of the training."""

    tuned: nn.Module
    description: dict[str, Any]
    curve: pd.DataFrame
    facts: dict[str, Any]
    checkpoints: Path | None = None
    lock: FileLock | None = None
    before: Path | None = None

    def done(self) -> None:
        """Drop the checkpoints. Call it when the classifier is saved: until then they are all there is."""
        if self.checkpoints and self.lock:
            shutil.rmtree(self.checkpoints)
            self.lock.release()
        if self.before:
            shutil.rmtree(self.before)


def finetune_classifier(
    train: pd.DataFrame,
    validation: pd.DataFrame,
    model: Model,
    recipe: Finetune,
    seed: int,
    threads: int,
    device: str = "auto",
) -> Trained:
    """Fine-tune `model` on the sentences of `train`, choosing the epoch by macro F1 on `validation`.

    Both tables have `text` and `label`. After an interruption the next call with the same arguments goes on
    from the last complete epoch and ends with the same weights as an uninterrupted one.
    Where `recipe.method` is none, nothing trains: `model` must be a sentiment model, and its temperature is fitted.
    With `recipe.give_back_validation` a second training follows on both tables, for the epochs that were chosen; its
    temperature, curve and facts are those of the first, which had not seen the validation sentences.
    """
    runtime = start_runtime(device, threads)
    if recipe.method == "none":
        base = model_folder(model)
        tokenizer = load_tokenizer(base)
        reader = Reader(load_published(base, runtime, tokenizer.pad_token_id), tokenizer, recipe.max_tokens, 1.0)
        return _as_published(reader, validation, model, recipe)
    if not recipe.give_back_validation:
        return _finetuned((train, validation), model, recipe, seed, runtime)
    folder = _checkpoints((train, validation), model, recipe, seed, runtime, chooses=True)
    if not (folder / CHOSEN_FILE).is_file():  # else a run that was killed in its second training goes on there
        first = _finetuned((train, validation), model, recipe, seed, runtime)
        told = {"description": first.description, "facts": first.facts, "curve": first.curve.to_dict("list")}
        write_json(folder / CHOSEN_FILE, told)
        cast(FileLock, first.lock).release()
        del first
        gc.collect()  # Trainer holds itself in a circle, and with it the first model and its optimiser
        if runtime.device.type == "cuda":
            torch.cuda.empty_cache()
    chosen = read_json(folder / CHOSEN_FILE)
    again = recipe.model_copy(update={"epochs": max(1, round(chosen["facts"]["best_epoch"]))})
    everything = pd.concat([train, validation], ignore_index=True)
    second = _finetuned((everything, validation), model, again, seed, runtime, chooses=False)
    curve = pd.DataFrame(chosen["curve"])
    return replace(second, description=chosen["description"], curve=curve, facts=chosen["facts"], before=folder)


def _finetuned(
    tables: tuple[pd.DataFrame, pd.DataFrame],
    model: Model,
    recipe: Finetune,
    seed: int,
    runtime: Runtime,
    chooses: bool = True,
) -> Trained:
    """One training; `chooses`: whether the validation sentences choose its epoch, else it is the last."""
    base = model_folder(model)
    tokenizer = load_tokenizer(base)
    sets = [_tokenised(table, tokenizer, recipe.max_tokens) for table in tables]
    lengths = [length for split in sets for length in split["length"]]
    need = require_memory(base, recipe, (recipe.batch_size, max(lengths)), sum(lengths), runtime)
    print(f"memory: about {need}", file=sys.stderr)
    set_seed(seed)
    whole = recipe.method == "full"
    # What trains keeps its weights in float32: small steps would be lost in the rounding of bfloat16.
    backbone = load_backbone(base, recipe.quantization, replace(runtime, dtype=torch.float32) if whole else runtime)
    layers = None if whole else recipe.lora.layers
    classifier = Classifier(backbone, recipe.depth, layers, recipe.echo, recipe.label_smoothing)
    del backbone  # and with it the layers above `depth`
    if whole and runtime.dtype != torch.float32:
        classifier.arithmetic = runtime.dtype
    collate = _Collator(tokenizer.pad_token_id, _lower_states(classifier, sets, tokenizer.pad_token_id))
    tuned = trainable(classifier, recipe.method, recipe.lora)
    optimizer = make_optimizer(trained_weights(tuned), classifier.backbone, recipe)

    checkpoints = _checkpoints(tables, model, recipe, seed, runtime, chooses)
    lock = FileLock(f"{checkpoints}.lock")
    lock.acquire()  # another run of the same training would share the checkpoints: it waits here
    trainer = _trainer(tuned, optimizer, sets, collate, recipe, seed, checkpoints, runtime.device, chooses)
    with report_full_disk(checkpoints):
        trainer.train(resume_from_checkpoint=_last_complete(checkpoints))
    output: Any = trainer.predict(sets[1])
    judged, temperature = _judged(output.predictions.astype(float), output.label_ids)
    facts = {
        "tokens_train": sum(sets[0]["length"]),
        "sentences_cut": _cut(tables, tokenizer, recipe.max_tokens),
        "trainable_parameters": sum(p.numel() for p in trained_weights(tuned).values()),
        "best_epoch": (trainer.state.best_global_step or trainer.state.max_steps)
        / (trainer.state.max_steps / recipe.epochs),
        "validation": judged,
    }
    curve, description = _curve(trainer.state.log_history), _description(model, recipe, temperature)
    return Trained(tuned, description, curve, facts, checkpoints, lock)


def _as_published(reader: Reader, validation: pd.DataFrame, model: Model, recipe: Finetune) -> Trained:
    """A sentiment model as it was published, its temperature fitted on the validation sentences."""
    texts, labels = validation["text"].tolist(), label_codes(validation["label"])
    logits = reader.logits(texts)
    judged, temperature = _judged(logits, labels)
    facts = {
        "tokens_train": 0,
        "sentences_cut": _cut((validation,), reader.tokenizer, recipe.max_tokens),
        "trainable_parameters": 0,
        "best_epoch": 0.0,
        "validation": judged,
    }
    loss = log_loss(labels, apply_temperature(logits, 1.0), labels=range(len(LABELS)))
    row = {"epoch": 0.0, "train_loss": np.nan, "validation_loss": loss}
    row |= {name: judged[name] for name in ("accuracy", "macro_f1")}
    return Trained(reader.model, _description(model, recipe, temperature), pd.DataFrame([row]), facts)


def _judged(logits: np.ndarray, labels: np.ndarray) -> tuple[dict[str, float], float]:
    """How well validation sentences were read, and the temperature that fits them."""
    temperature = fit_temperature(logits, labels)
    loss = log_loss(labels, apply_temperature(logits, temperature), labels=range(len(LABELS)))
    return {**_scores(logits, labels), "log_loss": loss}, temperature


def _description(model: Model, recipe: Finetune, temperature: float) -> dict[str, Any]:
    return {
        "base": {"spec": model.spec, "sha256": model.sha256},
        "method": recipe.method,
        "depth": None if recipe.method == "none" else recipe.depth,
        "echo": recipe.echo,
        "lora": recipe.lora.model_dump(),
        "quantization": recipe.quantization,
        "max_tokens": recipe.max_tokens,
        "temperature": temperature,
    }


def _tokenised(table: pd.DataFrame, tokenizer: Any, max_tokens: int) -> Dataset:
    tokens = tokenise(tokenizer, table["text"].tolist(), max_tokens)
    return Dataset.from_dict(
        {"input_ids": tokens, "labels": label_codes(table["label"]).tolist(), "length": [len(row) for row in tokens]}
    )


def _cut(tables: tuple[pd.DataFrame, ...], tokenizer: Any, max_tokens: int) -> int:
    """How many sentences are longer than `max_tokens`."""
    return sum(len(row) > max_tokens for table in tables for row in tokenizer(table["text"].tolist())["input_ids"])


def _lower_states(classifier: Classifier, sets: list[Dataset], pad: int) -> dict[tuple[int, ...], torch.Tensor] | None:
    """What the lowest layer with an adapter receives for each sentence, by token ids; None if none lies below it."""
    if not classifier.backbone.cut:
        return None
    tokens = sorted({tuple(row) for split in sets for row in split["input_ids"]})
    states = {}
    with tqdm(total=len(tokens), desc="frozen layers", unit="text", file=sys.stderr, mininterval=2) as bar:
        for rows in by_length([len(row) for row in tokens], LOWER_BATCH_TOKENS):
            ids, mask = padded([tokens[row] for row in rows], pad)
            device = classifier.backbone.base.device
            batch = cast(torch.Tensor, classifier.backbone.lower_states(ids.to(device), mask.to(device))).cpu()
            # A copy of each row: a view would keep the padding of its whole batch in memory.
            states.update({tokens[row]: batch[place, : len(tokens[row])].clone() for place, row in enumerate(rows)})
            bar.update(len(rows))
    return states


class _Collator:
    """Pads a batch of tokenised sentences and lays their lower states beside them."""

    def __init__(self, pad: int, states: dict[tuple[int, ...], torch.Tensor] | None) -> None:
        self.pad, self.states = pad, states

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        ids, mask = padded([row["input_ids"] for row in rows], self.pad)
        batch = {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([row["labels"] for row in rows])}
        if self.states is not None:
            states = [self.states[tuple(row["input_ids"])] for row in rows]
            batch["lower_states"] = torch.nn.utils.rnn.pad_sequence(states, batch_first=True)
        return batch


def _trainer(
    tuned: nn.Module,
    optimizer: torch.optim.Optimizer,
    sets: list[Dataset],
    collate: _Collator,
    recipe: Finetune,
    seed: int,
    checkpoints: Path,
    device: torch.device,
    chooses: bool,
) -> Trainer:
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        seed=seed,
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=2 * recipe.batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=recipe.warmup_share,
        lr_scheduler_type="linear",
        train_sampling_strategy="group_by_length",
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=chooses,
        restore_callback_states_from_checkpoint=True,
        metric_for_best_model="macro_f1",
        logging_strategy="epoch",
        report_to="none",
        disable_tqdm=False,
        remove_unused_columns=False,
        label_names=["labels"],
        use_cpu=device.type == "cpu",
        dataloader_num_workers=0,
        dataloader_pin_memory=device.type == "cuda",
    )
    return Trainer(
        model=tuned,
        args=arguments,
        train_dataset=sets[0],
        eval_dataset=sets[1],
        data_collator=collate,
        compute_metrics=lambda output: _scores(output.predictions, output.label_ids),
        optimizers=(optimizer, None),
        callbacks=[*([EarlyStoppingCallback(recipe.patience)] if chooses else []), _Average(tuned, recipe.average)],
    )


class _Average(TrainerCallback):
    """Keeps a moving average of the trained weights, which takes their place whenever an epoch is judged and saved.

    The average moves by 1 - decay a step, faster in the first steps; a decay of 0 leaves the weights as they are.
    Averaged weights forecast better than the last ones (Izmailov et al. 2018), and sooner.
    """

    def __init__(self, tuned: nn.Module, decay: float) -> None:
        self.weights = trained_weights(tuned)
        self.decay = decay
        self.trained: dict[str, torch.Tensor] = {}

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: Any, **_: Any) -> None:
        self.mean = self._copies()  # after a resume the weights are the average: that is what was saved
        if state.global_step:
            self.trained = load_file(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / TRAINED_FILE)

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        self._put(self.trained)

    @torch.no_grad()
    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: Any, **_: Any) -> None:
        decay = min(self.decay, (1 + state.global_step) / (10 + state.global_step))
        for name, weight in self.weights.items():
            self.mean[name].lerp_(weight, 1 - decay)

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        self.trained = self._copies()
        self._put(self.mean)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: Any, **_: Any) -> None:
        save_file(self.trained, Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / TRAINED_FILE)

    def _copies(self) -> dict[str, torch.Tensor]:
        return {name: weight.detach().clone() for name, weight in self.weights.items()}

    @torch.no_grad()
    def _put(self, values: dict[str, torch.Tensor]) -> None:
        for name, value in values.items():
            self.weights[name].copy_(value)


def _scores(logits: Any, labels: Any) -> dict[str, float]:
    predicted = np.argmax(logits, axis=1)
    return {"accuracy": accuracy_score(labels, predicted), "macro_f1": f1_score(labels, predicted, average="macro")}


def _checkpoints(
    tables: tuple[pd.DataFrame, ...], model: Model, recipe: Finetune, seed: int, runtime: Runtime, chooses: bool
) -> Path:
    """Where the checkpoints of exactly this training lie: data, parameters, code and libraries make the name."""
    digest = hashlib.sha256()
    for table in tables:
        digest.update(table[["text", "label"]].to_csv(index=False).encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(sha256_file(file).encode())
    libraries = {name: version(name) for name in ("torch", "transformers", "peft", "bitsandbytes", "accelerate")}
    settings = [model.model_dump(), recipe.model_dump(), seed, str(runtime), libraries, chooses]
    digest.update(json.dumps(settings, sort_keys=True).encode())
    return cache_folder("checkpoints", digest.hexdigest()[:24])


def _last_complete(checkpoints: Path) -> str | None:
    """The newest checkpoint that was written to its end; broken ones, of a run killed while saving, go away."""
    complete = []
    for checkpoint in checkpoints.glob("checkpoint-*"):
        try:
            json.loads((checkpoint / "trainer_state.json").read_text())
            finished = all((checkpoint / name).exists() for name in CHECKPOINT_FILES)
            finished &= any((checkpoint / name).exists() for name in WEIGHT_FILES)
        except (OSError, json.JSONDecodeError):
            finished = False
        if finished:
            complete.append(checkpoint)
        else:
            shutil.rmtree(checkpoint)
    if not complete:
        return None
    last = max(complete, key=lambda checkpoint: int(checkpoint.name.split("-")[1]))
    print(f"going on from {last.name} of an interrupted run", file=sys.stderr)
    return str(last)


def _curve(history: list[dict[str, float]]) -> pd.DataFrame:
    """One row per epoch, without the timings that Trainer mixes in. The training loss is the epoch's mean."""
    names = {
        "loss": "train_loss",
        "eval_loss": "validation_loss",
        "eval_accuracy": "accuracy",
        "eval_macro_f1": "macro_f1",
    }
    rows: dict[float, dict[str, float]] = {}
    for entry in history:
        rows.setdefault(entry["epoch"], {}).update({names[key]: entry[key] for key in entry.keys() & names.keys()})
    curve = (
        pd.DataFrame.from_dict(rows, orient="index", columns=list(names.values())).rename_axis("epoch").reset_index()
    )
    return curve.dropna()
