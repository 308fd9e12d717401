"""The pipeline itself, driven by DVC in a repository of its own, with a tiny model and a small market."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from finsentiment.files import read_json
from tests.tiny import make_model

ROOT = Path(__file__).parents[1]
STAGES = list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
AFTER_FINETUNE = ["finetune", "evaluate", "score_news", "build_features", "backtest"]
SMALL = {
    "threads": 1,
    "market.simulated.tickers": 8,
    "market.simulated.sessions": 130,
    "market.simulated.news_per_session": 0.2,
    "finetune.depth": "null",
    "finetune.lora.layers": 2,
    "finetune.lora.r": 2,
    "finetune.epochs": 1,
    "evaluate.bootstrap_samples": 100,
    "features.surprise_window": 20,
    "backtest.train_sessions": 60,
    "backtest.seeds": 1,
    "backtest.bootstrap_samples": 100,
    "backtest.placebos": 2,
    "backtest.lightgbm.trees": 5,
}


class Repository:
    """A copy of this repository's tracked files, with its own git, DVC cache and parameters."""

    def __init__(self, path: Path, model: dict[str, str], cache: Path) -> None:
        self.path, self.cache = path, cache
        self.environment = os.environ | {
            "FINSENTIMENT_CACHE": str(cache),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
        }
        files = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
        )
        for name in files.stdout.splitlines():
            if name.startswith(
                (".dvc", "data/", "finsentiment/", "stages/", "dvc.yaml", "params.yaml", "requirements.txt")
            ):
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, path / name)
        sample = pd.read_csv(path / "data/sample/sentences.csv")
        sample.groupby("label").head(60).to_csv(path / "data/sample/sentences.csv", index=False)
        self.git("init", "-q")
        self.set(SMALL | model)
        self.git("add", "-A")
        self.git("-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-qm", "start")

    def git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.path, check=True, capture_output=True)

    def set(self, values: dict[str, object]) -> None:
        """Change leaves of params.yaml."""
        tree = yaml.safe_load((self.path / "params.yaml").read_text())
        for name, value in values.items():
            *sections, leaf = name.split(".")
            section = tree
            for part in sections:
                section = section[part]
            section[leaf] = None if value == "null" else value
        (self.path / "params.yaml").write_text(yaml.safe_dump(tree))

    def repro(self, *targets: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["dvc", "repro", *targets], cwd=self.path, env=self.environment, capture_output=True, text=True
        )

    def rerun(self) -> list[str]:
        """Reproduce, and say which stages ran."""
        done = self.repro()
        assert done.returncode == 0, done.stdout + done.stderr
        return re.findall(r"Running stage '(\w+)'", done.stdout)

    @property
    def hashes(self) -> dict[str, str]:
        lock = yaml.safe_load((self.path / "dvc.lock").read_text())["stages"]
        return {out["path"]: out["md5"] for stage in lock.values() for out in stage["outs"]}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    sentences = pd.read_csv(ROOT / "data/sample/sentences.csv")["text"].tolist()
    made = make_model(tmp_path_factory.mktemp("model"), sentences)
    return {"model.spec": made.spec, "model.sha256": made.sha256}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, model: dict[str, str]) -> Repository:
    repository = Repository(tmp_path_factory.mktemp("repository"), model, tmp_path_factory.mktemp("cache"))
    assert repository.rerun() == STAGES
    return repository


def test_one_command_goes_from_a_clean_clone_to_a_verdict(repository: Repository) -> None:
    verdict = read_json(repository.path / "metrics/backtest.json")["verdict"]
    assert verdict in ("improves", "no evidence", "hurts")
    assert "rank IC" in (repository.path / "metrics/backtest/verdict.txt").read_text()
    assert read_json(repository.path / "metrics/split.json")["twins_across_sides"] == 0


def test_with_nothing_changed_nothing_runs(repository: Repository) -> None:
    assert repository.rerun() == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"backtest.cost_bps": 3.0}, ["backtest"]),
        ({"features.half_life": 4.0}, ["build_features", "backtest"]),
        # The news stays as it is, so nothing is scored again.
        ({"market.simulated.drift": 0.0}, ["prepare", "build_features", "backtest"]),
        ({"finetune.learning_rate": 1e-5}, AFTER_FINETUNE),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_changed_parameter_reruns_exactly_the_stages_that_it_moves(
    repository: Repository, change: dict[str, object], expected: list[str]
) -> None:
    repository.set(change)
    assert repository.rerun() == expected


def test_another_clone_gives_the_same_hashes_and_another_seed_others(
    repository: Repository, model: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    clone = Repository(tmp_path / "clone", model, tmp_path / "cache")
    shutil.copy(repository.path / "params.yaml", clone.path / "params.yaml")
    assert clone.rerun() == STAGES
    assert clone.hashes == repository.hashes
    clone.set({"seed": 18})
    clone.repro("split")
    before, after = repository.hashes, clone.hashes
    changed = {name for name in after if after[name] != before[name]}
    assert {"data/prepared/prices.parquet", "data/splits/train.parquet", "data/splits/test.parquet"} <= changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"finetune.epochs": "four"}, "error: params.yaml: finetune.epochs = 'four': input should be a valid integer"),
        ({"finetune.lora.rank": 8}, "error: params.yaml: finetune.lora.rank: unknown parameter"),
        ({"corpus.agreement": 60}, "error: params.yaml: corpus.agreement = 60: input should be 50, 66, 75 or 100"),
    ],
)
def test_a_bad_parameter_is_one_line_and_no_traceback(
    repository: Repository, change: dict[str, object], message: str
) -> None:
    before = (repository.path / "params.yaml").read_text()
    repository.set({**change, "corpus.source": "csv"})
    done = repository.repro("prepare")
    (repository.path / "params.yaml").write_text(before)
    assert done.returncode != 0
    assert message in done.stderr and "Traceback" not in done.stderr
