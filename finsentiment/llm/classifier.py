"""The classifier: lower layers of a base model with LoRA adapters on the top ones, and a linear head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.pytorch_utils import Conv1D

from finsentiment.calibration import apply_temperature
from finsentiment.errors import InputError
from finsentiment.files import atomic_path, read_json, write_json, write_text
from finsentiment.labels import LABELS, P_COLUMNS
from finsentiment.llm.adapter import DESCRIPTION, WEIGHTS, require_adapter
from finsentiment.llm.backbone import Backbone
from finsentiment.llm.base_models import load_backbone, load_tokenizer, model_folder
from finsentiment.llm.batches import by_shape, padded
from finsentiment.llm.lora import LeanLinear
from finsentiment.llm.runtime import start_runtime
from finsentiment.params import Lora, Model
from finsentiment.text import clean_text

CARD = """\
# A sentiment classifier

`{weights}` holds LoRA weights and a classification head for the base model `{spec}`; `{description}` says how the
two are put together. The stage `finetune` of the pipeline wrote them.

Load it with the project's own code:

```python
from finsentiment import load_reader

print(load_reader("models/adapter").read(["Profit rose by 12 %."]))
```

or `finsentiment score "Profit rose by 12 %."`. `PeftModel.from_pretrained` can't load this folder, and must not: the
classifier uses some of the base model's layers only, reads both ways in the top ones, and has a head of its own.
"""


class Classifier(nn.Module):
    """Backbone, mean over the tokens of its last hidden states, linear head onto `LABELS`.

    Parameters are those of `Backbone`, and `label_smoothing` of the training loss. Raises InputError as it does.
    """

    def __init__(
        self, base: PreTrainedModel, depth: int | None, lora_layers: int, echo: bool, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.backbone = Backbone(base, depth, lora_layers, echo)
        self.head = nn.Linear(base.config.get_text_config().hidden_size, len(LABELS), device=base.device)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.loss = nn.CrossEntropyLoss(label_smoothing=label_smoothing)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor | None = None,
        lower_states: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Logits of shape (batch, 3), and the loss where `labels` are given."""
        hidden = self.backbone(input_ids, attention_mask, lower_states)
        weight = attention_mask.unsqueeze(-1).float()
        pooled = (hidden.float() * weight).sum(1) / weight.sum(1)
        logits = self.head(pooled)
        return SequenceClassifierOutput(loss=None if labels is None else self.loss(logits, labels), logits=logits)


def with_adapter(classifier: Classifier, lora: Lora) -> PeftModel:
    """The classifier with fresh LoRA adapters on all linear maps of its top layers; they and the head train."""
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=[f"backbone.{name}" for name in classifier.backbone.linear_names],
        modules_to_save=["head"],
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in classifier.modules()),
    )
    if not classifier.backbone.quantized:
        config._register_custom_module({nn.Linear: LeanLinear})
    return get_peft_model(classifier, config)


def trained_weights(adapted: PeftModel) -> dict[str, Tensor]:
    """The weights that training changes, by name: adapters and head."""
    return {name: p for name, p in adapted.named_parameters() if p.requires_grad}


def save_adapter(adapted: PeftModel, path: str | Path, description: dict[str, Any]) -> None:
    """Write adapter and head as safetensors and all that `load_reader` needs, the same bytes for the same training.

    Not in PEFT's own layout: its loader would take the folder for an adapter of the plain base model, find none of
    its weights, and go on with fresh ones.
    """
    with atomic_path(path) as scratch:
        scratch.mkdir()
        tensors = {name: p.detach().cpu().contiguous() for name, p in trained_weights(adapted).items()}
        save_file(dict(sorted(tensors.items())), scratch / WEIGHTS)
        write_json(scratch / DESCRIPTION, description)
        card = CARD.format(weights=WEIGHTS, spec=description["base"]["spec"], description=DESCRIPTION)
        write_text(scratch / "README.md", card)


@dataclass(frozen=True)
class Reader:
    """A fine-tuned classifier, ready to read; threads may share one."""

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    max_tokens: int
    temperature: float

    def read(self, texts: Sequence[str], batch_tokens: int = 512) -> pd.DataFrame:
        """Read texts, cleaned as the corpus and the news are (`finsentiment.text.clean_text`).

        Returns
        -------
        DataFrame of n rows in the order of `texts`: `label`, `score` (p_positive - p_negative, in [-1, 1]),
        `p_negative`, `p_neutral`, `p_positive` (calibrated)
        """
        return labelled(self.probabilities(self.logits([clean_text(text) for text in texts], batch_tokens)))

    @torch.inference_mode()
    def batches(self, texts: list[str], batch_tokens: int) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield row numbers of `texts` and their logits (rows, 3), before the temperature, batch by batch."""
        tokens = tokenise(self.tokenizer, texts, self.max_tokens)
        device = next(self.model.parameters()).device
        for rows, shape in by_shape([len(t) for t in tokens], batch_tokens):
            ids, mask = padded([tokens[row] for row in rows], self.tokenizer.pad_token_id, shape=shape)
            yield rows, self.model(ids.to(device), mask.to(device)).logits[: len(rows)].float().cpu().numpy()

    def logits(self, texts: list[str], batch_tokens: int = 512) -> np.ndarray:
        """Logits of shape (n, 3), before the temperature, in the order of `texts`."""
        result = np.empty((len(texts), len(LABELS)))
        for rows, logits in self.batches(texts, batch_tokens):
            result[rows] = logits
        return result

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities of shape (n, 3) from logits."""
        return apply_temperature(logits, self.temperature)


def labelled(p: np.ndarray) -> pd.DataFrame:
    """Probabilities (n, 3) as a table: `label`, `score`, `p_negative`, `p_neutral`, `p_positive`."""
    table = pd.DataFrame(p, columns=list(P_COLUMNS))
    table.insert(0, "label", [LABELS[code] for code in p.argmax(axis=1)])
    table.insert(1, "score", tone_of(p))
    return table


def tone_of(p: pd.DataFrame | np.ndarray) -> np.ndarray:
    """The score of each row of probabilities (n, 3): p_positive - p_negative, in [-1, 1]."""
    return np.asarray(p, dtype=float)[:, 2] - np.asarray(p, dtype=float)[:, 0]


def tokenise(tokenizer: PreTrainedTokenizerBase, texts: list[str], max_tokens: int) -> list[list[int]]:
    """Token ids of each text, cut after `max_tokens`; a text without any token is one padding token."""
    rows = tokenizer(texts, truncation=True, max_length=max_tokens)["input_ids"] if texts else []
    return [row or [tokenizer.pad_token_id] for row in rows]


def load_reader(path: str | Path = "models/adapter", device: str = "auto", threads: int = 2) -> Reader:
    """Read a saved classifier, its adapter merged into the base weights where those are not quantised.

    Parameters
    ----------
    path : folder that the stage `finetune` wrote
    device : auto, cpu, cuda or mps
    threads : CPU threads

    Raises
    ------
    InputError
        There is no adapter, it is damaged, or its base model can't be had.
    """
    require_adapter(path)
    runtime = start_runtime(device, threads)
    description = read_json(Path(path) / DESCRIPTION)
    folder, lora = model_folder(Model(**description["base"])), Lora(**description["lora"])
    base = load_backbone(folder, description["quantization"], runtime)
    classifier = Classifier(base, description["depth"], lora.layers, description["echo"])
    adapted = with_adapter(classifier, lora)
    _fill(trained_weights(adapted), Path(path) / WEIGHTS)
    # Merging into 4- or 8-bit weights would round the adapter away.
    model: Any = adapted.merge_and_unload() if description["quantization"] == "none" else adapted.base_model.model
    return Reader(model.eval(), load_tokenizer(folder), description["max_tokens"], description["temperature"])


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
