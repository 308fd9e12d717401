"""Features of a million headlines: seconds, memory, and whether both grow in proportion to the news.

Run as `python -m benchmarks.features`. Simulated markets of 500 tickers over 1,000 sessions, with a quarter, half and
all of a million headlines; each is built in a process of its own, so that the peak is its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd

from finsentiment.arms import FINE_TUNED
from finsentiment.errors import run_main
from finsentiment.features.build import build_features
from finsentiment.market.sessions import sessions_between
from stages.parameters import stage_params

TICKERS, SESSIONS = 500, 1000
HEADLINES = (250_000, 500_000, 1_000_000)


def market(headlines: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Prices of random walks, news at random times, random scores."""
    rng = np.random.default_rng(1)
    sessions = sessions_between("XNYS", pd.Timestamp("2015-01-02"), pd.Timestamp("2020-01-02"))[:SESSIONS]
    names = np.array([f"T{number:03d}" for number in range(TICKERS)])
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, (TICKERS, SESSIONS)), axis=1)).ravel()
    prices = pd.DataFrame({"ticker": np.repeat(names, SESSIONS), "session": np.tile(sessions.to_numpy(), TICKERS)})
    prices = prices.assign(open=close, high=close * 1.01, low=close * 0.99, close=close, volume=1e6)
    seconds = rng.integers(0, int((sessions[-1] - sessions[0]).total_seconds()), headlines)
    published = sessions[0].tz_localize("UTC") + pd.to_timedelta(np.sort(seconds), unit="s")
    number = pd.Series(np.arange(headlines)).astype(str).str.zfill(7)
    news = pd.DataFrame({"news_id": number, "published_at": published, "ticker": rng.choice(names, headlines)})
    return prices, news, pd.DataFrame({"news_id": number, FINE_TUNED: rng.uniform(-1, 1, headlines)})


def measure(headlines: int) -> None:
    """Build once in this process and print the figures."""
    params = stage_params("build_features")
    tables = market(headlines)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    table, _ = build_features(*tables, params.features, "XNYS")
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{headlines:>10,}{len(table):>10,}{seconds:>9.1f}{peak / 1e6:>9.2f}{(peak - before) / 1e6:>15.2f}")


def main() -> None:
    """Measure each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--headlines", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.headlines:
        measure(given.headlines)
        return
    print(f"{'headlines':>10}{'rows':>10}{'seconds':>9}{'peak GB':>9}{'of it build':>15}", flush=True)
    for size in HEADLINES:
        subprocess.run([sys.executable, "-m", "benchmarks.features", f"--headlines={size}"], check=True)


if __name__ == "__main__":
    run_main(main)
