"""Paths that experiments in other folders won't find."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path


def untracked_hints(paths: Mapping[str, str]) -> list[str]:
    """What to say of paths that `dvc exp run --temp` and `--queue`, which work on a copy of what git knows, won't find.

    `paths` are those of the files that parameters name, by parameter.
    """
    found = []
    for name, path in paths.items():
        if not Path(path).is_absolute() and Path(path).exists() and not Path(f"{path}.dvc").exists():
            asked = ["git", "ls-files", "--error-unmatch", "--", path]
            if subprocess.run(asked, capture_output=True, check=False).returncode:
                found.append(
                    f"{name} = {path} is relative and not tracked by git: `dvc exp run --temp` and `--queue` will not "
                    "find it; give an absolute path, or git add it"
                )
    return found
