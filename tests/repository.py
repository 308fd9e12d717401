"""A copy of this repository for tests to run the pipeline in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).parents[1]
SMALL = {
    "threads": 2,  # with one thread, same bytes are no news
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
    "score_news.readers": ["lexicon", "zero_shot", "masked"],
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
                (".dvc", "data/", "finsentiment/", "stages/", "dvc.yaml", "params.yaml", "requirements")
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
