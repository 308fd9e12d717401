"""Files that are mutated at random are read whole or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import one


def test_a_hundred_mutations_end_in_no_traceback_and_lose_no_row(tmp_path: Path) -> None:
    found = {number: one(number, 7, tmp_path) for number in range(100)}
    assert {number: said for number, said in found.items() if said} == {}


@pytest.mark.slow
def test_a_thousand_mutations_end_in_no_traceback_and_lose_no_row(tmp_path: Path) -> None:
    found = {number: one(number, 8, tmp_path) for number in range(1000)}
    assert {number: said for number, said in found.items() if said} == {}
