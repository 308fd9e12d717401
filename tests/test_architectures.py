"""Any decoder or encoder goes through the stages, full and quantised, tiny and random."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from finsentiment.files import read_json, read_table, write_table
from finsentiment.llm import base_models
from finsentiment.llm.backbone import Backbone
from finsentiment.llm.batches import padded
from finsentiment.llm.classifier import Classifier, trained_weights, with_adapter
from finsentiment.llm.runtime import Runtime, start_runtime
from finsentiment.params import Lora, Model
from stages import baseline, evaluate, finetune, score_news
from tests.repository import Repository
from tests.tiny import ARCHITECTURES, ENCODERS, SENTENCES, make_encoder, make_model

IN_FLOAT32 = Runtime(torch.device("cpu"), torch.float32, 1)
WORDS = [sentence for sentences in SENTENCES.values() for sentence in sentences]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return make_model(tmp_path_factory.mktemp(request.param), WORDS, request.param)


def test_layers_with_adapters_read_both_ways_and_those_below_from_left_to_right(model: Model) -> None:
    decoder = base_models.load_backbone(base_models.model_folder(model), "none", IN_FLOAT32)
    backbone = Backbone(decoder, None, 2, echo=False).eval()
    one, mask = padded([[4, 5, 6, 8]], pad=2)
    other, _ = padded([[4, 5, 6, 7]], pad=2)
    below = [backbone.lower_states(ids, mask)[:, :3] for ids in (one, other)]
    assert torch.equal(*below)
    first = [backbone(ids, mask)[:, 0] for ids in (one, other)]
    assert not torch.allclose(*first)


QUANTIZATIONS = ["none", "nf4", pytest.param("int8", marks=pytest.mark.slow)]


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_the_stages_take_any_decoder(
    model: Model, quantization: str, tiny_corpus: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_stages(model, quantization, tiny_corpus, tmp_path)


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
@pytest.mark.parametrize("kind", ENCODERS)
def test_the_stages_take_any_encoder(
    kind: str, quantization: str, tiny_corpus: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "encoder"
    folder.mkdir()
    model = make_encoder(folder, WORDS, kind)
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    run_stages(model, quantization, tiny_corpus, tmp_path / "run")


def run_stages(model: Model, quantization: str, tiny_corpus: pd.DataFrame, tmp_path: Path) -> None:
    """Baseline, finetune, evaluate and score_news with a base model, and what they must leave."""
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
    assert scores.loc["a"].equals(scores.loc["c"]) and scores.loc["a", "fine_tuned"] != scores.loc["b", "fine_tuned"]
    assert {"lexicon", "zero_shot", "masked"} <= set(scores) and scores["lexicon"].between(-1, 1).all()
    assert read_json("models/adapter/classifier.json")["quantization"] == quantization


def test_reading_between_two_steps_leaves_the_gradients_of_a_4_bit_model_as_they_are(model: Model) -> None:
    runtime = start_runtime("cpu", 1)
    decoder = base_models.load_backbone(base_models.model_folder(model), "nf4", runtime)
    classifier = Classifier(decoder, None, 2, echo=False)
    adapted = with_adapter(classifier, Lora(r=2, alpha=4, dropout=0.0, layers=2))
    ids, mask = padded([[4, 5, 6, 8]], pad=2)
    states = classifier.backbone.lower_states(ids, mask).requires_grad_()

    def gradients() -> list[torch.Tensor]:
        adapted.train().zero_grad()
        states.grad = None
        adapted(ids, mask, labels=torch.tensor([2]), lower_states=states).loss.backward()
        return [states.grad, *(p.grad.clone() for p in trained_weights(adapted).values())]

    before = gradients()
    assert before[0].abs().max() > 0, "the gradient stopped on its way down"
    with torch.no_grad():
        adapted.eval()(ids, mask)
    assert all(map(torch.equal, before, gradients()))
