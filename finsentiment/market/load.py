"""The market of the source that the parameters name, checked alike whatever the source."""

from __future__ import annotations

from collections.abc import Callable

from finsentiment.market.checks import OPEN, Entry, MarketData, RawMarket, check_market
from finsentiment.market.sources.live import read_live
from finsentiment.market.sources.simulated import read_simulated
from finsentiment.market.sources.stocknet import read_stocknet_market
from finsentiment.market.sources.tables import read_tables
from finsentiment.params import Market

SOURCES: dict[str, Callable[[Market, int, Entry], RawMarket]] = {
    "simulated": read_simulated,
    "stocknet": read_stocknet_market,
    "tables": read_tables,
    "live": read_live,
}
"""A row for each value of `market.source`: the section market, the seed and the entry to what it reads."""


def load_market(market: Market, seed: int, entry: Entry = OPEN) -> MarketData:
    """Load the market that the parameters name.

    Parameters
    ----------
    market : the section market of the parameters
    seed : for the simulated market
    entry : for the live market

    Raises
    ------
    InputError
        Naming the file, row, column and value that is wrong.
    """
    return check_market(SOURCES[market.source](market, seed, entry), market)
