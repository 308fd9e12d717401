"""The verdict, and what differs from another commit, as Markdown: run as `python -m scripts.compare REVISION`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from finsentiment.errors import InputError, run_main

SHOWN = ("verdict", "accuracy", "macro_f1", "ece", "gain.fine_tuned.mean", "questions", "temperature", "sharpe")
"""Parts of names of figures that a reviewer wants to see first."""


def comparison(revision: str) -> str:
    """Markdown: the answers in words, then two tables of what differs. Raises InputError for an unknown revision."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "metrics", "diff", "--md", revision], capture_output=True, text=True
    )
    if done.returncode:
        raise InputError(f"dvc metrics diff {revision}: {done.stderr.strip().splitlines()[-1].removeprefix('ERROR: ')}")
    words = Path("metrics/backtest/verdict.txt").read_text(encoding="utf-8").strip().replace("\n", "\n\n")
    lines = done.stdout.strip().splitlines()
    if not lines:
        return f"{words}\n\nNo figure differs from `{revision}`.\n"
    head, rows = lines[:2], lines[2:]
    first = [row for row in rows if any(part in row for part in SHOWN)]
    whole = "\n".join(lines)
    return (
        f"{words}\n\n{len(rows)} figures differ from `{revision}`.\n\n"
        + "\n".join([*head, *first])
        + f"\n\n<details><summary>All of them</summary>\n\n{whole}\n\n</details>\n"
    )


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revision", help="of git, such as origin/main")
    given = parser.parse_args()
    print(comparison(given.revision), end="")


if __name__ == "__main__":
    run_main(main)
