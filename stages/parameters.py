"""The parameters of a stage, as DVC knows them."""

from __future__ import annotations

from typing import Any

import dvc.api
from dvc.exceptions import DvcException

from finsentiment.errors import InputError
from finsentiment.params import Params, prune, validate


def load(stage: str) -> Params:
    """The parameters that `stage` declares in dvc.yaml, checked and typed, and only those.

    Reading any other leaf raises AttributeError, so a stage can't depend on what DVC doesn't know of.
    DVC reads the file (PyYAML alone takes `1e-05`, as DVC writes it, for a string). The whole file is
    checked, so that a mistake anywhere is reported by the first stage that runs.
    """
    everything = _show("params.yaml", "params.yaml")
    params = validate(everything if isinstance(everything, dict) else {})
    return prune(params, _show("dvc.yaml", stages=stage))


def _show(file: str, *targets: str, **options: str) -> dict[str, Any]:
    try:
        return dvc.api.params_show(*targets, **options)
    except (DvcException, AttributeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{file} cannot be read as parameters ({reason}); dates stand in quotes") from None
