"""Fine-tuned encoders in stock formats: read without this project, the same logits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from finsentiment import cli
from finsentiment.errors import InputError
from finsentiment.labels import LABELS
from finsentiment.llm.classifier import Classifier
from finsentiment.llm.export import export_model
from finsentiment.llm.heads import classification_model
from finsentiment.llm.saved import load_reader, save_adapter
from finsentiment.llm.training import finetune_classifier
from finsentiment.params import Finetune, Model
from tests.test_families import ENCODERS, made
from tests.tiny import make_encoder


@pytest.fixture(params=[{}, {"depth": 2}, {"method": "full"}], ids=["adapters", "two of three layers", "every weight"])
def adapter(request: pytest.FixtureRequest, tmp_path: Path, tiny_corpus: pd.DataFrame, recipe: Finetune) -> Path:
    """A tiny encoder fine-tuned, with a temperature that is not 1."""
    model = make_encoder(tmp_path / "encoder", tiny_corpus["text"].tolist(), "modernbert without a head")
    changed = recipe.model_copy(update=request.param)
    trained = finetune_classifier(tiny_corpus, tiny_corpus, model, changed, seed=1, threads=1)
    save_adapter(trained.tuned, tmp_path / "adapter", trained.description | {"temperature": 1.7})
    trained.done()
    return tmp_path / "adapter"


def test_transformers_alone_reads_an_exported_model_as_we_do(
    adapter: Path, tiny_corpus: pd.DataFrame, tmp_path: Path
) -> None:
    export_model(adapter, tmp_path / "stock")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "stock").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "stock")
    texts = tiny_corpus["text"].tolist()
    with torch.inference_mode():
        theirs = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.numpy()
    reader = load_reader(adapter, "cpu", 1, dtype=torch.float32)
    np.testing.assert_allclose(theirs, reader.logits(texts) / 1.7, atol=1e-4)
    assert model.config.id2label == dict(enumerate(LABELS))


def test_a_pipeline_gives_our_calibrated_probabilities_in_a_process_without_this_project(
    adapter: Path, tmp_path: Path
) -> None:
    export_model(adapter, tmp_path / "stock")
    code = (
        "import sys, json; sys.modules['finsentiment'] = None\n"
        "from transformers import pipeline\n"
        f"read = pipeline('text-classification', {str(tmp_path / 'stock')!r}, top_k=None)\n"
        "print(json.dumps({c['label']: c['score'] for c in read(['profit rose'])[0]}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    reader = load_reader(adapter, "cpu", 1, dtype=torch.float32)
    ours = reader.probabilities(reader.logits(["profit rose"]))[0]
    assert [told[label] for label in LABELS] == pytest.approx(list(ours), abs=1e-4)


@pytest.mark.parametrize("family", ENCODERS)
@pytest.mark.parametrize("depth", [3, 2])
def test_every_tested_encoder_has_a_stock_format(family: str, depth: int) -> None:
    ids, mask = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    classifier = Classifier(made(ENCODERS[family]), depth, 1, echo=False).eval()
    stock = classification_model(classifier.backbone.base, depth, classifier.head, temperature=2.0)
    assert stock.config.num_hidden_layers == depth
    torch.testing.assert_close(stock(ids, mask).logits, classifier(ids, mask).logits / 2, atol=1e-5, rtol=1e-4)


def test_the_file_for_onnx_reads_the_same(adapter: Path, tiny_corpus: pd.DataFrame, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    export_model(adapter, tmp_path / "stock", onnx=True)
    session = onnxruntime.InferenceSession(str(tmp_path / "stock/model.onnx"))
    tokens = AutoTokenizer.from_pretrained(tmp_path / "stock")(
        tiny_corpus["text"].tolist(), padding=True, return_tensors="np"
    )
    (theirs,) = session.run(None, {name: tokens[name] for name in ("input_ids", "attention_mask")})
    reader = load_reader(adapter, "cpu", 1, dtype=torch.float32)
    np.testing.assert_allclose(theirs, reader.logits(tiny_corpus["text"].tolist()) / 1.7, atol=1e-3)


def test_a_decoder_says_why_it_has_no_stock_format(tiny_adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"a decoder \(llama\) has no stock format here: its upper layers read both ways"
    ):
        export_model(tiny_adapter, tmp_path / "stock")
    assert not (tmp_path / "stock").exists()


def test_what_stands_in_the_folder_is_not_replaced(tiny_adapter: Path, tmp_path: Path) -> None:
    (tmp_path / "stock").mkdir()
    (tmp_path / "stock/mine.txt").touch()
    with pytest.raises(InputError, match="is there already; give a new folder, or delete it"):
        export_model(tiny_adapter, tmp_path / "stock")


def test_a_published_model_is_exported_with_its_classes_in_our_order(
    tmp_path: Path, tiny_corpus: pd.DataFrame, recipe: Finetune
) -> None:
    order = {0: "positive", 1: "negative", 2: "neutral"}
    model: Model = make_encoder(
        tmp_path / "m", tiny_corpus["text"].tolist(), "bert that reads sentiment", id2label=order
    )
    as_it_is = recipe.model_copy(update={"method": "none"})
    trained = finetune_classifier(tiny_corpus, tiny_corpus, model, as_it_is, seed=1, threads=1)
    save_adapter(trained.tuned, tmp_path / "adapter", trained.description)
    export_model(tmp_path / "adapter", tmp_path / "stock")
    before, after = (_pipeline(tmp_path / name) for name in ("m", "stock"))
    temperature = trained.description["temperature"]
    raised = {label: p ** (1 / temperature) for label, p in before.items()}
    assert after == pytest.approx({label: p / sum(raised.values()) for label, p in raised.items()}, abs=1e-4)


def _pipeline(folder: Path) -> dict[str, float]:
    read = pipeline("text-classification", str(folder), top_k=None)
    return {found["label"]: found["score"] for found in read(["profit rose"])[0]}


def test_the_command_says_what_it_wrote(adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["export-model", str(tmp_path / "stock"), "--adapter", str(adapter)])
    assert "written; its logits are those of" in capsys.readouterr().out
    assert {file.name for file in (tmp_path / "stock").iterdir()} >= {"model.safetensors", "config.json", "README.md"}
