"""Cleaning and the partial rank IC: against another library's regression, and where a plain rank IC is fooled."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, rankdata
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import PolynomialFeatures

from finsentiment.backtest import questions
from finsentiment.backtest.cleaning import Regressors, normal_scores, ranks
from finsentiment.backtest.partial import Partial, partial_ranks, places_of
from finsentiment.backtest.placebos import Placebo, Places, rank_among_placebos
from finsentiment.backtest.questions import Asker
from finsentiment.backtest.table import to_table
from tests.test_backtest import PARAMS, market

SESSIONS, TICKERS = 60, 12


def columns(seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(SESSIONS, TICKERS)), rng.exponential(size=(SESSIONS, TICKERS))]


def test_ranks_and_normal_scores_of_a_hand_checked_session() -> None:
    values = np.array([[3.0, 1.0, np.nan, 2.0], [5.0, 5.0, np.nan, 9.0], [7.0, 7.0, 7.0, 7.0]])
    assert ranks(values).tolist() == [[1, -1, 0, 0], [-0.5, -0.5, 0, 1], [0, 0, 0, 0]]
    high = norm.ppf(5 / 6)
    expected = np.array([high, -high, 0.0, 0.0]) / np.sqrt(2 * high**2 / 3)
    np.testing.assert_allclose(normal_scores(values)[0], expected, atol=1e-12)
    assert (normal_scores(values)[2] == 0).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_what_is_cleaned_is_uncorrelated_with_every_column_and_every_product(seed: int) -> None:
    given_columns, rows = columns(seed), np.random.default_rng(seed).random((SESSIONS, TICKERS)) < 0.8
    values = np.random.default_rng(seed + 1).normal(size=(1, SESSIONS, TICKERS))
    found = Regressors(given_columns, rows).clean_across(values)[0]
    scores = [normal_scores(np.where(rows, column, np.nan)) for column in given_columns]
    for product in (scores[0], scores[1], scores[0] ** 2, scores[0] * scores[1], scores[1] ** 2):
        centred = np.where(rows, product - product.sum(axis=1, keepdims=True) / rows.sum(axis=1, keepdims=True), 0.0)
        assert abs((found * centred).sum()) < 2e-3 * np.sqrt((values**2).sum() * (centred**2).sum())
    assert (found[~rows] == 0).all()


def test_extremes_and_what_is_missing_are_taken_out_too() -> None:
    gappy, other = columns()
    gappy[np.random.default_rng(4).random(gappy.shape) < 0.3] = np.nan
    rows = np.ones(gappy.shape, dtype=bool)
    score = normal_scores(gappy)
    gap = np.isnan(gappy) - np.isnan(gappy).mean(axis=1, keepdims=True)
    cube = score**3 - (score**3).mean(axis=1, keepdims=True)
    found = Regressors([gappy, other, gappy**2], rows)
    assert len(found.missing) == 1, "two columns that are missing in the same places need one regressor"
    for values in (gap, cube):
        assert np.square(found.clean_across(values[None])).sum() < 0.01 * np.square(values).sum()


def test_a_flag_times_a_return_is_taken_out_however_many_have_it() -> None:
    """Returns go on after a move with news and turn back after one without: by the same amount on days of much news."""
    rng = np.random.default_rng(0)
    covered = (rng.random((SESSIONS, TICKERS)) < rng.random((SESSIONS, 1))).astype(float)
    past = columns()[0]
    rows = np.ones(past.shape, dtype=bool)
    values = normal_scores(past) * np.where(covered == 1, 1, -1)
    values -= values.mean(axis=1, keepdims=True)
    left = Regressors([past, covered], rows).clean_across(values[None])
    assert np.square(left).sum() < 1e-4 * np.square(values).sum()


def test_cleaning_is_the_regression_of_another_library() -> None:
    rows = np.ones((SESSIONS, TICKERS), dtype=bool)
    scores = np.stack([normal_scores(column).ravel() for column in columns()], axis=1)
    design = np.hstack([PolynomialFeatures(2, include_bias=False).fit_transform(scores), scores**3])
    design -= design.reshape(SESSIONS, TICKERS, -1).mean(axis=1).repeat(TICKERS, axis=0)
    values = np.random.default_rng(5).normal(size=(SESSIONS, TICKERS)) + 0.5 * columns()[0] * normal_scores(
        columns()[1]
    )
    expected = values.ravel() - LinearRegression(fit_intercept=False).fit(design, values.ravel()).predict(design)
    found = Regressors(columns(), rows).clean_across(values[None])[0].ravel()
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_each_part_is_cleaned_by_what_came_before_it_alone() -> None:
    rows = np.ones((SESSIONS, TICKERS), dtype=bool)
    values = np.random.default_rng(2).normal(size=(1, SESSIONS, TICKERS))
    later = values.copy()
    later[:, 40:] += 3 * columns()[0][40:]
    before, after = (Regressors(columns(), rows).clean_forward(v, [20, 40, 50]) for v in (values, later))
    np.testing.assert_array_equal(before[:, :40], after[:, :40])
    moved = after[:, 40:50] - before[:, 40:50]
    np.testing.assert_allclose(moved, 3 * columns()[0][None, 40:50])  # a fit of 40 sessions knew nothing of it


def test_small_blocks_give_the_same_as_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.ones((SESSIONS, TICKERS), dtype=bool)
    values = np.random.default_rng(2).normal(size=(2, SESSIONS, TICKERS))
    session, ticker = (part.ravel() for part in np.indices((40, TICKERS)))
    whole = Regressors(columns(), rows)
    found = whole.clean_forward(values, [20, 50]), whole.explained(session, ticker, values[0][session, ticker])
    monkeypatch.setattr("finsentiment.backtest.cleaning.CELLS", 3 * TICKERS)
    again = whole.clean_forward(values, [20, 50]), whole.explained(session, ticker, values[0][session, ticker])
    for one, other in zip(found, again, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-10)


def test_what_is_explained_is_what_cleaning_takes_away() -> None:
    rows = np.ones((SESSIONS, TICKERS), dtype=bool)
    values = np.random.default_rng(2).normal(size=(SESSIONS, TICKERS))
    session, ticker = (part.ravel() for part in np.indices(values.shape))
    regressors = Regressors(columns(), rows)
    left = values.ravel() - regressors.explained(session, ticker, values.ravel())
    np.testing.assert_allclose(left, regressors.clean_across(values[None])[0].ravel(), atol=1e-10)


def test_the_daily_return_is_set_against_the_signals_that_are_held() -> None:
    rng = np.random.default_rng(0)
    signal, outcome = (rng.normal(size=(8, 5)) for _ in range(2))
    judged = np.array([True] * 7 + [False])
    partial = Partial(signal, outcome, judged, 2, np.full(signal.shape, True))
    expected = [(outcome[t] * (signal[t] + signal[t - 1] + signal[t - 2]) / 3).sum() for t in (4, 5, 6)]
    np.testing.assert_allclose(partial.by_session(3), expected)
    assert partial.sessions(3).tolist() == [4, 5, 6]
    np.testing.assert_allclose(partial.at_lag(2), [(outcome[t] * signal[t - 2]).sum() for t in (4, 5, 6)])
    np.testing.assert_allclose(partial.by_session(1), (signal * outcome).sum(axis=1)[2:7])


def table(effect, seed: int = 0, **changes: object):
    return to_table(market(effect, seed).assign(**changes), PARAMS, 1, 5)


def ic(found: Partial) -> float:
    series = found.by_session(1)
    return float(series.mean() / series.std(ddof=1) * np.sqrt(len(series)))  # its t


def test_a_partial_rank_ic_finds_a_signal_and_is_zero_for_one_that_says_nothing_by_itself() -> None:
    found = table(lambda score, *_: 0.01 * score)
    assert ic(partial_ranks(found, found.column("fine_tuned_level"), 0)) > 5
    assert (partial_ranks(found, np.zeros(len(found.rows)), 0).by_session(1) == 0).all()
    assert abs(ic(partial_ranks(found, found.column("price_return_1"), 0))) < 2


def fooled(cause: str) -> tuple[float, float]:
    """The t of the plain rank IC, and of the partial one, where the tone follows `cause` and so do returns."""
    found = table(lambda score, *_: 0 * score, seed=3)
    rng = np.random.default_rng(1)
    covered = found.news_count > 0
    values = {
        "gap": found.column("entry_gap") / 0.005,
        "past return": found.column("price_return_1"),
        "past return times news": found.column("price_return_1") * covered,
        "the same a session before": np.roll(found.column("price_return_1") * covered, 15),  # of 15 tickers
    }[cause]
    tone = np.where(
        covered | (cause == "the same a session before"), np.sign(values + 0.5 * rng.normal(size=len(values))), 0.0
    )
    moved = found.column("return_1") + 0.004 * values
    found = table(lambda score, *_: 0 * score, seed=3, fine_tuned_level=tone, return_1=moved)
    both = [_unit(found.grid(v)) for v in (tone, moved)]
    plain = Partial(*both, np.arange(150) < 149, 0, np.full(both[0].shape, True))
    return ic(plain), ic(partial_ranks(found, tone, 0))


def _unit(values: np.ndarray) -> np.ndarray:
    centred = rankdata(values, axis=1) - (values.shape[1] + 1) / 2
    return centred / np.sqrt((centred**2).sum(axis=1, keepdims=True)).clip(1e-9)


@pytest.mark.parametrize("cause", ["gap", "past return", "past return times news", "the same a session before"])
def test_a_tone_that_follows_what_moves_returns_fools_a_rank_ic_and_not_the_partial_one(cause: str) -> None:
    plain, partial = fooled(cause)
    assert plain > 4 and abs(partial) < 2


def test_tickers_are_alike_in_news_and_past_return() -> None:
    found = table(lambda score, *_: 0 * score)
    alike = places_of(found, 0).alike
    rows = found.rows.assign(group=alike[found.session, found.ticker])
    rows["third"] = rows.groupby("session")["price_return_1"].rank().sub(1) // 5
    for _, group in rows.groupby("group"):
        assert group["session"].nunique() == group["attention_covered"].nunique() == 1
        count = np.expm1(group["attention_count"])
        assert count.max() < 4 * max(count.min(), 1)
    size = rows.groupby("group")["ticker"].transform("size")
    mixed = rows.groupby("group")["third"].transform("nunique") > 1
    # Those that are mixed are what was left of groups of fewer than 4: at most 3 of each third.
    assert (~mixed).any() and mixed.any() and (rows[mixed].groupby(["group", "third"]).size() <= 3).all()
    assert (size[~mixed] >= 4).mean() > 0.8
    out = table(lambda score, *_: 0 * score, ranked=np.arange(2250) % 15 != 3)
    assert (places_of(out, 0).alike[:, 3] == -1).all()
    assert (partial_ranks(out, out.column("price_volatility"), 0).signal[:, 3] == 0).all()


def test_one_headline_and_forty_are_not_alike() -> None:
    much = np.arange(2250) % 15 >= 7
    count = np.log1p(np.where(much, 40, 1))
    found = table(lambda score, *_: 0 * score, attention_count=count, attention_covered=1.0, price_return_1=0.0)
    assert not any(set(row[:7]) & set(row[7:]) for row in places_of(found, 0).alike)


def test_scores_are_dealt_to_rows_with_a_return_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    nothing = rank_among_placebos(0.0, np.array([]))

    def kept(observed: float, scores: np.ndarray, places: Places, *_: object) -> tuple[Placebo, Placebo]:
        seen.append(places)
        return nothing, nothing

    monkeypatch.setattr(questions, "run_placebos", kept)
    returns = market(lambda score, *_: 0 * score)["return_1"].mask(np.arange(2250) % 7 == 0)
    found = table(lambda score, *_: 0 * score, return_1=returns)
    partial = partial_ranks(found, found.column("fine_tuned_level"), 0)
    questions.ask_partial(Asker(found, 1, 1), partial, places_of(found, 0))
    np.testing.assert_array_equal(seen[0].alike >= 0, partial.counted)


@pytest.mark.parametrize(("horizon", "seen"), [(1, False), (5, True)])
def test_what_comes_three_sessions_later_is_found_over_five_and_not_over_one(horizon: int, seen: bool) -> None:
    features = market(lambda score, *_: 0.015 * np.roll(score, 3 * 15))
    found = questions.ask_informative(Asker(to_table(features, PARAMS, horizon, 5), 1, 1, thorough=False))[0]
    assert (found.estimate.hac_t > 3) == seen


def test_informative_rests_on_daily_returns_whatever_the_forecast_is_of() -> None:
    features = market(lambda score, *_: 0.01 * score)
    other = features.assign(forward_return=-features["forward_return"])
    tables = [to_table(f, PARAMS, 5, 5) for f in (features, other)]
    series = [partial_ranks(t, t.column("fine_tuned_level"), 0).by_session(1) for t in tables]
    np.testing.assert_array_equal(*series)


def test_rows_outside_the_universe_move_no_answer() -> None:
    ranked = np.arange(2250) % 15 < 10
    features = market(lambda score, *_: 0.01 * score)
    wild = features.assign(
        ranked=ranked,
        fine_tuned_level=np.where(ranked, features["fine_tuned_level"], 9.0),
        return_1=np.where(ranked, features["return_1"], 5.0),
    )
    gone = features[ranked].assign(ranked=True)
    series = [
        partial_ranks(t, t.column("fine_tuned_level"), 0).by_session(1)
        for t in (to_table(pd.DataFrame(f), PARAMS, 1, 5) for f in (wild, gone))
    ]
    np.testing.assert_allclose(*series, atol=1e-12)


@pytest.mark.parametrize(("tickers", "sessions"), [(5, 25), (8, 30), (10, 60)])
def test_on_a_small_panel_of_noise_cleaning_makes_no_evidence(tickers: int, sessions: int) -> None:
    """With 15 columns and their products a regression takes 135 degrees of freedom: here as many as there are rows."""
    found = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        noise = market(lambda score, *_: 0 * score, seed, tickers, sessions)
        more = {f"price_{n}": rng.normal(size=len(noise)) for n in range(9)}
        settings = PARAMS.model_copy(update={"train_sessions": 20, "min_tickers": 5})
        partial = partial_ranks(to_table(noise.assign(**more), settings, 1, 5), rng.normal(size=len(noise)), 0)
        series = partial.judged_by_session(1)
        found.append(series.mean() / series.std(ddof=1) * np.sqrt(len(series)))
    assert np.std(found) < 1.4 and np.mean(np.abs(found) > 1.645) <= 0.2
