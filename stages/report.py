"""Gather what the run found on one page, metrics/report.html.

Run by DVC, or as `python -m stages.report`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from finsentiment.errors import command
from finsentiment.files import read_json, sha256_file, sha256_folder, write_text
from finsentiment.pictures import curve_picture
from finsentiment.report import page

STAGES = ("prepare", "baseline", "finetune", "evaluate", "build_features", "backtest")
RESTS_ON = (
    "data/splits/train.parquet",
    "data/splits/test.parquet",
    "data/scored/news_scores.parquet",
    "data/features/features.parquet",
)


def main() -> None:
    """Write the page."""
    metrics = {stage: read_json(f"metrics/{stage}.json") for stage in STAGES}
    tables = {name: pd.read_csv(f"metrics/backtest/{name}.csv") for name in ("ic", "equity", "placebo", "importance")}
    pictures = {name: Path(f"metrics/evaluate/{name}.png").read_bytes() for name in ("confusion", "reliability")}
    pictures["curve"] = curve_picture({"this run": pd.read_csv("metrics/finetune/curve.csv")})
    # Of a file outside the repository only the name: its folder tells of a machine, not of the run.
    parameters = re.sub(r": /\S*/", ": ", Path("params.yaml").read_text(encoding="utf-8"))
    hashes = {name: sha256_file(name) for name in RESTS_ON} | {"models/adapter": sha256_folder("models/adapter")}
    words = Path("metrics/backtest/verdict.txt").read_text(encoding="utf-8").strip()
    simulated = re.search(r"source: simulated\b", parameters) is not None
    write_text("metrics/report.html", page(metrics, tables, pictures, words, parameters, hashes, simulated))


if __name__ == "__main__":
    command(main)
