"""A remote on S3: pushes, pulls, and what breaks in between. S3 is moto's server on loopback."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pandas as pd
import pytest
import yaml
from botocore.exceptions import EndpointConnectionError

from finsentiment.daily.settings import read_settings
from finsentiment.errors import InputError
from finsentiment.features.export import check_daily
from finsentiment.llm.adapter import adapter_hash
from finsentiment.llm.registry import NAME, adapter_folder
from finsentiment.market.store import Store
from scripts.daily_job import missing_in_remote, push
from tests import test_daily
from tests.repository import ROOT, Repository

DVC = (sys.executable, "-m", "dvc")
GTO = Path(sys.executable).with_name("gto")
SERVER = "from moto.server import main; import sys; main(['-H', '127.0.0.1', '-p', sys.argv[1]])"


class S3:
    """A server of moto in a process of its own, which can be killed."""

    def __init__(self, port: int) -> None:
        self.port, self.url = port, f"http://127.0.0.1:{port}"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", SERVER, str(self.port)], stderr=subprocess.DEVNULL)
        self.client = boto3.client("s3", endpoint_url=self.url)
        for _ in range(100):
            try:
                self.client.list_buckets()
                return
            except EndpointConnectionError:  # not up yet
                time.sleep(0.1)
        raise AssertionError("moto did not start")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def keys(self) -> list[str]:
        return [item["Key"] for item in self.client.list_objects_v2(Bucket="bucket").get("Contents", [])]


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch, unused_port: int) -> Iterator[S3]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # else each file waits half a minute for a server that is gone
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = S3(unused_port)
    server.client.create_bucket(Bucket="bucket")
    yield server
    server.kill()


@contextmanager
def slow_way(port: int, delay: float) -> Iterator[int]:
    """A port that passes everything on to another, each piece `delay` seconds late."""
    server = socket.create_server(("127.0.0.1", 0))

    def carry(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                time.sleep(delay)
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = server.accept()
                far = socket.create_connection(("127.0.0.1", port))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=carry, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def run(*words: object, cwd: Path, code: int | None = 0) -> str:
    done = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def repository(tmp_path: Path, s3: S3) -> Path:
    """A repository with a folder of files that DVC keeps, and the remote of docs/remote.md."""
    folder = tmp_path / "here"
    folder.mkdir()
    run("git", "init", "-q", cwd=folder)
    run("git", "config", "user.email", "t@example.com", cwd=folder)
    run("git", "config", "user.name", "t", cwd=folder)
    run(*DVC, "init", "-q", cwd=folder)
    (folder / "data").mkdir()
    rng = random.Random(0)
    for number in range(60):
        (folder / f"data/{number}.bin").write_bytes(rng.randbytes(200_000))
    run(*DVC, "add", "-q", "data", cwd=folder)
    run(*DVC, "remote", "add", "-d", "origin", "s3://bucket/finsentiment", cwd=folder)
    run(*DVC, "remote", "modify", "origin", "endpointurl", s3.url, cwd=folder)
    run(*DVC, "remote", "modify", "origin", "verify", "true", cwd=folder)
    run("git", "add", "-A", cwd=folder)
    run("git", "commit", "-qm", "data", cwd=folder)
    return folder


def clone(repository: Path, name: str = "there") -> Path:
    run("git", "clone", "-q", repository, repository.parent / name, cwd=repository.parent)
    return repository.parent / name


def begun_push(repository: Path, s3: S3) -> subprocess.Popen[str]:
    """A push that has sent some files and is not done."""
    push = subprocess.Popen([*DVC, "push", "-j", "1"], cwd=repository, stderr=subprocess.PIPE, text=True)
    while len(s3.keys()) < 5 and push.poll() is None:
        time.sleep(0.05)
    assert push.poll() is None
    return push


def same(one: Path, other: Path) -> bool:
    files = sorted(path.name for path in one.iterdir())
    return files == sorted(path.name for path in other.iterdir()) and all(
        (one / name).read_bytes() == (other / name).read_bytes() for name in files
    )


@pytest.mark.slow
def test_a_push_and_a_pull_bring_the_same_bytes_and_leave_nothing_to_do(repository: Path) -> None:
    run(*DVC, "push", cwd=repository)
    there = clone(repository)
    run(*DVC, "pull", cwd=there)
    assert same(repository / "data", there / "data")
    assert "up to date" in run(*DVC, "status", cwd=there)


@pytest.mark.slow
def test_a_server_killed_in_the_middle_of_a_push_loses_nothing(repository: Path, s3: S3) -> None:
    push = begun_push(repository, s3)
    s3.kill()
    _, said = push.communicate(timeout=300)
    assert push.returncode != 0 and "Traceback" not in said
    shutil.rmtree(repository / "data")
    run(*DVC, "checkout", cwd=repository)  # the cache is whole
    s3.start()  # moto keeps nothing: as a bucket that was lost
    s3.client.create_bucket(Bucket="bucket")
    run(*DVC, "push", cwd=repository)
    there = clone(repository)
    run(*DVC, "pull", cwd=there)
    assert same(repository / "data", there / "data")


@pytest.mark.slow
def test_a_push_that_is_killed_is_done_again_and_sends_the_rest(repository: Path, s3: S3) -> None:
    push = begun_push(repository, s3)
    os.kill(push.pid, signal.SIGKILL)
    push.communicate()
    assert len(s3.keys()) < 61
    run(*DVC, "push", cwd=repository)
    there = clone(repository)
    run(*DVC, "pull", cwd=there)
    assert same(repository / "data", there / "data")


@pytest.mark.slow
def test_a_slow_network_takes_its_time_and_brings_everything(repository: Path, s3: S3) -> None:
    with slow_way(s3.port, delay=0.15) as port:
        run(*DVC, "remote", "modify", "origin", "endpointurl", f"http://127.0.0.1:{port}", cwd=repository)
        run(*DVC, "push", cwd=repository)
        run("git", "commit", "-qam", "the slow way", cwd=repository)
        there = clone(repository)
        run(*DVC, "pull", cwd=there)
        assert same(repository / "data", there / "data")


@pytest.mark.slow
def test_a_file_damaged_in_the_remote_is_refused_and_nothing_takes_its_place(repository: Path, s3: S3) -> None:
    run(*DVC, "push", cwd=repository)
    key = next(key for key in sorted(s3.keys()) if not key.endswith(".dir"))
    s3.client.put_object(Bucket="bucket", Key=key, Body=b"damaged")
    there = clone(repository)
    done = subprocess.run([*DVC, "pull"], cwd=there, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert any(line.startswith("ERROR") for line in done.stderr.splitlines())
    assert all(path.read_bytes() != b"damaged" for path in there.rglob("*.bin"))


@pytest.mark.slow
def test_a_file_that_the_remote_lost_is_found_and_sent_again(
    repository: Path, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC alone takes the folder for whole, since the remote has its list."""
    monkeypatch.chdir(repository)
    push([Path("data")])
    key = next(key for key in sorted(s3.keys()) if not key.endswith(".dir"))
    s3.client.delete_object(Bucket="bucket", Key=key)
    run(*DVC, "push", cwd=repository)
    assert key not in set(s3.keys()) and len(missing_in_remote([Path("data.dvc")])) == 1
    push([Path("data")])
    assert key in set(s3.keys()) and missing_in_remote([Path("data.dvc")]) == []
    there = clone(repository)
    run(*DVC, "pull", cwd=there)
    assert same(repository / "data", there / "data")


@pytest.mark.slow
def test_after_a_pull_into_a_clean_clone_the_pipeline_has_nothing_to_do(
    tmp_path: Path, s3: S3, pipeline_model: dict[str, str]
) -> None:
    """With the tiny model: data, adapter, release and metrics travel."""
    here = Repository(tmp_path / "here", pipeline_model, tmp_path / "cache")
    here.rerun()
    for words in (
        ("remote", "add", "-d", "origin", "s3://bucket/finsentiment"),
        ("remote", "modify", "origin", "endpointurl", s3.url),
        ("remote", "modify", "origin", "verify", "true"),
        ("push",),
    ):
        run(*DVC, *words, cwd=here.path)
    here.git("add", "-A")
    here.git("-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "run")
    there = clone(here.path)
    run(*DVC, "pull", cwd=there)
    assert "up to date" in run(*DVC, "status", cwd=there)
    assert "Running stage" not in run(*DVC, "repro", cwd=there)
    for folder in ("models/adapter", "models/release", "data/features"):
        assert same(here.path / folder, there / folder)
    card = (there / "models/release/README.md").read_text()
    assert f"`{adapter_hash(there / 'models/release')}`" in card
    for name, value in (("user.name", "t"), ("user.email", "t@localhost")):
        run("git", "config", name, value, cwd=there)
    for words in (("register", NAME), ("assign", NAME, "--stage", "prod")):
        run(GTO, *words, cwd=there)
    served = adapter_folder("stage:prod", str(there))
    assert same(served, here.path / "models/release")
    for wanted, said in (("stage:dev", "nothing is registered"), ("version:v0.0", "nothing is registered")):
        with pytest.raises(InputError, match=said):
            adapter_folder(wanted, str(there))
    run(GTO, "deprecate", NAME, "v0.0.1", "prod", cwd=there)
    with pytest.raises(InputError, match="nothing is registered"):
        adapter_folder("stage:prod", str(there))
    with pytest.raises(InputError, match="run this in your clone"):
        adapter_folder("stage:prod", str(tmp_path / "cache"))


@pytest.fixture
def two_clones(tmp_path: Path, tiny_adapter: Path) -> tuple[Path, Path]:
    """Two clones of an origin with a daily job whose news and prices come from files, and a local remote."""
    first = tmp_path / "first"
    first.mkdir()
    test_daily.settings(first, tiny_adapter)
    drop = tmp_path / "drop"
    (first / "drop").rename(drop)
    tree = yaml.safe_load((first / "daily.yaml").read_text())
    tree["sources"] = [{"kind": "files", "folder": str(drop)}]
    (first / "daily.yaml").write_text(yaml.safe_dump(tree))
    shutil.copy(ROOT / ".gitignore", first)
    shutil.copy(ROOT / ".dvcignore", first)
    for words in (("init", "-q", "-b", "main"), ("config", "user.email", "t@localhost"), ("config", "user.name", "t")):
        run("git", *words, cwd=first)
    run(*DVC, "init", "-q", cwd=first)
    run(*DVC, "remote", "add", "-d", "here", tmp_path / "remote", cwd=first)
    run("git", "add", "-A", cwd=first)
    run("git", "commit", "-qm", "settings", cwd=first)
    run("git", "clone", "-q", "--bare", first, tmp_path / "origin.git", cwd=tmp_path)
    clones = tmp_path / "a", tmp_path / "b"
    for path in clones:
        run("git", "clone", "-q", tmp_path / "origin.git", path, cwd=tmp_path)
        for name in ("email", "name"):
            run("git", "config", f"user.{name}", f"{path.name}@localhost", cwd=path)
    return clones


JOB = (sys.executable, "-m", "scripts.daily_job")


def job(folder: Path, number: int, minutes: int, *options: str, code: int = 0) -> str:
    """The daily job in a clone, so many minutes before the open of the session of this number."""
    now = (test_daily.opened(number) - pd.Timedelta(minutes=minutes)).isoformat()
    environment = test_daily.ENVIRONMENT | {
        "FINSENTIMENT_NOW": now,
        "GITHUB_STEP_SUMMARY": str(folder.with_suffix(".md")),
    }
    done = subprocess.run([*JOB, *options], cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == code and "Traceback" not in done.stderr, done.stdout + done.stderr
    return done.stderr


@pytest.mark.slow
def test_of_two_jobs_at_once_neither_loses_a_story_nor_takes_back_what_another_committed(two_clones) -> None:
    """The second pushes, a change of the code too, just when the first wants to."""
    here, other = two_clones
    drop = here.parent / "drop"
    first = test_daily.FIRST
    test_daily.drop_prices(drop.parent, first)
    test_daily.drop_news(drop.parent, first, ("AAA", "profit rose"))
    now = (test_daily.opened(first) - pd.Timedelta(minutes=40)).isoformat()
    night = (test_daily.opened(first) - pd.Timedelta(hours=5)).isoformat()
    hook = here / ".git/hooks/pre-push"
    hook.write_text(
        f"#!/bin/sh\n[ -f {here}.ran ] && exit 0\ntouch {here}.ran\nunset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE\n"
        f"cd {other} && echo more > NEWS.md && git add NEWS.md && git commit -qm code && git push -q origin main\n"
        f"echo '{night},BBB,profit fell' >> {drop}/news-{first}.csv\n"
        f"FINSENTIMENT_NOW={now} {' '.join(JOB)} >{here}.log 2>&1\n"
    )
    hook.chmod(0o755)
    job(here, first, 60)
    last = clone(here.parent / "origin.git", "last")
    assert (last / "NEWS.md").read_text() == "more\n"
    run(*DVC, "pull", cwd=last)
    store = Store(last / "data/live")
    assert len(store.runs()) == 2, (here.parent / "a.log").read_text()
    assert sorted(store.read("news")["ticker"].unique()) == ["AAA", "BBB"]
    assert check_daily(last / "export/sentiment_daily.parquet") == ([], [])
    export = pd.read_parquet(last / "export/sentiment_daily.parquet")
    assert export["news"].sum() == 2
    assert "| files | 1 |" in here.with_suffix(".md").read_text()


@pytest.mark.slow
def test_a_revision_is_accepted_through_the_job_and_changed_files_stop_it_before_it_asks(two_clones) -> None:
    here, other = two_clones
    drop, first = here.parent / "drop", test_daily.FIRST
    test_daily.drop_prices(drop.parent, first)
    test_daily.drop_news(drop.parent, first, ("AAA", "profit rose"))
    job(here, first, 60)
    test_daily.drop_prices(drop.parent, first + 1, scale=1.5)
    said = job(other, first + 1, 60, code=1)
    assert said.startswith("error: ") and "what came is kept and pushed, but: files" in said.splitlines()[-1]
    job(here, first + 1, 30, "--accept", ",".join(test_daily.TICKERS))
    (other / ".gitignore").write_text("")
    assert ".gitignore is not as in origin/main" in job(other, first + 2, 60, code=1)


@pytest.mark.slow
def test_the_daily_job_runs_three_days_with_one_killed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.daily_demo"], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stdout + done.stderr
    assert "killed in the middle" in done.stdout and "the export keeps its contract" in done.stdout
    assert "0 twice" in done.stdout and "finsentiment score --stage prod:" in done.stdout


def test_the_settings_in_git_are_valid_once_they_name_a_contact_of_your_own(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"daily.yaml: sources.1.edgar.contact = .*expected your own name"):
        read_settings(ROOT / "daily.yaml")
    mine = tmp_path / "daily.yaml"
    mine.write_text((ROOT / "daily.yaml").read_text().replace("YOUR NAME you@", "Jo Doe jo@"))
    assert read_settings(mine).store == "data/live"
