"""StockNet's own task: which moves are targets, and what may be known of them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import matthews_corrcoef

from finsentiment.backtest.movement import TEST_END, TEST_START, _scores, judge_movement, movements
from finsentiment.errors import InputError
from finsentiment.market.sessions import session_after_close, sessions_between
from finsentiment.market.simulate import simulate_market
from finsentiment.market.sources import stocknet
from finsentiment.market.sources.simulated import read_headlines
from finsentiment.params import Params, check_params

ROOT = Path(__file__).parents[1]
ARCHIVE = ROOT.parent / "shared" / "data" / "stocknet-dataset-330708b.tar.xz"


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
    assert session_after_close(published, "XNYS").iloc[0] == pd.Timestamp(session), claim


def prices(days: pd.DatetimeIndex, close: object) -> pd.DataFrame:
    fields = dict.fromkeys(("open", "high", "low", "close"), close)
    return pd.DataFrame({"session": days, "ticker": "A", "volume": 1.0, **fields})


def test_small_moves_are_no_targets():
    days = sessions_between("XNYS", pd.Timestamp("2015-10-05"), pd.Timestamp("2015-10-12"))
    table = prices(days, 100 * np.cumprod([1, 1.0056, 1.0054, 0.9949, 0.9951, 1.02]))
    rows = pd.DataFrame({"session": days, "ticker": "A"})
    np.testing.assert_equal(movements(rows, table, "XNYS"), [np.nan, 1, np.nan, 0, np.nan, 1])


def test_a_move_over_a_missing_session_is_no_target():
    days = sessions_between("XNYS", pd.Timestamp("2015-10-05"), pd.Timestamp("2015-10-08"))[[0, 2, 3]]
    rows = pd.DataFrame({"session": days, "ticker": "A"})
    np.testing.assert_equal(movements(rows, prices(days, [100, 103, 105]), "XNYS"), [np.nan, np.nan, 1])


def test_matthews_correlation_of_a_hand_checked_case_is_sklearns():
    rng = np.random.default_rng(0)
    said, actual, session = rng.random(200) < 0.6, rng.random(200) < 0.5, np.arange(200) % 7
    scores = _scores(said, actual, session, np.arange(7)[None])
    assert scores[0] == pytest.approx([np.mean(said == actual), matthews_corrcoef(actual, said)])
    assert scores[1] == pytest.approx(scores[0])  # every session once is the same targets
    assert _scores(np.ones(3, bool), np.array([True, False, True]), np.zeros(3, int), np.zeros((1, 1), int))[0, 1] == 0


@pytest.fixture(scope="module")
def params() -> Params:
    found = check_params(yaml.safe_load((ROOT / "params.yaml").read_text()))
    return found.model_copy(
        update={"backtest": found.backtest.model_copy(update={"seeds": 1, "bootstrap_samples": 200})}
    )


def judged(params: Params, **changed: object) -> dict[str, object]:
    small = {"tickers": 15, "sessions": 505, "start": "2014-01-02", "news_per_session": 1.0, "follow": 0.0}
    section = params.market.simulated.model_copy(update=small | changed)
    market = simulate_market(section, "XNYS", read_headlines(str(ROOT / "data/sample/headlines.csv")), 3)
    scores = market.truth.rename(columns={"truth": "fine_tuned"})
    return judge_movement(market.news, market.prices, scores, params.features, params.backtest, "XNYS", 1, 1)


def test_what_news_does_until_the_close_it_is_known_at_helps_nobody(params):
    found = judged(params, reaction=0.05, drift=0.0)["arms"]["fine_tuned"]
    assert found["mcc_low"] < 0 < found["mcc_high"]


def test_what_news_does_after_that_close_is_found(params):
    found = judged(params, reaction=0.0, drift=0.06)
    assert found["arms"]["fine_tuned"]["mcc_low"] > 0.2
    assert found["gain"]["mcc_low"] > 0  # prices tell some of it: the drift goes on for sessions


def test_data_of_other_years_are_refused_with_the_counts(params):
    with pytest.raises(InputError, match="0 to test on from 2015-10-01"):
        judged(params, start="2012-01-03")


@pytest.mark.skipif(not ARCHIVE.is_file(), reason=f"{ARCHIVE} is not here")
def test_stocknet_has_as_many_targets_to_test_on_as_its_paper_says():
    files = itertools.takewhile(lambda file: "/price/" in file[0], stocknet._files(ARCHIVE))  # tweets come after
    table = pd.concat([stocknet._prices(name, content, name) for name, content in files])
    days = table["session"]
    tested = table[(days >= TEST_START) & (days < TEST_END)]
    assert np.isfinite(movements(tested, table, "XNYS")).sum() == 3720
