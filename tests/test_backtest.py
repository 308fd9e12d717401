"""The portfolio, the verdict's rule, and whole backtests of small markets whose truth is known."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsentiment.backtest.evidence import Estimate
from finsentiment.backtest.placebos import rank_among_placebos
from finsentiment.backtest.portfolio import portfolio_metrics, sharpe, trade_forecast, weights_of
from finsentiment.backtest.run import paired_verdict, run_backtest
from finsentiment.backtest.verdict import Evidence, decide_verdict, verdict_in_words
from finsentiment.errors import InputError
from finsentiment.features.build import HORIZONS
from finsentiment.files import round_figures
from finsentiment.params import Backtest, LightGBM

PARAMS = Backtest(
    train_sessions=60,
    test_sessions=50,
    embargo=1,
    seeds=2,
    min_tickers=5,
    cost_bps=10.0,
    other_costs_bps=[0.0, 25.0],
    trials_before=0,
    bootstrap_samples=300,
    placebos=20,
    significance=0.05,
    lightgbm=LightGBM(trees=15, learning_rate=0.1, leaves=4, min_leaf=0.02, column_share=0.5, row_share=0.8, bins=63),
)


def market(effect, seed=0, tickers=15, sessions=150):
    """Features of noise, news on 4 of 10 rows; `effect(score, covered, session)` is added to returns of sd 1 %."""
    rng = np.random.default_rng(seed)
    session, ticker = (part.ravel() for part in np.indices((sessions, tickers)))
    covered = rng.random(len(session)) < 0.4
    score = np.where(covered, rng.uniform(-1, 1, len(session)), 0.0)
    forward = rng.normal(0, 0.01, len(session)) + effect(score, covered, session)
    forward[session == sessions - 1] = np.nan
    return pd.DataFrame(
        {
            "session": pd.bdate_range("2024-01-01", periods=sessions).to_numpy()[session],
            "ticker": np.array([f"T{k:02d}" for k in range(tickers)])[ticker],
            "price_return": rng.normal(size=len(session)),
            "price_volatility": rng.random(len(session)),
            "attention_covered": covered.astype(float),
            "attention_count": np.log1p(covered * rng.integers(1, 4, len(session)).astype(float)),
            "fine_tuned_level": score,
            "fine_tuned_size": np.abs(score),
            "tradable": True,
            "forward_return": forward,
            **{f"return_{h}": forward for h in HORIZONS},
        }
    )


def planted(score, covered, session):
    return 0.015 * score


@pytest.fixture(scope="module")
def found():
    return run_backtest(market(planted), PARAMS, horizon=1, seed=5, threads=1)


def test_a_planted_signal_improves_the_forecast(found):
    figures = found.metrics
    assert figures["verdict"] == "improves"
    assert figures["gain"]["fine_tuned"]["low"] > 0 and figures["gain"]["fine_tuned"]["p"] < 0.05
    for placebo in figures["placebo"].values():
        assert placebo["p"] == 1 / 21 and placebo["mean"] < placebo["observed"] / 2
    assert not figures["gain"]["attention"]["low"] > 0
    assert figures["spa_p"] < 0.05
    assert list(figures["ic_by"]["news"]) == ["no news", "one headline", "more"]
    assert figures["ic_by"]["horizon"]["1"]["mean"] == pytest.approx(figures["ic"]["fine_tuned"]["mean"])
    assert found.words.startswith("Sentiment improves the forecast. Mean daily rank IC: 0.")
    gains = found.importance.set_index(["arm", "feature"])["gain_share"]
    assert gains["fine_tuned"].idxmax() == "fine_tuned_level"
    assert paired_verdict(market(planted), PARAMS, 1, 5)[0] == "improves"


def test_every_row_and_session_is_accounted_for(found):
    counts = found.metrics["counts"]
    assert counts == {
        "folds": 2,
        "rows": 2250,
        "rows_without_forward_return": 15,
        "sessions": 150,
        "sessions_before_first_forecast": 60,
        "sessions_below_min_tickers": 1,
        "sessions_with_ic": 89,
    }
    assert len(found.ic) == len(found.equity) == 89
    mean = found.ic.drop(columns="session").iloc[-1] / 89
    assert mean.to_dict() == pytest.approx({arm: ic["mean"] for arm, ic in found.metrics["ic"].items()})


def test_shuffled_rows_columns_and_other_threads_give_the_same_bytes(found):
    features = market(planted)
    columns = np.random.default_rng(1).permutation(features.columns)
    again = run_backtest(features.sample(frac=1, random_state=1)[columns], PARAMS, horizon=1, seed=5, threads=2)
    assert json.dumps(round_figures(again.metrics), sort_keys=True) == json.dumps(
        round_figures(found.metrics), sort_keys=True
    )
    for name in ("ic", "equity", "placebo", "importance"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(found, name), check_exact=True)


def test_fine_tuned_of_noise_is_no_evidence():
    assert run_backtest(market(lambda score, *_: 0 * score), PARAMS, 1, 5, 1).metrics["verdict"] == "no evidence"


def test_an_effect_of_being_in_the_news_is_not_one_of_sentiment():
    found = run_backtest(market(lambda score, covered, _: 0.01 * covered), PARAMS, 1, 5, 1)
    assert found.metrics["verdict"] == "no evidence"
    assert found.metrics["gain"]["attention"]["low"] > 0


def test_a_signal_that_turns_against_its_past_hurts():
    turning = market(lambda score, _, session: 0.02 * score * np.where(session < 62, 1, -1))
    found = run_backtest(turning, PARAMS.model_copy(update={"test_sessions": 90}), 1, 5, 1)
    assert found.metrics["verdict"] == "hurts"
    assert found.metrics["placebo"]["shuffled"]["p_hurts"] == 1 / 21


def test_scores_that_are_all_equal_are_no_evidence():
    features = market(planted).assign(fine_tuned_level=0.0, fine_tuned_size=0.0)
    found = run_backtest(features, PARAMS, 1, 5, 1)
    assert found.metrics["verdict"] == "no evidence"
    assert {p["p"] for p in found.metrics["placebo"].values()} == {1.0}


def test_features_that_are_all_equal_do_not_crash():
    features = market(planted)
    names = [name for name in features if name.startswith(("price_", "attention_", "fine_tuned_"))]
    found = run_backtest(
        features.assign(**dict.fromkeys(names, 1.0)), PARAMS.model_copy(update={"placebos": 2}), 1, 5, 1
    )
    assert found.metrics["verdict"] == "no evidence"
    assert {figures["mean"] for figures in found.metrics["ic"].values()} == {0.0}
    assert {arm["long_short"]["turnover"] for arm in found.metrics["portfolio"].values()} == {0.0}


def test_bad_features_are_refused_by_name():
    features = market(planted)
    first = features.iloc[[0]]
    cases = {
        r"no column forward_return, return_21, fine_tuned_\*": features.drop(
            columns=["forward_return", "return_21", "fine_tuned_level", "fine_tuned_size"]
        ),
        r"session 2024-01-01, ticker T00 twice": pd.concat([features, first]),
        r"infinite price_return at session 2024-01-01, ticker T00": pd.concat(
            [first.assign(price_return=np.inf), features.iloc[1:]]
        ),
        r"hold 50 sessions and backtest.train_sessions = 60": features[: 50 * 15],
        r"only 9 of the 10 forecast sessions have backtest.min_tickers = 5": pd.concat(
            [features[: 69 * 15], features[69 * 15 : 70 * 15].assign(forward_return=np.nan)]
        ),
    }
    for message, broken in cases.items():
        with pytest.raises(InputError, match=message):
            run_backtest(broken, PARAMS, 1, 5, 1)


def test_the_purge_follows_the_horizon_and_the_embargo():
    with pytest.raises(InputError, match=r"features.horizon = 59 and backtest.embargo = 1"):
        run_backtest(market(planted), PARAMS, 59, 5, 1)


@pytest.mark.parametrize(
    ("low", "high", "below", "above", "expected"),  # the interval, and how many placebos gain less and more
    [
        (0.01, 0.03, 20, 0, "improves"),
        (0.01, 0.03, 19, 1, "no evidence"),  # a placebo does as well
        (-0.01, 0.05, 20, 0, "no evidence"),  # the interval holds 0
        (0.0, 0.05, 20, 0, "no evidence"),
        (-0.03, -0.01, 0, 20, "hurts"),
        (-0.03, -0.01, 1, 19, "no evidence"),
        (-0.03, -0.01, 20, 0, "no evidence"),  # columns without meaning do worse still
        (0.01, 0.03, 5, 0, "improves"),  # too few placebos for 0.05: better than all of them
        (0.01, 0.03, 4, 1, "no evidence"),
        (0.01, 0.03, 0, 0, "improves"),  # no placebos: the interval decides
    ],
)
def test_the_verdict_needs_the_interval_and_the_placebos(low, high, below, above, expected):
    difference = Estimate((low + high) / 2, low, high, 0.01, 3.0 * np.sign(low + high))
    against = rank_among_placebos(0.0, np.array([-1.0] * below + [1.0] * above))
    none = rank_among_placebos(0.0, np.array([]))
    for found in (Evidence(difference, against, none), Evidence(difference, none, against)):
        assert decide_verdict(found, significance=0.05) == expected
    doubtful = Evidence(Estimate(difference.mean, low, high, 0.01, 1.9 * np.sign(low + high)), none, none)
    assert decide_verdict(doubtful, significance=0.05) == "no evidence"


@pytest.mark.parametrize(("above", "expected"), [(4, "improves"), (5, "no evidence")])
def test_of_100_placebos_at_most_four_may_do_as_well(above, expected):
    difference = Estimate(0.02, 0.01, 0.03, 0.01, 3.0)
    against = rank_among_placebos(0.0, np.array([-1.0] * (100 - above) + [1.0] * above))
    assert decide_verdict(Evidence(difference, against, against), significance=0.1) == expected


def test_the_verdict_in_words_says_which_placebos_were_beaten():
    shuffled, shifted = (rank_among_placebos(0.0, np.array([-1.0] * n + [1.0] * (8 - n))) for n in (3, 5))
    found = Evidence(Estimate(-0.0001, -0.0169, 0.0369, 0.9, 0.0), shuffled, shifted)
    assert verdict_in_words("no evidence", 0.0901, 0.0630, found, 0.1) == (
        "There is no evidence that sentiment changes the forecast. Mean daily rank IC: 0.090 with sentiment, 0.063 "
        "without; the gain is 0.000 (90 % interval -0.017 to 0.037). The real scores beat 3 of 8 shuffles across "
        "tickers and 5 of 8 shifts in time."
    )


FORECAST = np.array([5.0, 4, 3, 2, 1, 1, 4, 3, 2, 5])  # two sessions of five tickers: A above E, then E above A
RETURN = np.array([0.04, 0.9, 0.9, 0.9, -0.02, 0.01, 0.9, 0.9, 0.9, 0.03])
SESSION, TICKER = np.repeat([7, 8], 5), np.tile(list("ABCDE"), 2)
ALL = np.ones(10, dtype=bool)


def test_returns_turnover_and_costs_of_a_hand_checked_portfolio():
    trades = trade_forecast(FORECAST, RETURN, ALL, SESSION, TICKER, horizon=1, min_tickers=5, short=True)
    # +1/2 A -1/2 E, then the reverse: 1 to enter, 2 to turn round, 1 to close at the end.
    np.testing.assert_allclose(trades.gross, [0.03, 0.01])
    np.testing.assert_allclose(trades.turnover, [1, 3])
    np.testing.assert_allclose(trades.net(20), [0.028, 0.004])
    np.testing.assert_allclose(trades.equity(20), [1.028, 1.028 * 1.004])
    figures = portfolio_metrics(trades, horizon=1, costs_bps=[20, 0], samples=100, significance=0.05, seed=1)
    assert figures["break_even_bps"] == pytest.approx(100)
    assert figures["gross_return"] == pytest.approx(0.02 * 252)
    assert figures["turnover"] == 2 and figures["costs"]["20"]["max_drawdown"] == 0
    assert figures["costs"]["20"]["net_return"] == pytest.approx(0.016 * 252)
    assert figures["costs"]["0"]["net_return"] == pytest.approx(0.02 * 252)
    assert sharpe(np.array([0.0, 0.02]), 252) == pytest.approx(0.01 / (0.02 / np.sqrt(2)) * np.sqrt(252))


def test_a_long_only_portfolio_holds_the_top_fifth():
    trades = trade_forecast(FORECAST, RETURN, ALL, SESSION, TICKER, horizon=1, min_tickers=5, short=False)
    np.testing.assert_allclose(trades.gross, [0.04, 0.03])
    np.testing.assert_allclose(trades.turnover, [1, 3])


def test_drawdown_counts_from_the_capital_at_the_start():
    trades = trade_forecast(-FORECAST, RETURN, ALL, SESSION, TICKER, horizon=1, min_tickers=5, short=True)
    figures = portfolio_metrics(trades, horizon=1, costs_bps=[0], samples=100, significance=0.05, seed=1)
    assert figures["costs"]["0"]["max_drawdown"] == pytest.approx(1 - 0.97 * 0.99)


def test_a_longer_horizon_trades_when_the_last_position_ends():
    trades = trade_forecast(FORECAST, RETURN, ALL, SESSION, TICKER, horizon=2, min_tickers=5, short=True)
    assert trades.session.tolist() == [7] and trades.turnover.tolist() == [2]


def test_what_has_no_open_to_buy_at_is_not_traded():
    trades = trade_forecast(FORECAST, RETURN, TICKER != "A", SESSION, TICKER, horizon=1, min_tickers=4, short=True)
    np.testing.assert_allclose(trades.gross, [0.5 * 0.9 + 0.5 * 0.02, 0.5 * 0.03 - 0.5 * 0.9])


def test_what_is_traded_does_not_depend_on_whether_it_can_be_sold_later():
    unknown = np.where((SESSION == 7) & (TICKER == "A"), np.nan, RETURN)
    trades = trade_forecast(FORECAST, unknown, ALL, SESSION, TICKER, horizon=1, min_tickers=5, short=True)
    np.testing.assert_allclose(trades.gross, [0.5 * 0.02, 0.01])
    np.testing.assert_allclose(trades.turnover, [1, 3])


def test_a_position_that_would_end_after_the_data_is_not_entered():
    unknown = np.where(SESSION == 8, np.nan, RETURN)
    trades = trade_forecast(FORECAST, unknown, ALL, SESSION, TICKER, horizon=1, min_tickers=5, short=True)
    assert trades.session.tolist() == [7] and trades.turnover.tolist() == [2]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=30))
def test_the_portfolio_is_neutral_and_equal_forecasts_weigh_the_same(forecast):
    values = np.array(forecast, dtype=float)
    weight = weights_of(values, np.zeros(len(values), dtype=int), min_tickers=2, short=True)
    assert weight.sum() == pytest.approx(0, abs=1e-12) and np.abs(weight).sum() <= 1 + 1e-12
    assert all(np.ptp(weight[values == value]) < 1e-12 for value in set(forecast))
    if len(set(forecast)) == 1:
        assert np.abs(weight).max() < 1e-12
    long_only = weights_of(values, np.zeros(len(values), dtype=int), min_tickers=2, short=False)
    assert long_only.min() >= 0 and long_only.sum() == pytest.approx(1)
