"""Whether news and prices can carry a backtest: seen from the tables, before anything is trained."""

from __future__ import annotations

import numpy as np
import pandas as pd

from finsentiment.errors import InputError
from finsentiment.features.columns import forward_return
from finsentiment.features.panel import cells, to_panel
from finsentiment.market.sessions import next_open

MIN_IC_SESSIONS = 20
"""Sessions with a rank IC that a verdict needs: from fewer, an interval means nothing."""


def check_enough(
    news: pd.DataFrame, prices: pd.DataFrame, exchange: str, horizon: int, train_sessions: int, min_tickers: int
) -> None:
    """Refuse a market that the backtest would refuse after everything is trained.

    Parameters
    ----------
    news, prices : tables of `prepare`
    horizon : of the forward return, in sessions
    train_sessions, min_tickers : as in the section `backtest` of the parameters

    Raises
    ------
    InputError
        News and prices don't overlap, or there are too few tickers or sessions; it says how many of what there are.
    """
    tickers = prices["ticker"].nunique()
    if tickers < min_tickers:
        raise InputError(
            f"the prices have {tickers} ticker{'s' if tickers != 1 else ''}, expected at least backtest.min_tickers = "
            f"{min_tickers}: a rank IC compares tickers; give more tickers, or lower backtest.min_tickers"
        )
    panel = to_panel(prices, exchange)
    entry = next_open(news["published_at"], exchange)
    placed = entry[cells(entry, news["ticker"], panel) >= 0]
    if placed.empty:
        raise InputError(
            f"no news counts for a session with prices: news from {_day(news['published_at'].min())} to "
            f"{_day(news['published_at'].max())}, prices from {_day(panel.sessions[0])} to {_day(panel.sessions[-1])}; "
            "give news and prices of the same period"
        )
    inside = (panel.sessions >= placed.min()) & (panel.sessions <= placed.max()) & panel.listed.any(axis=1)
    sessions = int(inside.sum())
    least = MIN_IC_SESSIONS + horizon - 1
    needed = train_sessions + least
    span = f"from {_day(placed.min())} to {_day(placed.max())}"
    remedy = f"give a longer period, or lower backtest.train_sessions = {train_sessions}"
    if sessions < needed:
        raise InputError(
            f"there are {sessions} sessions with news and prices ({span}), expected at least {needed}: "
            f"{train_sessions} to train on (backtest.train_sessions), {least} to judge by; {remedy}"
        )
    returns, _ = forward_return(panel, horizon, "open", 0.0)
    known = (np.isfinite(returns) & panel.ranked)[inside].sum(axis=1)
    judged = int((known[train_sessions:] >= min_tickers).sum())
    if judged < least:
        raise InputError(
            f"only {judged} of the {sessions - train_sessions} sessions to judge by ({span}) have "
            f"backtest.min_tickers = {min_tickers} tickers with prices {horizon} session"
            f"{'s' if horizon != 1 else ''} ahead, expected {least}; {remedy}, or give more tickers"
        )


def _day(moment: pd.Timestamp) -> str:
    return str(moment.date())
