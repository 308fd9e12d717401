"""Adapters by their registered version or stage: tags of git as GTO writes them, data from the remote of DVC.

sentiment-adapter@v1.0.0     a version
sentiment-adapter#prod#2     the second time that a version was put into the stage prod
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from finsentiment.errors import InputError
from finsentiment.files import atomic_path, cache_folder
from finsentiment.llm.adapter import DESCRIPTION

NAME = "sentiment-adapter"
STAGE, VERSION = "stage:", "version:"


def adapter_folder(where: str, repository: str = ".") -> Path:
    """The folder of an adapter: a path, or `stage:prod` or `version:v1.0.0` as registered in a repository.

    What is registered is fetched once, and again only when the tags change.

    Raises
    ------
    InputError
        Nothing of that stage or version is registered, or it can't be fetched.
    """
    kind = next((kind for kind in (STAGE, VERSION) if where.startswith(kind)), None)
    if kind is None:
        return Path(where)
    wanted = where.removeprefix(kind)
    tags = _run("git", "ls-remote", "--tags", repository, f"refs/tags/{NAME}*")
    mark = f"{NAME}#{wanted}#" if kind == STAGE else f"{NAME}@{wanted}"
    if mark not in tags:
        raise InputError(
            f"{where}: {repository} has no tag that begins with {mark}; register a version and put it into a stage as "
            "docs/remote.md says"
        )
    key = hashlib.sha256(f"{Path(repository).resolve()}\0{where}\0{tags}".encode()).hexdigest()[:24]
    folder = cache_folder("adapters") / key
    if not (folder / DESCRIPTION).is_file():
        option = "--stage" if kind == STAGE else "--rev"
        with atomic_path(folder) as scratch:
            dvc = (sys.executable, "-m", "dvc", "artifacts", "get", repository, NAME)
            _run(*dvc, option, wanted, "--out", str(scratch))
    return folder


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").splitlines()[-1]
        command = " ".join(word for word in words[:6] if word != sys.executable)
        raise InputError(f"{command}: {said.removeprefix('ERROR: ')}")
    return done.stdout
