"""StockNet's own task, up or down, by arm of the backtest: run as `python -m scripts.movement NAME` after score_news.

Reads what the last run with market.source=stocknet left in data/, prints the table and writes it to
results/NAME/movement.json. What the task is, and how it is kept from looking ahead: finsentiment/backtest/movement.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from finsentiment.arms import ATTENTION, TESTED
from finsentiment.backtest.movement import judge_movement
from finsentiment.errors import InputError, run_main
from finsentiment.files import read_table, write_json
from finsentiment.reporting.words import arm_label
from stages.parameters import all_params


def main() -> None:
    """Judge and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="folder below results/")
    given = parser.parse_args()
    params = all_params()
    files = ("data/prepared/news.parquet", "data/prepared/prices.parquet", "data/scored/news_scores.parquet")
    if missing := [file for file in files if not Path(file).is_file()]:
        raise InputError(f"{missing[0]} is missing: run `dvc repro score_news` with market.source=stocknet first")
    news, prices, scores = (read_table(file) for file in files)
    sections = (params.features, params.backtest, params.market.exchange)
    found = judge_movement(news, prices, scores, *sections, params.seed, params.threads)
    write_json(Path("results") / given.name / "movement.json", found)
    print(
        f"{found['train']} movements to train on, {found['test']} to test on, {found['test_up_share']:.1%} of them up"
    )
    print("| arm | accuracy | 95 % interval | Matthews correlation | 95 % interval |\n|---|---|---|---|---|")
    rows = [(arm_label(arm), f) for arm, f in found["arms"].items()]
    for arm, f in [*rows, (f"{arm_label(TESTED)} less {arm_label(ATTENTION)}", found["gain"])]:
        print(
            f"| {arm} | {f['accuracy']:.3f} | {f['accuracy_low']:.3f} to {f['accuracy_high']:.3f} "
            f"| {f['mcc']:+.3f} | {f['mcc_low']:+.3f} to {f['mcc_high']:+.3f} |"
        )


if __name__ == "__main__":
    run_main(main)
