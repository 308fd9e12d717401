"""Keep a run's evidence below results/: run as `python -m scripts.record NAME COMMAND STAGE...` after it.

Copies params.yaml, dvc.lock and the metrics and pictures of the named stages, of evaluate also what it predicted
for each sentence, of report its page, and writes down the command, the commit and the environment. Sentences of the
corpus stay out: not every corpus may be passed on. `python -m scripts.page` makes a page of what is kept.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
from pathlib import Path

import pandas as pd

from finsentiment.errors import InputError, run_main
from finsentiment.files import atomic_path, read_table, without_folders, write_csv, write_json
from finsentiment.llm.runtime import describe_processor, start_runtime


def main() -> None:
    """Copy what the last run in this work tree left in metrics/."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="folder below results/")
    parser.add_argument("command", help="the command that made the run, as typed")
    parser.add_argument("stages", nargs="+", help="stages whose metrics to keep")
    given = parser.parse_args()
    sources = []
    for stage in given.stages:
        own = Path(f"metrics/{stage}.{'html' if stage == 'report' else 'json'}")
        if not own.is_file():
            raise InputError(f"{own} is missing: run `dvc repro {stage}` first, from the root")
        sources += [own, *sorted(Path(f"metrics/{stage}").glob("*"))]
    with atomic_path(Path("results") / given.name) as folder:
        for source in sources:
            _copy(source, folder / source.relative_to("metrics"))
        if "evaluate" in given.stages:
            write_csv(folder / "evaluate/predictions.csv", read_table("data/evaluate/predictions.parquet"))
        for name in ("params.yaml", "dvc.lock"):
            (folder / name).write_text(without_folders(Path(name).read_text()))
        write_json(folder / "run.json", {"command": given.command, "commit": _commit(), "environment": _environment()})


def _copy(source: Path, target: Path) -> None:
    """Copy a metrics file, a CSV without its column of texts."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".csv":
        table = pd.read_csv(source)
        if "text" in table:
            write_csv(target, table.drop(columns="text"))
            return
    shutil.copy(source, target)


def _commit() -> str:
    return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()


def _environment() -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "processor": describe_processor(start_runtime("auto", 1)),
        "packages": "requirements.txt at this commit",
    }


if __name__ == "__main__":
    run_main(main)
