"""The daily job around `finsentiment daily`: run as `python -m scripts.daily_job` in a clone with a DVC remote.

Pulls what earlier days left, runs the day, pushes the data, sees that nothing is missing in the remote, and only then
commits and pushes the pointers. A run that was killed before is taken in, and so is another job that pushed meanwhile:
runs stand side by side in the store. What came is pushed also where a source failed; then the job ends with an error.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from finsentiment.daily.command import STATUS, SUMMARY
from finsentiment.daily.settings import Daily, read_settings
from finsentiment.errors import InputError, run_main
from finsentiment.files import read_json

ATTEMPTS = 5
ASIDE = Path(".daily-aside")
"""Where the store lies while another version of it is pulled; found again by the next job if this one is killed."""


def command(*words: str | Path, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command. Raises InputError with its last line where it fails."""
    done = subprocess.run([str(word) for word in words], env=os.environ | environment, capture_output=True, text=True)
    if check and done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines() or [f"status {done.returncode}"]
        raise InputError(f"{' '.join(map(str, words[:3]))}: {said[-1]}")
    return done


def kept_folders(settings: Daily) -> list[Path]:
    """Folders that DVC keeps: the store, the features, the exports."""
    return [Path(settings.store), Path(settings.features_file).parent, Path(settings.export)]


def pointers(folders: list[Path]) -> list[Path]:
    """The files of DVC that git keeps, as far as they are there."""
    return [path for path in (Path(f"{folder}.dvc") for folder in folders) if path.is_file()]


def stand_on(origin: str, folders: list[Path]) -> None:
    """Make the clone what the branch `origin` is, but for the runs of the store that nobody else has.

    Raises InputError where anything else but a pointer was changed here: that would be lost, or be pushed by the job.
    """
    command("git", "fetch", "--quiet", "--tags", "origin", origin.removeprefix("origin/"))
    changed = command("git", "diff", "--name-only", f"{origin}...HEAD").stdout.splitlines()
    changed += command("git", "diff", "--name-only", "HEAD").stdout.splitlines()
    others = [name for name in changed if Path(name) not in {Path(f"{folder}.dvc") for folder in folders}]
    if others:
        raise InputError(f"{others[0]} is not as in {origin}: push it, or take it back; the job pushes data alone")
    command("git", "reset", "--quiet", "--hard", origin)
    pull(folders)


def pull(folders: list[Path]) -> None:
    """Fetch what earlier days left. Runs of the store that nobody else has stay."""
    store = folders[0]
    if store.is_dir():
        shutil.copytree(store, ASIDE, dirs_exist_ok=True)
    if there := pointers(folders):
        command("dvc", "pull", "--quiet", "--force", *there)
    if ASIDE.is_dir():
        shutil.copytree(ASIDE, store, dirs_exist_ok=True)
        shutil.rmtree(ASIDE)


def push(folders: list[Path]) -> None:
    """Keep the folders in the remote. Raises InputError where something is missing there afterwards."""
    there = [folder for folder in folders if folder.is_dir()]
    command("dvc", "add", "--quiet", *there)
    # DVC writes down what it once saw in the remote, and believes it. Here it looks.
    for words in (("push", "--quiet"), ("status", "--cloud", "--json")):
        with tempfile.TemporaryDirectory() as nothing_seen:
            done = command("dvc", *words, *pointers(there), DVC_SITE_CACHE_DIR=nothing_seen)
    if missing := json.loads(done.stdout or "{}"):
        raise InputError(f"the remote lacks {len(missing)} files after the push, such as {next(iter(missing))}")


def publish(settings: Daily, config: str, branch: str) -> None:
    """Commit and push the pointers, on top of what others pushed meanwhile."""
    folders = kept_folders(settings)
    for attempt in range(ATTEMPTS):
        command("git", "add", "--", *pointers(folders))
        if not command("git", "diff", "--cached", "--quiet", check=False).returncode:
            return
        command("git", "commit", "--quiet", "--message", "Daily run")
        if not command("git", "push", "--quiet", "origin", f"HEAD:{branch}", check=False).returncode:
            return
        time.sleep(2**attempt)
        stand_on(f"origin/{branch}", folders)
        day(settings, config, "--no-fetch")
        push(folders)
    raise InputError(f"{branch} can't be pushed after {ATTEMPTS} attempts; see `git push`, and run the job again")


def day(settings: Daily, config: str, *options: str) -> None:
    """Run `finsentiment daily`, which writes down what failed. Raises InputError where it broke off before."""
    status = Path(settings.export) / STATUS
    status.unlink(missing_ok=True)
    subprocess.run([sys.executable, "-m", "finsentiment.cli", "daily", "--config", config, *options], check=False)
    if not status.is_file():
        raise InputError("the day broke off (see the lines above); what it kept is taken in by the next job")


def main() -> None:
    """One day."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="daily.yaml")
    parser.add_argument("--branch", default="main")
    given = parser.parse_args()
    settings = read_settings(given.config)
    folders = kept_folders(settings)
    stand_on(f"origin/{given.branch}", folders)
    settings = read_settings(given.config)
    if ":" not in settings.adapter and not Path(settings.adapter).is_dir():
        command("dvc", "pull", "--quiet", settings.adapter, check=False)  # without one the day's news is kept
    day(settings, given.config)
    push(folders)
    publish(settings, given.config, given.branch)
    told = read_json(Path(settings.export) / STATUS)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(summary, "a", encoding="utf-8") as file:
            file.write((Path(settings.export) / SUMMARY).read_text(encoding="utf-8"))
    if told["stopped"]:
        raise InputError(f"the day is kept and pushed, but: {'; '.join(told['stopped'])}")
    if told["stale"]:
        raise InputError("the day is kept and pushed, but its news is stale")


if __name__ == "__main__":
    run_main(main)
