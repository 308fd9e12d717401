"""What people look at in a signal: hand-checked cases, and alphalens's own figures (tests/data/alphalens.json)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finsentiment.backtest.partial import Partial
from finsentiment.backtest.profile import (
    clustered,
    event_study,
    joint_horizons,
    quantile_returns,
    quantiles_of,
    rank_autocorrelation,
    top_turnover,
)
from finsentiment.backtest.questions import Asker
from finsentiment.backtest.run import run_backtest
from finsentiment.backtest.table import to_table
from tests.test_backtest import PARAMS, SECTION, market, planted

RECORDED = json.loads((Path(__file__).parent / "data/alphalens.json").read_text())


def panel() -> tuple[np.ndarray, np.ndarray]:
    """The signal and the returns that were given to alphalens, sessions x tickers (benchmarks/alphalens_figures.py)."""
    rng = np.random.default_rng(RECORDED["seed"])
    signal = rng.normal(size=(40, 23)).cumsum(axis=0)
    return signal, 0.01 * rng.normal(size=signal.shape) + 0.001 * np.sign(signal)


def test_quantiles_their_returns_turnover_and_autocorrelation_are_those_of_alphalens() -> None:
    signal, returns = panel()
    session = np.repeat(np.arange(40), 23)
    quantile = quantiles_of(signal.ravel(), session)
    assert quantile.astype(int).tolist() == RECORDED["quantiles"]
    abnormal = (returns - returns.mean(axis=1, keepdims=True)).ravel()
    by_quantile, spread = quantile_returns(quantile, abnormal, session, 0.1)
    np.testing.assert_allclose(by_quantile["mean_bps"], np.array(RECORDED["mean_return"]) * 1e4, rtol=1e-6)
    # alphalens puts half of the capital on each side; ours is the plain difference.
    assert spread.mean() == pytest.approx(2 * RECORDED["spread"], rel=1e-6)
    assert rank_autocorrelation(signal) == pytest.approx(RECORDED["rank_autocorrelation"], rel=1e-9)
    assert top_turnover(quantile.reshape(signal.shape)) == pytest.approx(RECORDED["top_turnover"], rel=1e-9)


def test_equal_values_share_a_quantile_and_few_have_none() -> None:
    values = np.array([0, 0, 0, 0, 0, 1.0, 2.0, 3.0, np.nan, 4.0])
    found = quantiles_of(values, np.array([0] * 6 + [1] * 4))
    assert found[:6].tolist() == [2, 2, 2, 2, 2, 5] and np.isnan(found[6:]).all()


def test_a_session_without_quantiles_makes_no_turnover() -> None:
    quantile = np.array([[5.0, 1], [np.nan, np.nan], [5, 1], [1, 5]])
    assert top_turnover(quantile) == 0.5
    assert top_turnover(quantile[:2]) is None


def test_a_clustered_interval_by_hand_and_none_of_one_session() -> None:
    values, session = np.array([0.01, 0.03, -0.02, 0.02]), np.array([4, 4, 7, 9])
    # Mean 0.01. Sums of deviations: 0.02, -0.03, 0.01; variance (0.0004 + 0.0009 + 0.0001) * 3 / 2 / 16.
    error = 1e4 * np.sqrt(0.0014 * 3 / 2 / 16)
    assert clustered(values, session, 2.0) == pytest.approx((100, 100 - 2 * error, 100 + 2 * error))
    mean, low, high = clustered(values[:2], session[:2], 2.0)
    assert mean == pytest.approx(200) and np.isnan([low, high]).all()


def events(features: pd.DataFrame) -> pd.DataFrame:
    return event_study(to_table(features, PARAMS, 1, 5), 0.1).set_index(["news", "day", "part"])


def test_the_event_study_finds_what_was_put_before_and_after_the_news() -> None:
    features = market(lambda score, *_: 0 * score, tickers=15, sessions=150).sort_values(["ticker", "session"])
    bad = (features["fine_tuned_level"] < -1 / 3).to_numpy()
    # The gap of a session stands in the next row. Bad news: the gap of its day falls by 1 %, the day after by 0.5 %.
    fallen = np.concatenate([[False], bad[:-1]])
    features.loc[fallen, "price_overnight"] -= 0.01
    features.loc[np.concatenate([[False], fallen[:-1]]), "price_intraday"] -= 0.005
    found = events(features)
    assert found.loc[("bad", 0, "overnight"), "high"] < -70 < -40 < found.loc[("bad", 0, "intraday"), "low"]
    assert found.loc[("bad", 1, "intraday"), "high"] < -25
    for day in (-3, -1, 4):
        row = found.loc[("bad", day, "overnight")]
        assert abs(row["mean_bps"]) < 2.5 * (row["high"] - row["low"]) / 2
    assert abs(found.loc[("neutral", 0, "overnight"), "mean_bps"]) < 30


def test_intervals_of_events_are_clustered_by_session() -> None:
    features = market(lambda score, *_: 0 * score)
    session = pd.factorize(features["session"])[0]
    covered = features["attention_covered"] == 1
    # On each session, all with news move together: they are one event, not fifteen.
    common = np.random.default_rng(1).normal(0, 0.02, 200)
    features["price_intraday"] = 0.0
    moved = features.assign(price_intraday=np.where(covered, common[session], 0.0))
    shifted = moved.sort_values(["ticker", "session"])
    shifted["price_intraday"] = shifted.groupby("ticker")["price_intraday"].shift(1)
    row = events(shifted.sort_index()).loc[("good", 0, "intraday")]
    naive = 2 * 1.645 * 0.02 * 0.6 * 1e4 / np.sqrt(row["events"])
    assert row["high"] - row["low"] > 1.2 * naive


def test_horizons_are_judged_together_and_the_largest_t_of_nothing_is_no_evidence() -> None:
    rng = np.random.default_rng(0)
    asker = Asker(to_table(market(planted), PARAMS, 1, 5), 1, 1)

    def unit(values: np.ndarray) -> np.ndarray:
        return values / np.sqrt((values**2).sum(axis=1, keepdims=True))

    signal, noise = unit(rng.normal(size=(400, 20))), unit(rng.normal(size=(400, 20)))
    held = sum(np.roll(signal, lag, axis=0) for lag in range(5))
    judged = np.ones(400, dtype=bool)
    nothing = joint_horizons(Partial(signal, noise, judged, 0, np.full(signal.shape, True)), asker)
    slow = joint_horizons(Partial(signal, unit(noise + 0.1 * held), judged, 0, np.full(signal.shape, True)), asker)
    assert nothing["p"] > 0.1 and slow["p"] < 0.02
    assert slow["by"]["5"]["hac_t"] > slow["by"]["21"]["hac_t"] and list(slow["by"]) == ["1", "5", "21"]


def test_the_horizons_and_the_decay_are_shrunk_as_the_answer_is() -> None:
    found = run_backtest(market(planted), PARAMS, SECTION, 5, 1)
    answer = found.metrics["questions"]["informative"]
    assert found.metrics["profile"]["horizon"]["by"]["1"]["mean"] == pytest.approx(answer["mean"])
    assert found.tables["decay"]["mean"][0] == pytest.approx(answer["mean"])


def test_the_parts_around_news_add_up_to_the_return_so_far() -> None:
    found = event_study(to_table(market(planted), PARAMS, 1, 5), 0.1)
    good = found[found["news"] == "good"]
    assert good["part"].tolist()[:4] == ["overnight", "intraday"] * 2 and good["day"].is_monotonic_increasing
    every = (market(planted)["fine_tuned_level"] > 1 / 3).sum()
    summed = (good["mean_bps"] * good["events"] / every).cumsum()
    assert good["so_far_bps"].to_numpy() == pytest.approx(summed.to_numpy())
    assert (good["so_far_low"] < good["so_far_bps"]).all() and (good["so_far_bps"] < good["so_far_high"]).all()


def test_the_profile_of_a_planted_signal() -> None:
    found = run_backtest(market(planted), PARAMS, SECTION, 5, 1)
    profile, tables = found.metrics["profile"], found.tables
    assert profile["spread"]["low"] > 0 and profile["horizon"]["p"] < 0.05
    assert tables["decay"]["lag"].tolist() == list(range(1, 22))
    assert tables["decay"]["low"][0] > 0 and (tables["decay"]["mean"][1:].abs() < tables["decay"]["mean"][0] / 2).all()
    assert tables["coverage"]["headlines"].is_monotonic_decreasing
    count = np.expm1(market(planted)["attention_count"]).round().sum()
    assert tables["coverage"]["headlines"].sum() == count and 5 / 15 < profile["top_five"] < 0.6
