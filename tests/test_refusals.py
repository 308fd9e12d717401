"""What stops the pipeline before it computes: bad parameters, bad files and unfit base models, each in one line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from transformers import AutoModelForCausalLM, MambaConfig

from finsentiment.files import sha256_folder
from tests.repository import ROOT, Repository

SCRIPTS = ["summary", "calibrate", "movement", "verify", "years"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, pipeline_model: dict[str, str]) -> Repository:
    return Repository(tmp_path_factory.mktemp("repository"), pipeline_model, tmp_path_factory.mktemp("cache"))


@pytest.fixture
def repository(made: Repository) -> Iterator[Repository]:
    """The one repository of these tests, whose parameters are put back."""
    before = (made.path / "params.yaml").read_text()
    yield made
    (made.path / "params.yaml").write_text(before)


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
    repository.set({**change, "corpus.source": "csv"})
    done = repository.repro("prepare")
    assert done.returncode != 0
    assert message in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("score_news.names", "symbol,name\nA,b\n", "bad.csv, line 1: no column 'ticker' (the header is 'symbol,name')"),
        ("evaluate.transfer_file", "text,label\nIt rose,up\n", "bad.csv, line 2: label = 'up', expected negative,"),
        ("market.tickers", "a,b\n", "bad.csv, line 1: no column 'from'"),
    ],
)
def test_a_file_of_a_later_stage_is_refused_by_prepare(
    repository: Repository, name: str, content: str, said: str
) -> None:
    (repository.path / "bad.csv").write_text(content)
    repository.set({name: "bad.csv"})
    done = repository.repro()
    assert done.returncode != 0 and said in done.stderr and "Traceback" not in done.stderr
    assert "Running stage 'prepare'" in done.stdout and "Running stage 'split'" not in done.stdout


def test_a_base_model_that_can_t_become_a_reader_is_refused_when_baseline_starts(
    repository: Repository, tmp_path: Path
) -> None:
    config = MambaConfig(vocab_size=4000, hidden_size=32, num_hidden_layers=2)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    spec = yaml.safe_load((repository.path / "params.yaml").read_text())["model"]["spec"]
    for file in Path(spec.removeprefix("path:")).glob("token*"):
        shutil.copy(file, tmp_path)
    repository.set({"model.spec": f"path:{tmp_path}", "model.sha256": sha256_folder(tmp_path)})
    done = repository.repro()
    assert "failed to reproduce 'baseline'" in done.stderr and "Traceback" not in done.stderr
    assert "a base model of the type mamba can't be used" in done.stderr and "zero-shot" not in done.stderr


def test_prepare_counts_every_table_and_hints_at_paths_that_git_does_not_know(repository: Repository) -> None:
    shutil.copy(repository.path / "data/sample/sentences.csv", repository.path / "mine.csv")
    repository.set({"corpus.source": "csv", "corpus.path": "mine.csv"})
    done = repository.repro("prepare")
    assert "sentences: 180 rows in, 180 out" in done.stdout and "prices: 1040 rows in, 1040 out" in done.stdout
    assert "warning: corpus.path = mine.csv is relative and not tracked by git" in done.stdout


def test_labels_in_numbers_go_through_dvc(repository: Repository) -> None:
    sample = pd.read_csv(repository.path / "data/sample/sentences.csv")
    numbers = {"negative": 0, "positive": 1, "neutral": -2}
    sample.assign(label=sample["label"].map(numbers)).to_csv(repository.path / "mine.csv", index=False)
    labels = {number: label for label, number in numbers.items()}
    repository.set({"corpus.source": "csv", "corpus.path": "mine.csv", "corpus.labels": labels})
    done = repository.repro("prepare")
    assert done.returncode == 0 and "180 out; read: 180 labels in our words" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("script", "content", "said"),
    [
        *((script, "seed: [1", "error: params.yaml cannot be read as parameters (") for script in SCRIPTS),
        ("summary", "seed: 17\n", "error: params.yaml: threads: missing, put it back; device: missing"),
        ("summary", "just words\n", "error: params.yaml"),
    ],
)
def test_a_broken_parameter_file_is_one_line_in_every_script_too(
    repository: Repository, script: str, content: str, said: str
) -> None:
    (repository.path / "params.yaml").write_text(content)
    command = [sys.executable, "-m", f"scripts.{script}", *(["stocknet"] if script == "movement" else [])]
    environment = repository.environment | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=repository.path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith(said) and done.stderr.count("\n") == 1, done.stderr
