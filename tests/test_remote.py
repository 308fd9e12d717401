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
import pytest

from finsentiment.daily.settings import read_settings
from finsentiment.errors import InputError
from finsentiment.llm.adapter import adapter_hash
from finsentiment.llm.registry import NAME, adapter_folder
from scripts.daily_job import missing_in_remote, push
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
            except Exception:  # not up yet
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
    push = subprocess.Popen([*DVC, "push", "-j", "1"], cwd=repository, stderr=subprocess.PIPE, text=True)
    while len(s3.keys()) < 5 and push.poll() is None:
        time.sleep(0.05)
    assert push.poll() is None
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
    push = subprocess.Popen([*DVC, "push", "-j", "1"], cwd=repository, stderr=subprocess.DEVNULL)
    while len(s3.keys()) < 5 and push.poll() is None:
        time.sleep(0.05)
    assert push.poll() is None and len(s3.keys()) < 61
    os.kill(push.pid, signal.SIGKILL)
    push.wait()
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
