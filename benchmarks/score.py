"""Scoring speed: the text-classification pipeline of Transformers against ours, on the same fine-tuned model.

Run as `python -m benchmarks.score` when models/adapter and data/prepared/ are there (`dvc repro score_news`). Both
read the first headlines in order of publication. The pipeline has the same merged weights in float32, in which
Transformers loads a saved model, and batches of 32 as they come; ours is what the stage score_news does, with an
empty store of scores.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel, pipeline
from transformers.modeling_outputs import SequenceClassifierOutput

from finsentiment.errors import run_main
from finsentiment.files import cache_folder, read_table
from finsentiment.labels import LABELS
from finsentiment.llm.classifier import Classifier
from finsentiment.llm.reader import Reader
from finsentiment.llm.saved import load_reader
from finsentiment.readers import fine_tuned
from stages.parameters import stage_params

ADAPTER = "models/adapter"


class Merged(PreTrainedModel):
    """The classifier under the interface that `pipeline` expects."""

    def __init__(self, classifier: Classifier) -> None:
        config = classifier.backbone.base.config
        config.id2label = dict(enumerate(LABELS))
        super().__init__(config)
        self.classifier = classifier

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> SequenceClassifierOutput:
        """Logits, as `pipeline` calls for them."""
        return self.classifier(input_ids, attention_mask)


def main() -> None:
    """Time both and compare their labels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--headlines", type=int, default=2000)
    given = parser.parse_args()
    params = stage_params("score_news")
    news = read_table("data/prepared/news.parquet").sort_values(["published_at", "news_id"]).head(given.headlines)
    texts = news["headline"].tolist()

    reader = load_reader(ADAPTER, params.device, params.threads)
    merged = Merged(reader.model.float()).eval()
    classify = pipeline("text-classification", model=merged, tokenizer=reader.tokenizer, batch_size=32)
    start = time.perf_counter()
    theirs = [found["label"] for found in classify(texts, truncation=True, max_length=reader.max_tokens)]
    pipeline_s = time.perf_counter() - start
    del reader, merged, classify

    loading = []

    def timed(*arguments: Any) -> Reader:
        start = time.perf_counter()
        reader = load_reader(*arguments)
        loading.append(time.perf_counter() - start)
        return reader

    fine_tuned.load_reader = timed
    with tempfile.TemporaryDirectory() as cache:
        models = cache_folder("models")
        os.environ["FINSENTIMENT_CACHE"] = cache
        os.symlink(models, f"{cache}/models")
        start = time.perf_counter()
        read = fine_tuned.score_texts(texts, ADAPTER, params.threads, params.score_news.batch_tokens, params.device)
        ours_s = time.perf_counter() - start - loading[0]
    codes = read.loc[texts].to_numpy().argmax(axis=1)
    same = sum(LABELS[code] == label for code, label in zip(codes, theirs, strict=True)) / len(texts)
    print(f"{len(texts)} headlines, {len(read)} distinct")
    print(f"pipeline  {len(texts) / pipeline_s:8.1f} headlines/s")
    print(
        f"ours      {len(texts) / ours_s:8.1f} headlines/s; neither counts the load of the model ({loading[0]:.1f} s)"
    )
    print(f"ours is {pipeline_s / ours_s:.1f} times as fast, with the same label on {same:.1%}")


if __name__ == "__main__":
    run_main(main)
