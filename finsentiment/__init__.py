"""Financial sentiment from a small fine-tuned language model, and what it is worth for return forecasts."""

import logging
from typing import Any

__all__ = ["load_reader"]

# It looks for kernels on the model hub as soon as it is imported, and warns of every processor that could use them.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def __getattr__(name: str) -> Any:
    """`load_reader` on first use: importing the package alone loads nothing heavy."""
    if name == "load_reader":
        from finsentiment.llm.saved import load_reader

        return load_reader
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
