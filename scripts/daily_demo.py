"""Three days of the daily job on this machine: run as `make daily-demo`.

A bare git repository stands for the origin, a server of moto on loopback for S3, and a web server on loopback for the
SEC and a news feed; prices come from files. Each day the workflow's own command runs in a fresh clone, as a runner of
GitHub does. The second day is killed in the middle; the third catches up. What is fetched is made up.

The adapter is that of models/release if it is there (`make repro`), else a tiny one that is made on the spot.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from finsentiment.errors import InputError, run_main
from finsentiment.features.export import check_daily
from finsentiment.features.live import moved
from finsentiment.market.sessions import calendar, sessions_between
from finsentiment.market.store import Store
from scripts.daily_job import missing_in_remote

ROOT, BRANCH = Path(__file__).parents[1], "demo"
TICKERS = {"AAA": "Alpha Inc.", "BBB": "Beta Works Corp.", "CCC": "Gamma Holdings"}
SESSIONS = sessions_between("XNYS", pd.Timestamp("2026-01-05"), pd.Timestamp("2026-03-31"))
DAYS = (30, 31, 32)
"""Numbers of the sessions before whose opens the job runs."""
HEADLINES = (
    "{name} raises its forecast after a strong quarter",
    "{name} warns that profit will fall",
    "{name} holds its annual meeting",
)


def write_world(web: Path, number: int) -> None:
    """What the servers and the price files say on the morning before this session."""
    rng = np.random.default_rng(7)
    prices = []
    for ticker in TICKERS:
        close = 50 * np.exp(rng.normal(0, 0.02, len(SESSIONS)).cumsum())
        part = pd.DataFrame({"ticker": ticker, "session": SESSIONS, "open": close, "high": close, "low": close})
        prices.append(part.assign(close=close, volume=1000.0)[:number])
    (web / "drop").mkdir(exist_ok=True)
    pd.concat(prices).to_parquet(web / "drop/prices.parquet")
    items, filings = [], []
    for day in range(DAYS[0] - 2, number + 1):
        night = calendar("XNYS").opens.loc[SESSIONS[day]] - pd.Timedelta(hours=8)
        for place, (ticker, name) in enumerate(TICKERS.items()):
            title = HEADLINES[(day + place) % len(HEADLINES)].format(name=name)
            stamp = night.strftime("%a, %d %b %Y %H:%M:%S +0000")
            items.append(f"<item><guid>{day}-{ticker}</guid><title>{title}</title><pubDate>{stamp}</pubDate></item>")
        filings.append((f"0000000042-26-{day:06d}", night))
    feed = f'<?xml version="1.0"?><rss version="2.0"><channel><title>wire</title>{"".join(items)}</channel></rss>'
    (web / "feed.xml").write_text(feed)
    (web / "files").mkdir(exist_ok=True)
    (web / "submissions").mkdir(exist_ok=True)
    companies = {str(n): {"cik_str": 42 + n, "ticker": t, "title": name} for n, (t, name) in enumerate(TICKERS.items())}
    (web / "files/company_tickers.json").write_text(json.dumps(companies))
    for place in range(len(TICKERS)):
        mine = filings if place == 0 else []
        recent: dict[str, list[str]] = {
            "accessionNumber": [key for key, _ in mine],
            "acceptanceDateTime": [night.strftime("%Y-%m-%dT%H:%M:%S.000Z") for _, night in mine],
            "form": ["8-K"] * len(mine),
            "items": ["2.02,9.01"] * len(mine),
            "primaryDocDescription": ["8-K"] * len(mine),
        }
        file = web / f"submissions/CIK{42 + place:010d}.json"
        file.write_text(json.dumps({"filings": {"recent": recent}}))


def settings(web: Path, port: int) -> dict[str, Any]:
    """The daily.yaml of the demonstration."""
    here = f"http://127.0.0.1:{port}"
    shown = yaml.safe_load((ROOT / "daily.yaml").read_text())
    names = web / "names.csv"
    names.write_text("ticker,name\n" + "".join(f"{ticker},{name}\n" for ticker, name in TICKERS.items()))
    return shown | {
        "tickers": list(TICKERS),
        "adapter": "stage:prod",
        "stale_after": 72,
        "sources": [
            {"kind": "edgar", "contact": "demo demo@example.com", "forms": ["8-K"], "www": here, "data": here},
            {"kind": "feed", "name": "wire", "url": f"{here}/feed.xml", "names": str(names)},
            {"kind": "files", "folder": str(web / "drop")},
        ],
    }


def call(*words: object, cwd: Path, **environment: str) -> str:
    """Run a command and give what it printed. Raises InputError with its last line where it fails."""
    done = subprocess.run(
        [str(w) for w in words], cwd=cwd, env=os.environ | environment, capture_output=True, text=True
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise InputError(f"{' '.join(str(word) for word in words[:4])}: {said[-1] if said else done.returncode}")
    return done.stdout


def make_adapter(folder: Path, models: Path) -> None:
    """The adapter of models/release, or a tiny one that is made on the spot."""
    if (ROOT / "models/release/classifier.json").is_file():
        shutil.copytree(ROOT / "models/release", folder, dirs_exist_ok=True)
        return
    from tests import tiny

    words = [sentence for sentences in tiny.SENTENCES.values() for sentence in sentences]
    shutil.rmtree(folder, ignore_errors=True)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        tiny.make_adapter(folder, tiny.make_model(models, words))


def setup(place: Path, web: Path, port: int, s3: str) -> None:
    """The origin, with daily.yaml, a remote on S3 and an adapter in the stage prod."""
    origin, first = place / "origin.git", place / "first"
    call("git", "clone", "--quiet", "--bare", ROOT, origin, cwd=place)
    call("git", "branch", "--force", BRANCH, "HEAD", cwd=origin)
    call("git", "symbolic-ref", "HEAD", f"refs/heads/{BRANCH}", cwd=origin)
    call("git", "clone", "--quiet", origin, first, cwd=place)
    for name, value in (("user.name", "demo"), ("user.email", "demo@example.com")):
        call("git", "config", name, value, cwd=first)
    (first / "daily.yaml").write_text(yaml.safe_dump(settings(web, port), sort_keys=False))
    dvc = (sys.executable, "-m", "dvc")
    call(*dvc, "remote", "add", "--force", "--default", "origin", "s3://demo/finsentiment", cwd=first)
    call(*dvc, "remote", "modify", "origin", "endpointurl", s3, cwd=first)
    call(*dvc, "remote", "modify", "origin", "verify", "true", cwd=first)
    make_adapter(first / "models/release", place / "tiny-model")
    # DVC commits a stage only where all that it depends on is there.
    shutil.copytree(first / "models/release", first / "models/adapter")
    (first / "data/evaluate").mkdir(parents=True)
    (first / "data/evaluate/predictions.parquet").touch()
    call(*dvc, "commit", "--force", "release", cwd=first)
    call("git", "add", "--all", cwd=first)
    call("git", "commit", "--quiet", "--message", "Daily settings, a remote, an adapter", cwd=first)
    call(*dvc, "push", "models/release", cwd=first)
    call("git", "push", "--quiet", cwd=first)
    for words in (("register", "sentiment-adapter"), ("assign", "sentiment-adapter", "--stage", "prod")):
        call(Path(sys.executable).with_name("gto"), *words, cwd=first)
    call("git", "push", "--quiet", "--tags", cwd=first)


def run_day(place: Path, number: int, killed: bool) -> Path:
    """The job of a day in a fresh clone; `killed`: by SIGKILL, once the store holds the day and nothing is pushed."""
    clone = place / f"day-{number}{'-killed' if killed else ''}"
    call("git", "clone", "--quiet", place / "origin.git", clone, cwd=place)
    for name, value in (("user.name", "daily job"), ("user.email", "daily@example.com")):
        call("git", "config", name, value, cwd=clone)
    now = (calendar("XNYS").opens.loc[SESSIONS[number]] - pd.Timedelta(minutes=100)).isoformat()
    job = subprocess.Popen(
        [sys.executable, "-m", "scripts.daily_job", "--branch", BRANCH],
        cwd=clone,
        env=os.environ | {"FINSENTIMENT_NOW": now, "FINSENTIMENT_CACHE": str(place / "cache")},
        start_new_session=True,
    )
    day = f"data/live/{now[:10]}/*/run.json"
    while killed and job.poll() is None and not list(clone.glob(day)):
        time.sleep(0.02)
    if killed:
        os.killpg(job.pid, signal.SIGKILL)
    if job.wait(timeout=600) and not killed:
        raise InputError(f"the job of day {number} failed")
    return clone


def main() -> None:
    """Three days."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    os.environ |= {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ |= {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        web = place / "web"
        web.mkdir()
        handler = functools.partial(_Quiet, directory=str(web))
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        moto.start()
        try:
            show(place, web, server.server_port, moto)
        finally:
            moto.stop()
            server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def show(place: Path, web: Path, port: int, moto: Any) -> None:
    """Run the days and say what came of them. Raises InputError where something is missing."""
    import boto3

    host, s3_port = moto.get_host_and_port()
    s3 = f"http://{host}:{s3_port}"
    boto3.client("s3", endpoint_url=s3).create_bucket(Bucket="demo")
    print("setting up: origin, S3, an adapter in the stage prod", flush=True)
    write_world(web, DAYS[0])
    setup(place, web, port, s3)
    before = None
    for number in DAYS:
        write_world(web, number)
        killed = number == DAYS[1]
        print(f"\n{SESSIONS[number].date()}: {'killed in the middle' if killed else 'the job runs'}", flush=True)
        clone = run_day(place, number, killed)
        if killed:
            continue
        table = pd.read_parquet(clone / "data/daily/features.parquet")
        names = [name for name in table if name.startswith(("price_", "attention_", "fine_tuned_"))]
        if before is not None and (fault := moved(before, table, names, SESSIONS[number], 1e-9)):
            raise InputError(f"the past moved: {fault}")
        before = table
    last = place / "last"
    call("git", "clone", "--quiet", place / "origin.git", last, cwd=place)
    dvc = (sys.executable, "-m", "dvc")
    call(*dvc, "pull", "data/live.dvc", "data/daily.dvc", "export.dvc", cwd=last)
    news = Store(last / "data/live").read("news")
    days = sorted(news["first_seen_at"].dt.date.unique())
    faults, _ = check_daily(last / "export/sentiment_daily.parquet")
    twice = int(news.duplicated(["source", "source_id", "ticker"]).sum())
    kept = "; ".join(faults) or "the export keeps its contract"
    print(f"\na clean clone, pulled: {len(news)} stories, seen on {len(days)} days, {twice} twice; {kept}")
    expected = {f"{day}-{ticker}" for day in range(DAYS[0] - 2, DAYS[-1] + 1) for ticker in TICKERS}
    with contextlib.chdir(last):
        missing = missing_in_remote([Path(f"{name}.dvc") for name in ("data/live", "data/daily", "export")])
    print(f"files that the remote lacks: {len(missing)}")
    if faults or twice or missing or not expected <= set(news["source_id"]):
        raise InputError("stories are missing or doubled, the export is broken, or the remote lacks files")
    score = call(sys.executable, "-m", "finsentiment.cli", "score", "--stage", "prod", "profit rose", cwd=last)
    print(f"finsentiment score --stage prod: {score.strip()}")


if __name__ == "__main__":
    run_main(main)
