"""Names and tickers out of texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsentiment.readers.masking import mask_companies


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Apple's profit beat forecasts", "the company profit beat forecasts"),
        ("$AAPL up, #apple and @Apple too", "the company up, the company and the company too"),
        ("BHP Billiton and BHP", "the company and the company"),
        ("BankOfAmerica cut by GS", "the company cut by GS"),
        ("pineapple and BPA stay", "pineapple and BPA stay"),
        ("a T is no ticker, $T is", "a T is no ticker, the company is"),
        ("cat sales at CAT", "cat sales at the company"),
    ],
)
def test_names_cashtags_and_tickers_are_hidden_and_words_are_not(text, expected):
    assert mask_companies([text], ["Apple", "BHP", "BHP Billiton", "Bank of America"], ["AAPL", "T", "CAT", "BP"]) == [
        expected
    ]


@given(st.text())
def test_without_names_only_cashtags_go(text):
    assert "$" in text or mask_companies([text], [], []) == [text]
