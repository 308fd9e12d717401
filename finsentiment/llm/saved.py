"""Fine-tuned classifiers in folders: what `finetune` writes, and reading it back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from finsentiment.errors import InputError
from finsentiment.files import atomic_path, read_json, write_json, write_text
from finsentiment.llm.adapter import DESCRIPTION, WEIGHTS, require_adapter
from finsentiment.llm.base_models import load_backbone, load_tokenizer, model_folder
from finsentiment.llm.classifier import Classifier, trainable, trained_weights
from finsentiment.llm.published import load_published
from finsentiment.llm.reader import Reader
from finsentiment.llm.runtime import Runtime, start_runtime
from finsentiment.params import Lora, Model

CARD = """\
# A sentiment classifier

`{weights}` holds what was trained over the base model `{spec}`; `{description}` says what that is (`method`: LoRA
adapters and a head, every weight, or nothing) and how the two are put together. The stage `finetune` wrote them.

Load it with the project's own code:

```python
from finsentiment import load_reader

print(load_reader("models/adapter").read(["Profit rose by 12 %."]))
```

or `finsentiment score "Profit rose by 12 %."`. `PeftModel.from_pretrained` can't load this folder, and must not: the
classifier may use some of the base model's layers only and read both ways in the top ones, and has a head of its own.
`finsentiment export-model` writes what other programs read.
"""


def save_adapter(tuned: nn.Module, path: str | Path, description: dict[str, Any]) -> None:
    """Write the trained weights as safetensors and all that `load_reader` needs, the same bytes for the same training.

    Not in PEFT's own layout: its loader would take the folder for an adapter of the plain base model, find none of
    its weights, and go on with fresh ones.
    """
    with atomic_path(path) as scratch:
        scratch.mkdir()
        tensors = {name: p.detach().cpu().contiguous() for name, p in trained_weights(tuned).items()}
        save_file(dict(sorted(tensors.items())), scratch / WEIGHTS)
        write_json(scratch / DESCRIPTION, description)
        card = CARD.format(weights=WEIGHTS, spec=description["base"]["spec"], description=DESCRIPTION)
        write_text(scratch / "README.md", card)


def load_reader(
    path: str | Path = "models/adapter", device: str = "auto", threads: int = 2, dtype: torch.dtype | None = None
) -> Reader:
    """Read a saved classifier, its adapter merged into the base weights where those are not quantised.

    Parameters
    ----------
    path : folder that the stage `finetune` wrote
    device : auto, cpu, cuda or mps
    threads : CPU threads
    dtype : number format of weights and arithmetic; None: what the device multiplies in

    Raises
    ------
    InputError
        There is no adapter, it is damaged, or its base model can't be had.
    """
    require_adapter(path)
    runtime = start_runtime(device, threads)
    runtime = replace(runtime, dtype=dtype or runtime.dtype)
    description = read_json(Path(path) / DESCRIPTION)
    folder = model_folder(Model(**description["base"]))
    tokenizer = load_tokenizer(folder)
    model: Any = _classifier(description, folder, runtime, tokenizer.pad_token_id)
    _fill(trained_weights(model), Path(path) / WEIGHTS)
    if isinstance(model, PeftModel):
        # Merging into 4- or 8-bit weights would round the adapter away.
        model = model.merge_and_unload() if description["quantization"] == "none" else model.base_model.model
    return Reader(model.eval(), tokenizer, description["max_tokens"], description["temperature"])


def _classifier(description: dict[str, Any], folder: Path, runtime: Runtime, pad: int) -> nn.Module:
    """The classifier that a description tells of, before the saved weights are put in."""
    method = description.get("method", "lora")  # adapters of before there was a choice don't name it
    if method == "none":
        return load_published(folder, runtime, pad)
    base, lora = load_backbone(folder, description["quantization"], runtime), Lora(**description["lora"])
    layers = lora.layers if method == "lora" else None
    return trainable(Classifier(base, description["depth"], layers, description["echo"]), method, lora)


@torch.no_grad()
def _fill(weights: dict[str, Tensor], file: Path) -> None:
    """Put the saved weights into their places: all of them and no other."""
    try:
        saved = load_file(file)
        if saved.keys() != weights.keys():
            raise ValueError(f"{len(saved.keys() ^ weights.keys())} weights are missing or unknown")
        for name, weight in weights.items():
            weight.copy_(saved[name])
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:150]
        raise InputError(
            f"{file}: not the weights that finetune wrote ({reason}); run the stage finetune again"
        ) from None
