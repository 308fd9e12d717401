"""What DVC will fail at in a folder is said before anything is installed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from scripts.check_clone import problems


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def repository(folder: Path) -> Path:
    folder.mkdir()
    git(folder, "init", "-q")
    for text in ("one", "two"):
        (folder / "file").write_text(text)
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", text)
    return folder


def test_a_whole_clone_has_no_problem(tmp_path: Path) -> None:
    assert problems(repository(tmp_path / "plain")) == ("", [])


def test_a_shallow_clone_and_a_path_outside_ascii_are_warned_of(tmp_path: Path) -> None:
    origin = repository(tmp_path / "origin")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{origin}", "flach-ü")
    fatal, warnings = problems(tmp_path / "flach-ü")
    assert not fatal and len(warnings) == 2
    assert "this is a shallow clone" in warnings[0] and "git fetch --unshallow" in warnings[0]
    assert "letters outside ASCII" in warnings[1]


def test_a_folder_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    fatal, _ = problems(tmp_path)
    assert "is in no git repository, and DVC needs one" in fatal and "git init" in fatal
