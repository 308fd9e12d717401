"""Where and how PyTorch computes: device, number format, threads, and the same bits every time."""

from __future__ import annotations

import logging
import os
import platform
from dataclasses import dataclass
from functools import cache

import torch
import torch.utils.deterministic
from transformers.utils import logging as transformers_logging

from finsentiment.errors import InputError

transformers_logging.disable_progress_bar()
transformers_logging.set_verbosity_error()
# It warns that an optional kernel of its own could not be fetched, on the processors that have one.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Runtime:
    """What one computation runs on.

    device : cpu, cuda or mps
    dtype : of the base model's weights and arithmetic
    threads : CPU threads of PyTorch; the same number gives the same bits
    """

    device: torch.device
    dtype: torch.dtype
    threads: int

    def __str__(self) -> str:
        return f"{self.device.type} {str(self.dtype).removeprefix('torch.')}, {self.threads} threads"


def start_runtime(device: str, threads: int) -> Runtime:
    """Set PyTorch up so that the same input gives the same bits, and say what it computes on.

    Parameters
    ----------
    device : "auto" (the first there is of cuda, mps, cpu), "cpu", "cuda" or "mps"
    threads : CPU threads

    Raises
    ------
    InputError
        This machine has no such device.
    """
    # cuBLAS repeats to the bit only with a workspace of fixed size, chosen before it is first used.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # On by default with it: fills every new tensor first. Nothing here reads what it has not written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    _warm_up()
    chosen = _device(device)
    return Runtime(chosen, compute_dtype(chosen), threads)


def describe_processor(runtime: Runtime) -> str:
    """The kind of processor that a runtime computes on: machines that agree in it give the same bytes."""
    dtype = str(runtime.dtype).removeprefix("torch.")
    if runtime.device.type == "cuda":
        return f"{torch.cuda.get_device_name()}, {dtype}"
    tiles = " with AMX" if torch.cpu._is_amx_tile_supported() else ""
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}{tiles}, {dtype}"


def compute_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies in it, else float32 (emulated bfloat16 is several times slower)."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return torch.bfloat16 if native else torch.float32


def _device(name: str) -> torch.device:
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, available in there.items() if available)
    if not there.get(name, False):
        found = ", ".join(kind for kind, available in there.items() if available)
        raise InputError(f"device = {name!r}: PyTorch finds none on this machine; set device to auto or {found}")
    return torch.device(name)


@cache
def _warm_up() -> None:
    """Call once, on one thread, what rounds differently in a process's first parallel call than in all later ones.

    The vector versions of these functions are chosen when they are first called. If that call runs on several
    threads, one of them may still take another version: in some fresh processes the first sentences were read with
    other cosines of their positions. Called on one thread first, every process agrees (tests/test_same_bytes.py).
    """
    values = torch.linspace(-3, 3, 64)
    for function in (torch.cos, torch.sin, torch.exp, torch.tanh, torch.erf, torch.sigmoid, torch.log1p):
        function(values)
