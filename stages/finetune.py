"""Fine-tune the base model with LoRA on the training sentences, the epoch chosen on the validation sentences."""

from __future__ import annotations

from finsentiment.errors import command
from finsentiment.files import read_table, write_csv, write_json
from finsentiment.llm.classifier import save
from finsentiment.llm.training import finetune
from stages.parameters import load


def main() -> None:
    """Read the splits, write the adapter, its training curve and its validation figures."""
    params = load("finetune")
    trained = finetune(
        read_table("data/splits/train.parquet"),
        read_table("data/splits/validation.parquet"),
        params.model,
        params.finetune,
        params.seed,
        params.threads,
    )
    save(trained.adapted, "models/adapter", trained.description)
    write_csv("metrics/finetune/curve.csv", trained.curve)
    write_json("metrics/finetune.json", trained.facts)
    trained.done()


if __name__ == "__main__":
    command(main)
