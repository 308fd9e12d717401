"""The old rule and today's on the same markets: how often each says that sentiment improves, hurts, or neither.

    python -m benchmarks.old_rule [--markets 50]

The old rule is that of the commit `OLD`: the paired difference in rank IC over a fixed arm of prices and attention,
and placebos that were read anew by the trees. Its code runs from that commit in a work tree of git, with the
parameters of then. Markets: those of `make calibrate-full`, of StockNet's shape, the first of each kind. Today's
answers are those of results/calibration/markets.csv.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import pandas as pd

from finsentiment.errors import InputError, run_main
from finsentiment.files import write_table
from scripts.calibrate import FOLDER, READING, SHAPE, drift_of, errors_at, read_shape
from scripts.calibration.grid import CONFIRMED_FROM, KINDS, Job, jobs
from scripts.calibration.markets import simulate
from stages.parameters import all_params

OLD = "560aecd"
NEW_COLUMNS = ["ranked", "delists", "forward_sessions", "entry_price", "entry_gap"]
GROUPS = [
    ("null_plain", 0.0, 0.0),
    ("null_return_x_news", 0.06, 0.0),
    ("null_reversal", 0.06, 0.0),
    ("drift_3", 0.0, 0.02),
    ("drift_3", 0.0, 0.03),
    ("drift_3", 0.06, 0.02),
    ("drift_3", 0.06, 0.03),
]
"""Kind, rank IC of the other effect, rank IC planted as read."""
JUDGE = """
import sys
import pandas as pd
from finsentiment.backtest.run import paired_verdict
from stages.parameters import all_params
params = all_params()
print(paired_verdict(pd.read_parquet(sys.argv[1]), params.backtest, params.features.horizon, int(sys.argv[2]))[0])
"""


def judge_by_old(job: Job, drift: float, tree: Path, folder: Path) -> str:
    """The old rule's verdict on one market."""
    params, shape = all_params(), read_shape(FOLDER / SHAPE)
    errors = errors_at(pd.read_csv(FOLDER / READING), job.reading)
    table = simulate(KINDS[job.kind], shape, job.other, drift, errors, params.features, job.seed)
    file = folder / f"{job.seed}.parquet"
    write_table(file, table.drop(columns=NEW_COLUMNS))
    done = subprocess.run([sys.executable, "-c", JUDGE, file, str(job.seed)], cwd=tree, capture_output=True, text=True)
    file.unlink()
    if done.returncode:
        raise InputError(f"the old rule failed on {job}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip()


def main() -> None:
    """Judge the markets and print both rules' shares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--markets", type=int, default=50, help="of each kind")
    given = parser.parse_args()
    params, shape, reading = all_params(), read_shape(FOLDER / SHAPE), pd.read_csv(FOLDER / READING)
    done = pd.read_csv(FOLDER / "markets.csv").set_index(list(Job._fields))
    grid = jobs(True, CONFIRMED_FROM)
    print("| kind | other effect | planted | markets | old: improves | hurts | today: improves | hurts |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(params.threads) as pool:
        tree = Path(name, "tree")
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, OLD], check=True)
        try:
            for group in GROUPS:
                mine = [job for job in grid if (job.kind, job.other, job.planted) == group][: given.markets]
                right = {job.reading: errors_at(reading, job.reading) for job in mine}
                drift = {r: drift_of(group[2], group[0], r, shape, errors, params) for r, errors in right.items()}
                sizes = [drift[job.reading] for job in mine]
                old = pd.Series(list(pool.map(judge_by_old, mine, sizes, repeat(tree), repeat(Path(name)))))
                new = done.loc[[tuple(job) for job in mine], "verdict"]
                shares = [f"{(rule == answer).mean():.0%}" for rule in (old, new) for answer in ("improves", "hurts")]
                print(f"| {group[0]} | {group[1]:g} | {group[2]:g} | {len(mine)} | {' | '.join(shares)} |", flush=True)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], check=True)


if __name__ == "__main__":
    run_main(main)
