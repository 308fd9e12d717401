"""Whether a folder holds an adapter: known in a moment, without PyTorch, whose import takes seconds."""

from __future__ import annotations

import hashlib
from pathlib import Path

from finsentiment.errors import InputError

DESCRIPTION, WEIGHTS = "classifier.json", "weights.safetensors"


def adapter_hash(path: str | Path) -> str:
    """SHA-256 of what an adapter reads with: its weights and its description. Its cards may say what they like."""
    from finsentiment.files import sha256_file  # imports pandas, which takes half a second

    require_adapter(path)
    both = "".join(sha256_file(Path(path) / name) for name in (DESCRIPTION, WEIGHTS))
    return hashlib.sha256(both.encode()).hexdigest()


def require_adapter(path: str | Path) -> None:
    """Raise InputError where `path` is no folder that the stage `finetune` wrote."""
    if not (Path(path) / DESCRIPTION).is_file():
        raise InputError(
            f"{path}: no fine-tuned model there (no {DESCRIPTION}); make one with `make repro`, "
            "or get one as models/README.md says"
        )
