"""Score every headline with the fine-tuned classifier; what the same adapter scored before is not read again."""

from __future__ import annotations

from finsentiment.errors import command
from finsentiment.files import read_table, write_json, write_table
from finsentiment.llm.scoring import score
from stages.parameters import load


def main() -> None:
    """Read the news and the adapter, write a score for each news_id."""
    params = load("score_news")
    news = read_table("data/prepared/news.parquet", columns=["news_id", "headline"])
    scores, facts = score(news, "models/adapter", params.threads, params.score_news.batch_tokens)
    mean = {column: scores[column].mean() for column in ("p_negative", "p_neutral", "p_positive", "score")}
    write_table("data/scored/news_scores.parquet", scores)
    write_json("metrics/score_news.json", facts | {"mean": mean})


if __name__ == "__main__":
    command(main)
