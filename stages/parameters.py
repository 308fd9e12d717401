"""The parameters of a stage, as DVC knows them."""

from __future__ import annotations

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
    try:
        everything, declared = dvc.api.params_show("params.yaml"), dvc.api.params_show(stages=stage)
    except DvcException as error:
        raise InputError(f"params.yaml or dvc.yaml cannot be read: {' '.join(str(error).split())}") from None
    return prune(validate(everything), declared)
