"""Prices adjusted alike for splits and dividends: an adjusted close that differs, and moves that look like splits."""

from __future__ import annotations

import numpy as np
import pandas as pd

from finsentiment.errors import InputError
from finsentiment.intake.tables import also, where

FOUR = ["open", "high", "low", "close"]
SPLITS = (2, 3, 4, 5, 10, 20, 50)
NEAR = 0.05  # of the logarithm: a price moves on the day of a split as on any other
SURE = 5  # a move by this factor overnight is a split before it is news, whatever the volume did
AROUND = 5  # sessions before and after whose median volumes are compared
# An adjusted close differs when it does by more than rounding to cents explains: half a cent, of a price below one by
# this share, and of a large price by the other.
CENT, PENNY, ROUNDING = 0.0051, 0.01, 1e-4


def adjust_prices(prices: pd.DataFrame, rule: str, path: str) -> tuple[pd.DataFrame, int]:
    """Prices without the column `adj_close`, by `market.adjusted_close`.

    `refuse`: an adjusted close that differs from the close is an error; `use`: all four prices are multiplied by
    adj_close / close, the volume stays; `ignore`: the column is not looked at.

    Returns
    -------
    prices, and the number of rows that were adjusted

    Raises
    ------
    InputError
        An adjusted close differs and the rule is `refuse`, or it is no positive number and the rule is `use`.
    """
    if "adj_close" not in prices:
        return prices, 0
    adjusted, close = prices["adj_close"], prices["close"]
    prices = prices.drop(columns="adj_close")
    differs = (adjusted - close).abs() > np.maximum(ROUNDING * close, np.minimum(CENT, PENNY * close))
    if rule == "ignore" or not differs.any():
        return prices, 0
    first = differs.idxmax()
    place = f"{where(path, prices, first)} ({prices['ticker'][first]}, {prices['session'][first].date()})"
    if rule == "refuse":
        raise InputError(
            f"{place}: close = {close[first]:g}, the adjusted close = {adjusted[first]:g}{also(int(differs.sum()))}: "
            "open, high, low and close are not adjusted for splits and dividends; set market.adjusted_close=use, which "
            "adjusts all four alike, or ignore if they need no adjustment",
            {"market.adjusted_close": "use"},
        )
    bad = ~(adjusted > 0)
    if bad.any():
        first = bad.idxmax()
        raise InputError(
            f"{where(path, prices, first)} ({prices['ticker'][first]}, {prices['session'][first].date()}): the "
            f"adjusted close = {adjusted[first]:g}, expected a positive number{also(int(bad.sum()))}; correct it"
        )
    prices[FOUR] = prices[FOUR].mul(adjusted / close, axis=0)
    return prices, int(differs.sum())


def overnight_moves(prices: pd.DataFrame) -> pd.DataFrame:
    """The largest move of each ticker from a close to the next open, largest first.

    Returns
    -------
    columns ticker, session (of the open), move (open / close before it - 1), volume_ratio (median volume of the
    sessions from then on against those before, `AROUND` each; NaN where there is none), like_split (the factor of
    the split that it looks like, 0 for none: near 2, 3, 4, 5, 10, 20, 50 or one by it, the volume moving the other
    way, or from 5 on whatever the volume did)
    """
    table = prices.sort_values(["ticker", "session"], ignore_index=True)
    by = table.groupby("ticker", sort=False)
    gap = np.log(table["open"] / by["close"].shift(1))
    table = table.assign(gap=gap, like_split=0)
    near = np.abs(np.abs(gap.to_numpy())[:, None] - np.log(SPLITS)).min(axis=1) < NEAR
    largest = gap.abs().sort_values(ascending=False, kind="stable").dropna().index
    largest = table.loc[largest].drop_duplicates("ticker").index
    owner, traded = pd.factorize(table["ticker"])[0], table["volume"].to_numpy()
    volume = pd.Series(np.nan, index=table.index)
    for at in sorted({*np.flatnonzero(near).tolist(), *largest.tolist()}):
        around = np.arange(max(at - AROUND, 0), min(at + AROUND, len(table)))
        around = around[owner[around] == owner[at]]
        before, after = traded[around[around < at]], traded[around[around >= at]]
        if len(before) and np.median(before) > 0:
            volume[at] = np.median(after) / np.median(before)
    factor = np.array(SPLITS)[np.abs(np.abs(gap.to_numpy())[:, None] - np.log(SPLITS)).argmin(axis=1)]
    moved = np.log(volume.fillna(1.0).clip(lower=1e-12)).to_numpy() * -np.sign(gap.to_numpy()) > np.log(factor) / 2
    table["like_split"] = np.where(near & (moved | (factor >= SURE)), factor, 0)
    table = table.assign(move=np.expm1(gap), volume_ratio=volume)
    # A ticker's row is its largest move, or the largest that looks like a split.
    ranked = table.assign(size=gap.abs(), split=table["like_split"] > 0)[gap.notna()]
    ranked = ranked.sort_values(["split", "size", "ticker"], ascending=[False, False, True], kind="stable")
    one = ranked.drop_duplicates("ticker")
    return one[["ticker", "session", "move", "volume_ratio", "like_split"]].reset_index(drop=True)
