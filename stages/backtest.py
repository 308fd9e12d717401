"""Backtest the forecasts with and without sentiment, and say whether sentiment improves them.

Run by DVC, or as `python -m stages.backtest`.
"""

from __future__ import annotations

from finsentiment.errors import command
from finsentiment.files import read_table, write_csv, write_json, write_text
from finsentiment.market.backtest import run
from stages.parameters import load


def main() -> None:
    """Features in; the verdict, its evidence and the plots out."""
    params = load("backtest")
    features = read_table("data/features/features.parquet")
    result = run(features, params.backtest, params.features.horizon, params.seed, params.threads)
    for name in ("ic", "equity", "placebo", "importance"):
        write_csv(f"metrics/backtest/{name}.csv", getattr(result, name))
    write_json("metrics/backtest.json", result.metrics)
    write_text("metrics/backtest/verdict.txt", result.words + "\n")
    print(result.words)


if __name__ == "__main__":
    command(main)
