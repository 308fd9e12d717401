"""Turn scored news and prices into point-in-time features, one row per session and ticker.

Run from the repository's root, after `score_news`: python -m stages.build_features
"""

from __future__ import annotations

from finsentiment.errors import command
from finsentiment.files import read_table, write_json, write_table
from finsentiment.market.features import build, check_no_look_ahead
from stages.parameters import load

CHECKED_SESSIONS = 2


def main() -> None:
    """Write the features, once no look ahead was found in them."""
    params = load("build_features")
    prices = read_table("data/prepared/prices.parquet")
    news = read_table("data/prepared/news.parquet", ["news_id", "published_at", "ticker"])
    scores = read_table("data/scored/news_scores.parquet")
    truth = read_table("data/prepared/truth.parquet").rename(columns={"tone": "truth"})
    if len(truth):
        scores = scores.merge(truth, on="news_id", how="left", validate="one_to_one")

    features, facts = build(prices, news, scores, params.features, params.market.exchange)
    check_no_look_ahead(features, prices, news, scores, params.features, params.market.exchange, CHECKED_SESSIONS)

    write_table("data/features/features.parquet", features)
    write_json("metrics/build_features.json", facts)


if __name__ == "__main__":
    command(main)
