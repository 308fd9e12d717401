"""Backtest the forecasts with and without sentiment: is it informative, does it improve the forecast, does it pay?

Run by DVC, or as `python -m stages.backtest`.
"""

from __future__ import annotations

from finsentiment.backtest.run import run_backtest
from finsentiment.errors import run_main
from finsentiment.files import read_table, write_csv, write_json, write_text
from stages.parameters import stage_params


def main() -> None:
    """Features in; the three answers, their evidence and the plots out."""
    params = stage_params("backtest")
    features = read_table("data/features/features.parquet")
    result = run_backtest(features, params.backtest, params.features, params.seed, params.threads)
    for name, table in result.tables.items():
        write_csv(f"metrics/backtest/{name}.csv", table)
    write_json("metrics/backtest.json", result.metrics)
    write_text("metrics/backtest/verdict.txt", result.words + "\n")
    print(result.words)


if __name__ == "__main__":
    run_main(main)
