"""Walk-forward, rank IC, bootstrap and placebo: no look at the future, and figures against hand-checked values."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, spearmanr

from finsentiment.backtest.evidence import (
    deflated_sharpe,
    estimate_mean,
    rank_ic,
    superior_predictive_ability,
)
from finsentiment.backtest.placebos import Places, rank_among_placebos
from finsentiment.backtest.walkforward import expanding_folds, rank_target, walk_forward
from finsentiment.errors import InputError
from finsentiment.params import LightGBM

SMALL = LightGBM(trees=10, learning_rate=0.1, leaves=[4], min_leaf=5, column_share=0.5, row_share=0.8, bins=63)
quick = settings(max_examples=50, deadline=None)


def test_a_label_that_ends_in_the_fold_or_the_embargo_trains_nothing():
    folds = expanding_folds(sessions=10, train_sessions=6, test_sessions=3, horizon=2, embargo=1)
    # Session 2's label is known at the open of 4; one session of embargo, and the fold begins at 6.
    assert [(train.tolist(), test.tolist()) for train, test in folds] == [
        ([0, 1, 2], [6, 7, 8]),
        ([0, 1, 2, 3, 4, 5], [9]),
    ]


@quick
@given(st.integers(1, 60), st.integers(1, 30), st.integers(1, 9), st.integers(0, 9), st.integers(1, 80))
def test_every_session_after_the_first_is_forecast_once_by_what_was_known(train, test, horizon, embargo, more):
    train += horizon + embargo
    folds = expanding_folds(train + more, train, test, horizon, embargo)
    assert np.concatenate([tested for _, tested in folds]).tolist() == list(range(train, train + more))
    for trained, tested in folds:
        assert trained.tolist() == list(range(len(trained)))
        assert trained[-1] + horizon + embargo == tested[0] - 1


def test_too_few_sessions_are_refused_with_their_numbers():
    with pytest.raises(InputError, match=r"hold 252 sessions and backtest.train_sessions = 252"):
        expanding_folds(252, 252, 21, 1, 1)
    with pytest.raises(InputError, match=r"train_sessions = 20 leaves nothing .*horizon = 15 .*embargo = 5"):
        expanding_folds(300, 20, 21, 15, 5)


def test_the_target_is_the_rank_within_the_session():
    returns = np.array([0.01, -0.5, 0.02, 9.0, np.nan, 0.3, 0.3])
    session = np.array([0, 0, 0, 0, 0, 1, 1])
    expected = [-0.125, -0.375, 0.125, 0.375, np.nan, 0.0, 0.0]
    np.testing.assert_allclose(rank_target(returns, session, np.full(len(returns), True)), expected)


def test_a_return_that_is_known_late_moves_no_rank_that_was_known_before():
    returns, session = np.array([0.01, -0.5, 0.02, 9.0]), np.zeros(4, dtype=int)
    on_time = np.array([True, True, True, False])
    expected = [0.0, -1 / 3, 1 / 3, 0.375]
    np.testing.assert_allclose(rank_target(returns, session, on_time), expected)
    # Two late ones, known at other times: neither ranks the other.
    for other in (-9.0, 0.015, 9.0):
        found = rank_target(np.append(returns, other), np.zeros(5, dtype=int), np.append(on_time, False))
        np.testing.assert_allclose(found[:4], expected)


def walk(columns, target, session, folds, seeds, threads=1, params=SMALL, **more):
    """The walk-forward of trees of one size, of labels that are known at the next session."""
    return walk_forward(columns, target, session, session + 1, folds, params, [4], 1, seeds, threads, **more)[0]


@pytest.fixture(scope="module")
def panel():
    rng = np.random.default_rng(3)
    session = np.repeat(np.arange(40), 8)
    columns = rng.normal(size=(320, 4))
    return columns, columns[:, 0] + rng.normal(size=320), session, expanding_folds(40, 20, 10, 2, 1)


def test_nothing_after_the_purge_moves_a_forecast(panel):
    columns, target, session, folds = panel
    before = walk(columns, target, session, folds, [1, 2]).forecast()
    later_columns, later_target = columns.copy(), target.copy()
    later_target[session > folds[0][0][-1]] *= -1
    later_columns[session > folds[0][1][-1]] = 0
    after = walk(later_columns, later_target, session, folds, [1, 2]).forecast()
    first = np.isin(session, folds[0][1])
    assert np.array_equal(before[first], after[first])
    assert not np.array_equal(before[session >= 30], after[session >= 30])


def test_threads_do_not_change_a_forecast_and_seeds_do(panel):
    def forecast(seeds, threads):
        return walk(*panel, seeds, threads).forecast()

    one = forecast([1, 2], 1)
    assert np.array_equal(one, forecast([1, 2], 2), equal_nan=True)
    assert not np.array_equal(one, forecast([1, 3], 1), equal_nan=True)
    assert np.isnan(one).tolist() == (panel[2] < 20).tolist()


def test_a_label_that_takes_longer_trains_only_a_fold_that_begins_after_it(panel):
    columns, target, session, folds = panel
    late = session == 10  # known in the session before the first fold, where an embargo of one keeps it out
    wild = np.where(late, 1e3, target)
    ends = np.where(late, 19, session + 1)

    def first_fold(values, label_end):
        found = walk_forward(columns, values, session, label_end, folds, SMALL, [4], 1, [1], 1)[0]
        return found.forecast()[np.isin(session, folds[0][1])]

    without = first_fold(np.where(late, np.nan, target), session + 1)
    np.testing.assert_array_equal(first_fold(wild, ends), without)
    assert not np.array_equal(first_fold(wild, session + 1), without)


def test_what_else_explains_the_target_is_not_learned_in_its_place(panel):
    columns, target, session, folds = panel
    twin = columns[:, :1] + np.random.default_rng(0).normal(0, 0.1, (len(columns), 1))
    base = walk(columns[:, 1:2], target, session, folds, [1])

    def explained(rows, left):
        return columns[rows, 0] * np.polyfit(columns[rows, 0], left, 1)[0]

    learned, kept_out = (walk(twin, target, session, folds, [1], onto=base, explained=e) for e in (None, explained))
    tested = session >= 20
    assert np.std(kept_out.forecast()[tested]) < np.std(learned.forecast()[tested]) / 2


def test_gain_and_shapley_values_find_the_column_that_matters(panel):
    for fold in walk(*panel, [1, 2], explain=True).folds:
        for shares in (fold.gain, fold.shap):
            assert shares.sum() == pytest.approx(1) and shares.argmax() == 0


def test_models_on_top_of_others_learn_what_those_left_and_add_to_them(panel):
    columns, target, session, folds = panel
    slow = SMALL.model_copy(update={"trees": 150})
    first, noise = (walk(columns[:, [n]], target, session, folds, [1], params=slow) for n in (0, 1))
    again = walk(columns[:, :1], target, session, folds, [1], params=slow, onto=first)
    onto = walk(columns[:, :1], target, session, folds, [1], params=slow, onto=noise)
    tested = session >= 20
    assert np.std(again.forecast()[tested]) < np.std(onto.forecast()[tested]) / 2, "it was learned a second time"


def test_a_fold_without_any_label_is_refused(panel):
    columns, target, session, folds = panel
    with pytest.raises(InputError, match="none of the first 17 sessions"):
        walk(columns, np.full_like(target, np.nan), session, folds, [1])


def test_rank_ic_of_hand_checked_sessions():
    forecast = np.array([1.0, 2, 3, 4, 7, 7, 7, 1, 2, 3, 1, 2])
    outcome = np.array([0.1, 0.2, 0.9, 0.3, 1, 2, 3, 3, 2, np.nan, 1, 2])
    session = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3])
    ic = rank_ic(forecast, outcome, session, min_tickers=3)
    # Session 0: 1 - 6 x (1 + 1) / (4 x 15); session 1: no opinion; sessions 2 and 3: two tickers are too few.
    np.testing.assert_allclose(ic, [0.8, 0.0, np.nan, np.nan])
    assert rank_ic(forecast, outcome, session, min_tickers=2)[2] == pytest.approx(-1)


@quick
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=20))
def test_rank_ic_is_spearmans_with_ties(pairs):
    forecast, outcome = np.array(pairs, dtype=float).T
    expected = 0.0 if np.ptp(forecast) == 0 or np.ptp(outcome) == 0 else spearmanr(forecast, outcome).statistic
    assert rank_ic(forecast, outcome, np.zeros(len(pairs), dtype=int), 2)[0] == pytest.approx(expected, abs=1e-12)


def test_the_interval_of_independent_values_is_the_textbooks():
    values = np.random.default_rng(0).normal(0.1, 1, 400)
    found = estimate_mean(values, horizon=1, samples=2000, significance=0.05, seed=1)
    error = values.std() / 20
    assert found.mean == pytest.approx(values.mean())
    textbook = (found.mean - 1.96 * error, found.mean + 1.96 * error)
    assert (found.low, found.high) == pytest.approx(textbook, abs=0.25 * error)
    assert found.hac_t == pytest.approx(found.mean / error, rel=0.2)


def test_the_interval_of_a_sluggish_series_is_wider():
    shocks = np.random.default_rng(0).normal(size=400)
    sluggish = np.convolve(shocks, np.ones(10), "valid")
    wide, narrow = (
        estimate_mean(x, 10, 500, 0.05, 1) for x in (sluggish, np.random.default_rng(1).permutation(sluggish))
    )
    assert wide.high - wide.low > 1.8 * (narrow.high - narrow.low)


def test_p_is_below_the_significance_where_the_interval_excludes_zero():
    noise = np.random.default_rng(0).normal(size=60)
    for shift in np.linspace(-0.5, 0.5, 21):
        found = estimate_mean(noise + shift, 1, 500, 0.1, 2)
        assert (found.p < 0.1) == (found.low > 0 or found.high < 0)


def test_a_series_without_variance_has_no_evidence():
    found = estimate_mean(np.zeros(30), 1, 100, 0.05, 1)
    assert (found.low, found.high, found.p, found.hac_t) == (0, 0, 1, 0)


@quick
@given(st.lists(st.lists(st.integers(-1, 2), min_size=4, max_size=4), min_size=2, max_size=8), st.integers(0, 99))
def test_a_shuffle_deals_each_score_out_once_within_its_group(groups, seed):
    alike = np.array(groups) + 10 * np.arange(len(groups))[:, None]
    scores = np.arange(alike.size, dtype=float).reshape(alike.shape)
    shuffled = Places(alike, 1).shuffled(scores, np.random.default_rng(seed))
    assert sorted(shuffled.ravel()) == list(range(alike.size))
    assert np.array_equal(alike.ravel()[shuffled.astype(int).ravel()], alike.ravel())
    assert np.array_equal(shuffled[0], scores[0]), "what comes before the first session was moved"


def test_placebo_p_values_count_the_observed_and_the_ties():
    found = rank_among_placebos(3.0, np.array([1.0, 2, 3, 4]))
    assert (found.p, found.p_hurts) == (3 / 5, 4 / 5)
    assert rank_among_placebos(9.0, np.arange(9.0)).p == 1 / 10
    assert rank_among_placebos(0.0, np.array([])).p == 1


def test_a_shift_in_time_moves_whole_sessions_far_and_keeps_their_order():
    angle = np.arange(300) / 300
    scores = np.column_stack([np.cos(angle), np.sin(angle)])  # all sessions of length 1
    places = Places(np.zeros((300, 2), dtype=int), 20)
    for seed in range(30):
        moved = places.shifted(scores, np.random.default_rng(seed))
        assert np.array_equal(moved[:20], scores[:20])
        by = int(np.argmin(moved[20:, 1]))
        assert 63 <= by <= 280 - 63
        np.testing.assert_allclose(np.roll(scores[20:], by, axis=0), moved[20:])


def test_shifted_scores_are_as_long_as_the_real_ones_where_tickers_come_and_go():
    scores = np.random.default_rng(0).normal(size=(294, 9))
    alike = np.zeros((294, 9), dtype=int)
    alike[:150, 3:6], alike[150:, 6:] = -1, -1
    scores[alike < 0] = np.nan
    scores[::7] = 0.0  # sessions without news
    for seed in range(5):
        moved = Places(alike, 0).shifted(scores, np.random.default_rng(seed))
        assert (moved[alike < 0] == 0).all()
        length, real = np.square(moved).sum(axis=1), np.nansum(np.square(scores), axis=1)
        # Each session keeps the length that it brings, but for one whose scores fall on no row.
        assert any(np.allclose(length, np.roll(real, by)) for by in range(63, 294 - 63))
    # Rows outside the universe have forecasts that are not traded: they stretch nothing.
    listed = np.where(alike < 0, 5.0, scores)
    np.testing.assert_array_equal(Places(alike, 0).shifted(listed, np.random.default_rng(4)), moved)


def test_the_best_of_many_without_merit_is_not_superior_and_one_with_merit_is():
    rng = np.random.default_rng(0)
    ics = pd.DataFrame({f"v{k}": rng.normal(0, 0.1, 300) for k in range(6)})
    assert superior_predictive_ability(ics, "v0", 500, 1) > 0.05
    assert superior_predictive_ability(ics.assign(v9=ics["v0"] + rng.normal(0.02, 0.05, 300)), "v0", 500, 1) < 0.01
    assert superior_predictive_ability(ics[["v0"]].assign(v1=ics["v0"]), "v0", 500, 1) == 1


def test_the_deflated_sharpe_ratio_of_a_hand_checked_case_falls_with_the_trials():
    returns = np.tile([0.03, -0.01], 50)  # mean 0.01, symmetric, kurtosis 1
    ratio = 0.01 / np.std(returns, ddof=1)
    # One trial is the probabilistic Sharpe ratio: SR sqrt(99) / sqrt(1 + 0 x SR^2).
    assert deflated_sharpe(returns * 0.1 + 0.0, [ratio], 1) == pytest.approx(norm.cdf(ratio * np.sqrt(99)))
    tried = [0.0, 0.4]  # standard deviation 0.2828
    best = (1 - np.euler_gamma) * norm.ppf(0.9) + np.euler_gamma * norm.ppf(1 - 1 / (10 * np.e))
    expected = norm.cdf((ratio - np.std(tried, ddof=1) * best) * np.sqrt(99))
    assert deflated_sharpe(returns, tried, 10) == pytest.approx(expected)
    assert deflated_sharpe(np.zeros(9), tried, 10) == 0.5


@pytest.mark.parametrize(("horizon", "lags"), [(1, 4), (8, 7)])
def test_t_is_newey_and_wests_with_the_lags_that_the_horizon_asks_for(horizon, lags):
    values = np.convolve(np.random.default_rng(0).normal(0.05, 1, 109), np.ones(10), "valid")  # 100 of them
    left = values - values.mean()
    long_run = left @ left + 2 * sum((1 - k / (lags + 1)) * (left[k:] @ left[:-k]) for k in range(1, lags + 1))
    expected = values.mean() / np.sqrt(long_run / (100 * 99))
    assert estimate_mean(values, horizon, 100, 0.05, 1).hac_t == pytest.approx(expected)


def test_from_fewer_than_twenty_values_there_is_no_t():
    values = np.random.default_rng(0).normal(1, 0.1, 20)
    few, enough = (estimate_mean(values[:count], 1, 100, 0.05, 1).hac_t for count in (19, 20))
    assert few == 0 < enough
