"""The tickers of the news as those of the prices: by a list, or by a rule for what differs in writing alone."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd

from finsentiment.errors import InputError
from finsentiment.intake.columns import Columns
from finsentiment.intake.tables import read_user_table, where

_AMERICAN = "NYSE|NASDAQ|NYSEARCA|NYSEAMERICAN|AMEX|ARCA|BATS|XNYS|XNAS|OTC"
SHOWN = 5  # tickers without prices that messages name


def plain_ticker(ticker: str) -> str:
    """A ticker without what is a matter of writing.

    Upper case, without `$`, `#`, quotes, brackets, an American exchange before a colon or Bloomberg's ` US Equity`; `-`
    for a point, slash, underscore or space; a number without the zeros before it and the `.0` that programs put after.
    """
    text = re.sub(r"[$#'\"\[\](){}]", "", ticker).strip().upper()
    text = re.sub(rf"^(?:{_AMERICAN}):\s*|\s+U[SNQWRPAF](?:\s+EQUITY)?$", "", text)
    text = re.sub(r"^0*(\d+)(?:\.0)?$", r"\1", text)
    return re.sub(r"[./_\s]+", "-", text)


def several_tickers(text: str) -> bool:
    """Whether a cell holds more than one ticker."""
    return any(mark in text for mark in ",;|") or " and " in text


def nearest(tickers: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Each ticker that is not among the `known`, to the one of them that differs in writing alone; "" for none."""
    known = set(known)
    by_plain: dict[str, list[str]] = {}
    for ticker in sorted(known):
        by_plain.setdefault(plain_ticker(ticker), []).append(ticker)
    found = {ticker: by_plain.get(plain_ticker(ticker), []) for ticker in tickers if ticker not in known}
    return {ticker: alike[0] if len(alike) == 1 else "" for ticker, alike in found.items()}


def read_ticker_list(path: str) -> dict[str, str]:
    """The tickers `from` the news `to` the prices of a CSV; it may be without rows.

    Raises InputError where it can't be read, or one ticker goes to two.
    """
    rows = read_user_table(path, Columns(("from", "to"))).rows
    rows = rows.assign(**{name: rows[name].astype("str").str.strip() for name in rows})
    twice = rows.drop_duplicates()["from"].duplicated()
    if twice.any():
        first = twice[twice].index[0]
        raise InputError(f"{where(path, rows, first)}: from = {rows['from'][first]!r} is there twice; keep one row")
    return dict(zip(rows["from"], rows["to"], strict=True))


def rename_tickers(tickers: pd.Series, known: Iterable[str], listed: dict[str, str], rule: str) -> pd.Series:
    """Tickers of the news as the prices have them: first by the list, then, if the rule is `plain`, by `nearest`."""
    renamed = tickers.map(lambda ticker: listed.get(ticker, ticker)).astype("str")
    if rule == "plain":
        alike = nearest(renamed.unique(), known)
        renamed = renamed.map(lambda ticker: alike.get(ticker) or ticker).astype("str")
    return renamed


def without_prices(tickers: pd.Series, known: Iterable[str]) -> list[dict[str, object]]:
    """The most frequent tickers without prices: `ticker`, `rows`, and `nearest`, which prices there are like it."""
    known = set(known)
    counts = tickers[~tickers.isin(known)].value_counts(sort=False)
    counts = counts.sort_index().sort_values(ascending=False, kind="stable").head(SHOWN)
    alike = nearest(counts.index, known)
    return [{"ticker": t, "rows": int(n), "nearest": alike[t]} for t, n in counts.items()]


def without_prices_in_words(missing: list[dict[str, object]]) -> str:
    """`'BRK.B' (72 rows; the prices have BRK-B)`, and so on."""
    alike = {str(m["ticker"]): f"; the prices have {m['nearest']}" if m["nearest"] else "" for m in missing}
    return ", ".join(f"{str(m['ticker'])[:30]!r} ({m['rows']} rows{alike[str(m['ticker'])]})" for m in missing)
