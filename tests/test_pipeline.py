"""The whole pipeline, driven by DVC in a repository of its own, with a tiny model and a small market."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import yaml

from finsentiment.errors import InputError
from finsentiment.files import read_json
from scripts import verify
from tests.repository import ROOT, Repository

STAGES = list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
AFTER_FINETUNE = ["finetune", "evaluate", "release", "score_news", "build_features", "backtest", "report"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, pipeline_model: dict[str, str]) -> Repository:
    repository = Repository(tmp_path_factory.mktemp("repository"), pipeline_model, tmp_path_factory.mktemp("cache"))
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
    assert repository.rerun() == ["prepare", "evaluate", "release", "report"]
    found = read_json(repository.path / "metrics/evaluate.json")["transfer"]
    assert found["sentences"] == 3 and found["refused"] == {"conflicting_labels": 0, "exact_duplicate": 1}
    assert found["largest_class"] == pytest.approx(1 / 3, rel=1e-5)
    repository.set({"evaluate.transfer_file": "data/sources/no_sentences.csv"})
    repository.rerun()
    assert "transfer" not in read_json(repository.path / "metrics/evaluate.json")


@pytest.mark.slow
def test_another_clone_gives_the_same_hashes_and_another_seed_others(
    repository: Repository, pipeline_model: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    clone = Repository(tmp_path / "clone", pipeline_model, tmp_path / "cache")
    shutil.copy(repository.path / "params.yaml", clone.path / "params.yaml")
    assert clone.rerun() == STAGES
    assert clone.hashes == repository.hashes
    clone.set({"seed": 18})
    clone.repro("split")
    before, after = repository.hashes, clone.hashes
    changed = {name for name in after if after[name] != before[name]}
    assert {"data/prepared/prices.parquet", "data/splits/train.parquet", "data/splits/test.parquet"} <= changed


def test_verify_says_reproduced_or_names_what_differs(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repository.path)

    def verified(*options: str) -> str:
        """The last line, or the error."""
        monkeypatch.setattr(sys, "argv", ["verify", *options])
        try:
            verify.main()
        except (SystemExit, InputError) as ended:
            return str(ended)
        return capsys.readouterr().out.strip().split("\n")[-1]

    assert verified("--record") == ""
    repository.git("add", "-A")
    repository.git("-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-qm", "published")
    assert verified().startswith("reproduced: all ")
    file = repository.path / "metrics/split.json"
    file.write_text(file.read_text().replace('"rows_in": ', '"rows_in": 1'))
    assert verified() == "not reproduced: the same kind of processor gave other bytes in metrics/split.json"
    (repository.path / "results/processor.txt").write_text("another kind\n")
    assert verified() == "not reproduced: beyond the tolerance in split.rows_in"
    file.unlink()
    assert verified() == "metrics/split.json is missing: run `make repro` first"
