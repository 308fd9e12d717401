"""Numbers as files have them: thousands separators, decimal commas, `1.2M`, currency signs."""

from __future__ import annotations

import pandas as pd

_SCALE = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_CURRENCY = r"^\s*(?:[$€£¥₹]|US\$|USD|EUR|GBP)?\s*|\s*(?:[$€£¥₹]|USD|EUR|GBP)?\s*$"
_THOUSANDS = r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?"
_POINTS = r"[+-]?\d{1,3}(?:\.\d{3})+,\d+"
AMBIGUOUS = "the commas may part thousands or decimals; write numbers with a decimal point and without other commas"


def parse_numbers(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int], pd.DataFrame]:
    """The columns of a table as floats.

    What a comma means is decided for all columns at once: where any number has a point, or commas all part groups of
    three digits after whole prices, commas part thousands; where commas stand before other counts of digits and no
    number has a point, they are decimal.

    Returns
    -------
    numbers : NaN where a value is empty or no number
    converted : values that were written otherwise, by what: `thousands`, `decimal_comma`, `suffix`, `currency`
    unclear : True where a value can be read in two ways
    """
    typed = {c: table[c] for c in table if pd.api.types.is_numeric_dtype(table[c])}
    text = pd.DataFrame({c: table[c].astype("str").fillna("").str.strip() for c in table if c not in typed})
    numbers = pd.DataFrame({c: pd.to_numeric(table[c] if c in typed else text[c], errors="coerce") for c in table})
    numbers = numbers.astype("float64")
    converted: dict[str, int] = {}
    unclear = pd.DataFrame(False, index=table.index, columns=table.columns)
    odd = {c: text[c][numbers[c].isna() & (text[c] != "")] for c in text}
    odd = {c: values for c, values in odd.items() if len(values)}
    if not odd:
        return numbers, converted, unclear
    stripped = {c: v.str.replace(_CURRENCY, "", regex=True).str.replace(r"\s", "", regex=True) for c, v in odd.items()}
    converted["currency"] = sum(int((stripped[c] != odd[c]).sum()) for c in odd)
    suffixed = {c: v.str.extract(r"^(.*?)([KMBTkmbt]?)$") for c, v in stripped.items()}
    bare = {c: v[0] for c, v in suffixed.items()}
    commas = {c: v.str.contains(",", regex=False) for c, v in bare.items()}
    decimal, ambiguous = _commas(bare, text)
    for c, values in bare.items():
        if decimal:
            plain = values.str.replace(".", "", regex=False).where(values.str.fullmatch(_POINTS), values)
            plain = plain.str.replace(",", ".", n=1, regex=False)
        else:
            plain = values.str.replace(",", "", regex=False).where(values.str.fullmatch(_THOUSANDS), values)
        scale = suffixed[c][1].str.upper().map(_SCALE)
        read = pd.to_numeric(plain, errors="coerce") * scale
        numbers.loc[read.index, c] = read
        unclear.loc[commas[c][commas[c]].index, c] = ambiguous
        converted["suffix"] = converted.get("suffix", 0) + int((read.notna() & (scale > 1)).sum())
        kind = "decimal_comma" if decimal else "thousands"
        converted[kind] = converted.get(kind, 0) + int((read.notna() & commas[c]).sum())
    return numbers, {name: n for name, n in converted.items() if n}, unclear


def _commas(odd: dict[str, pd.Series], text: pd.DataFrame) -> tuple[bool, bool]:
    """Whether commas are decimal, and whether there is no telling."""
    with_comma = pd.concat([v[v.str.contains(",", regex=False)] for v in odd.values()])
    if with_comma.empty:
        return False, False
    if with_comma.str.fullmatch(_POINTS).any():
        return True, False
    points = any(text[c].str.contains(".", regex=False).any() for c in text)
    grouped = with_comma.str.fullmatch(_THOUSANDS)
    if points or not grouped.any():
        return not points and not grouped.any(), False
    if not grouped.all():
        return True, False
    prices = any(odd[c].str.contains(",", regex=False).any() for c in odd if c != "volume")
    return False, prices
