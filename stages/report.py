"""Gather what the run found on one page, metrics/report.html, and in one picture, metrics/report/gains.png.

Run by DVC, or as `python -m stages.report`.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from finsentiment.errors import run_main
from finsentiment.files import read_json, sha256_file, sha256_folder, without_folders, write_bytes, write_text
from finsentiment.reporting.evidence import evidence_pictures
from finsentiment.reporting.page import report_page
from finsentiment.reporting.pictures import curve_picture
from stages.parameters import stage_params

STAGES = ("prepare", "baseline", "finetune", "evaluate", "build_features", "backtest")
RESTS_ON = (
    "data/splits/train.parquet",
    "data/splits/test.parquet",
    "data/scored/news_scores.parquet",
    "data/features/features.parquet",
)


def main() -> None:
    """Write the page and the picture."""
    params = stage_params("report")
    metrics = {stage: read_json(f"metrics/{stage}.json") for stage in STAGES}
    tables = {path.stem: pd.read_csv(path) for path in sorted(Path("metrics/backtest").glob("*.csv"))}
    tables["confusion"] = pd.read_csv("metrics/evaluate/confusion.csv")
    pictures = {name: Path(f"metrics/evaluate/{name}.png").read_bytes() for name in ("confusion", "reliability")}
    pictures["curve"] = curve_picture({"this run": pd.read_csv("metrics/finetune/curve.csv")})
    pictures |= evidence_pictures(metrics["backtest"], tables)
    write_bytes("metrics/report/gains.png", pictures["gains"])
    parameters = without_folders(Path("params.yaml").read_text(encoding="utf-8"))
    hashes = {name: sha256_file(name) for name in RESTS_ON} | {"models/adapter": sha256_folder("models/adapter")}
    words = Path("metrics/backtest/verdict.txt").read_text(encoding="utf-8").strip()
    simulated = params.market.source == "simulated"
    cost, tried = params.backtest.cost_bps, params.backtest.trials_before
    page = report_page(metrics, tables, pictures, words, cost, parameters, hashes, simulated, tried)
    write_text("metrics/report.html", page)


if __name__ == "__main__":
    run_main(main)
