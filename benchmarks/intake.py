"""A million rows of news and a million of prices, as CSV: seconds and memory until they are checked.

Run as `python -m benchmarks.intake`. The files are made first, in a process of their own; 20 seconds and 3 GB are aimed
at. `--format rfc822` writes the times of the news in RFC 822.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from finsentiment.backtest.enough import check_enough
from finsentiment.errors import run_main
from finsentiment.market.load import load_market
from finsentiment.market.sessions import sessions_between
from stages.parameters import all_params

ROWS, TICKERS = 1_000_000, 500
FORMATS = {"iso": "%Y-%m-%dT%H:%M:%SZ", "rfc822": "%a, %d %b %Y %H:%M:%S +0000"}


def write(folder: Path, rows: int, form: str) -> None:
    """`rows` of news and about as many of prices."""
    rng = np.random.default_rng(1)
    sessions = sessions_between("XNYS", pd.Timestamp("2014-01-02"), pd.Timestamp("2024-12-31"))
    sessions = sessions[: max(rows // TICKERS, 200)]
    names = np.array([f"T{number:03d}" for number in range(TICKERS)])
    count = len(sessions)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, (TICKERS, count)), axis=1)).ravel()
    prices = pd.DataFrame(
        {"ticker": np.repeat(names, count), "session": np.tile(sessions.strftime("%Y-%m-%d"), TICKERS)}
    )
    four = {"open": close * 1.001, "high": close * 1.01, "low": close * 0.99, "close": close}
    prices = prices.assign(**{name: values.round(4) for name, values in four.items()})
    prices.assign(volume=rng.integers(1e5, 1e7, len(prices))).to_csv(folder / "prices.csv", index=False)
    seconds = rng.integers(0, int((sessions[-1] - sessions[0]).total_seconds()), rows)
    times = (sessions[0] + pd.to_timedelta(seconds, unit="s")).strftime(FORMATS[form])
    words = np.array("profit sales orders dividend lawsuit merger outlook strike recall rating rose fell held".split())
    text = pd.Series([" ".join(row) for row in words[rng.integers(0, len(words), (rows, 9))]])
    news = pd.DataFrame({"published_at": times, "ticker": rng.choice(names, rows), "headline": text.str.capitalize()})
    news.to_csv(folder / "news.csv", index=False)


def measure(folder: Path) -> None:
    """Check the folder in this process, as `prepare` does, and print the figures."""
    params = all_params()
    section = params.market.model_copy(update={"source": "tables", "path": str(folder)})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    found = load_market(section, 0)
    backtest = params.backtest
    check_enough(
        found.news,
        found.prices,
        section.exchange,
        params.features.horizon,
        backtest.train_sessions,
        backtest.min_tickers,
    )
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = f"{found.facts['news_in']:>12,}{found.facts['prices_in']:>12,}"
    print(f"{rows}{seconds:>9.1f}{peak / 1e6:>9.2f}{(peak - before) / 1e6:>15.2f}")


def main() -> None:
    """Make the files and measure, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--format", choices=FORMATS, default="iso")
    parser.add_argument("--step", choices=("write", "measure"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step == "write":
        write(given.folder, given.rows, given.format)
    elif given.step == "measure":
        measure(given.folder)
    else:
        print(f"{'news':>12}{'prices':>12}{'seconds':>9}{'peak GB':>9}{'of it checking':>15}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            options = [f"--folder={folder}", f"--rows={given.rows}", f"--format={given.format}"]
            for step in ("write", "measure"):
                subprocess.run([sys.executable, "-m", "benchmarks.intake", f"--step={step}", *options], check=True)


if __name__ == "__main__":
    run_main(main)
