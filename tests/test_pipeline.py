"""The pipeline itself, driven by DVC in a repository of its own, with a tiny model and a small market."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from transformers import AutoModelForCausalLM, MambaConfig

from finsentiment.files import read_json, sha256_folder
from tests.repository import ROOT, Repository
from tests.tiny import make_model

STAGES = list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
AFTER_FINETUNE = ["finetune", "evaluate", "score_news", "build_features", "backtest", "report"]


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
    page = (repository.path / "metrics/report.html").read_text()
    assert page.index("Does the sentiment") < page.index(verdict.capitalize()) < page.index("The evidence")
    assert "http" not in page and str(repository.path) not in page, "the page does not stand on its own"


def test_with_nothing_changed_nothing_runs(repository: Repository) -> None:
    assert repository.rerun() == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"backtest.cost_bps": 3.0}, ["backtest", "report"]),
        ({"features.half_life": 4.0}, ["build_features", "backtest", "report"]),
        # The news stays as it is, so nothing is scored again.
        ({"market.simulated.drift": 0.0}, ["prepare", "build_features", "backtest", "report"]),
        ({"finetune.learning_rate": 1e-5}, AFTER_FINETUNE),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_changed_parameter_reruns_exactly_the_stages_that_it_moves(
    repository: Repository, change: dict[str, object], expected: list[str]
) -> None:
    repository.set(change)
    assert repository.rerun() == expected


def test_sentences_of_another_domain_are_checked_by_prepare_and_scored_by_evaluate_alone(
    repository: Repository,
) -> None:
    rows = ["text,label", "Shares fell,negative", "Shares fell,negative", "Profit rose,positive", "It met,neutral"]
    (repository.path / "other.csv").write_text("\n".join(rows) + "\n")
    repository.set({"evaluate.transfer_file": "other.csv"})
    assert repository.rerun() == ["prepare", "evaluate", "report"]
    found = read_json(repository.path / "metrics/evaluate.json")["transfer"]
    assert found["sentences"] == 3 and found["refused"] == {"conflicting_labels": 0, "exact_duplicate": 1}
    assert found["largest_class"] == pytest.approx(1 / 3, rel=1e-5)
    repository.set({"evaluate.transfer_file": "data/sources/no_sentences.csv"})
    repository.rerun()
    assert "transfer" not in read_json(repository.path / "metrics/evaluate.json")


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
    before = (repository.path / "params.yaml").read_text()
    (repository.path / "bad.csv").write_text(content)
    repository.set({name: "bad.csv"})
    done = repository.repro()
    (repository.path / "params.yaml").write_text(before)
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
    before = (repository.path / "params.yaml").read_text()
    repository.set({"model.spec": f"path:{tmp_path}", "model.sha256": sha256_folder(tmp_path)})
    done = repository.repro()
    (repository.path / "params.yaml").write_text(before)
    assert "failed to reproduce 'baseline'" in done.stderr and "Traceback" not in done.stderr
    assert "a base model of the type mamba can't be used" in done.stderr and "zero-shot" not in done.stderr


def test_prepare_counts_every_table_and_hints_at_paths_that_git_does_not_know(repository: Repository) -> None:
    before = (repository.path / "params.yaml").read_text()
    shutil.copy(repository.path / "data/sample/sentences.csv", repository.path / "mine.csv")
    repository.set({"corpus.source": "csv", "corpus.path": "mine.csv"})
    done = repository.repro("prepare")
    (repository.path / "params.yaml").write_text(before)
    assert "sentences: 180 rows in, 180 out" in done.stdout and "prices: 1040 rows in, 1040 out" in done.stdout
    assert "warning: corpus.path = mine.csv is relative and not tracked by git" in done.stdout


def test_labels_in_numbers_go_through_dvc(repository: Repository) -> None:
    before = (repository.path / "params.yaml").read_text()
    sample = pd.read_csv(repository.path / "data/sample/sentences.csv")
    numbers = {"negative": 0, "positive": 1, "neutral": -2}
    sample.assign(label=sample["label"].map(numbers)).to_csv(repository.path / "mine.csv", index=False)
    labels = {number: label for label, number in numbers.items()}
    repository.set({"corpus.source": "csv", "corpus.path": "mine.csv", "corpus.labels": labels})
    done = repository.repro("prepare")
    (repository.path / "params.yaml").write_text(before)
    assert done.returncode == 0 and "180 out; read: 180 labels in our words" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("script", ["summary", "calibrate", "movement", "verify", "years"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("seed: [1", "error: params.yaml cannot be read as parameters ("),
        ("seed: 17\n", "error: params.yaml: threads: missing, put it back; device: missing"),
        ("just words\n", "error: params.yaml"),
    ],
)
def test_a_broken_parameter_file_is_one_line_in_every_script_too(
    repository: Repository, script: str, content: str, said: str
) -> None:
    before = (repository.path / "params.yaml").read_text()
    (repository.path / "params.yaml").write_text(content)
    command = [sys.executable, "-m", f"scripts.{script}", *(["stocknet"] if script == "movement" else [])]
    environment = repository.environment | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=repository.path, env=environment, capture_output=True, text=True)
    (repository.path / "params.yaml").write_text(before)
    assert done.returncode == 1 and done.stderr.startswith(said) and done.stderr.count("\n") == 1, done.stderr


def test_verify_says_reproduced_or_names_what_differs(repository: Repository) -> None:
    environment = repository.environment | {"PYTHONPATH": str(ROOT)}

    def verify(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "scripts.verify", *options]
        return subprocess.run(command, cwd=repository.path, env=environment, capture_output=True, text=True)

    assert verify("--record").returncode == 0
    repository.git("add", "-A")
    repository.git("-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-qm", "published")
    done = verify()
    assert done.returncode == 0 and done.stdout.splitlines()[-1].startswith("reproduced: all "), done.stderr
    file = repository.path / "metrics/split.json"
    file.write_text(file.read_text().replace('"rows_in": ', '"rows_in": 1'))
    assert verify().stderr == "not reproduced: the same kind of processor gave other bytes in metrics/split.json\n"
    (repository.path / "results/processor.txt").write_text("another kind\n")
    done = verify()
    assert done.returncode == 1 and done.stderr == "not reproduced: beyond the tolerance in split.rows_in\n"
    file.unlink()
    assert verify().stderr == "error: metrics/split.json is missing: run `make repro` first\n"
