"""Turn scored news and prices into point-in-time features, one row per session and ticker.

Run by DVC, or as `python -m stages.build_features`.
"""

from __future__ import annotations

from finsentiment.errors import run_main
from finsentiment.features.build import build_features
from finsentiment.features.look_ahead import check_no_look_ahead
from finsentiment.files import read_table, write_json, write_table
from stages.parameters import stage_params

CHECKED_SESSIONS = 2


def main() -> None:
    """Write the features, once no look ahead was found in them."""
    params = stage_params("build_features")
    prices = read_table("data/prepared/prices.parquet")
    news = read_table("data/prepared/news.parquet", ["news_id", "published_at", "ticker"])
    scores = read_table("data/scored/news_scores.parquet")
    truth = read_table("data/prepared/truth.parquet")
    if len(truth):
        scores = scores.merge(truth, on="news_id", how="left", validate="one_to_one")

    features, facts = build_features(prices, news, scores, params.features, params.market.exchange)
    check_no_look_ahead(features, prices, news, scores, params.features, params.market.exchange, CHECKED_SESSIONS)

    write_table("data/features/features.parquet", features)
    write_json("metrics/build_features.json", facts)


if __name__ == "__main__":
    run_main(main)
