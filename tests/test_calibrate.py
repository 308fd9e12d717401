"""The measurement of how often the answers are wrong: the markets are what they say, and the counting is right."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from finsentiment.backtest.evidence import rank_ic
from finsentiment.errors import InputError
from finsentiment.files import write_table
from finsentiment.labels import LABELS
from finsentiment.params import Params, check_params
from scripts import calibrate
from scripts.calibration.grid import CONFIRMED_FROM, KINDS, LARGE, NULLS, Job, jobs
from scripts.calibration.markets import OTHERS, Kind, _read, simulate
from scripts.calibration.page import calibration_page, calibration_picture, false_answers, found_answers, misses
from scripts.calibration.shape import Shape, shape_of
from tests.test_dependencies import imported

ROOT = Path(__file__).parents[1]
SHAPE = Shape(
    sessions=200,
    news=np.linspace(3.0, 0.05, 30).round(3).tolist(),
    coverage=0.45,
    persistence=0.3,
    repeats=0.3,
    closed=0.7,
)
READING = pd.DataFrame({"tone": LABELS, "negative": [60, 10, 20], "neutral": [20, 80, 20], "positive": [20, 10, 60]})
NO_ERRORS = np.eye(3)


@pytest.fixture(scope="module")
def params() -> Params:
    params = check_params(yaml.safe_load((ROOT / "params.yaml").read_text()))
    quick = {"train_sessions": 80, "seeds": 1, "placebos": 20, "bootstrap_samples": 200}
    return params.model_copy(update={"backtest": params.backtest.model_copy(update=quick)})


def daily_ic(table: pd.DataFrame, values: np.ndarray) -> float:
    session = pd.factorize(table["session"])[0]
    return float(rank_ic(values, table["return_1"].to_numpy(), session, 5).mean())


def test_news_has_the_shape_that_is_asked_for(params: Params) -> None:
    counts = []
    for seed in range(3):
        table = simulate(Kind("null"), SHAPE, 0.0, 0.0, NO_ERRORS, params.features, seed)
        counts.append(np.expm1(table["attention_count"].to_numpy()).reshape(SHAPE.sessions, -1))
    count = np.mean(counts, axis=0)
    assert np.mean(np.array(counts) > 0) == pytest.approx(SHAPE.coverage, abs=0.03)
    np.testing.assert_allclose(count.mean(axis=0), SHAPE.news, rtol=0.35, atol=0.1)
    logs = np.log1p(np.concatenate([c - c.mean(axis=0) for c in counts]).clip(0))
    logs -= logs.mean(axis=0)
    assert (logs[1:] * logs[:-1]).sum() / (logs**2).sum() == pytest.approx(SHAPE.persistence, abs=0.12)


@pytest.mark.parametrize(
    ("kind", "tickers", "coverage"),
    [("null_sparse", 30, 0.05), ("null_25_tickers", 25, 0.45), ("null_plain", 30, 0.45)],
)
def test_sparse_news_and_fewer_tickers_are_what_they_say(kind, tickers, coverage, params) -> None:
    table = simulate(KINDS[kind], SHAPE, 0.0, 0.0, NO_ERRORS, params.features, 1)
    assert table["ticker"].nunique() == tickers
    assert table["attention_covered"].mean() == pytest.approx(coverage, abs=0.06)


def test_a_ragged_market_has_all_that_real_ones_have(params) -> None:
    table = simulate(KINDS["null_ragged"], SHAPE, 0.06, 0.0, NO_ERRORS, params.features, 1)
    spans = table.groupby("ticker")["session"].agg(["min", "max"])
    assert (spans["min"] > table["session"].min()).any() and (spans["max"] < table["session"].max()).any()
    assert table["delists"].any() and 0.6 < table["ranked"].mean() < 0.8
    assert (table["forward_sessions"] > 1).any() and (~table["tradable"]).any()
    covered = [
        simulate(KINDS[kind], SHAPE, 0.06, 0.0, NO_ERRORS, params.features, 1)
        .groupby("session")["attention_covered"]
        .mean()
        .std()
        for kind in ("null_return_x_news", "null_ragged")
    ]
    assert covered[1] > 1.4 * covered[0]


def test_a_tone_is_read_by_its_row_of_the_errors_and_not_by_its_column() -> None:
    errors = np.array([[0.6, 0.3, 0.1], [0.0, 0.9, 0.1], [0.0, 0.2, 0.8]])
    tone = np.repeat([-1.0, 0.0, 1.0], 3000)
    read = _read(np.arange(9000), tone, replace(SHAPE, repeats=0.0), errors, 30, np.random.default_rng(0))
    found = [[np.mean(read[tone == true] == seen) for seen in (-1, 0, 1)] for true in (-1, 0, 1)]
    np.testing.assert_allclose(found, errors, atol=0.03)


def test_a_drift_goes_on_for_its_sessions_and_no_longer(params) -> None:
    table = simulate(Kind("null", drift_sessions=3), SHAPE, 0.0, 0.1, NO_ERRORS, params.features, 1)
    later = [table.groupby("ticker")["return_1"].shift(-ahead) for ahead in range(5)]
    level = table["fine_tuned_level"].to_numpy()
    ics = [daily_ic(table.assign(return_1=returns), level) for returns in later]
    assert min(ics[:3]) > 0.1 > max(map(abs, ics[3:]))


def test_a_text_that_comes_again_is_read_as_before(params) -> None:
    errors = calibrate.errors_at(READING, 0.5)

    def reread(repeats: float) -> float:
        """How often two sessions of one ticker with one headline each are read alike."""
        shape = replace(SHAPE, repeats=repeats, news=[0.3] * 30, coverage=0.23)
        table = simulate(Kind("null"), shape, 0.0, 0.0, errors, params.features, 1)
        one = table[np.isclose(np.expm1(table["attention_count"]), 1)]
        level = one.groupby("ticker")["fine_tuned_level"]
        return float((level.shift(1).dropna() == one.loc[level.shift(1).dropna().index, "fine_tuned_level"]).mean())

    assert reread(0.95) > reread(0.0) + 0.15


def test_errors_are_those_that_were_measured_and_fewer_where_more_is_read_right() -> None:
    measured = calibrate.errors_at(READING, 200 / 300)
    np.testing.assert_allclose(measured, [[0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    half = calibrate.errors_at(READING, 1 - 0.5 / 3)
    np.testing.assert_allclose(half - np.eye(3), (measured - np.eye(3)) / 2)
    np.testing.assert_array_equal(calibrate.errors_at(READING, 1.0), np.eye(3))
    read = calibrate.reading_errors(
        pd.Series([-1.0, 1, 1, 0]), pd.Series(["negative", "neutral", "positive", "neutral"])
    )
    assert read[list(LABELS)].to_numpy().tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]


def before(table: pd.DataFrame, name: str) -> np.ndarray:
    return table.groupby("ticker")[name].shift(1).to_numpy()


def extreme_in_session(table: pd.DataFrame, name: str) -> pd.Series:
    by_session = table.groupby("session")[name]
    return (table[name] - by_session.transform("mean")).abs() > 1.5 * by_session.transform("std", ddof=0)


@pytest.mark.parametrize("other", OTHERS)
def test_each_other_effect_has_the_rank_ic_that_is_asked_for_and_the_tone_none_of_its_own(other, params) -> None:
    found = {size: [] for size in (0.0, 0.15)}
    for size, ics in found.items():
        for seed in range(2):
            table = simulate(Kind("null", other), SHAPE, size, 0.0, NO_ERRORS, params.features, seed)
            past = table["price_return_1"].to_numpy()
            driver = {
                "return_x_news": np.sign(table["attention_covered"].to_numpy() - 0.5) * past,
                "return_x_news_before": np.sign(before(table, "attention_covered") - 0.5)
                * before(table, "price_return_1"),
                "reversal": -past,
                "gap": -table["entry_gap"].to_numpy(),
                "gap_extreme": -(table["entry_gap"] * extreme_in_session(table, "entry_gap")).to_numpy(),
                "volume": table["price_volume_ratio"].to_numpy(),
                "attention": table["attention_count"].to_numpy(),
            }[other]
            ics.append(daily_ic(table, driver))
    assert np.mean(found[0.15]) - np.mean(found[0.0]) == pytest.approx(0.15, abs=0.05)


def test_what_is_surprising_in_the_news_moves_the_price_before_the_entry_alone(params) -> None:
    table = simulate(Kind("null"), SHAPE, 0.0, 0.0, NO_ERRORS, params.features, 3)
    level = table["fine_tuned_level"]
    assert np.corrcoef(level, table["entry_gap"])[0, 1] > 0.05
    assert abs(daily_ic(table, level.to_numpy())) < 0.04


def test_tickers_lean_to_good_or_bad_news_where_sentiment_persists(params) -> None:
    same = {}
    for persistent in (False, True):
        table = simulate(Kind("null", persistent=persistent), SHAPE, 0.0, 0.0, NO_ERRORS, params.features, 1)
        level = table.pivot(index="session", columns="ticker", values="fine_tuned_level").iloc[:, :10].to_numpy()
        week = level.reshape(40, 5, 10).mean(axis=1)
        same[persistent] = np.corrcoef(week[:-1].ravel(), week[1:].ravel())[0, 1]
    assert same[True] > same[False] + 0.2


def test_the_planted_rank_ic_is_there_as_read(params) -> None:
    errors = calibrate.errors_at(READING, 0.68)
    drift = calibrate.drift_of(0.1, "drift_3", 0.68, SHAPE, errors, params)

    def planted(size: float) -> float:
        return float(
            np.mean(
                [calibrate.level_ic(Job("drift_3", 0, 0.1, 0.68, s), size, SHAPE, errors, params) for s in range(3)]
            )
        )

    assert planted(drift) - planted(0.0) == pytest.approx(0.1, rel=0.3)


def test_a_large_effect_is_found_and_one_against_the_tone_is_told_from_it(params) -> None:
    drift = calibrate.drift_of(0.1, "drift_3", 1.0, SHAPE, NO_ERRORS, params)
    found = calibrate.judge(Job("drift_3", 0.03, 0.1, 1.0, 3), drift, SHAPE, NO_ERRORS, params)
    assert (found["verdict"], found["informative"]) == ("improves", "yes") and found["gain"] > 0.02
    against = calibrate.judge(Job("drift_3", 0.03, -0.1, 1.0, 3), -drift, SHAPE, NO_ERRORS, params)
    # The models learn that the drift goes against the tone, so that sentiment helps as much; the signal has its sign.
    assert (against["verdict"], against["informative"]) == ("improves", "hurts")


def test_a_run_that_was_stopped_goes_on_and_judges_nothing_twice(params, tmp_path, monkeypatch) -> None:
    todo = [Job("null_plain", 0.0, 0.0, 1.0, seed) for seed in range(3)]
    errors = {1.0: NO_ERRORS}
    first = calibrate.run_grid(todo[:2], tmp_path, SHAPE, errors, params, 1)
    monkeypatch.setattr(calibrate, "judge", judged_before)
    again = calibrate.run_grid(todo[:2], tmp_path, SHAPE, errors, params, 1)
    assert len(first) == len(again) == 2
    with pytest.raises(AssertionError, match="judged seed 2"):
        calibrate.run_grid(todo, tmp_path, SHAPE, errors, params, 1)
    assert len(pd.read_csv(tmp_path / "markets.csv")) == 2


def test_markets_of_other_code_are_refused_and_each_kind_has_its_own_drift(params, tmp_path, monkeypatch) -> None:
    todo = [Job("null_plain", 0.0, 0.0, 1.0, 1), Job("drift_3", 0.06, 0.02, 1.0, 2)]
    monkeypatch.setattr(calibrate, "judge", drift_told)
    monkeypatch.setattr(calibrate, "drift_of", half_of)
    done = calibrate.run_grid(todo, tmp_path, SHAPE, {1.0: NO_ERRORS}, params, 1)
    assert dict(zip(done["kind"], done["drift"], strict=True)) == {"null_plain": 0.0, "drift_3": 0.01}
    for shape, errors in ((SHAPE, calibrate.errors_at(READING, 0.68)), (replace(SHAPE, repeats=0.2), NO_ERRORS)):
        with pytest.raises(InputError, match="2 of 2 markets were judged by other code"):
            calibrate.run_grid(todo[:1], tmp_path, shape, {1.0: errors}, params, 1)


def drift_told(job: Job, drift: float, *_: object) -> dict:
    return {**job._asdict(), "drift": drift}


def half_of(planted: float, *_: object) -> float:
    return planted / 2


def judged_before(job: Job, *_: object) -> None:
    raise AssertionError(f"judged seed {job.seed}")


def test_the_grid_holds_every_kind_and_the_quick_one_is_part_of_the_full_one() -> None:
    full, quick = jobs(True, CONFIRMED_FROM), jobs(False, CONFIRMED_FROM)
    assert set(quick) < set(full) and len({job.seed for job in full}) == len(full)
    assert min(job.seed for job in full) == CONFIRMED_FROM > max(job.seed for job in jobs(True, 0))
    nulls = pd.DataFrame([job for job in full if job.planted == 0])
    assert (nulls[nulls["other"] < LARGE].groupby("kind").size() == 200).all()
    assert set(nulls["kind"]) == {kind.name for kind in NULLS} and all(k.name.startswith("null") for k in NULLS)
    assert {kind.other for kind in NULLS} >= set(OTHERS)


def rows(kind: str, planted: float, verdicts: dict[str, int], other: float = 0.03) -> list[dict]:
    base = {"key": "k", "kind": kind, "other": other, "planted": planted, "reading": 0.68, "gain": 0.001}
    base |= {"informative_mean": 0.02, "detectable": 0.012, "informative": "yes", "pays": "no evidence"}
    base["pays_hac_t"] = 0.0 if kind == "drift_3" else 1.0
    return [{**base, "verdict": value, "seed": n} for value, count in verdicts.items() for n in range(count)]


def test_the_tables_count_answers_with_wilsons_interval_and_name_what_is_over_the_bar(params) -> None:
    done = pd.DataFrame(
        rows("null_reversal", 0, {"improves": 1, "no evidence": 9})
        + rows("null_reversal", 0, {"improves": 10}, other=LARGE)
        + rows("drift_3", 0.02, {"improves": 8, "no evidence": 2}, other=0.06)
    )
    false = false_answers(done).set_index(["kind", "other"])
    row = false.loc[("null_reversal", "0 to 0.06")]
    assert row["verdict +"] == 0.1 and row["verdict -"] == 0
    assert (row["verdict + low"], row["verdict + high"]) == pytest.approx((0.0179, 0.4042), abs=1e-3)
    assert false.loc[("all kinds", "0 to 0.06"), "markets"] == 10 and not false.loc[("null_reversal", "0.12"), "barred"]
    found = found_answers(done).iloc[0]
    assert (found["verdict"], found["informative"], found["pays"]) == (0.8, 1.0, 0.0)
    page = calibration_page(done, SHAPE, READING, CONFIRMED_FROM, params)
    assert "| null_reversal | 0.03 | 10 | 10.0 (1.8 to 40.4) |" in page
    assert "Too few holding periods for *pays*: drift_3." in page
    missed = ["informative: yes in 100.0 (72.2 to 100.0)", "improves: yes in 10.0 (1.8 to 40.4)"]
    assert page.count(" Missed: ") == 3 and "**Not passed.**" in page
    assert f" Missed: all kinds, {missed[0]} %." in page and f" Missed: null_reversal, {missed[0]} %." in page
    assert f" Missed: all kinds, {missed[1]} %." in page and "Missed: null_reversal, improves" not in page
    assert calibration_picture(done)[:4] == b"\x89PNG"


def test_pays_may_be_true_where_gaps_turn_back_and_is_judged_elsewhere() -> None:
    none = {"verdict": "no evidence", "informative": "no evidence"}
    made = [(kind, answer) for kind in ("null_gap", "null_plain") for answer in ("yes", "hurts")]
    for kind, answer in made:
        said = pd.DataFrame(rows(kind, 0, {"no evidence": 10})).assign(**none, pays=answer)
        other = pd.DataFrame(rows("null_volume", 0, {"no evidence": 10})).assign(**none)
        missed = misses(false_answers(pd.concat([said, other])))
        counted = [] if (kind, answer) == ("null_gap", "yes") else ["all kinds", kind]
        assert [miss.split(",")[0] for miss in missed] == counted


def small_market() -> tuple[pd.DataFrame, pd.DataFrame]:
    """News and prices of two tickers on nine days, one headline a second time."""
    days = pd.bdate_range("2023-01-03", "2023-01-13")
    prices = pd.concat(
        [
            pd.DataFrame(
                {"ticker": t, "session": days, **dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)}
            )
            for t in "AB"
        ]
    )
    stamps = ["2023-01-03T12:00", "2023-01-03T16:00", "2023-01-04T12:00", "2023-01-05T12:00", "2023-01-06T12:00"]
    news = pd.DataFrame(
        {
            "published_at": pd.to_datetime(stamps, utc=True),
            "ticker": list("AAABA"),
            "headline": ["x", "y", "x", "x", "z"],
        }
    )
    return news, prices


def test_the_shape_of_a_market_is_measured_on_its_news() -> None:
    news, prices = small_market()
    section = check_params(yaml.safe_load((ROOT / "params.yaml").read_text())).features
    found = shape_of(news, prices, section, "XNYS")
    assert (found.sessions, found.news, found.coverage) == (4, [1.0, 0.25], 0.5)
    assert found.repeats == 0.2 and found.closed == 0.8  # "x" on A again; one headline within the session
    assert json.loads(json.dumps(found.facts()))["top_five"] == 1.0


def test_markets_are_judged_again_for_whatever_can_change_an_answer_and_for_no_word() -> None:
    answers = ROOT / "finsentiment/backtest/answers.py"
    deciding = {answers} | imported(answers) | imported(ROOT / "scripts/calibration/markets.py")
    package = ROOT / "finsentiment"
    others = {package / f"{name}.py" for name in ("__init__", "errors", "labels", "params", "intake/settings")}
    others |= {ROOT / "stages/__init__.py"}
    assert deciding - others == {ROOT / file for file in calibrate.CODE if file.parts[0] == "finsentiment"}
    said = calibrate.without_words('"""A."""\n\n\ndef f(x):\n    """B."""\n    return x  # C\n')
    assert (
        said
        == calibrate.without_words("def f(x):\n    return x")
        != calibrate.without_words("def f(x):\n    return -x")
    )


def test_the_command_for_ones_own_market_takes_its_shape_and_reads_each_headline_once(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    news, prices = small_market()
    news["news_id"] = list("12345")
    truth = pd.DataFrame({"news_id": news["news_id"], "truth": [1.0, -1.0, 1.0, 1.0, 0.0]})
    scores = pd.DataFrame({"news_id": news["news_id"], "p_negative": [0.1, 0.8, 0.1, 0.1, 0.9]})
    scores = scores.assign(p_neutral=0.05, p_positive=[0.85, 0.15, 0.85, 0.85, 0.05])
    for name, table in {"prepared/news": news, "prepared/prices": prices, "prepared/truth": truth}.items():
        write_table(tmp_path / f"data/{name}.parquet", table)
    write_table(tmp_path / "data/scored/news_scores.parquet", scores)
    asked = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["calibrate", "--mine"])
    monkeypatch.setattr(calibrate, "all_params", lambda: params)
    monkeypatch.setattr(calibrate, "run_grid", lambda *given: asked.append(given) or sys.exit())
    with pytest.raises(SystemExit):
        calibrate.main()
    todo, folder, shape, errors = asked[0][:4]
    assert folder == calibrate.MINE and (shape.sessions, len(shape.news), shape.coverage) == (4, 2, 0.5)
    assert todo == jobs(False, CONFIRMED_FROM) and set(errors) == {job.reading for job in todo}
    # "x" (good, read right), "y" (bad, read right), "z" (neutral, read as bad): each once.
    read = pd.read_csv(folder / calibrate.READING).set_index("tone")
    assert read.to_numpy().tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 1]]


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the key holds the code as Python 3.11 writes it")
def test_the_published_error_rates_are_of_the_code_and_the_parameters_that_stand() -> None:
    params = check_params(yaml.safe_load((ROOT / "params.yaml").read_text()))
    table = pd.read_csv(ROOT / calibrate.FOLDER / calibrate.READING)
    errors = {right: calibrate.errors_at(table, right) for right in sorted({job.reading for job in jobs(True, 0)})}
    key = calibrate._key(params, calibrate.read_shape(ROOT / calibrate.FOLDER / calibrate.SHAPE), errors)
    assert set(pd.read_csv(ROOT / calibrate.FOLDER / "markets.csv", dtype={"key": str})["key"]) == {key}
