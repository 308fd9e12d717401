"""Company names and tickers out of texts, so that what a language model remembers of a company can't help it."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd

from finsentiment.intake.columns import Columns
from finsentiment.intake.tables import read_user_table

COMPANY = "the company"


def read_names(path: str) -> pd.DataFrame:
    """The companies to hide: `ticker`, `name`. Raises InputError where the file can't be read or lacks a column."""
    return read_user_table(path, Columns(("ticker", "name"))).rows


def mask_companies(texts: Iterable[str], names: Iterable[str], tickers: Iterable[str]) -> list[str]:
    """`texts` with every company name, cashtag, hashtag or mention of a name, and ticker replaced by "the company".

    Parameters
    ----------
    names : company names; whole words, in any case, spaces or none between their words, `'s` after them too
    tickers : whole words in capitals; those of one letter only as a cashtag, since `A` and `T` are words. Any cashtag
        (`$XYZ`) is taken for a company's, whether it is listed or not
    """
    spelt = {r"\s*".join(re.escape(word) for word in name.split()) for name in names}
    # The longest first: `BHP Billiton` before `BHP`.
    named = "|".join(sorted(spelt, key=len, reverse=True)) or "(?!)"
    coded = "|".join(sorted((re.escape(t) for t in tickers if len(t) > 1), key=len, reverse=True)) or "(?!)"
    pattern = re.compile(rf"\$[A-Za-z]{{1,5}}(?:[.-][A-Za-z])?\b|[#@]?\b(?:(?i:{named})(?:'s)?|(?:{coded}))\b")
    return [pattern.sub(COMPANY, text) for text in texts]
