"""How often the verdict errs, on simulated markets whose truth is known: run as `make calibrate`.

Markets without drift, in which past news forecasts nothing; markets in which the last return and the amount of news
forecast and the tone does not; and markets with a planted rank IC, some of which prices and attention forecast too, go
through the pipeline's own features, walk-forward and verdict. In place of scoring, each headline gets its true tone as
the evaluated model would have read it: a draw from the row of its confusion matrix (metrics/evaluate/confusion.csv).
Every market is kept in results/calibration/markets.csv as soon as it is judged, and a run that was stopped goes on
from there. Then the table and the picture are written.

The planted rank IC is that of the feature fine_tuned_decayed, had every headline been read without error; as read, it
is lower. It is set by `drift`, whose effect is measured on a few markets of other seeds first.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix
from statsmodels.stats.proportion import proportion_confint
from tqdm import tqdm

from finsentiment.arms import FINE_TUNED, TRUTH
from finsentiment.backtest.evidence import rank_ic
from finsentiment.backtest.run import paired_verdict
from finsentiment.errors import InputError, run_main
from finsentiment.features.build import build_features
from finsentiment.files import sha256_file, write_bytes, write_text
from finsentiment.labels import LABELS
from finsentiment.market.simulate import Simulation, simulate_market
from finsentiment.market.sources.simulated import read_headlines
from finsentiment.params import Params, Simulated
from finsentiment.reporting.pictures import verdicts_picture
from stages.parameters import all_params

FOLDER = Path("results/calibration")
LEVELS = (0.0, 0.01, 0.02, 0.03, 0.05)
OTHER = 0.03
"""What the last return (against it) and the amount of news add to a forward return where they forecast: this much of
the session's standard deviation, per standard deviation of their own."""
VERDICTS = ("improves", "no evidence", "hurts")
STOCKNET = {"tickers": 87, "sessions": 505, "start": "2014-01-02", "news_per_session": 2.4, "reaction": 0.003}
"""The size of StockNet's panel. With so much news each piece moves the price less than in the default market."""
PILOT: dict[str, Any] = {"drift": 0.001, "markets": 8}
HEADLINES = "data/sample/headlines.csv"
CODE = ("arms.py", "backtest/*.py", "features/*.py", "market/sessions.py", "market/simulate.py")


def confusion_shares(path: str) -> np.ndarray:
    """Chance of each predicted class (columns) given the true one (rows), from an evaluation's table: (3, 3)."""
    try:
        table = pd.read_csv(path)
    except OSError:
        raise InputError(f"{path} is missing: run `dvc repro evaluate` first, or check it out of git") from None
    counts = confusion_matrix(table["actual"], table["predicted"], labels=LABELS)
    return counts / counts.sum(axis=1, keepdims=True)


def as_read(tone: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """True tones (n,) in {-1, 0, 1} as a model with these confusion shares reads them."""
    chance = shares.cumsum(axis=1)[tone.astype(int) + 1]
    return (rng.random((len(tone), 1)) > chance[:, :2]).sum(axis=1) - 1.0


def stocknet_sized(section: Simulated, exchange: str, headlines: pd.DataFrame, drift: float, seed: int) -> Simulation:
    """A market of StockNet's size."""
    return simulate_market(section.model_copy(update={**STOCKNET, "drift": drift}), exchange, headlines, seed)


def decayed_ic(found: Simulation, score: np.ndarray, params: Params) -> tuple[float, pd.DataFrame]:
    """Mean daily rank IC of the decayed sentiment of these scores, and the features that they make."""
    scores = pd.DataFrame({"news_id": found.truth["news_id"], FINE_TUNED: score})
    table, _ = build_features(found.prices, found.news, scores, params.features, params.market.exchange)
    session, outcome = pd.factorize(table["session"])[0], table["forward_return"].to_numpy()
    ic = rank_ic(table[f"{FINE_TUNED}_decayed"].to_numpy(), outcome, session, params.backtest.min_tickers)
    return float(ic.mean()), table


def with_other_effects(table: pd.DataFrame, size: float) -> pd.DataFrame:
    """The features with forward returns that the last return and the amount of news forecast too."""

    def standard(name: str) -> pd.Series:
        values = table.groupby("session")[name]
        return ((table[name] - values.transform("mean")) / values.transform("std")).fillna(0.0)

    spread = table.groupby("session")["forward_return"].transform("std")
    effect = size * spread * (standard("attention_count") - standard("price_return_1"))
    return table.assign(forward_return=table["forward_return"] + effect)


def judge_market(
    params: Params, level: float, other: float, drift: float, seed: int, headlines: pd.DataFrame, shares: np.ndarray
) -> dict[str, Any]:
    """One market's verdict and the difference that it rests on."""
    found = stocknet_sized(params.market.simulated, params.market.exchange, headlines, drift, seed)
    read = as_read(found.truth[TRUTH].to_numpy(), shares, np.random.default_rng([seed, 2]))
    ic, table = decayed_ic(found, read, params)
    table = with_other_effects(table, other)
    value, difference = paired_verdict(table, params.backtest, params.features.horizon, seed)
    figures = {"ic_as_read": ic, "gain": difference.mean, "hac_t": difference.hac_t}
    return {"level": level, "other": other, "seed": seed, "verdict": value, **figures}


def drift_per_ic(params: Params, headlines: pd.DataFrame) -> float:
    """The drift that makes a planted rank IC of 1, were it linear that far: small ones are."""
    drift, section, exchange = PILOT["drift"], params.market.simulated, params.market.exchange
    seeds = range(10**6, 10**6 + PILOT["markets"])
    # The same markets without drift have the same noise, so that taking it away leaves little to chance.

    def planted(size: float) -> float:
        markets = (stocknet_sized(section, exchange, headlines, size, seed) for seed in seeds)
        return float(np.mean([decayed_ic(found, found.truth[TRUTH].to_numpy(), params)[0] for found in markets]))

    return drift / (planted(drift) - planted(0.0))


def verdict_shares(done: pd.DataFrame) -> pd.DataFrame:
    """Shares of each verdict by planted rank IC, with 95 % intervals (Wilson 1927)."""
    rows = []
    for (level, other), group in done.groupby(["level", "other"]):
        means = {name: group[name].mean() for name in ("ic_as_read", "gain")}
        row: dict[str, Any] = {"planted": level, "other": other > 0, "markets": len(group), **means}
        for value in VERDICTS:
            count = int((group["verdict"] == value).sum())
            low, high = proportion_confint(count, len(group), method="wilson")
            row |= {value: count / len(group), f"{value}_low": low, f"{value}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def calibration_page(shares: pd.DataFrame, key: str) -> str:
    """The table in Markdown."""
    head = ["planted rank IC", "as read", "markets", "gain found", *VERDICTS]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in shares.to_dict("records"):
        cells = [f"{row[v]:.1%} ({row[f'{v}_low']:.1%} to {row[f'{v}_high']:.1%})" for v in VERDICTS]
        known = ", but prices and attention forecast" if row["other"] else ""
        ics = f"{row['planted']:g}{known} | {row['ic_as_read']:.4f} | {row['markets']} | {row['gain']:+.4f}"
        lines.append(f"| {ics} | {' | '.join(cells)} |")
    return "\n".join(
        [
            "# How often the verdict errs",
            "",
            "Made by `make calibrate`: " + " ".join(__doc__.split("\n\n")[1].split()),
            "",
            *lines,
            "",
            f"{STOCKNET['tickers']} tickers and {STOCKNET['sessions']} sessions, the size of StockNet's panel. "
            "In brackets 95 % intervals (Wilson). Gain: difference in mean daily rank IC that the test finds, which is "
            "less than what is planted, and less still where prices and attention forecast too: their rank IC and that "
            "of the tone add up like the sides of a right triangle.",
            "",
            "Real news is harder: on texts unlike its test sentences a model errs more than its confusion matrix says, "
            f"and it misreads the same text each time. Settings and code: {key}.",
            "",
            "![shares of the verdicts](verdicts.png)",
            "",
        ]
    )


def _key(params: Params, shares: np.ndarray) -> str:
    """All that a verdict depends on: markets judged under another key are judged again."""
    settings = [s.model_dump() for s in (params.market.simulated, params.features, params.backtest)]
    files = [__file__, HEADLINES, *(str(file) for name in CODE for file in sorted(Path("finsentiment").glob(name)))]
    libraries = [version(name) for name in ("lightgbm", "numpy", "pandas", "scipy", "arch", "exchange_calendars")]
    told = [*settings, params.market.exchange, [sha256_file(file) for file in files], libraries, shares.tolist()]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def main() -> None:
    """Judge the markets that are missing, both cores busy, then write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--without", type=int, default=200, help="markets without drift")
    parser.add_argument(
        "--planted", type=int, default=100, help="at each planted rank IC; half as many where prices forecast too"
    )
    given = parser.parse_args()
    params = all_params()
    shares, headlines = confusion_shares("metrics/evaluate/confusion.csv"), read_headlines(HEADLINES)
    key = _key(params, shares)
    file = FOLDER / "markets.csv"
    names = ["key", "level", "other", "seed"]
    done = pd.read_csv(file, dtype={"key": str}) if file.is_file() else pd.DataFrame(columns=names)
    done = done[done["key"] == key]
    per = drift_per_ic(params, headlines)
    print(f"a planted rank IC of 0.01 is a drift of {0.01 * per:.6f}", file=sys.stderr)
    judged = set(zip(done["level"], done["other"], done["seed"], strict=True))
    kinds = [(0.0, 0.0, given.without), *((level, 0.0, given.planted) for level in LEVELS[1:])]
    kinds += [(level, OTHER, given.planted // 2) for level in (0.0, 0.03)]
    jobs = [(level, other, seed) for level, other, count in kinds for seed in range(count)]
    jobs = [job for job in jobs if job not in judged]
    rows = done.to_dict("records")
    with ProcessPoolExecutor(params.threads) as pool, tqdm(total=len(jobs), unit="market", file=sys.stderr) as bar:
        waiting = [pool.submit(judge_market, params, v, o, v * per, seed, headlines, shares) for v, o, seed in jobs]
        try:
            for future in as_completed(waiting):
                rows.append({"key": key, **future.result()})
                found = pd.DataFrame(rows).sort_values(names)
                write_text(file, found.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
                bar.update()
        except BaseException:  # or it would judge all that wait before it stops
            pool.shutdown(cancel_futures=True)
            raise
    summary = verdict_shares(pd.DataFrame(rows))
    write_bytes(FOLDER / "verdicts.png", verdicts_picture(summary[~summary["other"]], VERDICTS))
    write_text(FOLDER / "README.md", calibration_page(summary, key))
    print(summary.round(4).to_string(index=False))


if __name__ == "__main__":
    run_main(main)
