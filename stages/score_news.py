"""Score every headline with the fine-tuned classifier, and with the other readers that it is compared with.

What the same adapter scored before is not read again. Run by DVC, or as `python -m stages.score_news`.
"""

from __future__ import annotations

import pandas as pd

from finsentiment import baselines
from finsentiment.errors import command
from finsentiment.files import read_csv, read_json, read_table, write_json, write_table
from finsentiment.llm.base import load_causal
from finsentiment.llm.scoring import score, tone
from finsentiment.llm.zero_shot import read
from finsentiment.market.masking import mask
from finsentiment.params import Params, Prompt
from stages.parameters import load


def main() -> None:
    """Read the news and the adapter, write the scores of each news_id."""
    params = load("score_news")
    news = read_table("data/prepared/news.parquet", columns=["news_id", "ticker", "headline"])
    reading = (params.threads, params.score_news.batch_tokens)

    p = score(news["headline"], "models/adapter", *reading)
    scores = p.loc[news["headline"]].reset_index(drop=True).assign(score=lambda table: tone(table))
    scores.insert(0, "news_id", news["news_id"])
    for reader in params.score_news.readers:
        texts = list(p.index)
        if reader == "lexicon":
            found = baselines.polarity(texts)
        elif reader == "masked":
            names = read_csv(params.score_news.names, required=("ticker", "name"))
            texts = mask(texts, names["name"], {*names["ticker"], *news["ticker"]})
            found = tone(score(texts, "models/adapter", *reading).loc[texts])
        else:
            found = _zero_shot(texts, params)
        scores[reader] = pd.Series(found, index=p.index).loc[news["headline"]].to_numpy()

    write_table("data/scored/news_scores.parquet", scores.sort_values("news_id", ignore_index=True))
    mean = {column: scores[column].mean() for column in scores.columns.drop("news_id")}
    write_json("metrics/score_news.json", {"news": len(news), "texts": len(p), "mean": mean})


def _zero_shot(texts: list[str], params: Params) -> list[float]:
    """The base model with the prompt that the stage baseline chose."""
    prompt = Prompt(**read_json("data/baseline/prompt.json"))
    return tone(read(*load_causal(params.model, params.threads), texts, prompt).calibrated)


if __name__ == "__main__":
    command(main)
