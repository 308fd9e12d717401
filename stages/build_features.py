"""Turn scored news and prices into point-in-time features, one row per session and ticker.

Run from the repository's root, after `score_news`: python -m stages.build_features
"""

from __future__ import annotations

from finsentiment.errors import command
from finsentiment.files import read_table, write_json, write_table
from finsentiment.market.features import build
from stages.parameters import load


def main() -> None:
    params = load("build_features")
    prices = read_table("data/prepared/prices.parquet")
    news = read_table("data/prepared/news.parquet", ["news_id", "published_at", "ticker"])
    scores = read_table("data/scored/news_scores.parquet", ["news_id", "score"])

    features, facts = build(prices, news, scores, params.features, params.market.exchange)

    write_table("data/features/features.parquet", features)
    write_json("metrics/build_features.json", facts)


if __name__ == "__main__":
    command(main)
