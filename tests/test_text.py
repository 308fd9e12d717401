"""A sentence is read in one form, whatever page or program it came from."""

from __future__ import annotations

import unicodedata

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsentiment.text import clean_text, clean_texts

PIECES = [
    "&amp;",
    "&#39;",
    "&lt;",
    "&",
    "amp;",
    ";",
    "<br/>",
    "<b>",
    "<",
    ">",
    "ﬁ",
    "Ａ",
    "“",
    "’",
    "\u200b",
    "\x00",
    " ",
    "é",
    "e\u0301",
    "a",
]


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  Nokia\t\u200bOyj\u00a0\r\n e\u0301toile\x00 \ufeff", "Nokia Oyj étoile"),
        ("Torvik &amp; Sons&#39; loss", "Torvik & Sons' loss"),
        ("AT&amp;amp;T &#x2014; up<br/>again", "AT&T — up again"),
        ("&lt;b&gt;Bold&lt;/b&gt; move", "Bold move"),
        ("S&P, R&D and AT&T; <AAPL> is up, 3 < 4 > 2", "S&P, R&D and AT&T; <AAPL> is up, 3 < 4 > 2"),
        ("“Ｆｕｌｌ” ｐｒｏﬁｔ’s １２％", '"Full" profit\'s 12%'),
        ("10² m, 1½ %, №5, 3 ℃", "10² m, 1½ %, №5, 3 ℃"),
    ],
)
def test_texts_are_cleaned_without_changing_what_they_say(raw: str, clean: str) -> None:
    assert clean_text(raw) == clean


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.text(max_size=12), st.lists(st.sampled_from(PIECES), max_size=8).map("".join)))
def test_a_clean_text_is_nfc_has_only_single_spaces_and_stays_as_it_is(text: str) -> None:
    clean = clean_text(text)
    assert clean_text(clean) == clean
    assert unicodedata.is_normalized("NFC", clean)
    assert clean.split() == (clean.split(" ") if clean else [])
    assert clean_texts(pd.Series([text]))[0].tolist() == [clean]


def test_what_was_done_to_texts_is_counted_and_white_space_alone_is_not() -> None:
    raw = pd.Series(["a &amp; b", "a &amp; b", "ﬁt", "a  b", "plain", None], index=[3, 4, 5, 6, 7, 8])
    clean, counts = clean_texts(raw)
    assert clean.tolist() == ["a & b", "a & b", "fit", "a b", "plain", ""] and clean.index.equals(raw.index)
    assert counts == {"html": 2, "characters": 1}
