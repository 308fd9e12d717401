"""How often the three answers are wrong, on simulated markets whose truth is known: `make calibrate-full`.

Each market goes through the pipeline's own features and backtest. Every market is kept in markets.csv as soon as it is
judged, and a run that was stopped goes on from there, on this machine or another. Then the page and the picture are
written.

    python -m scripts.calibrate --folder FOLDER       quick: every kind of market, under an hour on 2 cores
    python -m scripts.calibrate --full                all markets, some hours; those in git are not judged again
    python -m scripts.calibrate --mine                the quick ones, of the shape of the market in data/prepared
    python -m scripts.calibrate --record-inputs       write down that shape, and the errors of reading its headlines
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from finsentiment.arms import SIGNAL, TRUTH
from finsentiment.backtest.answers import answer_questions
from finsentiment.backtest.evidence import rank_ic
from finsentiment.backtest.placebos import rank_among_placebos
from finsentiment.backtest.verdict import Evidence, detectable
from finsentiment.errors import InputError, run_main
from finsentiment.files import read_json, read_table, write_bytes, write_csv, write_json, write_text
from finsentiment.labels import LABELS
from finsentiment.params import Params
from scripts.calibration.grid import CONFIRMED_FROM, KINDS, Job, jobs
from scripts.calibration.markets import simulate
from scripts.calibration.page import calibration_page, calibration_picture
from scripts.calibration.shape import Shape, shape_of
from stages.parameters import all_params

FOLDER = Path("results/calibration")
MINE = Path("results/calibration-mine")
SHAPE, READING = "shape.json", "reading.csv"
PILOT: dict[str, Any] = {"ic": 0.05, "markets": 6, "seed": 90_000}
"""Markets by which the drift of a planted rank IC is found: with about this rank IC, and without."""
CODE = [
    Path(folder, f"{name}.py")
    for folder, names in {
        "finsentiment": "arms",
        "finsentiment/backtest": "answers cleaning enough evidence forecasts partial placebos portfolio questions "
        "table verdict walkforward",
        "finsentiment/features": "build columns panel",
        "finsentiment/market": "sessions simulate",
        "scripts": "calibrate",
        "scripts/calibration": "markets shape",
    }.items()
    for name in names.split()
]
"""What makes a market and answers the questions."""
NONE = rank_among_placebos(0.0, np.array([]))
KEYS = list(Job._fields)


def reading_errors(truth: pd.Series, label: pd.Series) -> pd.DataFrame:
    """How often each true tone (rows) is read as each class (columns): counts of distinct texts."""
    tones = dict(zip((-1.0, 0.0, 1.0), LABELS, strict=True))
    table = pd.crosstab(truth.map(tones), label).reindex(index=LABELS, columns=LABELS, fill_value=0)
    return table.rename_axis("tone").reset_index()


def errors_at(table: pd.DataFrame, right: float) -> np.ndarray:
    """Chance of each reading (columns) given the tone (rows), with this share of all texts read right: (3, 3).

    The measured errors, mixed with no errors until so many are right; their kind stays.
    """
    counts = table[list(LABELS)].to_numpy(float)
    chance = counts / counts.sum(axis=1, keepdims=True)
    measured = float(counts.diagonal().sum() / counts.sum())
    mixed = min(1.0, (1 - right) / (1 - measured))
    return mixed * chance + (1 - mixed) * np.eye(3)


def judge(job: Job, drift: float, shape: Shape, errors: np.ndarray, params: Params) -> dict[str, Any]:
    """One market's three answers, and the figures that they rest on."""
    kind = KINDS[job.kind]
    table = simulate(kind, shape, job.other, drift, errors, params.features, job.seed)
    section = params.features.model_copy(update={"horizon": kind.horizon})
    found = answer_questions(table, params.backtest, section, job.seed)
    answers = {"verdict": found.verdict, "informative": found.informative, "pays": found.pays}
    # Without placebos, which are drawn for some markets only.
    bare = Evidence(found.evidence["informative"].estimate, NONE, NONE, found.evidence["informative"].level)
    figures = {"gain": found.gain, "detectable": detectable(bare)}
    for name, evidence in found.evidence.items():
        figures |= {f"{name}_mean": evidence.estimate.mean, f"{name}_hac_t": evidence.estimate.hac_t}
    return {**job._asdict(), **answers, **figures}


def level_ic(job: Job, drift: float, shape: Shape, errors: np.ndarray, params: Params) -> float:
    """Mean daily rank IC of the signal as read with the returns of the next session, nothing else moving prices."""
    table = simulate(KINDS[job.kind], shape, 0.0, drift, errors, params.features, job.seed)
    session = pd.factorize(table["session"])[0]
    ic = rank_ic(table[SIGNAL].to_numpy(), table["return_1"].to_numpy(), session, params.backtest.min_tickers)
    return float(ic.mean())


def drift_of(planted: float, kind: str, reading: float, shape: Shape, errors: np.ndarray, params: Params) -> float:
    """The drift that makes a planted rank IC as read. Small ones are linear in it."""
    if planted == 0:
        return 0.0
    trial = PILOT["ic"] * 0.1 * KINDS[kind].drift_sessions
    pilots = [Job(kind, 0.0, planted, reading, PILOT["seed"] + number) for number in range(PILOT["markets"])]
    # The same markets without drift have the same noise, so that taking it away leaves little to chance.
    ics = [level_ic(job, trial, shape, errors, params) - level_ic(job, 0.0, shape, errors, params) for job in pilots]
    return planted * trial / float(np.mean(ics))


def run_grid(
    todo: list[Job], folder: Path, shape: Shape, errors: dict[float, np.ndarray], params: Params, threads: int
) -> pd.DataFrame:
    """Judge the markets that are missing in `folder`, all cores busy; the rows of all in `todo`.

    Rows of other markets stay in the file. Raises InputError where it holds rows of other code or settings.
    """
    key, file = _key(params, shape, errors), folder / "markets.csv"
    done = pd.read_csv(file, dtype={"key": str}) if file.is_file() else pd.DataFrame(columns=["key", *KEYS])
    foreign = done[done["key"] != key]
    if len(foreign):
        raise InputError(
            f"{file}: {len(foreign)} of {len(done)} markets were judged by other code, settings or libraries "
            f"({', '.join(sorted(foreign['key'].unique()))}, these are {key}): move the file away, or give --folder"
        )
    rows: list[dict[str, Any]] = done.to_dict("records")
    wanted = {tuple(job) for job in todo}
    judged = {tuple(row[name] for name in KEYS) for row in rows}
    todo = [job for job in todo if tuple(job) not in judged]
    with ProcessPoolExecutor(threads) as pool, tqdm(total=len(todo), unit="market", file=sys.stderr) as bar:
        planted = sorted({(job.planted, job.kind, job.reading) for job in todo if job.planted})
        found = [pool.submit(drift_of, *what, shape, errors[what[2]], params) for what in planted]
        drift = {what: future.result() for what, future in zip(planted, found, strict=True)}
        waiting = []
        for job in todo:
            size = drift.get((job.planted, job.kind, job.reading), 0.0)
            waiting.append(pool.submit(judge, job, size, shape, errors[job.reading], params))
        try:
            for future in as_completed(waiting):
                rows.append({"key": key, **future.result()})
                write_csv(file, pd.DataFrame(rows).sort_values(KEYS))
                bar.update()
        except BaseException:  # or it would judge all that wait before it stops
            pool.shutdown(cancel_futures=True)
            raise
    return pd.DataFrame([row for row in rows if tuple(row[name] for name in KEYS) in wanted])


def _key(params: Params, shape: Shape, errors: dict[float, np.ndarray]) -> str:
    """All that an answer depends on."""
    settings = [section.model_dump() for section in (params.features, params.backtest)]
    libraries = [version(name) for name in ("lightgbm", "numpy", "pandas", "scipy", "arch", "statsmodels")]
    told: list[Any] = [*settings, [without_words(file.read_text()) for file in CODE], libraries, shape.facts()]
    told += [
        [asdict(kind) for kind in KINDS.values()],
        {str(right): table.round(6).tolist() for right, table in errors.items()},
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def without_words(code: str) -> str:
    """Python code without its comments and docstrings: what they say can't change an answer."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_text(part)] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def record_inputs(folder: Path, params: Params) -> None:
    """Write the shape of the prepared market, and where its true tones are known how its headlines are read."""
    news, prices = (read_table(f"data/prepared/{name}.parquet") for name in ("news", "prices"))
    write_json(folder / SHAPE, shape_of(news, prices, params.features, params.market.exchange).facts())
    truth = read_table("data/prepared/truth.parquet")
    if len(truth):
        scores = read_table("data/scored/news_scores.parquet")
        texts = news.merge(truth, on="news_id").merge(scores, on="news_id").drop_duplicates("headline")
        label = np.array(LABELS)[texts[[f"p_{name}" for name in LABELS]].to_numpy().argmax(axis=1)]
        write_csv(folder / READING, reading_errors(texts[TRUTH], pd.Series(label, texts.index)))


def read_shape(path: Path) -> Shape:
    """The shape that `record_inputs` wrote."""
    facts = read_json(path)
    return Shape(**{name: facts[name] for name in Shape.__dataclass_fields__})


def main() -> None:
    """Judge the markets, then write the page and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="all markets (hours)")
    parser.add_argument("--mine", action="store_true", help=f"of the shape of data/prepared, into {MINE}")
    parser.add_argument("--record-inputs", type=Path, metavar="FOLDER", help="write the inputs there and stop")
    parser.add_argument("--seed", type=int, default=CONFIRMED_FROM, help="first seed (default: the confirmation's)")
    parser.add_argument("--folder", type=Path, help="of the results (default: results/calibration)")
    given = parser.parse_args()
    params = all_params()
    if given.record_inputs:
        record_inputs(given.record_inputs, params)
        return
    folder = given.folder or (MINE if given.mine else FOLDER)
    if given.mine:
        record_inputs(folder, params)
    source = folder if (folder / SHAPE).is_file() else FOLDER
    shape = read_shape(source / SHAPE)
    table = pd.read_csv(folder / READING if (folder / READING).is_file() else FOLDER / READING)
    todo = jobs(given.full, given.seed)
    errors = {right: errors_at(table, right) for right in sorted({job.reading for job in todo})}
    done = run_grid(todo, folder, shape, errors, params, params.threads)
    write_bytes(folder / "answers.png", calibration_picture(done))
    write_text(folder / "README.md", calibration_page(done, shape, table, given.seed, params))
    print(f"{folder / 'README.md'}: {len(done)} markets")


if __name__ == "__main__":
    run_main(main)
