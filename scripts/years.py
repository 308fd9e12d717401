"""The three answers in each calendar year by itself: run as `python -m scripts.years [NAME]` after build_features.

With NAME they are written to results/NAME/years.json too.

Each year is judged as if there were no other: its first `backtest.train_sessions` sessions train the first fold. The
answers are not corrected for looking at several years.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from finsentiment.backtest.run import run_backtest
from finsentiment.errors import InputError, run_main
from finsentiment.files import read_table, write_json
from finsentiment.params import Params
from stages.parameters import all_params

FEATURES = Path("data/features/features.parquet")


def answers_by_year(features: pd.DataFrame, params: Params) -> dict[int, str]:
    """The answers in words by year; of a year that can't be judged, why."""
    found = {}
    for year, rows in features.groupby(pd.DatetimeIndex(features["session"]).year):
        try:
            found[int(year)] = run_backtest(rows, params.backtest, params.features, params.seed, params.threads).words
        except InputError as error:
            found[int(year)] = f"Not judged: {error}."
    return found


def main() -> None:
    """Judge and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", help="folder below results/ for years.json")
    given = parser.parse_args()
    params = all_params()
    if not FEATURES.is_file():
        raise InputError(f"{FEATURES} is missing: run `dvc repro build_features` first")
    found = answers_by_year(read_table(FEATURES), params)
    if given.name:
        lines = {str(year): words.split("\n") for year, words in found.items()}
        write_json(Path("results") / given.name / "years.json", lines)
    for year, words in found.items():
        print(f"{year}\n{words}\n")


if __name__ == "__main__":
    run_main(main)
