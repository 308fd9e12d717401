"""Divide the sentences into train, validation and test, with near-twins on one side.

Run by DVC, or as `python -m stages.split`.
"""

from __future__ import annotations

from finsentiment.corpus.cleaning import SENTENCES
from finsentiment.corpus.sources.csv_file import read_sentences
from finsentiment.corpus.split import split_corpus
from finsentiment.errors import run_main
from finsentiment.files import read_table, write_json, write_table
from stages.parameters import stage_params


def main() -> None:
    """Write the three sides and the counts."""
    params = stage_params("split")
    sentences = read_table("data/prepared/sentences.parquet")
    listed = read_sentences(params.split.test_file, required=("text",)).rows
    sides, metrics = split_corpus(sentences, listed, params.split, params.seed)
    for name, side in sides.items():
        write_table(f"data/splits/{name}.parquet", SENTENCES.validate(side))
    write_json("metrics/split.json", metrics)


if __name__ == "__main__":
    run_main(main)
