"""Score every headline with the fine-tuned classifier, and with the other readers that it is compared with.

What the same adapter scored before is not read again. Run by DVC, or as `python -m stages.score_news`.
"""

from __future__ import annotations

from pathlib import Path

from finsentiment.errors import run_main
from finsentiment.files import read_table, write_json, write_table
from finsentiment.readers.read import ReaderInputs, read_news
from stages.parameters import stage_params


def main() -> None:
    """Read the news and the adapter, write the scores of each news_id."""
    params = stage_params("score_news")
    news = read_table("data/prepared/news.parquet", columns=["news_id", "ticker", "headline"])
    given = ReaderInputs(
        adapter=Path("models/adapter"),
        model=params.model,
        prompt_file=Path("data/baseline/prompt.json"),
        names_file=params.score_news.names,
        tickers=frozenset(news["ticker"]),
        threads=params.threads,
        device=params.device,
        batch_tokens=params.score_news.batch_tokens,
        backend=params.score_news.backend,
        sample=tuple(read_table("data/splits/validation.parquet")["text"]),
    )
    read = read_news(news["headline"], params.score_news.readers, given)
    scores = read.loc[news["headline"]].reset_index(drop=True)
    scores.insert(0, "news_id", news["news_id"])
    write_table("data/scored/news_scores.parquet", scores.sort_values("news_id", ignore_index=True))
    mean = {column: scores[column].mean() for column in read}
    write_json("metrics/score_news.json", {"news": len(news), "texts": len(read), "mean": mean})


if __name__ == "__main__":
    run_main(main)
