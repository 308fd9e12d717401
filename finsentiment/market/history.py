"""The prices that a store holds, on one footing: rescaled for splits, adjusted for dividends, checked for revisions.

Each price stands in the store as it was answered first. A later split rescales it, by the ratio that the source told.
A later answer that differs by more than the splits explain is a revision, which is kept only where it is accepted.
What comes late is kept too, but no session counts whose features rest on it and whose entry came before
(`known_in_time`).
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
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, str]]:
    """The rows of an answer that the store lacks, and revisions of tickers that are `accepted`.

    A split is held back, to be told again, where the source has not rescaled the prices before it and gives new ones of
    these: told later, it rescales them all.

    Parameters
    ----------
    answer : ticker, session and prices, of sessions that are settled
    stored, known : the store's prices, and its splits and dividends, of this source
    told : ticker, session, split, dividend of this answer
    accepted : tickers whose revisions are taken

    Returns
    -------
    rows, with `accepted`; actions of `told` to keep; and of each ticker whose history changed without a split to
    explain it, what changed. It has neither rows nor actions
    """
    first = stored[stored["accepted"] | ~stored.duplicated(KEYS["prices"])]
    last = first.drop_duplicates(KEYS["prices"], keep="last").drop(columns="accepted")
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
        row = rows.iloc[0]
        expected = row["close_stored"] / factor[rows.index[0]]
        changed[str(ticker)] = (
            f"the close on {row['session'].date()} is {row['close']:g} and was {expected:g}, in {len(rows)} "
            f"sessions no split explains it; if the new prices are right, run again with --accept {ticker}"
        )
    waits = both.assign(unmoved=there & repeated & ~rescaled, new=~there)
    early = [
        bool(mine["unmoved"].any() and mine["new"].any() and split != 1)
        for split, mine in (
            (action.split, waits[(waits["ticker"] == action.ticker) & (waits["session"] < action.session)])
            for action in told.itertuples()
        )
    ]
    rows = answer.assign(accepted=revised)[(~there | revised) & ~answer["ticker"].isin(changed).to_numpy()]
    return rows, told[~np.array(early, dtype=bool) & ~told["ticker"].isin(changed).to_numpy()], changed


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


def adjusted_prices(prices: pd.DataFrame, actions: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The table of prices as a pipeline reads it, adjusted for splits and dividends.

    A dividend scales all prices before its session by 1 - dividend / last close before it (the method of CRSP and
    Yahoo). A price, a split and a dividend count as they were told first; a later price only where it was accepted.

    Parameters
    ----------
    prices, actions : tables of the store, as far as they are to be known

    Returns
    -------
    prices : ticker, session, open, high, low, close, volume, sorted
    revised : how many rows took the place of another, or had to leave it
    """
    table = prices[prices["accepted"] | ~prices.duplicated(KEYS["prices"])]
    table = table.drop_duplicates(KEYS["prices"], keep="last").sort_values(["ticker", "session"], ignore_index=True)
    splits, dividends = (told_first(actions, name) for name in ("split", "dividend"))
    factor = split_factor(table["ticker"], table["session"], table["as_of"], splits)
    table[FOUR] = table[FOUR].div(factor, axis=0)
    table["volume"] = table["volume"] * factor
    amount = dividends["dividend"] / split_factor(dividends["ticker"], dividends["session"], dividends["as_of"], splits)
    scale = np.ones(len(table))
    for ticker, session, dividend in zip(dividends["ticker"], dividends["session"], amount, strict=True):
        before = ((table["ticker"] == ticker) & (table["session"] < session)).to_numpy()
        if before.any() and dividend < table["close"].to_numpy()[before][-1]:
            scale[before] *= 1 - dividend / table["close"].to_numpy()[before][-1]
    table[FOUR] = table[FOUR].mul(scale, axis=0)
    return table[["ticker", "session", *FOUR, "volume"]], len(prices) - len(table)


def told_first(actions: pd.DataFrame, name: str) -> pd.DataFrame:
    """Of each split, or each dividend, what was told first: one row by ticker and session."""
    nothing = {"split": 1.0, "dividend": 0.0}[name]
    return actions[actions[name] != nothing].drop_duplicates(["ticker", "session"], ignore_index=True)


def known_in_time(
    prices: pd.DataFrame, actions: pd.DataFrame, sessions: pd.DatetimeIndex, exchange: str, entry: str, latency: int
) -> pd.DataFrame:
    """Whether all that the features of a session rest on was known here before its entry: `sessions` x tickers.

    What came late counts for none of the sessions between: of a ticker's first answer, which holds its history, for
    none before it.

    Parameters
    ----------
    prices, actions : tables of the store
    sessions : consecutive sessions of the exchange
    """
    prices = prices[prices["accepted"] | ~prices.duplicated(KEYS["prices"])]
    told = pd.concat([prices[["ticker", "session", "as_of"]], *(told_first(actions, n) for n in ("split", "dividend"))])
    tickers = pd.Index(np.unique(prices["ticker"]))
    told = told[told["ticker"].isin(tickers)].drop_duplicates(["ticker", "session", "as_of"])
    known = calendar(exchange).sessions
    moments = pd.DatetimeIndex(told["as_of"])
    ready = utc_values(moments) + np.timedelta64(latency, "m")
    coming = known[np.searchsorted(entry_moments(exchange, entry), ready, side="right")]
    begin = sessions.searchsorted(told["session"], side="right")
    end = np.maximum(begin, sessions.searchsorted(coming))
    late = np.zeros((len(sessions) + 1, len(tickers)), dtype=int)
    column = tickers.get_indexer(told["ticker"])
    np.add.at(late, (begin, column), 1)
    np.add.at(late, (end, column), -1)
    first = prices.groupby("ticker")["session"].min().reindex(tickers).to_numpy()
    before = sessions.to_numpy()[:, None] <= first
    return pd.DataFrame((late[:-1].cumsum(axis=0) == 0) & ~before, sessions, tickers)


def _utc(moment: pd.Timestamp) -> np.datetime64:
    return moment.tz_convert("UTC").tz_localize(None).as_unit("us").to_datetime64()
