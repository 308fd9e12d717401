"""How often the rule for lost times errs: feeds with true times, and feeds of which a share lost theirs.

Run as `python -m benchmarks.undated` (minutes). The feeds are made: firms with release times of their own that they
keep to more or less, stamped to the minute by day, and a part to the second at any time. 20 seeds each.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import pandas as pd

from finsentiment.errors import run_main
from finsentiment.market.sessions import calendar, next_open
from finsentiment.market.undated import settle_undated

HABITS = {
    "XNYS": {"07:00": 3, "08:00": 4, "08:30": 3, "09:00": 1, "16:01": 1, "16:05": 3, "16:30": 1, "12:00": 0.3},
    "XLON": {"07:00": 12, "08:00": 0.5, "12:00": 0.3, "16:30": 0.7, "15:30": 0.5},
    "XTKS": {"15:00": 5, "15:30": 3, "09:00": 1, "16:00": 1, "12:00": 0.3, "11:30": 0.7},
    "XHKG": {"16:30": 3, "08:00": 1, "12:00": 0.7, "18:00": 2, "22:00": 0.5},
}
"""Clock times at the exchange at which releases cluster, and how often. Midnight UTC is 09:00 in Tokyo."""
SHARES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def feed(exchange: str, habit: float, loyalty: float, rows: int, tickers: int, seed: int) -> pd.DataFrame:
    """News of `tickers` firms: a share `habit` at the clock times, and `loyalty` of these at the firm's own one."""
    rng = np.random.default_rng(seed)
    clocks, weights = list(HABITS[exchange]), np.array(list(HABITS[exchange].values()))
    minutes = np.array([int(clock[:2]) * 60 + int(clock[3:]) for clock in clocks])
    ticker = rng.integers(0, tickers, rows)
    own = rng.choice(minutes, tickers, p=weights / weights.sum())[ticker]
    drawn = rng.choice(minutes, rows, p=weights / weights.sum())
    at_habit = np.where(rng.random(rows) < loyalty, own, drawn)
    by_day, by_night = rng.integers(6 * 60, 20 * 60, rows) * 60, rng.integers(0, 86400, rows)
    other = np.where(rng.random(rows) < 0.8, by_day, by_night)
    seconds = np.where(rng.random(rows) < habit, at_habit * 60, other)
    days = pd.Timestamp("2021-01-04") + pd.to_timedelta(rng.integers(0, 1000, rows), "D")
    local = pd.Series(days + pd.to_timedelta(seconds, "s"))
    zoned = local.dt.tz_localize(str(calendar(exchange).tz), ambiguous=True, nonexistent="shift_forward")
    return pd.DataFrame(
        {
            "published_at": zoned.dt.tz_convert("UTC").astype("datetime64[us, UTC]"),
            "ticker": ticker.astype(str),
            "headline": [f"story {number}" for number in range(rows)],
            "source": rng.choice(["a", "b", "c"], rows),
        }
    )


def lost(news: pd.DataFrame, share: float, zone: str, clock: str, which: pd.Series | None, seed: int) -> pd.DataFrame:
    """The same news, a `share` of which (of the rows `which` alone) stands at `clock` of its day in `zone`."""
    rng = np.random.default_rng([seed, 1])
    gone = pd.Series(rng.random(len(news)) < share, index=news.index) & (True if which is None else which)
    day = news["published_at"].dt.tz_convert(zone).dt.tz_localize(None).dt.normalize() + pd.Timedelta(clock)
    stamps = day.dt.tz_localize(zone, ambiguous=True, nonexistent="shift_forward").dt.tz_convert("UTC")
    return news.assign(published_at=news["published_at"].where(~gone, stamps))


def settled(news: pd.DataFrame, exchange: str) -> pd.Series:
    """The times with what the rule takes for lost moved to the end of its day."""
    no_day = pd.Series(False, index=news.index)
    written = news["published_at"].dt.tz_localize(None)
    return settle_undated(news, written, no_day, "next_session", exchange, "")[0]


def false_alarms(seeds: int) -> Iterator[str]:
    """Files with true times that are refused."""
    for exchange in HABITS:
        for words, habit, loyalty, rows, tickers in (
            ("few habits", 0.2, 0.3, 5000, 50),
            ("many habits", 0.6, 0.3, 5000, 50),
            ("firms that keep their hour", 0.6, 0.95, 5000, 50),
            ("the same, 1,000 firms", 0.6, 0.95, 40000, 1000),
            ("small file", 0.6, 0.95, 200, 10),
        ):
            feeds = [feed(exchange, habit, loyalty, rows, tickers, seed) for seed in range(seeds)]
            hits = sum((settled(news, exchange) != news["published_at"]).any() for news in feeds)
            yield f"  {exchange}  {words:<28}{hits:>4} of {seeds}"


def misses(seeds: int) -> Iterator[str]:
    """Of the rows that would look ahead, the share that is found, by the share of all rows that lost their time."""
    yield f"  {'':<42}" + "".join(f"{share:>7.0%}" for share in SHARES)
    for exchange in HABITS:
        local = str(calendar(exchange).tz)
        for words, zone, clock, kind in (
            ("midnight UTC", "UTC", "0s", None),
            ("midnight of the exchange", local, "0s", None),
            ("noon UTC", "UTC", "12h", None),
            ("noon of the exchange", local, "12h", None),
            ("midnight of the exchange, one source", local, "0s", "source"),
            ("midnight of the exchange, one ticker", local, "0s", "ticker"),
        ):
            caught = []
            for share in SHARES:
                ahead, left = 0, 0
                for seed in range(seeds):
                    news = feed(exchange, 0.4, 0.5, 5000, 50, seed)
                    which = None if kind is None else news[kind] == news[kind].iloc[0]
                    spoilt = lost(news, share, zone, clock, which, seed)
                    true = next_open(news["published_at"], exchange)
                    ahead += int((next_open(spoilt["published_at"], exchange) < true).sum())
                    left += int((next_open(settled(spoilt, exchange), exchange) < true).sum())
                caught.append(f"{1 - left / ahead:>7.0%}" if ahead else f"{'–':>7}")
            yield f"  {exchange}  {words:<36}" + "".join(caught)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    given = parser.parse_args()
    print("files with true times that are refused:")
    for line in false_alarms(given.seeds):
        print(line, flush=True)
    print("of the rows that lost their time and would look ahead, found (–: none would), by the share that lost it:")
    for line in misses(given.seeds):
        print(line, flush=True)


if __name__ == "__main__":
    run_main(main)
