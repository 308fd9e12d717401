"""StockNet's own task: which moves are targets, and what may be known of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from finsentiment.errors import InputError
from finsentiment.market.movement import held_until_close, judge, movements
from finsentiment.market.sessions import entry_session
from finsentiment.market.simulate import simulate
from finsentiment.market.sources import read_headlines
from finsentiment.params import Params, validate

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("claim", "moment", "session"),
    [  # in New York the session of 2 October 2015 goes from 13:30 to 20:00 UTC; the next is on the 5th
        ("before the close", "2015-10-02T19:59:59Z", "2015-10-05"),
        ("at the close, when the next move has begun", "2015-10-02T20:00:00Z", "2015-10-06"),
        ("in the night before the open, within the move", "2015-10-02T05:00:00Z", "2015-10-05"),
        ("a second before the open", "2015-10-02T13:29:59Z", "2015-10-05"),
        ("on the weekend", "2015-10-04T12:00:00Z", "2015-10-06"),
    ],
)
def test_news_counts_for_the_move_that_begins_at_the_first_close_after_it(claim, moment, session):
    published = pd.Series(pd.to_datetime([moment]))
    assert entry_session(held_until_close(published, "XNYS"), "XNYS").iloc[0] == pd.Timestamp(session), claim


def test_small_moves_and_stocks_without_tweets_are_no_targets():
    days = pd.date_range("2015-10-05", periods=6)
    close = 100 * np.cumprod([1, 1.0056, 1.0054, 0.9949, 0.9951, 1.02])
    prices = pd.DataFrame({"session": days, "ticker": "A", "close": close})
    rows = pd.DataFrame({"session": days, "ticker": "A", "attention_mean_5": [1, 1, 1, 1, 1, 0]})
    np.testing.assert_equal(movements(rows, prices), [np.nan, 1, np.nan, 0, np.nan, np.nan])


@pytest.fixture(scope="module")
def params() -> Params:
    found = validate(yaml.safe_load((ROOT / "params.yaml").read_text()))
    return found.model_copy(
        update={"backtest": found.backtest.model_copy(update={"seeds": 1, "bootstrap_samples": 200})}
    )


def judged(params: Params, **changed: object) -> dict[str, object]:
    small = {"tickers": 15, "sessions": 505, "start": "2014-01-02", "news_per_session": 1.0, "follow": 0.0}
    section = params.market.simulated.model_copy(update=small | changed)
    market = simulate(section, "XNYS", read_headlines(str(ROOT / "data/sample/headlines.csv")), 3)
    scores = market.truth.rename(columns={"tone": "score"})
    return judge(market.news, market.prices, scores, params.features, params.backtest, "XNYS", 1, 1)


def test_what_news_does_until_the_close_it_is_known_at_helps_nobody(params):
    found = judged(params, reaction=0.05, drift=0.0)["arms"]["fine_tuned"]
    assert found["mcc_low"] < 0 < found["mcc_high"]


def test_what_news_does_after_that_close_is_found(params):
    found = judged(params, reaction=0.0, drift=0.06)["arms"]
    assert found["fine_tuned"]["mcc_low"] > 0.2
    assert found["fine_tuned"]["mcc"] > found["attention"]["mcc"] + 0.1  # not 0: more headlines are good than bad


def test_data_of_other_years_are_refused_with_the_counts(params):
    with pytest.raises(InputError, match="0 to test on from 2015-10-01"):
        judged(params, start="2012-01-03")
