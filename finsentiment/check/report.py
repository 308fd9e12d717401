"""What a look at a file or folder found, and the parameters that go with it, as a shell takes them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PLAIN_VALUE = re.compile(r"[\w./:@%+-]+", re.ASCII)
PLAIN_KEY = re.compile(r"\d+|-\d+|(?!null$|true$|false$)[a-z_][\w.%/@+-]*(?: [\w.%/@+-]+)*", re.ASCII | re.IGNORECASE)


@dataclass
class Report:
    """What was found.

    what : what the path is taken for
    parameters : dotted names and values that differ from params.yaml's
    facts : lines of counts
    doubts : what the user should look at
    error : why it can't be used as it is; "" if it can
    """

    what: str
    parameters: dict[str, Any] = field(default_factory=dict)
    facts: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    error: str = ""

    def __str__(self) -> str:
        """The report as it is printed."""
        parts = [self.what, *(f"  {fact}" for fact in self.facts)]
        if self.doubts:
            parts += ["doubts:", *(f"  - {doubt}" for doubt in self.doubts)]
        said = " \\\n    ".join(f"-S {override(name, value)}" for name, value in self.parameters.items())
        if self.error:
            so_far = [f"what was found so far:\n  {said}"] if said else []
            return "\n".join([*parts, f"it can't be used as it is:\n  {self.error}", *so_far])
        return "\n".join([*parts, "to use it (or set the same in params.yaml):", f"  dvc exp run {said}"])


def override(name: str, value: Any) -> str:
    """`name=value` as `dvc exp run -S` takes it, quoted for the shell.

    DVC reads such values by Hydra's grammar, in which commas, equal signs, brackets and quotes have a meaning.
    """
    return shlex.quote(f"{name}={_in_hydra(value)}")


def _in_hydra(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        odd = [key for key in value if not PLAIN_KEY.fullmatch(str(key))]
        if odd:
            return "{…}"  # said in `odd_keys`
        return "{" + ", ".join(f"{key}: {_in_hydra(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (int, float)):
        return str(value)
    text = str(value)
    if PLAIN_VALUE.fullmatch(text):
        return text
    # A backslash means something before a quote alone, the closing one among them.
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', text)
    escaped = escaped.replace("${", "\\${")  # else it names another parameter
    trailing = "\\" * (len(escaped) - len(escaped.rstrip("\\")))
    return f'"{escaped}{trailing}"'


def odd_keys(parameters: Mapping[str, Any]) -> list[str]:
    """Parameters with a name that `-S` can't take and params.yaml can."""
    return [
        f"{name} holds {key!r}, which -S can't take: set {name} in params.yaml"
        for name, value in parameters.items()
        if isinstance(value, Mapping)
        for key in value
        if not PLAIN_KEY.fullmatch(str(key))
    ]


def absolute(path: str | Path) -> str:
    """The path that experiments in other folders find too."""
    return str(Path(path).absolute())
