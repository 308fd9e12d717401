"""Tickers that differ in writing alone are told to the user, and mapped by the rule or the list that the user gives."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from finsentiment.errors import InputError
from finsentiment.market.tickers import (
    nearest,
    plain_ticker,
    read_ticker_list,
    rename_tickers,
    without_prices,
    without_prices_in_words,
)


@pytest.mark.parametrize(
    "written",
    [
        "BRK-B",
        "BRK.B",
        "brk.b",
        "$BRK.B",
        "BRK/B",
        "BRK B",
        "['BRK-B']",
        "(BRK_B)",
        "NYSE:BRK.B",
        "BRK/B US Equity",
        "#brk.b",
    ],
)
def test_what_is_a_matter_of_writing_is_taken_off(written: str) -> None:
    assert plain_ticker(written) == "BRK-B"


@pytest.mark.parametrize("other", ["SAN FP", "SAN SM Equity", "BME:SAN", "BTC:USD", "RDS AB"])
def test_what_may_be_another_company_stays(other: str) -> None:
    assert plain_ticker(other) not in ("SAN", "USD", "RDS")


def test_numbers_lose_what_programs_put_before_and_after_them() -> None:
    assert {plain_ticker(ticker) for ticker in ("0700", "700", "700.0")} == {"700"}


def test_of_two_tickers_that_are_alike_none_is_the_nearest() -> None:
    assert nearest(["aaa", "$BBB", "X"], ["AAA", "BBB", "bbb"]) == {"aaa": "AAA", "$BBB": "", "X": ""}


def test_the_list_comes_before_the_rule_and_exact_tickers_stay() -> None:
    tickers = pd.Series(["FB", "brk.b", "AAPL", "ZZZ"])
    known = ["META", "BRK-B", "AAPL"]
    assert rename_tickers(tickers, known, {"FB": "META"}, "exact").tolist() == ["META", "brk.b", "AAPL", "ZZZ"]
    assert rename_tickers(tickers, known, {"FB": "META"}, "plain").tolist() == ["META", "BRK-B", "AAPL", "ZZZ"]


def test_the_list_is_read_and_a_ticker_that_goes_to_two_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tickers.csv"
    path.write_text("from,to\nFB,META\n")
    assert read_ticker_list(str(path)) == {"FB": "META"}
    path.write_text("from,to\nFB,META\nFB,META\nFB,X\n")
    with pytest.raises(InputError, match=r"tickers.csv, line 4: from = 'FB' is there twice"):
        read_ticker_list(str(path))


def test_the_most_frequent_tickers_without_prices_stand_beside_the_nearest() -> None:
    tickers = pd.Series(["BRK.B"] * 3 + ["ZZZ"] + ["AAPL"] * 9)
    found = without_prices(tickers, ["AAPL", "BRK-B"])
    assert found == [
        {"ticker": "BRK.B", "rows": 3, "nearest": "BRK-B"},
        {"ticker": "ZZZ", "rows": 1, "nearest": ""},
    ]
    assert without_prices_in_words(found) == "'BRK.B' (3 rows; the prices have BRK-B), 'ZZZ' (1 rows)"
