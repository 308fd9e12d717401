"""Put the adapter into a folder to hand on, with a model card and a data card made from the metrics.

Run by DVC, or as `python -m stages.release`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd

from finsentiment.errors import run_main
from finsentiment.files import atomic_path, read_json, read_table, write_text
from finsentiment.labels import LABELS, P_COLUMNS
from finsentiment.llm.adapter import DESCRIPTION, WEIGHTS, adapter_hash
from finsentiment.reporting.cards import data_card, model_card
from stages.parameters import stage_params

ADAPTER, RELEASE = Path("models/adapter"), Path("models/release")


def errors_of(predictions: pd.DataFrame) -> list[dict[str, object]]:
    """How many sentences of each class are taken for which other, the most first."""
    read = predictions[list(P_COLUMNS)].to_numpy().argmax(axis=1)
    table = pd.DataFrame({"label": predictions["label"], "read": [LABELS[code] for code in read]})
    wrong = table[table["label"] != table["read"]].groupby(["label", "read"]).size().rename("sentences").reset_index()
    return wrong.sort_values("sentences", ascending=False, kind="stable").to_dict("records")


def main() -> None:
    """Copy the adapter and write the cards."""
    params = stage_params("release")
    metrics = {
        name: read_json(f"metrics/{name}.json") for name in ("prepare", "split", "baseline", "finetune", "evaluate")
    }
    facts = {
        **metrics,
        "classifier": read_json(ADAPTER / DESCRIPTION),
        "hash": adapter_hash(ADAPTER),
        "corpus": params.corpus.source,
        "recipe": params.finetune,
        "seed": params.seed,
        "errors": errors_of(read_table("data/evaluate/predictions.parquet")),
    }
    with atomic_path(RELEASE) as folder:
        folder.mkdir()
        for name in (WEIGHTS, DESCRIPTION):
            shutil.copyfile(ADAPTER / name, folder / name)
        write_text(folder / "README.md", model_card(facts))
        write_text(folder / "DATA.md", data_card(facts))


if __name__ == "__main__":
    run_main(main)
