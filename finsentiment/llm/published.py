"""A published sentiment model as it is: its own head, its classes in our order."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from finsentiment.errors import InputError
from finsentiment.labels import LABELS, LIKELY
from finsentiment.llm.base_models import load_pretrained
from finsentiment.llm.runtime import Runtime


class Published(nn.Module):
    """A model with a classification head of its own, its logits in the order of `LABELS`."""

    def __init__(self, model: PreTrainedModel, order: list[int]) -> None:
        super().__init__()
        self.model, self.order = model, order

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SequenceClassifierOutput:
        """Logits of shape (batch, 3)."""
        logits = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return SequenceClassifierOutput(logits=logits[:, self.order])


def load_published(path: Path, runtime: Runtime, pad: int) -> Published:
    """The model of a folder with its head, frozen. `pad` is the token that its tokenizer fills rows with.

    Raises InputError where the folder has no such head, or its classes are not three whose names are known.
    """
    model = load_pretrained(
        AutoModelForSequenceClassification, path, runtime, lacking="a trained head, which finetune.method=none reads by"
    )
    model.config.get_text_config().pad_token_id = pad  # a decoder's head looks for the last token that is another
    return Published(model.requires_grad_(False).eval(), class_order(cast(dict[int, str], model.config.id2label)))


def class_order(names: dict[int, str]) -> list[int]:
    """For each of `LABELS` the number of the model's class that stands for it, told by its name.

    Names count in any case, and so do words that mostly stand for a label (`LIKELY`: bearish, pos, …).

    Raises InputError where there are not three classes, one for each label.
    """
    words = {word: label for label, others in LIKELY.items() for word in (label, *others)}
    found = {words.get(str(name).strip().casefold()): number for number, name in names.items()}
    if set(names) != set(range(len(LABELS))) or set(found) != set(LABELS):
        raise InputError(
            f"model.spec: the classes of this model are {names}, expected negative, neutral and positive with the "
            "numbers 0 to 2; if you know which is which, write it into id2label of a copy's config.json and take "
            "that as path:DIR"
        )
    return [found[label] for label in LABELS]
