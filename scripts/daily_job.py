"""The daily job around `finsentiment daily`: run as `python -m scripts.daily_job` in a clone with a DVC remote.

Pulls what earlier days left, runs the day, pushes the data, sees that nothing is missing in the remote, and only then
commits and pushes the pointers. A run that was killed before is taken in, and so is another job that pushed meanwhile:
runs stand side by side in the store. What came is pushed also where something failed; then the job ends with an error.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml
from dvc.repo import Repo
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree

from finsentiment.daily.command import STATUS, SUMMARY, now
from finsentiment.daily.settings import Daily, read_settings
from finsentiment.errors import InputError, run_main
from finsentiment.files import read_json
from finsentiment.market.store import Store

ATTEMPTS = 5
ASIDE = Path(".daily-aside")
"""Where the store lies while another version of it is pulled; found again by the next job if this one is killed."""


def command(*words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command. Raises InputError with the first error that it prints where it fails."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if check and done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"status {done.returncode}"]
        said = next((line for line in lines if line.startswith(("ERROR: ", "fatal: ", "error: "))), lines[-1])
        raise InputError(f"{' '.join(map(str, words[:3]))}: {said}")
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
    """Fetch what earlier days left: the store and the features. Runs of the store that nobody else has are taken in."""
    store = Store(folders[0])
    with store.locked():
        shutil.copytree(store.folder, ASIDE, dirs_exist_ok=True)
        if there := pointers(folders[:2]):  # the exports are written anew
            command("dvc", "pull", "--force", *there)
        store.take_in(ASIDE, now)
        shutil.rmtree(ASIDE)


def push(folders: list[Path]) -> None:
    """Keep the folders in the remote. Raises InputError where something is missing there afterwards."""
    there = [folder for folder in folders if folder.is_dir()]
    command("dvc", "add", *there)
    command("dvc", "push", *pointers(there))
    if missing_in_remote(pointers(there), forget=True):
        command("dvc", "push", *pointers(there))
        if missing := missing_in_remote(pointers(there)):
            raise InputError(f"the remote lacks {len(missing)} files after the push, such as {missing[0]}")


def missing_in_remote(files: list[Path], forget: bool = False) -> list[str]:
    """Which files of the folders that `files` point to the remote lacks.

    DVC takes a folder for whole where the remote has its list. So the lists are read here, and each file is looked for.

    Parameters
    ----------
    forget : whether the list of a folder that lacks files is taken out of the remote, so that a push sends them again
    """
    missing: list[str] = []
    with Repo() as repo:
        remote = repo.cloud.get_remote_odb()
        for file in files:
            digest = yaml.safe_load(file.read_text())["outs"][0]["md5"]
            tree = Tree.load(repo.cache.local, HashInfo("md5", digest))
            names = {hash_info.value: "/".join(key) for key, _, hash_info in tree}
            lost = set(names) - set(remote.oids_exist(list(names)))
            missing += sorted(f"{file.with_suffix('')}/{names[value]}" for value in lost)
            if lost and forget and remote.exists(digest):
                remote.delete(digest)
    return missing


def publish(settings: Daily, config: str, branch: str, *options: str) -> list[str]:
    """Commit and push the pointers, on top of what others pushed meanwhile; what failed on the way, a line each."""
    folders = kept_folders(settings)
    failed: list[str] = []
    for attempt in range(ATTEMPTS):
        command("git", "add", "--", *pointers(folders))
        if not command("git", "diff", "--cached", "--quiet", check=False).returncode:
            return failed
        command("git", "commit", "--quiet", "--message", "Daily run")
        if not command("git", "push", "--quiet", "origin", f"HEAD:{branch}", check=False).returncode:
            return failed
        time.sleep(2**attempt)
        stand_on(f"origin/{branch}", folders)
        failed = day(settings, config, "--no-fetch", *options)
        push(folders)
    raise InputError(f"{branch} can't be pushed after {ATTEMPTS} attempts; see `git push`, and run the job again")


def day(settings: Daily, config: str, *options: str) -> list[str]:
    """Run `finsentiment daily`; what failed, a line each. What it kept is kept also where it breaks off."""
    status = Path(settings.export) / STATUS
    status.unlink(missing_ok=True)
    subprocess.run([sys.executable, "-m", "finsentiment.cli", "daily", "--config", config, *options], check=False)
    if not status.is_file():
        return ["the day broke off (see the lines above)"]
    told = read_json(status)
    return [*told["stopped"], *["the newest story is too old"] * told["stale"]]


def main() -> None:
    """One day."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="daily.yaml")
    parser.add_argument("--branch", default="main")
    parser.add_argument("--accept", default="", metavar="TICKERS", help="take the changed past prices of A,B")
    parser.add_argument("--changed", action="store_true", help="write features although those of the past moved")
    given = parser.parse_args()
    folders = kept_folders(read_settings(given.config))
    stand_on(f"origin/{given.branch}", folders)
    settings = read_settings(given.config)
    if ":" not in settings.adapter and not Path(settings.adapter).is_dir():
        command("dvc", "pull", settings.adapter, check=False)  # without one the day's news is kept
    accepted = [word for ticker in given.accept.split(",") if ticker.strip() for word in ("--accept", ticker.strip())]
    options = [*accepted, *["--changed"] * given.changed]
    failed = day(settings, given.config, *options)
    summary = Path(settings.export) / SUMMARY
    if (where := os.environ.get("GITHUB_STEP_SUMMARY")) and summary.is_file():
        with open(where, "a", encoding="utf-8") as file:
            file.write(summary.read_text(encoding="utf-8"))
    push(folders)
    failed += [line for line in publish(settings, given.config, given.branch, *options) if line not in failed]
    if failed:
        raise InputError(f"what came is kept and pushed, but: {'; '.join(failed)}")


if __name__ == "__main__":
    run_main(main)
