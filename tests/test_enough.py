"""What the backtest would refuse after everything is trained is refused before."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from finsentiment.backtest.enough import MIN_IC_SESSIONS, check_enough
from finsentiment.errors import InputError
from finsentiment.market.sessions import sessions_between

SESSIONS = sessions_between("XNYS", pd.Timestamp("2023-01-03"), pd.Timestamp("2023-12-29"))


def tables(tickers: int = 6, sessions: int = 100) -> tuple[pd.DataFrame, pd.DataFrame]:
    names = [f"T{number}" for number in range(tickers)]
    keys = pd.MultiIndex.from_product([names, SESSIONS[:sessions]], names=["ticker", "session"])
    prices = pd.DataFrame(10.0, index=keys, columns=["open", "high", "low", "close", "volume"]).reset_index()
    at = SESSIONS[:sessions].tz_localize("UTC") + pd.Timedelta("9h")
    return pd.DataFrame({"published_at": at.as_unit("us"), "ticker": np.resize(names, len(at))}), prices


def check(news: pd.DataFrame, prices: pd.DataFrame, train: int = 60, least: int = 5) -> None:
    check_enough(news, prices, "XNYS", 1, train, least)


def test_a_market_that_is_large_enough_passes() -> None:
    check(*tables())
    check(*tables(sessions=60 + MIN_IC_SESSIONS + 1))


@pytest.mark.parametrize(
    ("tickers", "sessions", "said"),
    [
        (1, 100, "the prices have 1 ticker, expected at least backtest.min_tickers = 5"),
        (4, 100, "the prices have 4 tickers"),
        (6, 70, r"there are 70 sessions with news and prices \(from 2023-01-03 to 2023-04-13\), expected at least 80"),
        (6, 80, "only 19 of the 20 sessions to judge by"),
    ],
)
def test_too_few_tickers_or_sessions_are_named_with_what_there_is(tickers: int, sessions: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        check(*tables(tickers, sessions))


def test_news_and_prices_of_different_years_are_named_by_their_days() -> None:
    news, prices = tables()
    early = news.assign(published_at=news["published_at"] - pd.DateOffset(years=5))
    with pytest.raises(InputError, match=r"news from 2018-01-03 to 2018-05-25, prices from 2023-01-03 to 2023-05-25"):
        check(early, prices)


def test_sessions_on_which_too_few_tickers_have_prices_don_t_count() -> None:
    news, prices = tables()
    # A position of the last session takes the delisting's return; after that three tickers are left.
    gone = prices["ticker"].isin(["T4", "T5"]) & (prices["session"] > SESSIONS[70])
    with pytest.raises(InputError, match="only 11 of the 40 sessions to judge by .* have backtest.min_tickers = 5"):
        check(news, prices[~gone])
