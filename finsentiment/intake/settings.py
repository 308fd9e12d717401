"""The types of parameters that say how a user's file is written: columns, labels, encoding, times."""

from __future__ import annotations

import zoneinfo
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator


def _is_an_encoding(name: str) -> str:
    try:
        "".encode(name)
    except LookupError:
        raise ValueError("Python knows no text encoding of this name; expected one such as cp1252 or latin-1") from None
    return name


def _is_a_delimiter(text: str) -> str:
    text = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(text) != 1 or text in '\r\n"':
        raise ValueError("expected one character such as ';', or tab")
    return text


def _as_words(mapping: Any) -> Any:
    """YAML reads a label such as 0 as a number. Null is an empty mapping."""
    if not isinstance(mapping, dict):
        return {} if mapping is None else mapping
    words = [str(key).strip().casefold() for key in mapping]
    twice = [word for word in words if words.count(word) > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} is there twice")
    return {str(key): value for key, value in mapping.items()}


def _once_each(columns: Any) -> Any:
    if not isinstance(columns, dict):
        return {} if columns is None else columns
    places = list(columns.values())
    if any(places.count(place) > 1 for place in places):
        raise ValueError("two of our columns have the same place in the file")
    return columns


def _is_a_time_format(form: str) -> str:
    _holds_a_day(form)
    if ("%p" in form) != ("%I" in form):
        raise ValueError("%I, hours from 1 to 12, and %p, AM or PM, belong together; hours from 0 to 23 are %H")
    return form


def _is_a_date_format(form: str) -> str:
    _holds_a_day(form)
    if "%z" in form or "%Z" in form:
        raise ValueError("the days of prices have no zone")
    return form


def _holds_a_day(form: str) -> None:
    whole = any(name in form for name in ("%c", "%x", "%s"))
    year, month, day = (any(name in form for name in names) for names in (("%Y", "%y"), ("%m", "%b", "%B"), ("%d",)))
    if not (whole or (year and ((month and day) or "%j" in form))):
        raise ValueError("expected a format of strptime with year, month and day, such as '%m/%d/%Y'")


Encoding = Annotated[str, AfterValidator(_is_an_encoding)] | None
Delimiter = Annotated[str, AfterValidator(_is_a_delimiter)] | None


def _is_a_column(place: Any) -> str | int:
    if isinstance(place, bool) or not isinstance(place, (str, int)) or place in ("", 0) or str(place).startswith("-"):
        raise ValueError("expected the name of a column in the file, or its number from 1")
    return place


ColumnNames = Annotated[dict[str, Annotated[Any, AfterValidator(_is_a_column)]], BeforeValidator(_once_each)]
ENCODING = "of text files without a byte order mark; null: UTF-8"
DELIMITER = "between the values of a CSV; null: the one with which the first line has the columns"
LabelNames = Annotated[dict[str, Literal["negative", "neutral", "positive"] | None], BeforeValidator(_as_words)]
TimeFormat = Annotated[str, AfterValidator(_is_a_time_format)] | None
DateFormat = Annotated[str, AfterValidator(_is_a_date_format)] | None

MACHINES_OWN = frozenset(("localtime", "Factory", "posixrules"))
"""Names of zones that mean another zone on every machine."""


def _is_a_time_zone(name: str) -> str:
    if name not in zoneinfo.available_timezones() - MACHINES_OWN:
        raise ValueError("expected a name such as America/New_York or UTC")
    return name


TimeZone = Annotated[str, AfterValidator(_is_a_time_zone)] | None
