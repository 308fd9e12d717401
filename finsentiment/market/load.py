"""The market of the source that the parameters name, checked."""

from __future__ import annotations

from collections.abc import Callable

from finsentiment.market.checks import MarketData
from finsentiment.market.sources.simulated import load_simulated
from finsentiment.market.sources.stocknet import load_stocknet
from finsentiment.market.sources.tables import load_tables
from finsentiment.params import Market

SOURCES: dict[str, Callable[[Market, int], MarketData]] = {
    "simulated": load_simulated,
    "stocknet": load_stocknet,
    "tables": load_tables,
}
"""A row for each value of `market.source`: the section market and the seed to news and prices."""


def load_market(market: Market, seed: int) -> MarketData:
    """Load the market that the parameters name.

    Parameters
    ----------
    market : the section market of the parameters
    seed : for the simulated market

    Raises
    ------
    InputError
        Naming the file, row, column and value that is wrong.
    """
    return SOURCES[market.source](market, seed)
