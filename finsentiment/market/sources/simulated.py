"""The simulated market: headlines of known tone from a file, told about invented companies."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from finsentiment.errors import InputError
from finsentiment.intake.columns import Columns
from finsentiment.intake.tables import read_user_table, where
from finsentiment.market.checks import OPEN, Entry, RawMarket
from finsentiment.market.simulate import simulate_market
from finsentiment.params import Market


def read_simulated(market: Market, seed: int, entry: Entry = OPEN) -> RawMarket:
    """Simulate the market that the parameters describe; the same for the same seed. `entry` is not needed.

    Raises InputError where the headlines break their format or the sessions are not all known.
    """
    found = simulate_market(market.simulated, market.exchange, read_headlines(market.path), seed)
    return RawMarket(found.news, found.prices, {}, ("simulated news", "simulated prices"), found.truth)


def read_headlines(path: str | Path) -> pd.DataFrame:
    """Read the headlines of the simulated market: `headline` with `{company}` once, and its `tone` -1, 0 or 1."""
    table = read_user_table(path, Columns(("headline", "tone"))).rows
    for row, headline, tone in zip(table.index, table["headline"], table["tone"], strict=True):
        if headline.count("{company}") != 1:
            raise InputError(
                f"{where(path, table, row)}: headline = {headline!r}: expected {{company}} in it exactly once"
            )
        if tone not in ("-1", "0", "1"):
            raise InputError(f"{where(path, table, row)}: tone = {tone!r}: expected -1, 0 or 1")
    if table.empty:
        raise InputError(f"{path}: no headlines; expected at least one row below headline,tone")
    return table.assign(tone=table["tone"].astype(int))
