"""Reading by OpenVINO: used where it gives PyTorch's answers, refused in one line where it does not."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutput

from finsentiment.llm import engines
from finsentiment.llm.engines import load_engine, usable_backend
from finsentiment.llm.reader import Reader
from finsentiment.llm.runtime import Runtime
from finsentiment.llm.saved import save_adapter
from finsentiment.llm.training import finetune_classifier
from finsentiment.params import Finetune
from finsentiment.readers.fine_tuned import score_texts
from tests.tiny import IN_FLOAT32, make_encoder

pytestmark = pytest.mark.skipif(find_spec("openvino") is None, reason="the extra openvino is not installed")


@pytest.fixture
def adapter(tmp_path: Path, tiny_corpus: pd.DataFrame, recipe: Finetune) -> Path:
    """A tiny encoder, fine-tuned."""
    model = make_encoder(tmp_path / "encoder", tiny_corpus["text"].tolist(), "mpnet without a head")
    trained = finetune_classifier(tiny_corpus, tiny_corpus, model, recipe, seed=1, threads=1)
    save_adapter(trained.tuned, tmp_path / "adapter", trained.description)
    trained.done()
    return tmp_path / "adapter"


@pytest.mark.parametrize(("backend", "apart"), [("openvino", 1e-5), ("openvino_int8", 0.1)])
def test_openvino_reads_what_pytorch_reads(
    backend: str, apart: float, adapter: Path, tiny_corpus: pd.DataFrame
) -> None:
    texts = tiny_corpus["text"].tolist()
    expected = load_engine(adapter, "torch", IN_FLOAT32).logits(texts)
    found = load_engine(adapter, backend, IN_FLOAT32).logits(texts)
    np.testing.assert_allclose(found, expected, atol=apart * np.abs(expected).max())


def test_what_computed_a_score_is_part_of_the_stores_key(
    adapter: Path, tiny_corpus: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = tuple(tiny_corpus["text"])
    for backend, known in (("torch", 0), ("openvino", 0), ("openvino", len(texts)), ("torch", len(texts))):
        score_texts(texts, adapter, threads=1, batch_tokens=64, device="cpu", backend=backend, sample=texts)
        assert f"{known} of {len(texts)} texts were scored before" in capsys.readouterr().err


class _BatchScale(nn.Module):
    """Scales by the largest value of the batch, as a scale per tensor does."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SequenceClassifierOutput:
        logits = self.model(input_ids, attention_mask).logits
        return SequenceClassifierOutput(logits=logits * (1 + 1e-6 * input_ids.float().mean()))


class _Contrary(_BatchScale):
    """Takes negative for positive."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SequenceClassifierOutput:
        return SequenceClassifierOutput(logits=self.model(input_ids, attention_mask).logits[:, [2, 1, 0]])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (_BatchScale, "not used, torch reads instead: a text gets another score alone than in a batch"),
        (_Contrary, "not used, torch reads instead: it gives the same label on"),
    ],
)
def test_an_engine_that_errs_is_not_used_and_one_line_says_so(
    wrong: type[_BatchScale],
    told: str,
    adapter: Path,
    tiny_corpus: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real = load_engine

    def load(adapter: Path, backend: str, runtime: Runtime) -> Reader:
        reader = real(adapter, "torch", runtime)
        return reader if backend == "torch" else replace(reader, model=wrong(reader.model))

    monkeypatch.setattr(engines, "load_engine", load)
    texts = tiny_corpus["text"].tolist()
    for _ in range(2):  # what was found is remembered, and said again
        assert usable_backend(adapter, "openvino", IN_FLOAT32, texts, 64) == "torch"
        assert told in capsys.readouterr().err


def test_a_decoder_is_read_by_torch_and_one_line_says_why(
    tiny_adapter: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert usable_backend(tiny_adapter, "openvino", IN_FLOAT32, ["profit rose"], 64) == "torch"
    said = capsys.readouterr().err
    assert "score_news.backend = openvino: not used, torch reads instead: a decoder" in said and said.count("\n") == 1


def test_an_engine_that_agrees_is_used(adapter: Path, tiny_corpus: pd.DataFrame) -> None:
    texts = tiny_corpus["text"].tolist()
    assert usable_backend(adapter, "openvino", IN_FLOAT32, texts, 64) == "openvino"
    assert usable_backend(adapter, "torch", IN_FLOAT32, texts, 64) == "torch"
    assert torch.get_num_threads() == 1


def test_openvino_and_nncf_are_left_nothing_to_report_their_use_with(adapter: Path) -> None:
    code = (
        "import sys\nfrom finsentiment.llm.engines import load_engine\n"
        "from finsentiment.llm.runtime import start_runtime\n"
        f"load_engine({str(adapter)!r}, 'openvino_int8', start_runtime('cpu', 1))\n"
        "assert not [name for name, module in sys.modules.items() if 'openvino_telemetry' in name and module]\n"
        "assert 'telemetry_stub' in sys.modules['openvino.tools.ovc.telemetry_utils'].tm.__name__"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
