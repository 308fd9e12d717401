"""Prices of every source, checked alike: what is only written otherwise is mended and counted, the rest is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from finsentiment.errors import InputError
from finsentiment.intake.tables import also, places, where
from finsentiment.market.adjust import FOUR, adjust_prices
from finsentiment.market.sessions import calendar, sessions_between
from finsentiment.params import Market

NUMBERS = (*FOUR, "volume")
ROUNDING = 1e-4  # of the price, by which high and low may be wrong through rounding
PRICE = pa.Column(float, pa.Check(lambda x: np.isfinite(x) & (x > 0), error="a positive number"))
TEXT = pa.Column(str, pa.Check(lambda x: x.str.strip() != "", error="a text that is not empty"))
PRICES_SCHEMA = pa.DataFrameSchema(
    {
        "ticker": TEXT,
        "session": pa.Column("datetime64[us]"),
        "open": PRICE,
        "high": PRICE,
        "low": PRICE,
        "close": PRICE,
        "volume": pa.Column(float, pa.Check(lambda x: np.isfinite(x) & (x >= 0), error="a number, 0 or more")),
        "universe": pa.Column(bool, required=False),
    },
    strict=True,
    ordered=True,
)


def check_prices(
    prices: pd.DataFrame, market: Market, path: str
) -> tuple[pd.DataFrame, dict[str, int], dict[str, int]]:
    """Prices that keep `PRICES_SCHEMA`, one row per ticker and session, all sessions of the exchange, sorted by key.

    Returns
    -------
    prices; rows refused by reason (`prices_empty`: no number in any column; `prices_duplicate`: the same row again);
    rows converted by what was done

    Raises
    ------
    InputError
        Naming the first row that is wrong, how many more are, what was expected, and what to do.
    """
    rows_in = len(prices)
    if market.adjusted_close == "ignore" and "adj_close" in prices:
        prices = prices.drop(columns="adj_close")
    # Yahoo writes a volume of 0 beside prices that are missing.
    filled = prices[~(prices[FOUR].isna().all(axis=1) & prices["volume"].fillna(0).eq(0))]
    twice = filled.duplicated(["ticker", "session"], keep=False)
    once = filled[~(twice & filled.duplicated())] if twice.any() else filled
    refused = {"prices_empty": rows_in - len(filled), "prices_duplicate": len(filled) - len(once)}
    if once.empty:
        raise InputError(f"{path}: no prices; expected a row per ticker and session")
    check_schema(once.drop(columns="adj_close", errors="ignore"), PRICES_SCHEMA, path)
    prices, adjusted = adjust_prices(once, market.adjusted_close, path)
    prices, rounded = _mend_rounding(prices)
    _check_order(prices, path)
    _check_keys(prices, path)
    _check_sessions(prices, market.exchange, path)
    converted = {"prices_adjusted": adjusted, "prices_high_low_rounding": rounded}
    done = {name: count for name, count in converted.items() if count}
    return prices.sort_values(["ticker", "session"], ignore_index=True), refused, done


def check_schema(table: pd.DataFrame, schema: pa.DataFrameSchema, path: str) -> None:
    """Check types and values. Raises InputError naming the first row that breaks the schema, and how many rows do."""
    try:
        schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as errors:
        faults = errors.failure_cases
        fault = faults.iloc[0]
        value = getattr(fault["failure_case"], "item", lambda: fault["failure_case"])()
        expected = {"not_nullable": "a value", "column_in_dataframe": "this column"}.get(fault["check"], fault["check"])
        place = path if pd.isna(fault["index"]) else where(path, table, fault["index"])
        same = int((faults["column"] == fault["column"]).sum())
        raise InputError(
            f"{place}: {fault['column']} = {value!r}{also(same)}: expected {expected}; correct it or take the row out"
        ) from None


def _fail(prices: pd.DataFrame, bad: pd.Series, path: str, what: str, remedy: dict[str, Any] | None = None) -> None:
    if bad.any():
        first = bad.idxmax()
        row = prices.loc[bad].iloc[0]
        key = f"({row['ticker']}, {row['session'].date()}){also(int(bad.sum()))}"
        raise InputError(f"{where(path, prices, first)} {key}: {what.format(**row)}", remedy)


def _mend_rounding(prices: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """High and low that miss another price by rounding alone are that price."""
    top, bottom = prices[FOUR].max(axis=1), prices[FOUR].min(axis=1)
    high = (prices["high"] < top) & (prices["high"] >= top * (1 - ROUNDING))
    low = (prices["low"] > bottom) & (prices["low"] <= bottom * (1 + ROUNDING))
    mended = prices.assign(high=prices["high"].where(~high, top), low=prices["low"].where(~low, bottom))
    return mended, int((high | low).sum())


def _check_order(prices: pd.DataFrame, path: str) -> None:
    other = prices[["open", "low", "close"]].max(axis=1)
    high, low = prices["high"] < other, prices["low"] > prices[["open", "close"]].min(axis=1)
    below, above = prices["close"] < prices["low"], prices["close"] > prices["high"]
    ask = "correct the row"
    if (below | above).sum() > 1:
        ask = "is the close adjusted for splits and dividends and the rest is not? give all four adjusted alike"
    _fail(
        prices,
        high,
        path,
        "high = {high:g} is below another price of the session (open {open:g}, low {low:g}, close {close:g}); " + ask,
    )
    _fail(
        prices,
        low,
        path,
        "low = {low:g} is above another price of the session (open {open:g}, close {close:g}); " + ask,
    )


def _check_keys(prices: pd.DataFrame, path: str) -> None:
    twice = prices.duplicated(["ticker", "session"], keep=False)
    if twice.any():
        first = prices[twice].iloc[0]
        same = (prices["ticker"] == first["ticker"]) & (prices["session"] == first["session"])
        raise InputError(
            f"{places(path, prices, prices.index[same])}: {same.sum()} prices that differ for {first['ticker']} on "
            f"{first['session'].date()}; expected one row per ticker and session; keep one"
        )


def _check_sessions(prices: pd.DataFrame, exchange: str, path: str) -> None:
    known = calendar(exchange).sessions
    _fail(
        prices,
        ~prices["session"].between(known[0], known[-1]),
        path,
        f"the calendar of {exchange} knows sessions from {known[0].date()} to {known[-1].date()} only; correct the day",
    )
    sessions = sessions_between(exchange, prices["session"].min(), prices["session"].max())
    _fail(
        prices,
        ~prices["session"].isin(sessions),
        path,
        f"this day is no session of {exchange}; take the row out, or set market.exchange to the exchange of these "
        "prices (finsentiment check proposes one)",
        {"market.exchange": None},
    )
