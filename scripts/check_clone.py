"""Say what of this folder will make DVC fail later: run by `make repro` before anything is installed.

Needs nothing but Python and git. Exits with 1 where the pipeline can't run at all; what fails with experiments alone is
a warning.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def problems(folder: Path) -> tuple[str, list[str]]:
    """What stops every run ("" for nothing), and what experiments alone will fail at."""
    try:
        inside = _git(folder, "rev-parse", "--is-inside-work-tree") == "true"
    except FileNotFoundError:
        return "git is not installed, and DVC needs it; install git", []
    if not inside:
        return (
            f"{folder} is in no git repository, and DVC needs one; clone the project with git, or run "
            "`git init && git add -A && git commit -m start` here"
        ), []
    warnings = []
    if _git(folder, "rev-parse", "--is-shallow-repository") == "true":
        warnings.append(
            "this is a shallow clone: `dvc exp run --temp` and `--queue` will lose their experiments without an error; "
            "run `git fetch --unshallow` first"
        )
    if not str(folder).isascii():
        warnings.append(
            f"the path {folder} has letters outside ASCII: `dvc exp run --temp` and `--queue` fail in it; move the "
            "folder to another path"
        )
    return "", warnings


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def main() -> None:
    """Print the problems of the current folder."""
    fatal, warnings = problems(Path.cwd())
    if fatal:
        sys.exit(f"error: {fatal}")
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


if __name__ == "__main__":
    main()
