"""Trading sessions of an exchange: which session news counts for, and which sessions follow each other."""

from __future__ import annotations

import datetime
import difflib
import functools

import exchange_calendars as xc
import numpy as np
import pandas as pd

from finsentiment.errors import InputError

# Fixed, where the library's own bounds move with today's date; one calendar serves a whole run, since making one
# takes a third of a second whatever its length.
KNOWN = (pd.Timestamp("1970-01-01"), pd.Timestamp("2049-12-31"))

COMMON_NAMES = {
    **dict.fromkeys(("US", "USA", "NMS", "NYQ", "AMEX"), "XNYS"),
    **dict.fromkeys(("NSE", "XNSE", "NSEI"), "XBOM"),
    **dict.fromkeys(("SZSE", "XSHE"), "XSHG"),
    **dict.fromkeys(("KRX", "XKOS"), "XKRX"),
    **{"TSE": "XTKS", "SEHK": "XHKG", "XETRA": "XETR", "TADAWUL": "XSAU"},
}
"""Codes that exchange_calendars lacks, and its calendar with the same sessions."""


@functools.lru_cache(maxsize=16)
def calendar(exchange: str) -> xc.ExchangeCalendar:
    """The exchange's calendar from 1970 to 2049, or as much of that as is known.

    Raises InputError for an unknown exchange code.
    """
    try:
        kind = type(xc.get_calendar(exchange))
        first, last = kind.bound_min() or KNOWN[0], kind.bound_max() or KNOWN[1]
        return xc.get_calendar(exchange, start=max(first, KNOWN[0]), end=min(last, KNOWN[1]))
    except xc.errors.InvalidCalendarName:
        likely = nearest_exchange(exchange)
        raise InputError(
            f"market.exchange = {exchange!r}: no calendar of exchange_calendars has this code; "
            + (f"set market.exchange={likely}" if likely else "take one")
            + " (XNYS is New York, XLON London, XTKS Tokyo, XBOM India)",
            {"market.exchange": likely or None},
        ) from None
    except (NotImplementedError, ValueError) as error:  # what its holidays make this pandas raise
        reason = " ".join(str(error).split())[:80]
        raise InputError(
            f"market.exchange = {exchange!r}: exchange_calendars can't make this calendar with the installed pandas "
            f"({reason}); take an exchange with the same sessions"
        ) from None


def nearest_exchange(code: str) -> str:
    """The calendar code that a wrong one most likely means; "" for none."""
    known = xc.get_calendar_names()
    upper = code.strip().upper()
    likely = upper if upper in known else COMMON_NAMES.get(upper, "")
    return likely or next(iter(difflib.get_close_matches(upper, known, 1, 0.7)), "")


def utc_values(times: pd.Series | pd.DatetimeIndex) -> np.ndarray:
    """Times with a zone as a `datetime64[us]` array in UTC, which NumPy can search."""
    return pd.DatetimeIndex(times).tz_convert("UTC").tz_localize(None).as_unit("us").to_numpy()


def next_entry(published_at: pd.Series, exchange: str, entry: str = "open", latency: int = 0) -> pd.Series:
    """The entry rule of forecasts: the first session whose entry comes strictly after each publication.

    What is published at the very second of the entry, or within `latency` minutes before it, counts for the next
    session: a forecast that trades then could not have read it.

    Parameters
    ----------
    published_at : Series of datetime64 with a time zone, n rows
    exchange : calendar code of exchange_calendars
    entry : `open` or `close`, at which a forecast is traded
    latency : minutes from a publication to an order

    Returns
    -------
    Series of datetime64[us], n rows, index of `published_at`
        The session as a naive midnight date.

    Raises
    ------
    InputError
        For an unknown exchange, or news before the first or after the last session that its calendar knows.
    """
    ready = utc_values(published_at) + np.timedelta64(latency, "m")
    return _sessions_at(np.searchsorted(entry_moments(exchange, entry), ready, side="right"), published_at, exchange)


def next_open(published_at: pd.Series, exchange: str) -> pd.Series:
    """`next_entry` at the open, without latency: the first session that could know each publication at all."""
    return next_entry(published_at, exchange)


def entry_moments(exchange: str, entry: str) -> np.ndarray:
    """The opens or closes of all sessions that the calendar knows, datetime64[us] in UTC."""
    known = calendar(exchange)
    return utc_values(known.opens if entry == "open" else known.closes)


def session_after_close(published_at: pd.Series, exchange: str) -> pd.Series:
    """The entry rule of moves from close to close: the session after the first close that follows each publication.

    Parameters, result and errors are those of `next_entry`.
    """
    first_close = np.searchsorted(utc_values(calendar(exchange).closes), utc_values(published_at), side="right")
    return _sessions_at(first_close + 1, published_at, exchange)


def _sessions_at(position: np.ndarray, published_at: pd.Series, exchange: str) -> pd.Series:
    """The sessions at these positions (n,) of the calendar."""
    known = calendar(exchange)
    if published_at.empty:
        return pd.Series(np.array([], "datetime64[us]"), index=published_at.index)
    before, after = position == 0, position >= len(known.sessions)
    for bad, at in ((before, published_at.min()), (after, published_at.max())):
        if bad.any():
            raise InputError(
                f"news published at {at.tz_convert('UTC').tz_localize(None)} UTC: the calendar of {exchange} knows "
                f"sessions from {known.first_session.date()} to {known.last_session.date()} only; "
                "correct the time or leave it out"
            )
    return pd.Series(known.sessions.as_unit("us").to_numpy()[position], index=published_at.index)


def sessions_between(exchange: str, first: datetime.date, last: datetime.date) -> pd.DatetimeIndex:
    """All sessions from `first` to `last`, both included where they are sessions, as naive dates (datetime64[us])."""
    sessions = calendar(exchange).sessions.as_unit("us")
    between = slice(*sessions.searchsorted([pd.Timestamp(first), pd.Timestamp(last) + pd.Timedelta(days=1)]))
    return pd.DatetimeIndex(sessions[between], freq=None)
