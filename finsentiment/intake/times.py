"""Times and dates as files have them: to UTC, with what was written, so that a lost time of day can be seen."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd

from finsentiment.intake.settings import MACHINES_OWN

MONTHS = dict(zip("jan feb mar apr may jun jul aug sep oct nov dec".split(), range(1, 13), strict=True))
EPOCHS = {9: ("seconds", 10**6), 12: ("milliseconds", 10**3), 15: ("microseconds", 1), 18: ("nanoseconds", 0)}
"""Digits after the first of a time since 1970, its unit, and the microseconds in it.

From September 2001 to May 2033 such times begin with 1. What begins with 2 may be a date such as 2024030114.
"""

OFFSETS = {
    **dict.fromkeys(("Z", "UTC", "GMT", "UT"), 0),
    **{"EST": -300, "EDT": -240, "MST": -420, "MDT": -360, "PST": -480, "PDT": -420, "CDT": -300},
    **{"CET": 60, "CEST": 120, "EET": 120, "EEST": 180, "JST": 540, "KST": 540, "HKT": 480, "AEST": 600, "AEDT": 660},
}
"""Minutes ahead of UTC of the abbreviations that mean one thing (RFC 822 and common use). CST, IST and BST don't."""

_MONTH = (
    "january|february|march|april|may|june|july|august|september|october|november|december|"
    "jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec"
)
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?"
_ZONE = r"[B-OQ-Zb-oq-z]\S*|[AaPp](?:[A-LN-Za-ln-z]\S*|[Mm]\S+)?|[+-]\d{2}:?\d{0,2}"  # AM and PM are no zones
_ISO = rf"(?P<day>\d{{4}}-\d{{2}}-\d{{2}})(?:[Tt ]+(?P<clock>{_CLOCK}))?\s*(?P<zone>{_ZONE})?"
_RFC822 = (
    rf"(?:[A-Za-z]{{3}},?\s+)?(?P<d>\d{{1,2}})[ -](?P<m>{_MONTH})\.?,?[ -](?P<y>\d{{4}})"
    rf"\s+(?P<clock>{_CLOCK})\s*(?P<zone>\S+)?"
)
_CTIME = (
    rf"[A-Za-z]{{3}}\s+(?P<m>{_MONTH})\s+(?P<d>\d{{1,2}})\s+(?P<clock>{_CLOCK})\s+(?:(?P<zone>\S+)\s+)?(?P<y>\d{{4}})"
)
_COMPACT = r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})(?:T?(?P<hh>\d{2})(?P<mm>\d{2})(?P<ss>\d{2})?)?(?P<zone>Z)?"
_SLASHES = rf"(?P<y>\d{{4}})[/.](?P<m>\d{{1,2}})[/.](?P<d>\d{{1,2}})(?:[T ]+(?P<clock>{_CLOCK}))?\s*(?P<zone>\S+)?"
FORMATS = {"rfc822": _RFC822, "ctime": _CTIME, "compact": _COMPACT, "slashes": _SLASHES}

_NUMBERS_FIRST = (
    rf"^(?P<a>\d{{1,2}})(?P<mark>[/.-])(?P<b>\d{{1,2}})(?P=mark)(?P<y>\d{{4}}|(?<=/)\d{{2}})"
    rf"(?:(?P<gap>[T ,]+)(?P<clock>{_CLOCK})(?:\s*(?P<half>[AaPp][Mm]))?)?$"
)

ISO_EXAMPLE = "2024-03-01T14:30:00Z, or 2024-03-01T09:30:00-05:00 for the same moment in New York"


NO_SUCH_TIME = f"there is no such day or time; expected one such as {ISO_EXAMPLE}"


class Fail(Protocol):
    """Raises an InputError about the rows where a condition holds."""

    def __call__(self, bad: pd.Series, expected: str, remedy: Mapping[str, Any] | None = None) -> None:
        """`expected` says what stands in place of the value, `remedy` which parameters mend it."""


class Times(NamedTuple):
    """Moments, row by row.

    moment : UTC, to the second, datetime64[us, UTC]
    written : the same as it was written, in whatever zone that was, without zone, datetime64[us]
    only_day : True where only a day was written
    converted : rows that were in another format than ISO 8601, by format
    """

    moment: pd.Series
    written: pd.Series
    only_day: pd.Series
    converted: dict[str, int]


def parse_times(values: pd.Series, time_zone: str | None, time_format: str | None, fail: Fail) -> Times:
    """Times in any of the formats that files have.

    ISO 8601 (also without its marks), RFC 822, `Thu Jan 02 15:45:02 +0000 2014`, and seconds, milli-, micro- or
    nanoseconds since 1970. Cut to the second, which never moves one across an open. A day without a time is that day's
    midnight, and says so.

    Parameters
    ----------
    time_zone : of times that are written without one, such as America/New_York; None: those are refused (a day alone is
        one of UTC). An hour that the clocks show twice is the later one: the news must not be known too early.
    time_format : of strptime, for any other format; None: those above
    fail : see `Fail`
    """
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        moment = values.astype("datetime64[us, UTC]")
        return _times(moment, values.dt.tz_localize(None), moment.isna(), {}, fail)
    text, typed = _texts(values)
    fail(text == "", f"expected a time; write {ISO_EXAMPLE}, or take the row out")
    if time_format is not None and not typed:
        return _by_format(text, time_zone, time_format, fail)

    if text.str.fullmatch(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}Z").all():  # as most files are, and quicker
        written = _from_iso(text.str.slice(0, 19))
        fail(written.isna(), NO_SUCH_TIME)
        return _times(written.dt.tz_localize("UTC"), written, pd.Series(False, index=text.index), {}, fail)
    day, clock, zone, converted = _parts(text)
    epoch, unit = _epochs(text)
    for name, scale in unit.items():
        converted[f"epoch_{name}"] = int(scale)
    unread = day.isna() & epoch.isna()
    _refuse_unread(text, unread, fail)
    only_day = day.notna() & clock.isna()
    unzoned = clock.notna() & zone.isna()
    if unzoned.any() and clock[unzoned].str.fullmatch(r"00:00(:00([.,]0+)?)?").all():
        only_day |= unzoned  # midnight in no zone is how programs write a day
        converted["midnight_without_zone"] = int(unzoned.sum())
    written = _from_iso(day.str.cat(clock.fillna("00:00:00").str.replace(",", ".", regex=False), sep="T"))
    fail(day.notna() & written.isna(), NO_SUCH_TIME)
    written = written.fillna(epoch)
    zone = zone.mask(epoch.notna(), "Z").mask(only_day & zone.isna(), "" if time_zone else "Z")
    moment = _in_utc(written, zone.fillna(""), time_zone, fail)
    return _times(moment, written, only_day, converted, fail)


def _times(moment: pd.Series, written: pd.Series, only_day: pd.Series, converted: dict[str, int], fail: Fail) -> Times:
    fail(moment.isna(), f"not a time; write {ISO_EXAMPLE}")
    cut = moment.dt.floor("s").astype("datetime64[us, UTC]")
    return Times(
        cut, written.astype("datetime64[us]").dt.floor("s"), only_day, {k: n for k, n in converted.items() if n}
    )


def _parts(text: pd.Series) -> tuple[pd.Series, pd.Series, pd.Series, dict[str, int]]:
    """Day (YYYY-MM-DD), clock and zone of each text as texts, missing where there is none, and rows by format."""
    iso = text.str.fullmatch(_ISO.replace("?P<day>", "").replace("?P<clock>", "").replace("?P<zone>", ""))
    day = text.str.slice(0, 10).where(iso)
    rest = text.where(iso, "").str.replace(r"^.{10}[Tt ]*", "", regex=True)
    clock = rest.str.replace(rf"^({_CLOCK})?.*$", r"\1", regex=True).str.replace(r"^(\d):", r"0\1:", regex=True)
    zone = rest.str.replace(rf"^(?:{_CLOCK})?\s*", "", regex=True)
    clock, zone = clock.where(clock != "", None), zone.where(zone != "", None)
    converted = {}
    left = ~iso
    for name, pattern in FORMATS.items():
        if not left.any():
            break
        parts = text[left].str.extract(re.compile(rf"^{pattern}$", re.IGNORECASE))
        parts = parts[parts["y"].notna()]
        if parts.empty:
            continue
        month = parts["m"].str.lower().map(lambda m: MONTHS.get(m[:3], m)).astype("str").str.zfill(2)
        day[parts.index] = parts["y"] + "-" + month + "-" + parts["d"].str.zfill(2)
        if "hh" in parts:
            parts["clock"] = parts["hh"] + ":" + parts["mm"] + ":" + parts["ss"].fillna("00")
        clock[parts.index] = parts["clock"].str.replace(r"^(\d):", r"0\1:", regex=True)
        zone[parts.index] = parts["zone"]
        converted[f"time_{name}"] = len(parts)
        left[parts.index] = False
    return day, clock, zone, converted


def _epochs(text: pd.Series) -> tuple[pd.Series, dict[str, int]]:
    """Times since 1970 as naive UTC, missing where a text is none, and how many are in which unit."""
    found = pd.Series(pd.NaT, index=text.index, dtype="datetime64[us]")
    counts: dict[str, int] = {}
    digits = text.str.replace(r"\.\d*$", "", regex=True)
    number = digits.where(digits.str.fullmatch(r"1(?:\d{9}|\d{12}|\d{15}|\d{18})"), None).dropna()
    for length, rows in number.groupby(number.str.len()):
        name, scale = EPOCHS[int(length) - 1]
        since = rows.astype("int64")
        microseconds = since * scale if scale else since // 1000
        found[rows.index] = pd.to_datetime(microseconds, unit="us").astype("datetime64[us]")
        counts[name] = len(rows)
    return found, counts


def _from_iso(text: pd.Series) -> pd.Series:
    return pd.to_datetime(text, format="ISO8601", errors="coerce").astype("datetime64[us]")


def _in_utc(written: pd.Series, zone: pd.Series, time_zone: str | None, fail: Fail) -> pd.Series:
    """`written` in its `zone`, or in `time_zone` where that is empty, as UTC."""
    fail(
        (zone == "") & (time_zone is None),
        f"expected a time with its zone; write {ISO_EXAMPLE}, or say with market.time_zone which zone all such times "
        "are in, such as America/New_York",
        {"market.time_zone": None},
    )
    moment = pd.Series(pd.NaT, index=written.index, dtype="datetime64[us, UTC]")
    for name in zone.unique():
        rows = zone == name
        minutes = _minutes(name) if name else None
        place = name or time_zone
        if minutes is not None:
            moment[rows] = (written[rows] - pd.Timedelta(minutes=minutes)).dt.tz_localize("UTC")
            continue
        if place not in zoneinfo.available_timezones() - MACHINES_OWN:
            fail(rows, f"{name!r} is no zone that means one thing; write an offset such as -05:00, or America/New_York")
        near = written[rows].dt.year.between(1900, 2100)
        later = np.zeros(int(near.sum()), dtype=bool)
        local = written[rows][near].dt.tz_localize(place, ambiguous=later, nonexistent="shift_forward")
        # What is centuries away no zone knows, and no calendar: it is refused there.
        far = written[rows][~near].dt.tz_localize("UTC")
        moment[rows] = pd.concat([local.dt.tz_convert("UTC"), far])
    return moment


def _minutes(zone: str) -> int | None:
    """Minutes ahead of UTC of an offset or abbreviation, None of any other zone."""
    offset = re.fullmatch(r"([+-])(\d{2}):?(\d{2})?", zone)
    if not offset:
        return OFFSETS.get(zone.upper())
    sign, hours, minutes = offset.groups()
    if int(hours) > 14 or int(minutes or 0) > 59:
        return None
    return (1 if sign == "+" else -1) * (60 * int(hours) + int(minutes or 0))


def _refuse_unread(text: pd.Series, unread: pd.Series, fail: Fail) -> None:
    parts = text[unread].str.extract(_NUMBERS_FIRST).dropna(subset=["a", "b", "y"])
    if len(parts):
        likely, sure = _likely_format(parts, text)
        said = "" if sure else f"{UNSURE}; "
        fail(
            unread & pd.Series(text.index.isin(parts.index), index=text.index),
            f"{said}set market.time_format={likely!r} (of Python's strptime); or write {ISO_EXAMPLE}",
            {"market.time_format": likely},
        )
    half = unread & text.str.fullmatch(r"\d{4}-\d{2}-\d{2}[T ]+\d{1,2}:\d{2}(?::\d{2})?\s*[AaPp][Mm]")
    seconds = "" if not half.any() or text[half].iloc[0].count(":") == 1 else ":%S"
    twelve = f"%Y-%m-%d %I:%M{seconds} %p"
    fail(half, f"set market.time_format={twelve!r}; or write {ISO_EXAMPLE}", {"market.time_format": twelve})
    if unread.any() and (named := _named_format(text[unread], CLOCKS)):
        fail(unread, f"set market.time_format={named!r} (of Python's strptime)", {"market.time_format": named})
    fail(unread, f"not a time; write {ISO_EXAMPLE}, or set market.time_format (of Python's strptime)")


UNSURE = "the day may come first or the month, and a guess is made"


def _likely_format(parts: pd.DataFrame, text: pd.Series) -> tuple[str, bool]:
    """The format of times such as `01/05/2023 09:09 PM`, and whether it is sure that day and month stand so.

    Points stand between day, month and year in this order. Else a number above 12 decides, and where there is none the
    order in which the days lie nearer together.
    """
    row = parts.iloc[0]
    first, second = (parts[name].astype(int).max() for name in ("a", "b"))
    mark, year = row["mark"], "%Y" if len(row["y"]) == 4 else "%y"
    orders = [f"%m{mark}%d{mark}{year}", f"%d{mark}%m{mark}{year}"]
    sure = mark == "." or max(first, second) > 12
    if sure:
        day = orders[1] if mark == "." or first > 12 else orders[0]
    else:
        days = text[parts.index].str.extract(r"^(\S+?\d{2,4})(?:[T ,]|$)")[0]
        spans = [_span(days, form) for form in orders]
        day = orders[1] if spans[1] < spans[0] else orders[0]
    if not isinstance(row["clock"], str):
        return day, sure
    half = isinstance(row["half"], str)
    seconds = ":%S" if row["clock"].count(":") == 2 else ""
    return f"{day}{row['gap']}{'%I' if half else '%H'}:%M{seconds}{' %p' if half else ''}", sure


def _span(days: pd.Series, form: str) -> pd.Timedelta:
    found = pd.to_datetime(days, format=form, errors="coerce")
    return found.max() - found.min() if found.notna().all() else pd.Timedelta.max


def _by_format(text: pd.Series, time_zone: str | None, time_format: str, fail: Fail) -> Times:
    with_zone = "%z" in time_format or "%Z" in time_format
    found = _strptime(text, time_format, "market.time_format", fail, utc=with_zone)
    written = (found.dt.tz_localize(None) if with_zone else found).astype("datetime64[us]")
    midnight = not with_zone and bool((written == written.dt.normalize()).all())
    only_day = pd.Series(midnight, index=text.index)
    zone = pd.Series("Z" if with_zone or (midnight and not time_zone) else "", index=text.index)
    return _times(_in_utc(written, zone, time_zone, fail), written, only_day, {"time_format": len(text)}, fail)


NAMED_FORMATS = ("%b %d, %Y", "%B %d, %Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d %Y", "%A, %B %d, %Y")
"""Days that can be read in one way only; the one that fits all rows is proposed."""
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")


def _named_format(text: pd.Series, clocks: tuple[str, ...]) -> str | None:
    first = text.drop_duplicates().head(200)
    forms = (day + clock for day in NAMED_FORMATS for clock in clocks)
    return next((f for f in forms if pd.to_datetime(first, format=f, errors="coerce").notna().all()), None)


ONE_A_DAY = "expected a day without a time, or with midnight: prices are one row per ticker and session"


def parse_days(values: pd.Series, date_format: str | None, fail: Fail) -> tuple[pd.Series, pd.Series]:
    """Dates of sessions, datetime64[us], and in what form each was that is not 2024-03-01 ("" where it was).

    A time beside the date must be midnight, in whatever zone it is written: that day is meant.
    """
    zoned = isinstance(values.dtype, pd.DatetimeTZDtype)
    text, typed = _texts(values.dt.tz_localize(None) if zoned else values)
    if date_format is not None and not typed:
        found = _strptime(text, date_format, "market.date_format", fail).astype("datetime64[us]")
        fail(found != found.dt.normalize(), ONE_A_DAY)
        return found, pd.Series("date_format", index=text.index)
    plain = text.str.fullmatch(r"\d{4}-\d{2}-\d{2}") | typed
    short = text.str.replace(r"[T ]00:00(:00(\.0+)?)?\s*(Z|UTC|[+-]\d\d(:?\d\d)?)?$", "", regex=True)
    short = short.str.replace(r"^(\d{4})[/.]?(\d{2})[/.]?(\d{2})$", r"\1-\2-\3", regex=True)
    timed = ~short.str.fullmatch(r"\d{4}-\d{2}-\d{2}") & short.str.match(r"\d{4}-\d{2}-\d{2}[T ]\d")
    fail(timed, ONE_A_DAY)
    parts = text.str.extract(_NUMBERS_FIRST).dropna(subset=["a", "b", "y"])
    if len(parts):
        likely, sure = _likely_format(parts, text)
        said = f"expected a date such as 2024-03-01, or set market.date_format={likely!r} (of Python's strptime)"
        like_it = pd.Series(text.index.isin(parts.index), index=text.index)
        fail(like_it, said if sure else f"{UNSURE}; {said}", {"market.date_format": likely})
    epoch, _ = _epochs(text)
    at_midnight = epoch.notna() & (epoch == epoch.dt.normalize())
    short = short.where(~at_midnight, epoch.dt.strftime("%Y-%m-%d"))
    day = _from_iso(short.where(short.str.fullmatch(r"\d{4}-\d{2}-\d{2}"), None))
    unread = day.isna() & (text != "")
    if unread.any() and (named := _named_format(text[unread], ("",))):
        fail(unread, f"set market.date_format={named!r} (of Python's strptime)", {"market.date_format": named})
    example = "expected a date such as 2024-03-01"
    fail(day.isna() & (text != ""), f"{example}, or market.date_format, such as '%m/%d/%Y' (of Python's strptime)")
    fail(day.isna(), example)
    form = pd.Series(np.where(plain, "date_with_time" if zoned else "", "date_form"), index=text.index)
    return day, form


def _texts(values: pd.Series) -> tuple[pd.Series, bool]:
    """Values as texts, missing ones empty, and whether they were times without a zone already."""
    typed = pd.api.types.is_datetime64_dtype(values)
    if typed:
        text = values.dt.strftime("%Y-%m-%dT%H:%M:%S").astype("str")
    elif pd.api.types.is_numeric_dtype(values):
        text = values.map(lambda v: "" if v != v else f"{v:.0f}" if v % 1 == 0 else str(v)).astype("str")
    else:
        text = values.astype("str")
    return text.fillna("").str.strip(), typed


def _strptime(text: pd.Series, form: str, parameter: str, fail: Fail, utc: bool = False) -> pd.Series:
    try:
        found = pd.to_datetime(text, format=form, errors="coerce", utc=utc)
    except ValueError as error:
        fail(text == text, f"{parameter} = {form!r} is no format of strptime ({error})")
        raise
    fail(found.isna(), f"expected a time of the format {form!r} ({parameter})")
    return found
