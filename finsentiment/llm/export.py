"""A fine-tuned encoder in the stock format of its family, which other programs read without this project."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from finsentiment.errors import InputError
from finsentiment.files import atomic_path, read_json, write_text
from finsentiment.labels import LABELS
from finsentiment.llm.adapter import DESCRIPTION
from finsentiment.llm.batches import padded
from finsentiment.llm.classifier import Classifier
from finsentiment.llm.heads import FamilyHead, classification_model
from finsentiment.llm.published import Published
from finsentiment.llm.reader import Reader, tokenise
from finsentiment.llm.saved import load_reader

ONNX_FILE = "model.onnx"
LARGEST_ONNX = 1.9e9
"""Bytes of weights above which they lie in a file beside the ONNX file, which can't be larger than 2 GB."""
TOLERANCE = 1e-3
"""Largest difference of a logit that is taken for rounding, in float32."""
PROBES = (
    "Profit rose by 12 %.",
    "The company cut its outlook after losing its largest customer.",
    "The annual general meeting takes place on 12 May.",
)
CARD = """\
---
license: other
language: en
pipeline_tag: text-classification
tags: [finance, sentiment]
---

# {name}

A classifier of financial sentiment: negative, neutral or positive for the company. The base model is `{spec}`;
what was trained on top of it is merged in. The temperature {temperature:.4f} is folded into the last layer, so that
the softmax of the logits is calibrated. Texts longer than {max_tokens} tokens are cut.

```python
from transformers import pipeline

read = pipeline("text-classification", "this folder", top_k=None)
print(read(["Profit rose by 12 %."], truncation=True))
```

The terms of the base model and of the corpus it was trained on hold for this folder too.
"""


def stock_model(reader: Reader, temperature: float = 1.0) -> PreTrainedModel:
    """The model of a reader as its family's own class has it: three logits, divided by `temperature`, in float32.

    Raises
    ------
    InputError
        There is no such class: a decoder of which the upper layers read both ways, or weights that are quantised.
    """
    model = reader.model
    if isinstance(model, Published):
        return _in_our_order(model, temperature)
    assert isinstance(model, Classifier)
    if not isinstance(model.head, FamilyHead):
        raise InputError(
            f"a decoder ({model.backbone.base.config.model_type}) has no stock format here: its upper layers read both "
            "ways, its lower ones may read a sentence twice, and no class of transformers does that; read it with "
            "finsentiment.load_reader or `finsentiment score`, or fine-tune an encoder (docs/models.md)"
        )
    if model.backbone.quantized:
        raise InputError("a quantised base model can't be merged with its adapter; fine-tune with quantization=none")
    return classification_model(model.backbone.base, model.backbone.depth, model.head, temperature)


def export_model(adapter: str | Path, folder: str | Path, onnx: bool = False) -> float:
    """Write a fine-tuned encoder as a folder for `AutoModelForSequenceClassification` and `pipeline`.

    It holds weights in float32, `id2label`, the tokenizer, a card, and with `onnx` the file `model.onnx` (inputs
    `input_ids` and `attention_mask` of shape (batch, tokens), output `logits` (batch, 3)).

    Returns
    -------
    The largest difference of a logit to those of the reader in float32, over the temperature, on three sentences

    Raises
    ------
    InputError
        It can't be had in that format, or the folder's logits are not the reader's.
    """
    if Path(folder).exists() and not (Path(folder).is_dir() and not any(Path(folder).iterdir())):
        raise InputError(f"{folder}: is there already; give a new folder, or delete it")
    reader = load_reader(adapter, "cpu", dtype=torch.float32)
    description = read_json(Path(adapter) / DESCRIPTION)
    model = stock_model(reader, reader.temperature)
    with atomic_path(folder) as scratch:
        scratch.mkdir()
        model.save_pretrained(scratch)
        reader.tokenizer.model_max_length = reader.max_tokens
        reader.tokenizer.save_pretrained(scratch)
        expected = reader.logits(list(PROBES)) / reader.temperature
        reads: list[Callable[[Tensor, Tensor], np.ndarray]] = [lambda ids, mask: _logits(model, ids, mask)]
        if onnx:
            reads.append(_write_onnx(model, scratch / ONNX_FILE))
        apart = max(_difference(read, reader, expected) for read in reads)
        if apart > TOLERANCE:
            raise InputError(
                f"{folder}: not written, the exported model's logits differ from the reader's by up to {apart:.3g}, "
                f"expected at most {TOLERANCE:g}"
            )
        facts = {"spec": description["base"]["spec"], "temperature": reader.temperature}
        card = CARD.format(name=Path(folder).name, max_tokens=reader.max_tokens, **facts)
        write_text(scratch / "README.md", card)
    return apart


def _in_our_order(published: Published, temperature: float) -> PreTrainedModel:
    """A published model's own class with the classes of its last map in our order."""
    model = copy.deepcopy(published.model).float()
    last = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == len(LABELS)][-1]
    with torch.no_grad():
        for weight in last.parameters():
            weight.copy_(weight[published.order] / temperature)
    model.config.id2label, model.config.label2id = dict(enumerate(LABELS)), {n: i for i, n in enumerate(LABELS)}
    return model


def _difference(read: Callable[[Tensor, Tensor], np.ndarray], reader: Reader, expected: np.ndarray) -> float:
    tokens = tokenise(reader.tokenizer, list(PROBES), reader.max_tokens)
    alone = [read(*padded([row], reader.tokenizer.pad_token_id)) for row in tokens]
    together = read(*padded(tokens, reader.tokenizer.pad_token_id))
    return float(max(np.abs(np.concatenate(alone) - expected).max(), np.abs(together - expected).max()))


@torch.inference_mode()
def _logits(model: PreTrainedModel, ids: Tensor, mask: Tensor) -> np.ndarray:
    return model(input_ids=ids, attention_mask=mask).logits.numpy()


def _write_onnx(model: PreTrainedModel, file: Path) -> Callable[[Tensor, Tensor], np.ndarray]:
    """Write the model as ONNX, and give what reads with that file."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 (torch needs it to export)
    except ModuleNotFoundError as error:
        raise InputError(f"--onnx needs {error.name}: pip install 'finsentiment[onnx]'") from None
    inputs = {"input_ids": torch.ones(2, 8, dtype=torch.long), "attention_mask": torch.ones(2, 8, dtype=torch.long)}
    batch, tokens = torch.export.Dim("batch"), torch.export.Dim("tokens")
    with contextlib.redirect_stdout(None):  # it prints its steps
        torch.onnx.export(
            model,
            kwargs=inputs,
            f=str(file),
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_shapes={name: {0: batch, 1: tokens} for name in inputs},
            external_data=sum(p.numel() for p in model.parameters()) * 4 > LARGEST_ONNX,
            dynamo=True,
        )
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return lambda ids, mask: session.run(["logits"], {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]
