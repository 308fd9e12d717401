"""Any decoder goes through the stages, full and quantised: Llama, Phi, Qwen, Gemma, tiny and random."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from finsentiment.files import read_json, read_table, write_table
from finsentiment.llm import base
from finsentiment.llm.batches import padded
from finsentiment.llm.classifier import Classifier
from finsentiment.params import Model
from stages import baseline, evaluate, finetune, score_news
from tests.repository import Repository
from tests.tiny import ARCHITECTURES, SENTENCES, make_model

WORDS = [sentence for sentences in SENTENCES.values() for sentence in sentences]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return make_model(tmp_path_factory.mktemp(request.param), WORDS, request.param)


def test_adapted_layers_read_both_ways_and_those_below_from_left_to_right(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "compute_dtype", lambda: torch.float32)
    reader = Classifier(base.load_backbone(base.folder(model), "none"), None, 2, echo=False).eval()
    one, mask = padded([[4, 5, 6, 8]], pad=2)
    other, _ = padded([[4, 5, 6, 7]], pad=2)
    below = [reader.lower_states(ids, mask)[:, :3] for ids in (one, other)]
    assert torch.equal(*below)
    first = [reader.hidden(ids, mask)[:, 0] for ids in (one, other)]
    assert not torch.allclose(*first)


@pytest.mark.parametrize("quantization", ["none", "int8", "nf4"])
def test_the_stages_take_any_decoder(
    model: Model, quantization: str, tiny_corpus: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository(tmp_path, {"model.spec": model.spec, "model.sha256": model.sha256}, tmp_path)
    repository.set(
        {
            "finetune.quantization": quantization,
            "finetune.lora.r": 4,
            "finetune.batch_size": 4,
            "finetune.learning_rate": 0.01,
            "finetune.epochs": 6,
            "finetune.head_learning_rate": 0.01,
            "finetune.average": 0.0,
            "baseline.choice_sentences": 4,
        }
    )
    monkeypatch.chdir(tmp_path)
    sentences = tiny_corpus.assign(sentence_id=[f"s{i:02}" for i in range(len(tiny_corpus))], agreement=np.nan)
    for part in ("train", "validation", "test"):
        write_table(f"data/splits/{part}.parquet", sentences)
    texts = ["profit rose", "the loss widened", "profit rose"]
    news = pd.DataFrame({"news_id": ["a", "b", "c"], "ticker": ["X", "X", "Y"], "headline": texts})
    write_table("data/prepared/news.parquet", news)
    for stage in (baseline, finetune, evaluate, score_news):
        stage.main()
    majority = tiny_corpus["label"].value_counts(normalize=True).max()
    assert read_json("metrics/evaluate.json")["accuracy"] > majority, "it learnt nothing of sentences it trained on"
    scores = read_table("data/scored/news_scores.parquet").set_index("news_id")
    assert scores.loc["a"].equals(scores.loc["c"]) and scores.loc["a", "score"] != scores.loc["b", "score"]
    assert {"lexicon", "zero_shot", "masked"} <= set(scores) and scores["lexicon"].between(-1, 1).all()
    assert read_json("models/adapter/classifier.json")["quantization"] == quantization
