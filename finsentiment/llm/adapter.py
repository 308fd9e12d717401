"""Whether a folder holds an adapter: known in a moment, without PyTorch, whose import takes seconds."""

from __future__ import annotations

from pathlib import Path

from finsentiment.errors import InputError

DESCRIPTION = "classifier.json"


def require_adapter(path: str | Path) -> None:
    """Raise InputError where `path` is no folder that the stage `finetune` wrote."""
    if not (Path(path) / DESCRIPTION).is_file():
        raise InputError(
            f"{path}: no fine-tuned model there (no {DESCRIPTION}); make one with `make repro`, "
            "or get one as models/README.md says"
        )
