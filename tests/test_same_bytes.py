"""The first pass of a process gives the same bytes as all later ones, and as those of other processes.

Each reading runs in a process of its own, on two threads, and keeps nothing. (On some processors the first parallel
call of a function rounds differently on one of the threads, in one fresh process of three.)
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from finsentiment.errors import InputError
from finsentiment.files import cache_folder
from finsentiment.llm.base_models import model_folder
from finsentiment.params import Model

ROOT = Path(__file__).parents[1]
USER_CACHE = cache_folder()
FUNCTIONS = """
import hashlib, torch
from finsentiment.llm.runtime import start_runtime
start_runtime("cpu", 2)
positions = torch.arange(512.0)[:, None] / 10000 ** (torch.arange(0, 64, 2) / 64)
digest = lambda: hashlib.sha256(b"".join(f(positions).numpy().tobytes() for f in (torch.cos, torch.sin))).hexdigest()
print(digest(), digest())
"""
READING = """
import hashlib, sys, torch
from pathlib import Path
from finsentiment.llm.backbone import Backbone
from finsentiment.llm.base_models import load_backbone
from finsentiment.llm.runtime import start_runtime
Backbone._prove_directions = lambda self: None
runtime = start_runtime("cpu", 2)
backbone = Backbone(load_backbone(Path(sys.argv[1]), "none", runtime), 16, 9, echo=True)
ids = torch.randint(5, 40000, (4, 118), generator=torch.Generator().manual_seed(0))
with torch.inference_mode():
    passes = [backbone(ids, torch.ones_like(ids)).float().numpy().tobytes() for _ in range(2)]
print(*(hashlib.sha256(p).hexdigest() for p in passes))
"""


def fresh(code: str, *arguments: str) -> list[str]:
    """What a process of its own prints, by word."""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


def test_the_first_parallel_call_rounds_as_all_later_ones_do() -> None:
    assert len({digest for _ in range(4) for digest in fresh(FUNCTIONS)}) == 1


@pytest.mark.slow
def test_a_fresh_process_reads_with_the_real_model_as_every_other_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINSENTIMENT_CACHE", str(USER_CACHE))
    try:
        folder = model_folder(Model(**yaml.safe_load((ROOT / "params.yaml").read_text())["model"]))
    except InputError as error:
        if "can't be had" in str(error):
            pytest.skip(str(error))
        raise
    assert len({digest for _ in range(10) for digest in fresh(READING, str(folder))}) == 1
