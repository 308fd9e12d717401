"""Recording a run keeps its figures and no sentence of its corpus."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_a_recorded_run_holds_figures_but_no_texts_and_no_folders_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "metrics/evaluate").mkdir(parents=True)
    (tmp_path / "metrics/evaluate.json").write_text('{"accuracy": 0.5}\n')
    (tmp_path / "metrics/evaluate/errors.csv").write_text("sentence_id,text,label\nab12,a secret,neutral\n")
    (tmp_path / "params.yaml").write_text("corpus:\n  path: /home/me/corpus.csv # where it is\n")
    (tmp_path / "dvc.lock").write_text("deps:\n- path: data/sample/sentences.csv\n- path: /home/me/corpus.csv\n")
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for arguments in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "start"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    record = [sys.executable, "-m", "scripts.record", "mine", "dvc repro evaluate"]
    done = subprocess.run([*record, "evaluate"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kept = {
        p.relative_to(tmp_path / "results/mine").as_posix(): p.read_text() for p in tmp_path.glob("results/mine/**/*.*")
    }
    assert set(kept) == {"evaluate.json", "evaluate/errors.csv", "params.yaml", "dvc.lock", "run.json"}
    assert not any("secret" in text or "/home/me" in text for text in kept.values())
    assert "path: corpus.csv # where it is" in kept["params.yaml"] and "data/sample/sentences.csv" in kept["dvc.lock"]

    missing = subprocess.run([*record, "backtest"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert missing.returncode == 1 and missing.stderr.startswith("error: metrics/backtest.json is missing")
