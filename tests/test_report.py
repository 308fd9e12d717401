"""The report's words and pictures: true for whatever the data are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from finsentiment.arms import ARMS
from finsentiment.backtest.run import Result, run_backtest
from finsentiment.files import read_json
from finsentiment.reporting.answers import answers_in_words, detectable_in_words
from finsentiment.reporting.evidence import answer_rows, coverage_rows, evidence_captions, evidence_pictures
from finsentiment.reporting.page import report_page
from finsentiment.reporting.pictures import COLOURS
from finsentiment.reporting.words import confidence
from tests.repository import ROOT
from tests.test_backtest import PARAMS, SECTION, market, planted


@pytest.fixture(scope="module")
def found() -> Result:
    return run_backtest(market(planted), PARAMS, SECTION, seed=5, threads=1)


def test_the_report_tells_the_figures_of_the_backtest(found: Result) -> None:
    captions, last = evidence_captions(found.metrics, found.tables, 10.0), found.tables["ic"].iloc[-1]
    over = found.metrics["gain_over"]["fine_tuned"]
    assert f"{last['fine_tuned']:.1f} with sentiment and {last['base']:.1f} without" in captions["ic"]
    assert f"prices alone the fine-tuned model gains {over['price']['mean']:+.3f}" in captions["gains"]
    assert f"amount of news {over['attention']['mean']:+.3f}" in captions["gains"]
    assert [row["answer"] for row in answer_rows(found.metrics)] == ["improves", "yes", "yes"]
    assert "in the gap before the session, too early to trade, and " in captions["events"]
    closing = evidence_captions(found.metrics | {"entry": "close"}, found.tables, 10.0)["events"]
    assert "early" not in closing and closing.count("within it, both before the entry at its close.") == 3


def placebo(beaten: int, count: int = 20) -> dict[str, Any]:
    p = (1 + count - beaten) / (1 + count)
    return {"count": count, "beaten": beaten, "p": p, "p_hurts": (1 + beaten) / (1 + count), "mean": 0.001}


def question(answer: str, mean: float, low: float, high: float, beaten: int = 10, **more: Any) -> dict[str, Any]:
    """Figures of a question whose placebos are lower in `beaten` of 20 cases."""
    found = {"answer": answer, "mean": mean, "low": low, "high": high, "hac_t": 2.5}
    return found | {"shuffled": placebo(beaten), "shifted": placebo(beaten)} | {"detectable": 0.0124} | more


def told(gain: float = -0.0001, **changes: Any) -> dict[str, Any]:
    """Metrics with an answer of each kind; `changes` are of the questions."""
    ratios = {"fine_tuned": -0.512, "base": 0.101}
    costs = {arm: {"0": {"sharpe": 9.0}, "10": {"sharpe": ratio}} for arm, ratio in ratios.items()}
    over = {
        "price": {"mean": 0.007, "low": -0.01, "high": 0.02},
        "attention": {"mean": 0.024, "low": 0.01, "high": 0.04},
    }
    return {
        "interval": 0.9,
        "power": 0.8,
        "base": {"price, 2 leaves": 1, "price, 8 leaves": 2, "attention, 2 leaves": 4},
        "ic": {"fine_tuned": {"mean": 0.0901}, "base": {"mean": 0.0630}},
        "gain": {"fine_tuned": {"mean": gain, "low": -0.0169, "high": 0.0369}},
        "gain_over": {"fine_tuned": over},
        "portfolio": {arm: {"long_short": {"costs": by_cost}} for arm, by_cost in costs.items()},
        "questions": {
            "improves": question("no evidence", 0.004, -0.01, 0.02, detectable_bps=2.13),
            "informative": question("yes", 0.03, 0.02, 0.04, beaten=20),
            "pays": question("hurts", -2.34, -4.0, -0.5, beaten=0),
        }
        | changes,
    }


def words(**changes: Any) -> list[str]:
    return answers_in_words(told(**changes), 10.0).splitlines()


def test_the_answers_in_words_say_what_was_found_or_what_would_have_been() -> None:
    assert words() == [
        "There is no evidence that sentiment changes the forecast. Mean daily rank IC: 0.090 with sentiment, 0.063 "
        "without. The gain is 0.000 (90 % interval -0.017 to 0.037) over the base, 0.007 (-0.010 to 0.020) over prices "
        "alone, 0.024 (0.010 to 0.040) over prices with the amount of news. The base was prices alone in 3 of 7 folds. "
        "Partial rank IC of what sentiment adds: 0.004 (90 % interval -0.010 to 0.020). A partial rank IC of 0.012 "
        "(about 2.1 basis points a session before costs) would have been found with 80 % probability.",
        "Informative: yes. Partial rank IC of the signal, after removing what prices and the amount of news explain: "
        "0.030 (90 % interval 0.020 to 0.040). It is higher than in all 20 shuffles among similar tickers and in all "
        "20 shifts in time.",
        "Pays: it costs. With sentiment the long-short portfolio earns 2.3 basis points a session less, after costs of "
        "10 per unit of turnover (90 % interval of the difference: -4.0 to -0.5). It is lower than in all 20 shuffles "
        "among similar tickers and in all 20 shifts in time. Sharpe ratio a year: -0.51 with sentiment, 0.10 without.",
    ]
    both = told()
    both["portfolio"]["base"]["long_short"]["costs"]["10"]["sharpe"] = -2.0
    assert answers_in_words(both, 10.0).endswith("-2.00 without. Both lose.")
    some = words(pays=question("no evidence", 1, -1, 3, detectable=3.61))[2]
    assert "session more, after" in some and "A difference of 3.6 would have been found with 80 % probability." in some
    assert "or all are the same" in detectable_in_words(question("no evidence", 0.0, 0.0, 0.0, detectable=None), 0.8)
    against = words(informative=question("hurts", -0.03, -0.04, -0.02, beaten=0))[1]
    assert against.startswith("Informative: the signal goes against returns. ")


def test_no_evidence_beside_an_interval_that_excludes_0_says_which_point_of_the_rule_failed() -> None:
    alone = question("no evidence", 0.05, 0.03, 0.07, beaten=20)
    large = words(improves=alone | {"detectable_bps": 2.1})[0]
    assert "excludes 0, but the gain in mean rank IC has not the same sign. Otherwise a partial rank IC of 0." in large
    # Only the verdict asks for the gain, and a portfolio can lose by costs whatever the scores are.
    costs = question("no evidence", -9.0, -12.0, -6.0, beaten=9)
    said = words(pays=costs)[2]
    assert "but the figure is as low in 9 of 20 shuffles among similar tickers and 9 of 20 shifts in time. Oth" in said
    few = words(gain=0.01, improves=question("no evidence", 0.05, 0.03, 0.07, beaten=17))[0]
    assert "as high in 3 of 20 shuffles among similar tickers and 3 of 20 shifts in time. Otherwise a" in few
    small = words(informative=alone | {"hac_t": 1.5})[1]
    assert "excludes 0, but the HAC t of 1.50 is too small. Otherwise a " in small


def test_the_confidence_of_an_interval_is_never_rounded_to_100_percent() -> None:
    levels = {0.9: "90 %", 0.95: "95 %", 0.948683: "94.9 %", 0.979148: "97.9 %", 0.998957: "99.9 %"}
    assert {level: confidence(level) for level in levels} == levels


def rendered(found: Result, tried_before: int = 0) -> str:
    """The page of a run whose stages before the backtest are those of the default run."""
    metrics = {path.stem: read_json(path) for path in (ROOT / "metrics").glob("*.json")} | {"backtest": found.metrics}
    tables = {name: table.copy() for name, table in found.tables.items()}
    tables["confusion"] = pd.read_csv(ROOT / "metrics/evaluate/confusion.csv")
    pictures = dict.fromkeys(("curve", "confusion", "reliability"), b"")
    pictures |= evidence_pictures(found.metrics, tables)
    return report_page(metrics, tables, pictures, found.words, 10.0, "", {}, True, tried_before)


def run(features: pd.DataFrame, **changes: Any) -> Result:
    return run_backtest(features, PARAMS.model_copy(update=changes), SECTION, 5, 1)


def with_scores(change: Any) -> pd.DataFrame:
    features = market(planted)
    score = change(features["fine_tuned_level"], features["attention_covered"] == 1)
    return features.assign(fine_tuned_level=score, fine_tuned_size=np.abs(score))


def test_the_page_of_scores_that_are_all_equal() -> None:
    found = run(with_scores(lambda score, covered: 0.0 * score))
    page = rendered(found)
    assert "No effect could have been found" in page and "adds nothing to the base: no tree splits" in page
    assert "-0.000" not in page
    assert "On good news" not in page and "On neutral news (" in page


def test_the_page_without_placebos_and_after_other_looks() -> None:
    page = rendered(run(market(planted), placebos=0, trials_before=4, significance=0.1), 4)
    assert page.count("No placebos were drawn.") >= 2
    assert "97.9 % intervals, so wide because 4 strategies were tried on these data before." in page


def test_the_page_of_a_signal_that_hurts_shows_the_p_of_its_side() -> None:
    found = run(market(lambda score, covered, session: np.where(session < 75, 0.03, -0.03) * score))
    improves = found.metrics["questions"]["improves"]
    assert improves["mean"] < 0
    page = rendered(found)
    assert "(one as low: p " in page
    assert f"{improves['shuffled']['p_hurts']:.3f})" in page


def test_the_page_of_good_news_alone_on_one_ticker_in_twenty() -> None:
    rng = np.random.default_rng(3)
    rare = rng.random(len(market(planted))) < 0.1
    features = market(planted)
    covered = (features["attention_covered"] == 1) & rare
    score = np.where(covered, 0.9, 0.0)
    counts = features["attention_count"].where(covered, 0.0)
    features = features.assign(
        fine_tuned_level=score, fine_tuned_size=score, attention_covered=covered.astype(float), attention_count=counts
    )
    page = rendered(run(features))
    assert "On good news (" in page and "On bad news" not in page
    assert "too few sessions with news on five tickers" in page
    assert answer_rows(run(features).metrics)[0]["answer"] == "no evidence"


def test_a_decay_of_too_few_sessions_is_an_empty_picture_and_says_so(found: Result) -> None:
    nothing = pd.DataFrame(columns=["lag", "mean", "low", "high"])
    metrics = found.metrics | {"profile": found.metrics["profile"] | {"horizon": {"by": {}, "p": None}}}
    assert evidence_pictures(metrics, found.tables | {"decay": nothing})["decay"]
    said = evidence_captions(metrics, found.tables | {"decay": nothing}, 10.0)["decay"]
    assert said == "There are too few sessions to say how long the signal tells."


def test_the_report_names_the_tickers_with_the_most_news_and_what_could_be_earned_after_it(found: Result) -> None:
    coverage, events = found.tables["coverage"], found.tables["events"].set_index(["news", "day", "part"])
    rows = coverage_rows(coverage)
    assert len(rows) == 10 and rows[0]["headlines"] == str(coverage["headlines"].max())
    share = coverage["headlines"].max() / coverage["headlines"].sum()
    assert rows[0]["share"] == f"{100 * share:.1f} %"
    earned = events["so_far_bps"]["good", 10, "intraday"] - events["so_far_bps"]["good", 0, "overnight"]
    said = evidence_captions(found.metrics, found.tables, 10.0)
    assert f"from the entry to the end of the tenth session after {earned:+.1f}." in said["events"]
    drawn = found.metrics["portfolio"]["fine_tuned"]["long_short"]["costs"]["10"]["max_drawdown"]
    assert f"The largest drawdown is {100 * drawn:.0f} % with sentiment" in said["equity"]


def test_each_line_of_a_picture_has_a_colour_of_its_own() -> None:
    assert len(set(COLOURS)) == len(COLOURS) >= len(ARMS) + 1, "the arms and the base"
