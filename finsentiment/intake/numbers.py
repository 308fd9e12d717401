"""Numbers as files have them: thousands separators, decimal commas, `1.2M`, currency signs."""

from __future__ import annotations

import re

import pandas as pd

MISSING = frozenset(("", "nan", "null", "none", "n/a", "na", "-", "--"))
"""What files write, in any case, where there is no number."""
AMBIGUOUS = "it can be read in two ways; write numbers with a decimal point, without other commas and in one currency"

_SCALE = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_SIGN = re.compile(r"^(US\$|[$€£¥₹]|USD|EUR|GBP)?\s?(.*?)\s?([$€£¥₹]|USD|EUR|GBP)?$", re.DOTALL)
_SUFFIX = re.compile(r"^(.*?)\s?([KMBTkmbt]?)$", re.DOTALL)
_COMMA_GROUPS = r"[+-]?\d{1,3}(?:,\d{3})+"
_POINT_GROUPS = r"[+-]?\d{1,3}(?:\.\d{3})+"
_SPACE_GROUPS = r"[+-]?\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?:[.,]\d+)?"


def parse_numbers(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int], pd.DataFrame]:
    """The columns of a table as floats.

    What a comma means in prices is decided by all prices of the table, in `volume` by the prices too. Commas part
    thousands where a number has commas and a point (1,234.50). They are decimal where other than three digits follow
    one (49,82), or points part thousands before one (1.234,56). Volumes part thousands by the mark that prices don't
    use for decimals.

    Returns
    -------
    numbers : NaN where a value is missing or no number
    converted : values that were written otherwise, by what: `thousands`, `decimal_comma`, `suffix`, `currency`
    unclear : True where a value can be read in two ways
    """
    numbers = pd.DataFrame(index=table.index, columns=table.columns, dtype="float64")
    unclear = pd.DataFrame(False, index=table.index, columns=table.columns)
    converted = dict.fromkeys(("thousands", "decimal_comma", "suffix", "currency"), 0)
    text: dict[str, pd.Series] = {}
    for name in table:
        if pd.api.types.is_numeric_dtype(table[name]):
            numbers[name] = table[name].astype("float64")
        else:
            text[name] = table[name].astype("str").fillna("").str.strip()
            numbers[name] = pd.to_numeric(text[name], errors="coerce").astype("float64")
    odd = {name: numbers[name].isna() & ~text[name].str.lower().isin(MISSING) for name in text}
    if not any(rows.any() for rows in odd.values()):
        return numbers, {}, unclear

    bare, scale = {}, {}
    signs: set[str] = set()
    for name, values in text.items():
        bare[name], scale[name] = values.copy(), pd.Series(1.0, index=values.index)
        parts = [_taken_apart(value) for value in values[odd[name]].tolist()]
        signs |= {part[1] for part in parts}
        bare[name][odd[name]] = [part[0] for part in parts]
        scale[name][odd[name]] = [_SCALE[part[2]] for part in parts]
        converted["currency"] += sum(bool(part[1]) for part in parts)
        converted["suffix"] += sum(bool(part[2]) for part in parts)
    mark = _decimal_mark([values for name, values in bare.items() if name != "volume"])
    for name, values in bare.items():
        own = mark
        if name == "volume" and mark == "":  # the prices are whole, or have neither mark
            own = "." if values.str.contains(",", regex=False).any() else ""
        found, done, doubtful = _read(values, own, volume=name == "volume")
        numbers[name] = found * scale[name]
        unclear[name] = doubtful
        for what, count in done.items():
            converted[what] += count
    if len(signs - {""}) > 1:
        unclear |= pd.DataFrame({name: odd.get(name, False) for name in table}, index=table.index)
    return numbers, {name: count for name, count in converted.items() if count}, unclear


def _taken_apart(value: str) -> tuple[str, str, str]:
    """The digits of a value, its currency and its suffix."""
    before, middle, after = _SIGN.match(value[:64]).groups()  # type: ignore[union-attr]
    digits, suffix = _SUFFIX.match(middle).groups()  # type: ignore[union-attr]
    return (digits if len(value) <= 64 else value), before or after or "", suffix.upper()


def _decimal_mark(columns: list[pd.Series]) -> str:
    """`,` or `.` where prices show their decimal mark, `?` where they can be read in two ways, else nothing."""
    values = pd.concat(columns) if columns else pd.Series(dtype="str")
    values = values.str.replace(r"[ \u00a0\u202f]", "", regex=True)
    commas = values[values.str.contains(",", regex=False)]
    points = values[values.str.contains(".", regex=False)]
    if commas.empty:
        return "." if len(points) else ""
    decimal = commas.str.fullmatch(r"[+-]?\d*,(?:\d{1,2}|\d{4,})") | commas.str.fullmatch(rf"{_POINT_GROUPS},\d+")
    grouped = commas.str.fullmatch(rf"{_COMMA_GROUPS}\.\d+")
    if decimal.any() and not grouped.any():
        return ","
    return "." if grouped.any() and not decimal.any() else "?"


def _read(values: pd.Series, mark: str, volume: bool) -> tuple[pd.Series, dict[str, int], pd.Series]:
    """Numbers with this decimal mark, what was done, and which are unclear."""
    spaced = values.str.fullmatch(_SPACE_GROUPS)
    plain = values.where(~spaced, values.str.replace(r"[ \u00a0\u202f]", "", regex=True))
    commas = plain.str.contains(",", regex=False)
    none = pd.Series(False, index=values.index)
    if mark == ",":
        grouped = plain.str.fullmatch(rf"{_POINT_GROUPS}(?:,\d+)?")
        # Three digits after the comma of a volume are a group as well as decimals.
        unclear = plain.str.fullmatch(_COMMA_GROUPS) if volume else none
        unclear |= plain.str.contains(".", regex=False) & ~grouped & ~plain.str.match(r"[+-]?\d+\.0+$")
        read = plain.where(~grouped, plain.str.replace(".", "", regex=False)).str.replace(",", ".", n=1, regex=False)
        done = {"decimal_comma": commas, "thousands": grouped | spaced}
    else:
        grouped = plain.str.fullmatch(rf"{_COMMA_GROUPS}(?:\.\d*)?")
        unclear = commas if mark == "?" else none
        read = plain.where(~grouped, plain.str.replace(",", "", regex=False))
        done = {"thousands": grouped | spaced}
    found = pd.to_numeric(read, errors="coerce").astype("float64")
    counts = {what: int((rows & found.notna()).sum()) for what, rows in done.items()}
    return found, counts, unclear & found.notna() if mark != "?" else unclear
