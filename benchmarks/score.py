"""Scoring speed: the text-classification pipeline of Transformers against ours, on the same fine-tuned model.

Run as `python -m benchmarks.score` when models/adapter and data/prepared/ are there (`dvc repro score_news`). All read
the first headlines in order of publication, and none counts the load of its model. The pipeline has the same merged
weights in float32, in which Transformers loads a saved model, and batches of 32 as they come. Ours is what the stage
score_news does, with an empty store of scores, on each backend that the model can be read by; whether the stage would
use it stands beside it. `--bert` adds a pipeline on a BERT-base of FinBERT's shape with random weights.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel, pipeline
from transformers.modeling_outputs import SequenceClassifierOutput

from finsentiment.errors import InputError, run_main
from finsentiment.files import cache_folder, read_table
from finsentiment.labels import LABELS
from finsentiment.llm.classifier import Classifier
from finsentiment.llm.engines import load_engine, usable_backend
from finsentiment.llm.export import stock_model
from finsentiment.llm.reader import Reader
from finsentiment.llm.runtime import Runtime, describe_processor, start_runtime
from finsentiment.llm.saved import load_reader
from finsentiment.readers import fine_tuned
from stages.parameters import stage_params

ADAPTER = "models/adapter"
BACKENDS = ("torch", "openvino", "openvino_int8")


class Merged(PreTrainedModel):
    """A decoder's classifier under the interface that `pipeline` expects."""

    def __init__(self, classifier: Classifier) -> None:
        config = classifier.backbone.base.config
        config.id2label = dict(enumerate(LABELS))
        super().__init__(config)
        self.classifier = classifier

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> SequenceClassifierOutput:
        """Logits, as `pipeline` calls for them."""
        return self.classifier(input_ids, attention_mask)


def merged(reader: Reader) -> PreTrainedModel:
    """The model of a reader as a pipeline takes it, in float32."""
    try:
        return stock_model(reader)
    except InputError:
        return Merged(reader.model.float()).eval()


def by_pipeline(model: PreTrainedModel, reader: Reader, texts: list[str]) -> tuple[list[str], float]:
    """Labels and seconds."""
    classify = pipeline("text-classification", model=model, tokenizer=reader.tokenizer, batch_size=32)
    start = time.perf_counter()
    found = classify(texts, truncation=True, max_length=reader.max_tokens)
    return [row["label"] for row in found], time.perf_counter() - start


def by_stage(texts: list[str], backend: str, runtime: Runtime, batch_tokens: int) -> tuple[list[str], float]:
    """Labels and seconds of what the stage does with an empty store, the load of the model left out."""
    loading = []

    def timed(*arguments: Any) -> Reader:
        start = time.perf_counter()
        reader = load_engine(*arguments)
        loading.append(time.perf_counter() - start)
        return reader

    fine_tuned.load_engine = timed
    fine_tuned.usable_backend = lambda *_: backend
    models, before = cache_folder("models"), os.environ.get("FINSENTIMENT_CACHE")
    with tempfile.TemporaryDirectory() as cache:
        os.symlink(models, f"{cache}/models")
        os.environ["FINSENTIMENT_CACHE"] = cache
        try:
            start = time.perf_counter()
            read = fine_tuned.score_texts(texts, ADAPTER, runtime.threads, batch_tokens, runtime.device.type, backend)
            seconds = time.perf_counter() - start - loading[0]
        finally:
            os.environ.pop("FINSENTIMENT_CACHE")
            os.environ |= {} if before is None else {"FINSENTIMENT_CACHE": before}
    return [LABELS[code] for code in read.loc[texts].to_numpy().argmax(axis=1)], seconds


def main() -> None:
    """Print a row for each way to read."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--headlines", type=int, default=2000)
    parser.add_argument("--bert", action="store_true", help="a pipeline on a BERT-base with random weights too")
    given = parser.parse_args()
    params = stage_params("score_news")
    runtime = start_runtime(params.device, params.threads)
    news = read_table("data/prepared/news.parquet").sort_values(["published_at", "news_id"]).head(given.headlines)
    texts, sample = news["headline"].tolist(), read_table("data/splits/validation.parquet")["text"].tolist()
    print(f"{len(texts)} headlines, {len(set(texts))} distinct; {describe_processor(runtime)}\n")
    print("| | headlines/s | times the pipeline | same label | used by the stage |\n|---|---|---|---|---|")

    reader = load_reader(ADAPTER, params.device, params.threads)
    expected, pipeline_s = by_pipeline(merged(reader), reader, texts)
    print(f"| pipeline, float32, batches of 32 | {len(texts) / pipeline_s:.1f} | 1.0 | | |", flush=True)
    if given.bert:
        bert = BertForSequenceClassification(BertConfig(vocab_size=max(30522, len(reader.tokenizer)))).eval()
        seconds = by_pipeline(bert, reader, texts)[1]
        speed = f"{len(texts) / seconds:.1f} | {pipeline_s / seconds:.1f}"
        print(f"| the same on a BERT-base, random weights | {speed} | | |", flush=True)
    del reader
    for backend in BACKENDS:
        use = usable_backend(Path(ADAPTER), backend, runtime, sample, params.score_news.batch_tokens) == backend
        try:
            labels, seconds = by_stage(texts, backend, runtime, params.score_news.batch_tokens)
        except InputError:
            continue  # this model can't be read by it, as the line on standard error says
        same = sum(a == b for a, b in zip(labels, expected, strict=True)) / len(texts)
        speed = f"{len(texts) / seconds:.1f} | {pipeline_s / seconds:.1f}"
        print(f"| ours, {backend} | {speed} | {same:.1%} | {'yes' if use else 'no'} |", flush=True)


if __name__ == "__main__":
    run_main(main)
