"""Backtest the forecasts with and without sentiment, and say whether sentiment improves them.

Run by DVC, or as `python -m stages.backtest`.
"""

from __future__ import annotations

from finsentiment.backtest.run import run_backtest
from finsentiment.errors import run_main
from finsentiment.files import read_table, write_csv, write_json, write_text
from stages.parameters import stage_params


def main() -> None:
    """Features in; the verdict, its evidence and the plots out."""
    params = stage_params("backtest")
    features = read_table("data/features/features.parquet")
    result = run_backtest(features, params.backtest, params.features.horizon, params.seed, params.threads)
    for name in ("ic", "equity", "placebo", "importance"):
        write_csv(f"metrics/backtest/{name}.csv", getattr(result, name))
    write_json("metrics/backtest.json", result.metrics)
    write_text("metrics/backtest/verdict.txt", result.words + "\n")
    print(result.words)


if __name__ == "__main__":
    run_main(main)
