"""The verdict, and what differs from another commit, as Markdown: run as `python -m scripts.compare REVISION`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from finsentiment.errors import InputError, run_main
from finsentiment.files import write_text

SHOWN = ("verdict", "accuracy", "macro_f1", "ece", "gain.fine_tuned.mean", "questions", "temperature", "sharpe")
"""Parts of names of figures that a reviewer wants to see first."""


LIMIT = 60_000
"""Characters of a comment: GitHub takes 65,536."""


def comparison(revision: str) -> tuple[str, str]:
    """Markdown: the answers in words and the figures that matter most; and a table of all that differ.

    Raises InputError for an unknown revision.
    """
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "metrics", "diff", "--md", revision], capture_output=True, text=True
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")] or [done.stderr.strip()[-200:]]
        raise InputError(f"dvc metrics diff {revision}: {said[0].removeprefix('ERROR: ')}")
    words = Path("metrics/backtest/verdict.txt").read_text(encoding="utf-8").strip().replace("\n", "\n\n")
    lines = done.stdout.strip().splitlines()
    if not lines:
        return f"{words}\n\nNo figure differs from `{revision}`.\n", ""
    head, rows = lines[:2], [" ".join(line.split()) for line in lines[2:]]
    first = [row for row in rows if any(part in row for part in SHOWN)]
    short = f"{words}\n\n{len(rows)} figures differ from `{revision}`.\n\n" + "\n".join([*head, *first])
    if len(short) > LIMIT:
        short = short[:LIMIT].rpartition("\n")[0] + "\n\nMore are in the summary of the workflow."
    whole = "\n".join([*head, *rows])
    return short + "\n", f"\n<details><summary>All of them</summary>\n\n{whole}\n\n</details>\n"


def main() -> None:
    """Print both, and write the first into a file where one is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revision", help="of git, such as origin/main")
    parser.add_argument("--short", metavar="FILE", help="where the part for a comment goes")
    given = parser.parse_args()
    short, whole = comparison(given.revision)
    if given.short:
        write_text(given.short, short)
    print(short + whole, end="")


if __name__ == "__main__":
    run_main(main)
