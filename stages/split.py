"""Divide the sentences into train, validation and test, with near-twins on one side.

Run by DVC, or as `python -m stages.split`.
"""

from __future__ import annotations

from finsentiment.corpus.cleaning import SENTENCES
from finsentiment.corpus.sources import read_csv
from finsentiment.corpus.split import split
from finsentiment.errors import command
from finsentiment.files import read_table, write_json, write_table
from stages.parameters import load


def main() -> None:
    """Write the three sides and the counts."""
    params = load("split")
    sentences = read_table("data/prepared/sentences.parquet")
    listed = read_csv(params.split.test_file, required=("text",))
    sides, metrics = split(sentences, listed, params.split, params.seed)
    for name, side in sides.items():
        write_table(f"data/splits/{name}.parquet", SENTENCES.validate(side))
    write_json("metrics/split.json", metrics)


if __name__ == "__main__":
    command(main)
