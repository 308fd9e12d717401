"""Load, check and clean the labelled corpus and the market, and look at them.

Run by DVC, or as `python -m stages.prepare`.
"""

from __future__ import annotations

from finsentiment.corpus import cleaning, eda, sources, twins
from finsentiment.errors import command
from finsentiment.files import write_bytes, write_csv, write_json, write_table
from finsentiment.market.sources import load as load_market
from stages.parameters import load


def main() -> None:
    """Write the prepared tables, and the figures and pictures of what is in them."""
    params = load("prepare")
    rows = sources.load(params.corpus)
    sentences, refused = cleaning.clean(rows, params.corpus.source, params.corpus.path)
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
                **eda.describe(sentences),
            },
            "market": {"refused": market.refused, **market.facts},
        },
    )
    write_csv("metrics/prepare/classes.csv", eda.class_table(sentences))
    write_csv("metrics/prepare/lengths.csv", eda.length_table(sentences))
    write_csv("metrics/prepare/samples.csv", eda.sample_table(sentences, params.seed))
    write_bytes("metrics/prepare/eda.png", eda.picture(sentences))


if __name__ == "__main__":
    command(main)
