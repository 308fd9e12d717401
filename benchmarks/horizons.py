"""How often the p of all horizons at once is small, in markets with and without an effect of tone.

    python -m benchmarks.horizons [--markets 20]

`p` in `profile.horizon` of metrics/backtest.json says how likely so large a t is at 1, 5 or 21 sessions without an
effect. Markets: those of `make calibrate-full` that forecast one session, with seeds of development. No model is
fitted.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd

from finsentiment.backtest.profile import joint_horizons
from finsentiment.backtest.questions import Asker, ask_informative
from finsentiment.backtest.table import to_table
from finsentiment.errors import run_main
from scripts.calibrate import FOLDER, READING, SHAPE, drift_of, errors_at, read_shape
from scripts.calibration.grid import KINDS, LARGE, Job, jobs
from scripts.calibration.markets import simulate
from stages.parameters import all_params

LEVELS = (0.05, 0.10)


def joint_p(job: Job, drift: float) -> float:
    """The p of one market."""
    params, shape = all_params(), read_shape(FOLDER / SHAPE)
    errors = errors_at(pd.read_csv(FOLDER / READING), job.reading)
    features = simulate(KINDS[job.kind], shape, job.other, drift, errors, params.features, job.seed)
    table = to_table(features, params.backtest, params.features.horizon, job.seed)
    asker = Asker(table, job.seed, threads=1, thorough=False)
    return float(joint_horizons(ask_informative(asker)[1], asker)["p"])


def main() -> None:
    """Print the share of markets with a small p, by kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--markets", type=int, default=20, help="of each kind and size of the effects")
    given = parser.parse_args()
    params, shape, reading = all_params(), read_shape(FOLDER / SHAPE), pd.read_csv(FOLDER / READING)
    groups: dict[tuple[str, float, float], list[Job]] = {}
    for job in jobs(True, 0):
        if job.other < LARGE and KINDS[job.kind].horizon == 1:
            groups.setdefault((job.kind, job.other, job.planted), []).append(job)
    print("| kind | other effect | planted | markets |", *[f"p up to {level:g} |" for level in LEVELS])
    print("|---" * (4 + len(LEVELS)) + "|")
    without: list[float] = []
    with ProcessPoolExecutor(params.threads) as pool:
        for (kind, other, planted), group in groups.items():
            mine = group[: given.markets]
            right = {job.reading: errors_at(reading, job.reading) for job in mine}
            sizes = {part: drift_of(planted, kind, part, shape, table, params) for part, table in right.items()}
            found = np.array(list(pool.map(joint_p, mine, [sizes[job.reading] for job in mine])))
            without += [] if planted else found.tolist()
            print(_row(kind, other, planted, found), flush=True)
    print(_row("all without an effect of tone", "", "", np.array(without)))


def _row(kind: str, other: object, planted: object, found: np.ndarray) -> str:
    shares = " | ".join(f"{(found <= level).mean():.1%}" for level in LEVELS)
    return f"| {kind} | {other} | {planted} | {len(found)} | {shares} |"


if __name__ == "__main__":
    run_main(main)
