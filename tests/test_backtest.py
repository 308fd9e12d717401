"""The verdict's rule, and whole backtests of small markets whose truth is known."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from finsentiment.backtest.answers import answer_questions
from finsentiment.backtest.evidence import Estimate
from finsentiment.backtest.forecasts import fit_bases
from finsentiment.backtest.placebos import rank_among_placebos
from finsentiment.backtest.run import run_backtest
from finsentiment.backtest.table import to_table
from finsentiment.backtest.verdict import Evidence, decide_verdict, detectable, level_of
from finsentiment.errors import InputError
from finsentiment.features.build import HORIZONS
from finsentiment.files import round_figures
from finsentiment.params import Backtest, Features, LightGBM
from scripts.years import answers_by_year

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
    lightgbm=LightGBM(
        trees=15, learning_rate=0.1, leaves=[2, 4], min_leaf=20, column_share=0.5, row_share=0.8, bins=63
    ),
)
SECTION = Features(
    horizon=1, entry="open", latency=15, delisting_return=-0.3, window=21, half_life=2.0, surprise_window=63
)


def market(effect, seed=0, tickers=15, sessions=150):
    """Features of noise, news on 4 of 10 rows; `effect(score, covered, session)` is added to returns of sd 1 %."""
    rng = np.random.default_rng(seed)
    session, ticker = (part.ravel() for part in np.indices((sessions, tickers)))
    covered = rng.random(len(session)) < 0.4
    score = np.where(covered, rng.uniform(-1, 1, len(session)), 0.0)
    forward = rng.normal(0, 0.01, len(session)) + effect(score, covered, session)
    price = 40 * np.exp(
        np.cumsum(np.log1p(np.where(session > 0, np.roll(forward, tickers), 0)).reshape(-1, tickers), 0)
    )
    forward[session == sessions - 1] = np.nan
    return pd.DataFrame(
        {
            "session": pd.bdate_range("2024-01-01", periods=sessions).to_numpy()[session],
            "ticker": np.array([f"T{k:02d}" for k in range(tickers)])[ticker],
            "price_return_1": rng.normal(size=len(session)),
            "price_volatility": rng.random(len(session)),
            "price_overnight": rng.normal(0, 0.005, len(session)),
            "price_intraday": rng.normal(0, 0.01, len(session)),
            "attention_covered": covered.astype(float),
            "attention_count": np.log1p(covered * rng.integers(1, 4, len(session)).astype(float)),
            "fine_tuned_level": score,
            "fine_tuned_size": np.abs(score),
            "tradable": True,
            "ranked": True,
            "delists": False,
            "entry_price": price.ravel(),
            "entry_gap": rng.normal(0, 0.005, len(session)),
            "forward_return": forward,
            "forward_sessions": np.where(np.isnan(forward), np.nan, 1.0),
            **{f"return_{h}": forward for h in HORIZONS},
        }
    )


def planted(score, covered, session):
    return 0.015 * score


@pytest.fixture(scope="module")
def found():
    return run_backtest(market(planted), PARAMS, SECTION, seed=5, threads=1)


def test_a_planted_signal_improves_the_forecast(found):
    figures = found.metrics
    assert figures["verdict"] == figures["questions"]["improves"]["answer"] == "improves"
    assert figures["questions"]["informative"]["answer"] == figures["questions"]["pays"]["answer"] == "yes"
    assert figures["gain"]["fine_tuned"]["low"] > 0 and figures["gain"]["fine_tuned"]["p"] < 0.05
    for question in figures["questions"].values():
        for kind in ("shuffled", "shifted"):
            assert question[kind]["p"] == 1 / 21 and question[kind]["mean"] < question["mean"] / 2
    assert not figures["gain_over"]["attention"]["price"]["low"] > 0
    assert figures["gain_over"]["fine_tuned"]["price"]["low"] > 0
    assert sum(figures["base"].values()) == 2
    assert figures["spa_p"] < 0.05
    assert list(figures["gain_by"]["news"]) == ["no news", "one headline", "more"]
    assert figures["gain_by"]["horizon"]["1"]["mean"] == pytest.approx(figures["gain"]["fine_tuned"]["mean"])
    lines = found.words.splitlines()
    assert lines[0].startswith("Sentiment improves the forecast. Mean daily rank IC: 0.")
    assert [line.split(":")[0] for line in lines[1:]] == ["Informative", "Pays"]
    gains = found.tables["importance"].set_index(["arm", "feature"])["gain_share"]
    assert gains["fine_tuned"].idxmax() == "fine_tuned_level"
    alone = answer_questions(market(planted), PARAMS, SECTION, 5)
    assert (alone.verdict, alone.informative, alone.pays) == ("improves", "yes", "yes")
    assert alone.gain == pytest.approx(figures["gain"]["fine_tuned"]["mean"])
    assert figures["trials"] == 4  # price, attention, base, fine_tuned


def test_pays_is_what_the_portfolios_earn_and_what_would_have_been_found_is_worth_its_spread(found):
    figures = found.metrics
    net = {a: figures["portfolio"][a]["long_short"]["costs"]["10"]["net_return"] for a in ("fine_tuned", "base")}
    assert figures["questions"]["pays"]["mean"] == pytest.approx((net["fine_tuned"] - net["base"]) / 252 * 1e4)
    capital = np.append(1.0, found.tables["equity"]["fine_tuned"])
    assert np.mean(capital[1:] / capital[:-1] - 1) * 252 == pytest.approx(net["fine_tuned"])
    spread = market(planted).groupby("session")["return_1"].std().mean()
    informative = figures["questions"]["informative"]
    assert informative["detectable_bps"] == pytest.approx(informative["detectable"] * spread * 1.4 * 1e4)


def test_a_signal_against_returns_hurts_as_a_signal_and_helps_as_a_column():
    questions = run_backtest(market(lambda score, *_: -0.015 * score), PARAMS, SECTION, 5, 1).metrics["questions"]
    answers = [questions[name]["answer"] for name in ("improves", "informative", "pays")]
    assert answers == ["improves", "hurts", "yes"]


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
    assert len(found.tables["ic"]) == len(found.tables["equity"]) == 89
    mean = found.tables["ic"].drop(columns="session").iloc[-1] / 89
    assert mean.to_dict() == pytest.approx({arm: ic["mean"] for arm, ic in found.metrics["ic"].items()})


def test_shuffled_rows_columns_and_other_threads_give_the_same_bytes(found):
    features = market(planted)
    columns = np.random.default_rng(1).permutation(features.columns)
    again = run_backtest(features.sample(frac=1, random_state=1)[columns], PARAMS, SECTION, seed=5, threads=2)
    assert json.dumps(round_figures(again.metrics), sort_keys=True) == json.dumps(
        round_figures(found.metrics), sort_keys=True
    )
    assert again.tables.keys() == found.tables.keys()
    for name, table in found.tables.items():
        pd.testing.assert_frame_equal(again.tables[name], table, rtol=1e-9)


def test_fine_tuned_of_noise_is_no_evidence():
    assert run_backtest(market(lambda score, *_: 0 * score), PARAMS, SECTION, 5, 1).metrics["verdict"] == "no evidence"


def test_an_effect_of_being_in_the_news_is_not_one_of_sentiment():
    found = run_backtest(market(lambda score, covered, _: 0.01 * covered), PARAMS, SECTION, 5, 1)
    assert found.metrics["verdict"] == "no evidence"
    assert found.metrics["questions"]["informative"]["answer"] == "no evidence"
    assert found.metrics["gain_over"]["attention"]["price"]["low"] > 0
    assert any(name.startswith("attention") for name in found.metrics["base"])


def test_a_signal_that_turns_against_its_past_hurts():
    turning = market(lambda score, _, session: 0.02 * score * np.where(session < 62, 1, -1))
    found = run_backtest(turning, PARAMS.model_copy(update={"test_sessions": 90}), SECTION, 5, 1)
    assert found.metrics["verdict"] == "hurts"
    assert found.metrics["questions"]["improves"]["shuffled"]["p_hurts"] == 1 / 21


def test_scores_that_are_all_equal_are_no_evidence():
    features = market(planted).assign(fine_tuned_level=0.0, fine_tuned_size=0.0)
    found = run_backtest(features, PARAMS, SECTION, 5, 1)
    assert found.metrics["verdict"] == "no evidence"
    assert {q[kind]["p"] for q in found.metrics["questions"].values() for kind in ("shuffled", "shifted")} == {1.0}


def test_each_year_is_judged_by_itself():
    years = []
    for year, effect, sessions in ((2022, planted, 130), (2023, lambda score, *_: 0 * score, 130), (2024, planted, 60)):
        days = pd.bdate_range(f"{year}-01-03", periods=sessions)
        features = market(effect, seed=year, sessions=sessions)
        years.append(features.assign(session=days.to_numpy()[np.arange(len(features)) // 15]))
    params = SimpleNamespace(backtest=PARAMS, features=SECTION, seed=5, threads=1)
    first, second, third = answers_by_year(pd.concat(years, ignore_index=True), params).values()
    assert first.startswith("Sentiment improves") and second.startswith("There is no evidence")
    assert third.startswith("Not judged: the features hold 60 sessions and backtest.train_sessions = 60")
    alone = run_backtest(years[0], PARAMS, SECTION, 5, 1)
    assert first == alone.words


def test_features_that_are_all_equal_do_not_crash():
    features = market(planted)
    names = [name for name in features if name.startswith(("price_", "attention_", "fine_tuned_"))]
    found = run_backtest(
        features.assign(**dict.fromkeys(names, 1.0)), PARAMS.model_copy(update={"placebos": 2}), SECTION, 5, 1
    )
    assert found.metrics["verdict"] == "no evidence"
    assert {figures["mean"] for figures in found.metrics["ic"].values()} == {0.0}
    assert {arm["long_short"]["turnover"] for arm in found.metrics["portfolio"].values()} == {0.0}


def test_bad_features_are_refused_by_name():
    features = market(planted)
    first = features.iloc[[0]]
    cases = {
        r"no column forward_return, return_21, fine_tuned_level": features.drop(
            columns=["forward_return", "return_21", "fine_tuned_level", "fine_tuned_size"]
        ),
        r"session 2024-01-01, ticker T00 twice": pd.concat([features, first]),
        r"infinite price_return_1 at session 2024-01-01, ticker T00": pd.concat(
            [first.assign(price_return_1=np.inf), features.iloc[1:]]
        ),
        r"hold 50 sessions and backtest.train_sessions = 60": features[: 50 * 15],
        r"only 9 of the 10 forecast sessions have backtest.min_tickers = 5": pd.concat(
            [features[: 69 * 15], features[69 * 15 : 70 * 15].assign(forward_return=np.nan)]
        ),
    }
    for message, broken in cases.items():
        with pytest.raises(InputError, match=message):
            run_backtest(broken, PARAMS, SECTION, 5, 1)


def test_the_purge_follows_the_horizon_and_the_embargo():
    with pytest.raises(InputError, match=r"features.horizon = 59 and backtest.embargo = 1"):
        run_backtest(market(planted), PARAMS, SECTION.model_copy(update={"horizon": 59}), 5, 1)


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
    for found in (Evidence(difference, against, none, 0.05), Evidence(difference, none, against, 0.05)):
        assert decide_verdict(found, gain=difference.mean) == expected
        assert decide_verdict(found, gain=-difference.mean) == "no evidence", "the forecast itself did no better"
    doubtful = Evidence(Estimate(difference.mean, low, high, 0.01, 1.9 * np.sign(low + high)), none, none, 0.05)
    assert decide_verdict(doubtful, gain=difference.mean) == "no evidence"


@pytest.mark.parametrize(("above", "expected"), [(4, "improves"), (5, "no evidence")])
def test_of_100_placebos_at_most_four_may_do_as_well(above, expected):
    difference = Estimate(0.02, 0.01, 0.03, 0.01, 3.0)
    against = rank_among_placebos(0.0, np.array([-1.0] * (100 - above) + [1.0] * above))
    assert decide_verdict(Evidence(difference, against, against, 0.1), gain=0.02) == expected


def test_looks_before_this_one_make_the_level_stricter():
    assert level_of(0.1, 0) == pytest.approx(0.1)
    assert 1 - (1 - level_of(0.1, 4)) ** 5 == pytest.approx(0.1)
    answers = {before: answer_questions(market(faint), with_trials(before), SECTION, 5) for before in (0, 400)}
    assert (answers[0].informative, answers[400].informative) == ("yes", "no evidence")
    assert answers[400].evidence["informative"].level == pytest.approx(1 - 0.95 ** (1 / 401))


def test_what_becomes_known_late_chooses_no_base_and_trains_none():
    features = market(planted)
    late = np.random.default_rng(0).random(len(features)) < 0.2
    features["forward_sessions"] = np.where(late, 500.0, features["forward_sessions"])
    wild = features.assign(forward_return=np.where(late, -features["forward_return"], features["forward_return"]))
    settings = PARAMS.model_copy(update={"test_sessions": 10})
    found = [fit_bases(to_table(table, settings, 1, 5), threads=1)["base"] for table in (features, wild)]
    assert found[0].names == found[1].names and len(set(found[0].names)) > 1
    np.testing.assert_array_equal(found[0].values, found[1].values)


def faint(score, covered, session):
    return 0.003 * score


def with_trials(before):
    return PARAMS.model_copy(update={"trials_before": before, "placebos": 0})


def test_the_smallest_effect_that_would_have_been_found_by_hand():
    none = rank_among_placebos(0.0, np.array([]))
    wide = rank_among_placebos(0.0, np.linspace(-0.1, 0.1, 201))
    assert detectable(Evidence(Estimate(0.01, -0.002, 0.022, 0.1, 0.0), none, none, 0.1)) is None
    estimate = Estimate(0.01, -0.002, 0.022, 0.1, 2.0)  # standard error 0.005, half the interval 0.012
    assert detectable(Evidence(estimate, none, none, 0.1)) == pytest.approx(0.012 + 0.8416 * 0.005, abs=1e-5)
    for shuffled, shifted in ((none, wide), (wide, none)):
        found = detectable(Evidence(estimate, shuffled, shifted, 0.1))
        assert found == pytest.approx(0.09 + 0.8416 * 0.005, abs=1e-5)
    narrow = Estimate(0.01, 0.008, 0.012, 0.1, 2.0)  # here the quantile of t asks more than the interval
    assert detectable(Evidence(narrow, none, none, 0.1)) == pytest.approx((1.6449 + 0.8416) * 0.005, abs=1e-5)
