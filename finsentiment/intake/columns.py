"""Which column of a user's file is which of ours."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from finsentiment.errors import InputError

Mapped = Mapping[str, str | int]

ALIASES: dict[str, tuple[str, ...]] = {
    "text": ("sentence", "headline", "title", "input", "tweet", "content", "body", "news", "query"),
    "label": ("sentiment", "output", "target", "class", "polarity", "gold", "answer", "category", "decisions"),
    "agreement": ("confidence",),
    "published_at": (
        *("published", "pubdate", "publishedat", "publishdate", "publicationdate", "timepublished", "releasetime"),
        *("createdat", "seendate", "providerpublishtime", "datetime", "timestamp", "time", "date"),
    ),
    "ticker": ("symbol", "tickers", "symbols", "stock", "ric", "code", "asset", "instrument"),
    "headline": ("title", "text", "news", "heading", "content", "body"),
    "source": ("publisher", "site", "provider"),
    "session": ("date", "datetime", "day", "timestamp", "time", "tradedate"),
    "close": ("price", "last", "closelast"),
    "volume": ("vol", "sharestraded"),
    "name": ("company", "companyname"),
    "tone": ("sentiment", "label"),
}
"""Names, squeezed, that a column often has elsewhere: a message proposes them, none is taken unasked."""

TAKEN_UNASKED = {"session": ("date",), "adj_close": ("adjclose", "adjustedclose", "closeadj", "closeadjusted")}
"""Names, squeezed, that are as good as ours; nothing else in a table of prices can be meant."""


@dataclass(frozen=True)
class Columns:
    """What a table must and may hold, and what the user says of it.

    required, optional : our names of the columns
    mapped : our name to the name in the file, or to its position from 1 in a file without a first line of names
    parameter : the parameter or option that says such things; None where there is none
    others : whether all other columns are read too, under their own names
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    mapped: Mapped = field(default_factory=dict)
    parameter: str | None = None
    others: bool = False

    @property
    def headless(self) -> bool:
        """Whether the file has no first line of names."""
        return any(isinstance(place, int) for place in self.mapped.values())


def squeezed(name: str) -> str:
    """A name without case, spaces and marks, by which `Published At` is `published_at`."""
    return re.sub(r"[\W_]", "", name.casefold())


def match_columns(header: Sequence[str], wanted: Columns) -> dict[str, int]:
    """Our names to places in `header`, of those that are there; -1 where there is no telling which is meant.

    The parameter decides; else the very name; else a name that differs in case, spaces or marks alone; else Yahoo's.
    """
    found = {}
    for name in (*wanted.required, *wanted.optional):
        if name in wanted.mapped:
            alike = [[given == wanted.mapped[name] for given in header]]
        else:
            short = [squeezed(given) for given in header]
            alike = [[given == name for given in header]]
            alike += [[given == other for given in short] for other in (squeezed(name), *TAKEN_UNASKED.get(name, ()))]
        for hits in alike:
            same = [place for place, hit in enumerate(hits) if hit]
            if same:
                found[name] = same[0] if len(same) == 1 else -1
                break
    return found


def check_columns(path: object, place: str, header: Sequence[str], wanted: Columns) -> dict[str, int]:
    """`match_columns`, where every required and every mapped column is there once.

    Raises InputError that shows the header and the parameter to set.
    """
    found = match_columns(header, wanted)
    shown = ",".join(header)
    shown = repr(shown if len(shown) <= 200 else f"{shown[:200]}…")
    ours = (*wanted.required, *wanted.optional)
    for name, given in wanted.mapped.items():
        if name not in ours:
            raise InputError(f"{wanted.parameter}: {name!r} is no column of ours; expected some of {', '.join(ours)}")
        if found.get(name, -1) < 0:
            raise InputError(
                f"{path}, {place}: {wanted.parameter} says that {name} is column {given!r}, which is there "
                f"{list(header).count(str(given))} times (the header is {shown}); correct {wanted.parameter}"
            )
    for name in ours:
        if found.get(name) == -1:
            raise InputError(
                f"{path}, {place}: column '{name}' is there more than once (the header is {shown}); "
                f"keep one{f', or say which with {wanted.parameter}' if wanted.parameter else ''}"
            )
        if name in wanted.required and name not in found:
            mend, remedy = _remedy(header, wanted)
            raise InputError(f"{path}, {place}: no column '{name}' (the header is {shown}); {mend}", remedy)
    taken = list(found.values())
    twice = [name for name, at in found.items() if taken.count(at) > 1]
    if twice:
        raise InputError(
            f"{path}, {place}: {' and '.join(twice)} are one column, {header[found[twice[0]]]!r}; correct "
            f"{wanted.parameter}"
        )
    if wanted.others:
        places = set(found.values())
        rest = {given: at for at, given in enumerate(header) if at not in places and list(header).count(given) == 1}
        found |= {given: at for given, at in rest.items() if given and given not in found}
    return found


def propose_columns(header: Sequence[str], wanted: Columns) -> dict[str, str]:
    """For every column that has another name in the file: our name to the most likely one, where there is one."""
    found = match_columns(header, wanted)
    taken = {header[at] for at in found.values()}
    proposed = {}
    for name in (*wanted.required, *wanted.optional):
        if name not in found:
            likely = [given for alias in ALIASES.get(name, ()) for given in header if squeezed(given) == alias]
            likely = [given for given in likely if given not in taken and list(header).count(given) == 1]
            if likely:
                proposed[name] = likely[0]
                taken.add(likely[0])
    return proposed


def in_yaml(mapping: Mapping[str, object]) -> str:
    """A mapping as `-S` and params.yaml take it: `{text: Sentence, label: Sentiment}`."""
    return "{" + ", ".join(f"{_quoted(key)}: {_quoted(value)}" for key, value in mapping.items()) + "}"


def _quoted(value: object) -> str:
    text = "null" if value is None else str(value)
    return (
        text
        if re.fullmatch(r"-?[\w|…][\w .|%/@+…-]*", text) and text == text.strip()
        else json.dumps(text, ensure_ascii=False)
    )


def _remedy(header: Sequence[str], wanted: Columns) -> tuple[str, dict[str, Any]]:
    """What to do about missing columns, and the parameter that does it."""
    expected = f"expected {', '.join(wanted.required)}"
    if wanted.parameter is None:
        return f"{expected} once each, as names in a first line", {}
    if wanted.parameter.startswith("--"):
        return f"name the column with {wanted.parameter}", {}
    proposed = propose_columns(header, wanted)
    short = [squeezed(given) for given in header]
    if "published_at" in proposed and "date" in short and "time" in short:
        return "the day and the time of day stand in two columns; join them to one, published_at", {}
    missing = [name for name in wanted.required if name not in match_columns(header, wanted)]
    if all(name in proposed for name in missing):
        columns = {**wanted.mapped, **{name: proposed[name] for name in missing}}
        return f"set {wanted.parameter}={in_yaml(columns)}", {wanted.parameter: columns}
    if wanted.parameter == "corpus.columns" and (at := _label_place(header)) is not None and len(header) > 1:
        text = max((i for i in range(len(header)) if i != at), key=lambda i: (header[i].count(" "), len(header[i])))
        places = {"text": text + 1, "label": at + 1}
        said = f"the first line looks like a row and not like names: set {wanted.parameter}={in_yaml(places)}"
        return said, {wanted.parameter: places}
    say = in_yaml(dict.fromkeys(missing, "NAME"))
    return (
        f"{expected}; say which column is which: {wanted.parameter}={say}, with numbers from 1 in place of names for "
        "a file without a first line of names"
    ), {}


def _label_place(header: Sequence[str]) -> int | None:
    """The place of a word for a label in what should be names."""
    words = [i for i, value in enumerate(header) if value.strip().casefold() in ("negative", "neutral", "positive")]
    return words[0] if words else None
