"""What a source answered, checked before it is kept for ever: rows that can't be true are left out and counted."""

from __future__ import annotations

import numpy as np
import pandas as pd

from finsentiment.market.adjust import FOUR
from finsentiment.market.price_checks import ROUNDING
from finsentiment.market.sessions import calendar
from finsentiment.market.store import Answer

AHEAD = pd.Timedelta(days=1)
"""By which a time of publication may lie after the moment: clocks differ, and embargoed news bears the time of its
release."""


def check_answer(
    answer: Answer, tickers: list[str], moment: pd.Timestamp, settled: pd.Timestamp, exchange: str, taken: set[str]
) -> None:
    """Take out of an answer what can't be kept, and count it by reason.

    Parameters
    ----------
    moment : when the run sees what it sees
    settled : the last session whose prices are final
    taken : tickers that have prices of another source
    """
    if answer.news is not None:
        news = answer.news.assign(published_at=pd.to_datetime(answer.news["published_at"], utc=True))
        first = calendar(exchange).opens.iloc[0]
        answer.news = _kept(
            answer,
            news,
            {
                "news_other_ticker": ~news["ticker"].isin(tickers),
                "news_without_time": ~news["published_at"].between(first, moment + AHEAD),
                "news_without_text": news["headline"].fillna("").str.strip() == "",
            },
        )
    if answer.prices is not None:
        prices = answer.prices
        four = prices[FOUR].to_numpy(dtype=float)
        with np.errstate(invalid="ignore"):
            true = (four > 0).all(axis=1) & np.isfinite(four).all(axis=1) & (prices["volume"] >= 0).to_numpy()
            top, bottom = prices[["open", "low", "close"]].max(axis=1), prices[["open", "close"]].min(axis=1)
            ordered = (prices["high"] >= top * (1 - ROUNDING)) & (prices["low"] <= bottom * (1 + ROUNDING))
        answer.prices = _kept(
            answer,
            prices,
            {
                "prices_other_ticker": ~prices["ticker"].isin(tickers),
                "prices_that_another_source_gives": prices["ticker"].isin(taken),
                "prices_not_settled": prices["session"] > settled,
                "prices_no_session": ~prices["session"].isin(calendar(exchange).sessions),
                "prices_not_positive": pd.Series(~true, index=prices.index),
                "prices_out_of_order": ~ordered,
            },
        )
    if answer.actions is not None:
        actions = answer.actions
        due = calendar(exchange).next_session(settled)
        answer.actions = _kept(
            answer,
            actions,
            {
                "actions_other_ticker": ~actions["ticker"].isin(tickers) | actions["ticker"].isin(taken),
                "actions_not_due": actions["session"] > due,  # prices are not rescaled for them yet: told again later
                "actions_no_session": ~actions["session"].isin(calendar(exchange).sessions),
                "actions_not_positive": ~((actions["split"] > 0) & (actions["dividend"] >= 0)),
            },
        )


def _kept(answer: Answer, rows: pd.DataFrame, reasons: dict[str, pd.Series]) -> pd.DataFrame:
    for reason, bad in reasons.items():
        wrong = bad.reindex(rows.index)
        if wrong.any():
            answer.refused[reason] = answer.refused.get(reason, 0) + int(wrong.sum())
            rows = rows[~wrong]
    return rows.reset_index(drop=True)
