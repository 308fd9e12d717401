"""Backtest the forecasts with and without sentiment, and say whether sentiment improves them.

    python -m stages.backtest

Reads data/features/features.parquet; writes metrics/backtest.json and, for the plots, metrics/backtest/ic.csv,
equity.csv, placebo.csv and importance.csv.
"""

from __future__ import annotations

from pathlib import Path

from finsentiment.errors import command
from finsentiment.files import read_table, write_csv, write_json
from finsentiment.market.backtest import run
from stages.parameters import load

FEATURES = Path("data/features/features.parquet")
METRICS = Path("metrics/backtest.json")
PLOTS = Path("metrics/backtest")


def main() -> None:
    """Features in, verdict out."""
    params = load("backtest")
    result = run(read_table(FEATURES), params.backtest, params.features.horizon, params.seed, params.threads)
    for name in ("ic", "equity", "placebo", "importance"):
        write_csv(PLOTS / f"{name}.csv", getattr(result, name))
    write_json(METRICS, result.metrics)
    print(result.metrics["verdict"]["words"])


if __name__ == "__main__":
    command(main)
