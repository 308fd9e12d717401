"""The prices that a store holds, on one footing: rescaled for splits, adjusted for dividends, checked for revisions.

Each price stands in the store as it was answered first. A later split rescales it, by the ratio that the source told.
A later answer that differs by more than the splits explain is a revision, which is kept only where it is accepted.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from finsentiment.market.adjust import FOUR
from finsentiment.market.sessions import calendar, entry_moments, utc_values
from finsentiment.market.store import KEYS

TOLERANCE = 1e-3
"""Of a price: what sources round when they rescale for a split."""
SETTLED = pd.Timedelta(minutes=15)
"""After the close, when a session's prices are final."""


def last_settled(moment: pd.Timestamp, exchange: str) -> pd.Timestamp:
    """The last session of the exchange whose prices are final at this moment."""
    known = calendar(exchange)
    limit = _utc(moment - SETTLED)
    return known.sessions[int(np.searchsorted(utc_values(known.closes), limit, side="right")) - 1].as_unit("us")


def coming_session(moment: pd.Timestamp, exchange: str, entry: str, latency: int) -> pd.Timestamp:
    """The first session whose entry, less the latency, comes after the moment."""
    ready = _utc(moment + pd.Timedelta(minutes=latency))
    at = int(np.searchsorted(entry_moments(exchange, entry), ready, side="right"))
    return calendar(exchange).sessions[at].as_unit("us")


def new_prices(
    answer: pd.DataFrame, stored: pd.DataFrame, known: pd.DataFrame, told: pd.DataFrame, accepted: set[str]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """The rows of an answer that the store lacks, and revisions of tickers that are `accepted`.

    Parameters
    ----------
    answer : ticker, session and prices, of sessions that are settled
    stored, known : the store's prices, and its splits and dividends, of this source
    told : ticker, session, split of this answer
    accepted : tickers whose revisions are taken

    Returns
    -------
    rows; and of each ticker whose history changed without a split to explain it, what changed. It has no rows
    """
    last = stored.drop_duplicates(KEYS["prices"], keep="last")
    both = answer.merge(last, on=["ticker", "session"], how="left", suffixes=("", "_stored"), indicator=True)
    there = (both["_merge"] == "both").to_numpy()
    fresh = told[["ticker", "session", "split"]].assign(as_of=pd.Series(pd.NaT, told.index, "datetime64[us, UTC]"))
    splits = pd.concat([known[["ticker", "session", "split", "as_of"]], fresh]).drop_duplicates(
        ["ticker", "session", "split"], keep="first"
    )
    factor = split_factor(both["ticker"], both["session"], both["as_of"], splits)
    rescaled, repeated = np.ones(len(both), dtype=bool), np.ones(len(both), dtype=bool)
    for name in FOUR:
        rescaled &= ((both[name] * factor / both[f"{name}_stored"] - 1).abs() <= TOLERANCE).to_numpy()
        # A file that lies there from before a split says again what it said.
        repeated &= (both[name] == both[f"{name}_stored"]).to_numpy()
    revised = there & ~rescaled & ~repeated
    changed = {}
    for ticker, rows in both[revised & ~both["ticker"].isin(accepted).to_numpy()].groupby("ticker", sort=True):
        first = rows.iloc[0]
        expected = first["close_stored"] / factor[rows.index[0]]
        changed[str(ticker)] = (
            f"the close on {first['session'].date()} is {first['close']:g} and was {expected:g}, in {len(rows)} "
            f"sessions no split explains it; if the new prices are right, run again with --accept {ticker}"
        )
    return answer[(~there | revised) & ~answer["ticker"].isin(changed).to_numpy()], changed


def split_factor(ticker: pd.Series, session: pd.Series, as_of: pd.Series, splits: pd.DataFrame) -> pd.Series:
    """By what each stored price must be divided: the product of splits after its session that were told after it.

    Parameters
    ----------
    ticker, session, as_of : of the prices, n rows each
    splits : ticker, session, split, as_of; a missing `as_of` is now
    """
    factor = pd.Series(1.0, index=ticker.index)
    for row in splits[splits["split"] != 1].itertuples():
        later = pd.Series(True, index=as_of.index) if pd.isna(row.as_of) else as_of < row.as_of
        factor[(ticker == row.ticker) & (session < row.session) & later] *= row.split
    return factor


def adjusted_prices(prices: pd.DataFrame, actions: pd.DataFrame, exchange: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """The table of prices as a pipeline reads it, adjusted for splits and dividends.

    A dividend scales all prices before its session by 1 - dividend / last close before it (the method of CRSP and
    Yahoo). A price that came late, since the source had answered without it when it could have told, is left out: what
    was built without it must not move. So is a dividend that came late.

    Parameters
    ----------
    prices, actions : tables of the store, as far as they are to be known

    Returns
    -------
    prices : ticker, session, open, high, low, close, volume, sorted
    facts : `prices_late`, `dividends_late`: how many were left out; `prices_revised`: how many have a later row
    """
    first, last = (_one_each(prices, "prices", keep) for keep in ("first", "last"))
    late = _came_late(first, exchange)
    table = last[~late].reset_index(drop=True)
    told = _one_each(actions, "actions", "last")
    # A split counts from when its ratio was first told, however often it is told again.
    ratios = actions.drop_duplicates(["ticker", "session", "split"], keep="first")
    ratios = ratios.drop_duplicates(["ticker", "session"], keep="last")
    factor = split_factor(table["ticker"], table["session"], table["as_of"], ratios)
    table[FOUR] = table[FOUR].div(factor, axis=0)
    table["volume"] = table["volume"] * factor
    late_paid = _came_late(_one_each(actions, "actions", "first"), exchange) & (told["dividend"] > 0).to_numpy()
    paid = told[(told["dividend"] > 0).to_numpy() & ~late_paid].reset_index(drop=True)
    amount = paid["dividend"] / split_factor(paid["ticker"], paid["session"], paid["as_of"], ratios)
    scale = np.ones(len(table))
    for ticker, session, dividend in zip(paid["ticker"], paid["session"], amount, strict=True):
        before = ((table["ticker"] == ticker) & (table["session"] < session)).to_numpy()
        if before.any():
            scale[before] *= 1 - dividend / table["close"].to_numpy()[before][-1]
    table[FOUR] = table[FOUR].mul(scale, axis=0)
    facts = {
        "prices_late": int(late.sum()),
        "dividends_late": int(late_paid.sum()),
        "prices_revised": len(prices) - len(last),
    }
    return table[["ticker", "session", *FOUR, "volume"]], facts


def _one_each(rows: pd.DataFrame, name: str, keep: str) -> pd.DataFrame:
    """The first or the last row of each ticker and session, sorted by them."""
    return rows.drop_duplicates(KEYS[name], keep=keep).sort_values(["ticker", "session"], ignore_index=True)


def _came_late(rows: pd.DataFrame, exchange: str) -> np.ndarray:
    """Whether the source had answered when it could have told this already."""
    known = calendar(exchange)
    close = utc_values(known.closes)[known.sessions.get_indexer(rows["session"])]
    asked = pd.DatetimeIndex(rows["asked_before_at"]).tz_localize(None).as_unit("us").to_numpy()
    return ~np.isnat(asked) & (asked >= close + SETTLED.to_timedelta64())


def _utc(moment: pd.Timestamp) -> np.datetime64:
    return moment.tz_convert("UTC").tz_localize(None).as_unit("us").to_datetime64()
