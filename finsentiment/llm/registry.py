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

NAME, RELEASE = "sentiment-adapter", "models/release"
STAGE, VERSION = "stage:", "version:"


def adapter_folder(where: str, repository: str = ".") -> Path:
    """The folder of an adapter: a path, or `stage:prod` or `version:v1.0.0` as registered in a repository.

    What is registered is fetched once from each commit. A version that was withdrawn is not served.

    Raises
    ------
    InputError
        Nothing of that stage or version is registered, or it can't be fetched.
    """
    kind = next((kind for kind in (STAGE, VERSION) if where.startswith(kind)), None)
    if kind is None:
        return Path(where)
    commit = _registered(where, repository)
    key = hashlib.sha256(f"{Path(repository).resolve()}\0{commit}".encode()).hexdigest()[:24]
    folder = cache_folder("adapters") / key
    if not (folder / DESCRIPTION).is_file():
        with atomic_path(folder) as scratch:
            words = (sys.executable, "-m", "dvc", "get", repository, RELEASE, "--rev", commit, "--out", str(scratch))
            done = subprocess.run(words, capture_output=True, text=True)
            if done.returncode:
                said = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")] or [
                    done.stderr.strip()
                ]
                raise InputError(f"{where}: {RELEASE} of commit {commit[:7]}: {said[0].removeprefix('ERROR: ')}")
    return folder


def _registered(where: str, repository: str) -> str:
    """The commit of a version or a stage."""
    try:
        from gto.api import find_versions_in_stage, show
        from gto.exceptions import GTOException
        from scmrepo.exceptions import SCMError
    except ModuleNotFoundError as error:
        raise InputError(f"{where} needs {error.name}: pip install 'finsentiment[pipeline]'") from None
    try:
        if where.startswith(STAGE):
            versions = find_versions_in_stage(repository, NAME, where.removeprefix(STAGE))
            found = [version.commit_hexsha for version in versions or ()]
        else:
            active = show(repository, NAME, registered_only=True)
            found = [told["commit_hexsha"] for told in active if told["version"] == where.removeprefix(VERSION)]
    except (GTOException, SCMError) as error:
        raise InputError(f"{where}: the tags of {repository} can't be read ({error}); run this in your clone") from None
    if not found:
        raise InputError(
            f"{where}: nothing is registered for it in {repository}; register a version of {NAME} and put it into a "
            "stage, as docs/remote.md says (in a clone without tags: git fetch --tags)"
        )
    return str(found[-1])
