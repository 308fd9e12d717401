"""Features, backtest and report of a whole panel: seconds and memory of each stage.

    python -m benchmarks.panel                                     StockNet's shape: 87 tickers, 505 sessions
    python -m benchmarks.panel --tickers 3000 --sessions 2520      large: news on a tenth of the ticker-sessions

A simulated market without drift (scripts/calibration), read by one reader, goes through the stages as DVC runs them,
each in a process of its own, in a folder that is deleted afterwards. The figures of the other stages are those of git.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from finsentiment.arms import FINE_TUNED
from finsentiment.errors import InputError, run_main
from finsentiment.files import write_table
from finsentiment.labels import P_COLUMNS
from finsentiment.market.sessions import calendar, sessions_between
from scripts.calibrate import FOLDER, SHAPE, read_shape
from scripts.calibration.markets import AFTER, Kind, simulate_panel
from scripts.calibration.shape import Shape

ROOT = Path(__file__).parents[1]
STAGES = ("build_features", "backtest", "report")
COVERAGE = 0.1


def large(tickers: int, sessions: int) -> Shape:
    """News on a tenth of the ticker-sessions, twice as unevenly spread as a Poisson number would be."""
    news = np.exp(-3.0 * np.linspace(0, 1, tickers))
    return Shape(sessions, (0.16 * news / news.mean()).tolist(), COVERAGE, 0.3, 0.1, 0.7)


def write_market(shape: Shape, folder: Path) -> None:
    """The tables that the stages read."""
    found = simulate_panel(Kind("null_plain"), shape, 0.0, 0.0, np.eye(3), seed=1)
    count, names = found.panel.listed.shape[0], found.panel.tickers.to_numpy()
    sessions = sessions_between("XNYS", pd.Timestamp("2005-01-03"), pd.Timestamp("2025-12-31"))[:count]
    if len(sessions) < count:
        raise InputError(f"--sessions: at most {len(sessions) - count + shape.sessions}")
    fields = {name: values.T.ravel() for name, values in found.panel.fields.items()}
    prices = {"ticker": np.repeat(names, count), "session": np.tile(sessions.to_numpy(), len(names)), **fields}
    write_table(folder / "data/prepared/prices.parquet", pd.DataFrame(prices))
    inside = found.cell // len(names) < count - AFTER
    cell, read = found.cell[inside], found.read[inside]
    opens = calendar("XNYS").opens.loc[sessions]
    published = pd.DatetimeIndex(opens)[cell // len(names)].as_unit("us") - pd.Timedelta(hours=1)
    news_id = pd.Series(np.arange(len(cell))).astype(str).str.zfill(8)
    news = {"news_id": news_id, "published_at": published, "ticker": names[cell % len(names)]}
    write_table(folder / "data/prepared/news.parquet", pd.DataFrame(news))
    empty = pd.DataFrame({"news_id": [], "truth": []}).astype({"news_id": "str"})
    write_table(folder / "data/prepared/truth.parquet", empty)
    scores = {"news_id": news_id, **dict.fromkeys(P_COLUMNS, 1 / 3), FINE_TUNED: read}
    write_table(folder / "data/scored/news_scores.parquet", pd.DataFrame(scores))


def main() -> None:
    """Measure each stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tickers", type=int)
    parser.add_argument("--sessions", type=int)
    given = parser.parse_args()
    if (given.tickers is None) != (given.sessions is None):
        parser.error("give --tickers and --sessions, or neither")
    shape = large(given.tickers, given.sessions) if given.tickers else read_shape(FOLDER / SHAPE)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in ("dvc.yaml", "params.yaml"):
            shutil.copy(ROOT / name, folder / name)
        for name in ("metrics", ".dvc"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("cache", "tmp"))
        (folder / "data/splits").mkdir(parents=True)
        for name in ("train", "test"):
            (folder / f"data/splits/{name}.parquet").write_bytes(b"")  # the report shows its hash alone
        (folder / "models/adapter").mkdir(parents=True)
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
        write_market(shape, folder)
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        print(f"{len(shape.news)} tickers, {shape.sessions} sessions, {os.cpu_count()} cores")
        print(f"{'stage':<16}{'seconds':>9}{'peak GB so far':>16}", flush=True)
        for stage in STAGES:
            start = time.perf_counter()
            subprocess.run([sys.executable, "-m", f"stages.{stage}"], cwd=folder, env=environment, check=True)
            seconds = time.perf_counter() - start
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
            print(f"{stage:<16}{seconds:>9.1f}{peak:>16.2f}", flush=True)


if __name__ == "__main__":
    run_main(main)
