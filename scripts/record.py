"""Keep a run's evidence: `python -m scripts.record NAME "COMMAND"` after it, from the repository's root.

Copies params.yaml, dvc.lock, every metrics file and picture into results/NAME, and writes down the
command, the commit and the environment. Files that hold sentences of the corpus stay out: not every
corpus may be passed on.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import torch

from finsentiment.errors import InputError, command
from finsentiment.files import whole, write_json

WITH_TEXT = {"samples.csv"}


def main() -> None:
    """Copy what the last run in this work tree left in metrics/."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="folder below results/")
    parser.add_argument("command", help="the command that made the run, as typed")
    given = parser.parse_args()
    if not Path("metrics/evaluate.json").is_file():
        raise InputError("metrics/evaluate.json is missing: run `dvc repro` first, from the repository's root")
    with whole(Path("results") / given.name) as folder:
        for source in sorted(Path("metrics").rglob("*.*")):
            if source.name in WITH_TEXT:
                continue
            target = folder / source
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.name == "errors.csv":
                pd.read_csv(source).drop(columns="text").to_csv(target, index=False, lineterminator="\n")
            else:
                shutil.copy(source, target)
        for name in ("params.yaml", "dvc.lock"):
            shutil.copy(name, folder / name)
        write_json(folder / "run.json", {"command": given.command, "commit": _commit(), "environment": _environment()})


def _commit() -> str:
    return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()


def _environment() -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": f"{platform.machine()}, PyTorch uses {torch.backends.cpu.get_cpu_capability()}",
        "cores": torch.get_num_threads(),
        "packages": "requirements.txt at this commit",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    command(main)
