"""One way to clean a text, for the corpus, the news and what a reader is given."""

from __future__ import annotations

import functools
import html
import html.entities
import re
import unicodedata

import pandas as pd

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ESCAPED_TWICE = re.compile(r"&(?:amp;){2,}")
_NAME = "a|b|br|div|em|font|h[1-6]|i|img|li|ol|p|span|strong|table|tbody|td|tr|u|ul"
_ATTRIBUTE = r"""\s+[\w:-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+)"""
_TAG = re.compile(rf"</?(?:{_NAME})(?:{_ATTRIBUTE})*\s*/?>", re.IGNORECASE)
_PLAIN = re.compile(r"[ -%'-;=?-~]+")  # printable ASCII without & < >
# Forms of a letter or digit that stand for the plain one. Other compatibility forms stay: 10² is not 102.
_FOLDED = ("<wide>", "<narrow>", "<font>")
_QUOTES = str.maketrans(
    {**dict.fromkeys("\u2018\u2019\u201b\u02bc\u00b4", "'"), **dict.fromkeys("\u201c\u201d\u201e\u201f", '"')}
)


def clean_text(text: str) -> str:
    """`text` as it is read: a sentence in one form, whatever page or program it came from.

    HTML entities are what they stand for, and tags that lay out a page go; full-width letters, ligatures and
    typographic quotation marks are plain ones; Unicode is in NFC, without control and format characters; every run of
    white space is one space. A clean text stays as it is.
    """
    while (clean := _once(text)) != text:
        text = clean
    return text


def clean_texts(texts: pd.Series) -> tuple[pd.Series, dict[str, int]]:
    """Every text clean, missing ones empty, and how many were changed in more than white space, by what was done.

    The counts: `html` (entities or tags), `characters` (all else).
    """
    raw = texts.astype("str").fillna("").tolist()
    clean: dict[str, str] = {}
    counts = {"html": 0, "characters": 0}
    kinds: dict[str, str] = {}
    for text in raw:
        if text not in clean:
            clean[text] = text if _is_clean(text) else clean_text(text)
            if clean[text] != text and clean[text] != " ".join(text.split()):
                kinds[text] = "html" if _ENTITY.search(text) or _TAG.search(text) else "characters"
        if text in kinds:
            counts[kinds[text]] += 1
    return pd.Series([clean[text] for text in raw], index=texts.index, dtype="str"), counts


def _is_clean(text: str) -> bool:
    """Whether a text is clean at first sight: printable ASCII, no HTML, single spaces."""
    return bool(_PLAIN.fullmatch(text)) and "  " not in text and text[0] != " " != text[-1]


def _once(text: str) -> str:
    if not _PLAIN.fullmatch(text):
        text = _TAG.sub(" ", _ENTITY.sub(_unescaped, _ESCAPED_TWICE.sub("&amp;", text)))
        if not text.isascii():
            text = unicodedata.normalize("NFC", "".join(map(_fold, text.translate(_QUOTES))))
        else:
            text = "".join(map(_fold, text))
    return " ".join(text.split())


def _unescaped(entity: re.Match[str]) -> str:
    known = entity[0][1] == "#" or entity[0][1:] in html.entities.html5
    return html.unescape(entity[0]) if known else entity[0]


@functools.lru_cache(maxsize=65536)
def _fold(character: str) -> str:
    if character.isspace():
        return " "
    if unicodedata.category(character) in ("Cc", "Cf", "Cs"):
        return ""
    ligature = "\ufb00" <= character <= "\ufb06"
    if ligature or unicodedata.decomposition(character).startswith(_FOLDED):
        return unicodedata.normalize("NFKC", character)
    return character
