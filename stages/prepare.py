"""Load, check and clean the labelled corpus and the market, and look at them.

Run by DVC, or as `python -m stages.prepare`.
"""

from __future__ import annotations

from finsentiment.corpus import cleaning, description, twins
from finsentiment.corpus.load import load_corpus
from finsentiment.errors import run_main
from finsentiment.files import write_bytes, write_csv, write_json, write_table
from finsentiment.market.load import load_market
from stages.parameters import stage_params


def main() -> None:
    """Write the prepared tables, and the figures and pictures of what is in them."""
    params = stage_params("prepare")
    rows = load_corpus(params.corpus)
    sentences, refused = cleaning.clean_corpus(rows, params.corpus.source, params.corpus.path)
    sentences["twin_group"] = twins.twin_groups(sentences, params.split.twin_threshold)
    market = load_market(params.market, params.seed)

    write_table("data/prepared/sentences.parquet", cleaning.SENTENCES.validate(sentences))
    write_table("data/prepared/news.parquet", market.news)
    write_table("data/prepared/prices.parquet", market.prices)
    write_table("data/prepared/truth.parquet", market.truth)
    write_json(
        "metrics/prepare.json",
        {
            "sentences": {
                "rows_in": len(rows),
                "rows_out": len(sentences),
                "refused": refused,
                **description.describe_corpus(sentences),
            },
            "market": {"refused": market.refused, **market.facts},
        },
    )
    write_csv("metrics/prepare/classes.csv", description.class_table(sentences))
    write_csv("metrics/prepare/lengths.csv", description.length_table(sentences))
    write_csv("metrics/prepare/samples.csv", description.sample_table(sentences, params.seed))
    write_bytes("metrics/prepare/eda.png", description.corpus_picture(sentences))


if __name__ == "__main__":
    run_main(main)
