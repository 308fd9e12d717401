"""Prices and news on a grid of exchange sessions and tickers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from finsentiment.market.sessions import sessions_between

Columns = dict[str, np.ndarray]  # name -> array of sessions x tickers
PRICE_FIELDS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Panel:
    """Prices on a grid of S sessions x K tickers, NaN where a ticker has none.

    sessions : DatetimeIndex of S, every session of the exchange
    tickers : Index of K, sorted
    fields : open, high, low, close and volume, each S x K
    listed : S x K, True from a ticker's first price to its last, gaps included: the rows of the feature table
    ranked : S x K, True where a ticker is listed and in the universe of its session
    """

    sessions: pd.DatetimeIndex
    tickers: pd.Index
    fields: Columns
    listed: np.ndarray
    ranked: np.ndarray

    def between(self, inside: np.ndarray) -> Panel:
        """The panel of the sessions where `inside` (S) is true."""
        fields = {name: values[inside] for name, values in self.fields.items()}
        return Panel(self.sessions[inside], self.tickers, fields, self.listed[inside], self.ranked[inside])


def to_panel(prices: pd.DataFrame, exchange: str) -> Panel:
    """Spread the price table over the exchange's sessions from its first price to its last.

    A ticker is in the universe of a session where the column `universe` says so; in a gap it is where it was last. All
    are, always, where the table has no such column.
    """
    sessions = sessions_between(exchange, prices["session"].min(), prices["session"].max())
    tickers = pd.Index(np.unique(prices["ticker"].to_numpy(dtype=object)), dtype="str")
    row, column = sessions.get_indexer(prices["session"]), tickers.get_indexer(prices["ticker"])
    fields = {name: np.full((len(sessions), len(tickers)), np.nan) for name in PRICE_FIELDS}
    for name, array in fields.items():
        array[row, column] = prices[name]
    known = ~np.isnan(fields["close"])
    listed = np.maximum.accumulate(known) & np.maximum.accumulate(known[::-1])[::-1]
    ranked = listed
    if "universe" in prices:
        member = np.full(listed.shape, np.nan)
        member[row, column] = prices["universe"].astype(float)
        ranked = listed & (pd.DataFrame(member).ffill().to_numpy() == 1)
    return Panel(sessions, tickers, fields, listed, ranked)


def cells(entry: pd.Series, ticker: pd.Series, panel: Panel) -> np.ndarray:
    """Where each of n headlines counts: the flat index (session x K + ticker) into the panel.

    -1 where it has no place: its `entry` session lies outside the panel, or its ticker has no prices.
    """
    session, ticker = panel.sessions.get_indexer(entry), panel.tickers.get_indexer(ticker)
    return np.where((session >= 0) & (ticker >= 0), session * len(panel.tickers) + ticker, -1)


def per_cell(cell: np.ndarray, shape: tuple[int, int], weight: np.ndarray | None = None) -> np.ndarray:
    """Number of headlines in each cell, or the sum of their `weight` (one each): S x K."""
    placed = cell >= 0
    weights = None if weight is None else weight[placed]
    return np.bincount(cell[placed], weights, shape[0] * shape[1]).astype(float).reshape(shape)


def listed_rows(panel: Panel, columns: Columns) -> pd.DataFrame:
    """The listed cells of the arrays as a table sorted by session and ticker."""
    row, column = np.nonzero(panel.listed)
    keys = {"session": panel.sessions.to_numpy()[row], "ticker": panel.tickers.to_numpy()[column]}
    return pd.DataFrame(keys | {name: array[row, column] for name, array in columns.items()})
