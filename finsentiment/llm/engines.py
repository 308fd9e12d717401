"""Reading by OpenVINO in place of PyTorch: faster on a CPU, and used only where it gives the same answers.

Before it is used, an engine must give the label of PyTorch for nearly every text of a sample, and for a text the same
bytes alone as in any batch: a scale that is taken over a whole batch would let its other texts change a score.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import sys
import threading
import warnings
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from finsentiment.errors import InputError
from finsentiment.files import cache_folder, read_json, sha256_file, write_json
from finsentiment.llm.adapter import adapter_hash
from finsentiment.llm.export import stock_model
from finsentiment.llm.reader import Reader
from finsentiment.llm.runtime import Runtime, describe_processor
from finsentiment.llm.saved import load_reader
from finsentiment.llm.wheels import first_line

SAME_LABELS = 0.995
"""Share of the sample's texts that must get PyTorch's label."""
GROUP = 32
"""Values that share a scale in 8 bits. An encoder has a few activations that are far larger than the rest: with one
scale a token, 97 % of headlines got the same label in a probe, with 32 values a scale 99 %, as fast."""
ALONE = 24
"""Texts of the sample that are read alone and in batches."""


class OpenVino(nn.Module):
    """An encoder compiled by OpenVINO for the CPU; threads may share one, and take turns.

    Parameters
    ----------
    model : in its family's own class, in float32
    runtime : threads, and the number format to multiply in
    int8 : whether the weights are kept in 8 bits (a scale for each row) and the activations rounded to 8 bits, every
        `GROUP` values of a token by a scale of their own
    """

    def __init__(self, model: PreTrainedModel, runtime: Runtime, int8: bool) -> None:
        super().__init__()
        # The converter reports its use to its maker unless a file forbids it. Without this package it has nothing to
        # report with; nncf neither.
        sys.modules["openvino_telemetry"] = cast(Any, None)
        import openvino

        inputs = {name: torch.ones(2, 8, dtype=torch.long) for name in ("input_ids", "attention_mask")}
        with warnings.catch_warnings(action="ignore"):  # of the tracer, that shapes may be constants: they are not
            graph = openvino.convert_model(model, example_input=inputs)
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if runtime.dtype == torch.bfloat16 else "f32",
            "INFERENCE_NUM_THREADS": runtime.threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
        }
        if int8:
            import nncf

            nncf.set_log_level(logging.ERROR)
            with contextlib.redirect_stdout(io.StringIO()):  # it draws a table and a bar
                graph = nncf.compress_weights(graph, mode=nncf.CompressWeightsMode.INT8_ASYM)
            settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = GROUP
        self.compiled = openvino.Core().compile_model(graph, "CPU", settings)
        self.turn = threading.Lock()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SequenceClassifierOutput:
        """Logits of shape (batch, 3)."""
        with self.turn:
            found = self.compiled({"input_ids": input_ids.numpy(), "attention_mask": attention_mask.numpy()})
            return SequenceClassifierOutput(logits=torch.from_numpy(found[0].copy()))


def load_engine(adapter: str | Path, backend: str, runtime: Runtime) -> Reader:
    """The reader of an adapter on a backend: torch, openvino or openvino_int8.

    Raises InputError where it can't be had: no encoder, a GPU, the extra is not installed.
    """
    if backend == "torch":
        return load_reader(adapter, runtime.device.type, runtime.threads, runtime.dtype)
    if runtime.device.type != "cpu":
        raise InputError(f"{backend} reads on the CPU, and the device is {runtime.device.type}")
    reader = load_reader(adapter, "cpu", runtime.threads, dtype=torch.float32)
    try:
        return replace(reader, model=OpenVino(stock_model(reader), runtime, backend == "openvino_int8").eval())
    except ModuleNotFoundError as error:
        raise InputError(f"{backend} needs {error.name}: pip install 'finsentiment[openvino]'") from None


def usable_backend(
    adapter: str | Path, backend: str, runtime: Runtime, sample: Sequence[str], batch_tokens: int
) -> str:
    """`backend` if it reads the sample as PyTorch does, else "torch", and one line on standard error says why.

    What the comparison found is kept, by adapter, backend, processor, versions and sample.
    """
    if backend == "torch":
        return backend
    told = [adapter_hash(adapter), engine_key(backend), str(runtime), describe_processor(runtime), str(batch_tokens)]
    told += [f"{name} {_version(name)}" for name in ("torch", "transformers")]
    digest = hashlib.sha256(chr(0).join([*told, *sample]).encode())
    file = cache_folder("engines") / f"{digest.hexdigest()[:24]}.json"
    try:
        if not file.is_file():
            write_json(file, {"fault": _fault(adapter, backend, runtime, list(sample), batch_tokens)})
        fault = read_json(file)["fault"]
    except (InputError, RuntimeError) as error:  # of OpenVINO the latter; it may go well another time
        fault = first_line(error)
    if fault:
        print(f"score_news.backend = {backend}: not used, torch reads instead: {fault}", file=sys.stderr)
    return "torch" if fault else backend


def engine_key(backend: str) -> str:
    """What makes an engine's scores, besides the adapter and the machine: its libraries and this code."""
    code = "".join(sha256_file(Path(__file__).with_name(name)) for name in ("engines.py", "export.py", "heads.py"))
    return f"{backend} openvino {_version('openvino')} nncf {_version('nncf')} {code}"


def _fault(adapter: str | Path, backend: str, runtime: Runtime, sample: list[str], batch_tokens: int) -> str:
    """Why a backend can't be used; "" if it can."""
    if not sample:
        raise InputError("there are no texts to compare it on")
    engine = load_engine(adapter, backend, runtime)
    ours, theirs = (r.logits(sample, batch_tokens) for r in (load_engine(adapter, "torch", runtime), engine))
    same = float((ours.argmax(1) == theirs.argmax(1)).mean())
    if same < SAME_LABELS:
        return f"it gives the same label on {same:.1%} of {len(sample)} validation texts, wanted {SAME_LABELS:.1%}"
    few = np.linspace(0, len(sample) - 1, min(ALONE, len(sample))).astype(int)
    for row in few:
        if not np.array_equal(engine.logits([sample[row]], batch_tokens)[0], theirs[row]):
            return "a text gets another score alone than in a batch"
    return ""


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return ""
