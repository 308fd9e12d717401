"""Fine-tune the base model on the training sentences, the epoch chosen on the validation sentences.

Run by DVC, or as `python -m stages.finetune`.
"""

from __future__ import annotations

from finsentiment.errors import run_main
from finsentiment.files import read_table, write_csv, write_json
from finsentiment.llm.saved import save_adapter
from finsentiment.llm.training import finetune_classifier
from stages.parameters import stage_params


def main() -> None:
    """Read the splits, write the adapter, its training curve and its validation figures."""
    params = stage_params("finetune")
    trained = finetune_classifier(
        read_table("data/splits/train.parquet"),
        read_table("data/splits/validation.parquet"),
        params.model,
        params.finetune,
        params.seed,
        params.threads,
        params.device,
    )
    save_adapter(trained.tuned, "models/adapter", trained.description)
    write_csv("metrics/finetune/curve.csv", trained.curve)
    write_json("metrics/finetune.json", trained.facts)
    trained.done()


if __name__ == "__main__":
    run_main(main)
