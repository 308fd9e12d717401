"""What all tests share: a private cache, and a tiny model made once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from finsentiment.params import Finetune, Model
from tests.repository import ROOT
from tests.tiny import SENTENCES, corpus, make_adapter, make_model


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """The name of a test holds no bytes: both worker processes must find the same names, and gzip writes the time."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file comes first, so that it runs beside all others and not alone at the end."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or fills the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FINSENTIMENT_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The spec of a random three-layer Llama on disk."""
    words = [sentence for sentences in SENTENCES.values() for sentence in sentences]
    return make_model(tmp_path_factory.mktemp("tiny"), words)


@pytest.fixture(scope="session")
def pipeline_model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The parameters of such a model with the words of the sample corpus."""
    sentences = pd.read_csv(ROOT / "data/sample/sentences.csv")["text"].tolist()
    made = make_model(tmp_path_factory.mktemp("model"), sentences)
    return {"model.spec": made.spec, "model.sha256": made.sha256}


@pytest.fixture(scope="session")
def tiny_corpus() -> pd.DataFrame:
    """Sentences of three classes that a tiny model can learn."""
    return corpus()


@pytest.fixture(scope="session")
def tiny_adapter(tmp_path_factory: pytest.TempPathFactory, tiny_model: Model) -> Path:
    """A fine-tuned tiny model."""
    folder = tmp_path_factory.mktemp("adapter") / "adapter"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINSENTIMENT_CACHE", str(tmp_path_factory.mktemp("cache")))
        make_adapter(folder, tiny_model)
    return folder


@pytest.fixture
def recipe() -> Finetune:
    """A recipe for the tiny model: adapters on the top two of its three layers."""
    return Finetune.model_validate(
        {
            "method": "lora",
            "depth": None,
            "echo": True,
            "lora": {"r": 4, "alpha": 8, "dropout": 0.1, "layers": 2},
            "quantization": "none",
            "learning_rate": 1e-2,
            "layer_decay": 1.0,
            "head_learning_rate": 1e-2,
            "epochs": 4,
            "batch_size": 4,
            "gradient_accumulation": 1,
            "warmup_share": 0.1,
            "weight_decay": 0.01,
            "average": 0.9,
            "label_smoothing": 0.0,
            "max_tokens": 16,
            "patience": 4,
            "give_back_validation": False,
        }
    )
