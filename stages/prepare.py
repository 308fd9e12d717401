"""Load, check and clean the labelled corpus and the market, and look at them.

All that the files can tell is checked here, before anything is trained. Run by DVC, or as `python -m stages.prepare`.
"""

from __future__ import annotations

from finsentiment.backtest.enough import check_enough
from finsentiment.corpus import cleaning, description, twins
from finsentiment.corpus.load import load_corpus
from finsentiment.corpus.sources.csv_file import read_sentences
from finsentiment.errors import run_main
from finsentiment.files import write_bytes, write_csv, write_json, write_table
from finsentiment.market.checks import Entry
from finsentiment.market.load import load_market
from finsentiment.readers.masking import read_names
from finsentiment.reporting.rows import doubts, row_line, table_counts
from stages.parameters import stage_params
from stages.tracked import untracked_hints


def main() -> None:
    """Write the prepared tables, and the figures and pictures of what is in them."""
    params = stage_params("prepare")
    # Read by later stages; a fault in them is found now.
    read_sentences(params.evaluate.transfer_file)
    read_names(params.score_news.names)
    corpus = load_corpus(params.corpus)
    sentences, refused = cleaning.clean_corpus(corpus.rows, params.corpus.source, params.corpus.path)
    sentences["twin_group"] = twins.twin_groups(sentences, params.split.twin_threshold)
    market = load_market(params.market, params.seed, Entry(params.features.entry, params.features.latency))
    check_enough(
        market.news,
        market.prices,
        params.market.exchange,
        params.features.horizon,
        params.backtest.train_sessions,
        params.backtest.min_tickers,
    )

    write_table("data/prepared/sentences.parquet", cleaning.SENTENCES.validate(sentences))
    write_table("data/prepared/news.parquet", market.news)
    write_table("data/prepared/prices.parquet", market.prices)
    write_table("data/prepared/truth.parquet", market.truth)
    counts = {
        "rows_in": len(corpus.rows) + sum(corpus.refused.values()),
        "rows_out": len(sentences),
        "refused": corpus.refused | refused,
        "converted": corpus.converted,
    }
    facts = {"refused": market.refused, "converted": market.converted, **market.facts}
    tables = {"sentences": counts, **table_counts(facts)}
    print("\n".join(row_line(name, table) for name, table in tables.items()))
    files = {
        "corpus.path": params.corpus.path,
        "market.path": params.market.path,
        "market.tickers": params.market.tickers,
        "evaluate.transfer_file": params.evaluate.transfer_file,
        "score_news.names": params.score_news.names,
    }
    for doubt in [*doubts(facts), *untracked_hints(files)]:
        print(f"warning: {doubt}")
    described = description.describe_corpus(sentences)
    write_json("metrics/prepare.json", {"sentences": counts | described, "market": facts})
    write_csv("metrics/prepare/overnight.csv", market.moves)
    write_csv("metrics/prepare/classes.csv", description.class_table(sentences))
    write_csv("metrics/prepare/lengths.csv", description.length_table(sentences))
    write_csv("metrics/prepare/samples.csv", description.sample_table(sentences, params.seed))
    write_bytes("metrics/prepare/eda.png", description.corpus_picture(sentences))


if __name__ == "__main__":
    run_main(main)
