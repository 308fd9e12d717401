"""The one loader of parameters: those of a stage, or all, as DVC knows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dvc.api
from dvc.exceptions import DvcException
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from finsentiment.errors import InputError
from finsentiment.params import Params, check_params, only_declared


def all_params() -> Params:
    """Every parameter of params.yaml, checked and typed.

    DVC reads the file (PyYAML alone takes `1e-05`, as DVC writes it, for a string).

    Raises InputError that names every bad parameter.
    """
    tree = _show("params.yaml")
    return check_params(tree if isinstance(tree, dict) else {})


def stage_params(stage: str) -> Params:
    """The parameters that `stage` declares in dvc.yaml, checked and typed, and only those.

    Reading any other leaf raises AttributeError, so a stage can't depend on what DVC doesn't know of. The whole file
    is checked, so that a mistake anywhere is reported by the first stage that runs.
    """
    return only_declared(all_params(), _declared(stage))


def _declared(stage: str) -> dict[str, Any]:
    """The names of the leaves that `stage` declares, as a tree.

    Read from dvc.yaml itself: DVC's own answer fails where a leaf is a mapping with numbers for keys (corpus.labels).
    """
    stages = YAML(typ="safe").load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    tree: dict[str, Any] = {}
    for name in stages[stage]["params"]:
        *sections, leaf = name.split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[leaf] = None
    return tree


def _show(file: str) -> dict[str, Any]:
    try:
        return dvc.api.params_show(file)
    except (DvcException, AttributeError, TypeError) as error:
        reason = _fault_of(file) or " ".join(str(error).split())
        raise InputError(f"{file} cannot be read as parameters ({reason}); correct it") from None


def _fault_of(file: str) -> str:
    """What of a YAML file is wrong, and where; "" if that can't be told."""
    try:
        YAML(typ="safe").load(Path(file).read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        return f"{line}{error.problem}"
    except (YAMLError, OSError, UnicodeDecodeError) as error:
        return " ".join(str(error).split())
    return ""
