"""What makes the forecasts, and what they are traded on: nothing that comes later, and nothing outside the universe."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from finsentiment.backtest.answers import answer_questions
from finsentiment.backtest.forecasts import Sentiment, fit_bases
from finsentiment.backtest.questions import Asker, ask_pays, prices_of, trade
from finsentiment.backtest.table import FeatureTable, to_table
from tests.test_backtest import PARAMS, SECTION, market, planted

NUMBER = np.arange(2250)
SESSION, TICKER = NUMBER // 15, NUMBER % 15


def mirrored(features: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """The features with the forward returns of these rows turned into their opposites."""
    return features.assign(forward_return=np.where(rows, -features["forward_return"], features["forward_return"]))


def test_what_comes_after_a_fold_moves_neither_its_base_nor_what_sentiment_adds() -> None:
    features = market(planted)
    later = SESSION >= 110  # the second of two folds
    wild = mirrored(features, later)
    for name in ("price_return_1", "price_volatility", "fine_tuned_level", "fine_tuned_size"):
        wild[name] = np.where(later, -3 * features[name], features[name])

    def forecasts(table: FeatureTable) -> tuple[np.ndarray, np.ndarray]:
        base = fit_bases(table, 1)["base"]
        return base.values, Sentiment(table, ["fine_tuned"]).add("fine_tuned", base, 1).values

    found = [forecasts(to_table(table, PARAMS, 1, 5)) for table in (features, wild)]
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one[: 110 * 15], other[: 110 * 15])


def test_a_folds_own_sessions_do_not_choose_its_base() -> None:
    settings, features = PARAMS.model_copy(update={"test_sessions": 30}), market(planted)
    found = fit_bases(to_table(features, settings, 1, 5), 1)
    assert found["base"].names[0] == ("price", 2)
    later = SESSION >= 89  # these returns are known when the second fold, from 90 on, has begun
    for arm in ("price", "attention"):  # from then on this arm is perfect
        wild = features.assign(forward_return=np.where(later, found[arm].values, features["forward_return"]))
        assert fit_bases(to_table(wild, settings, 1, 5), 1)["base"].names[:2] == found["base"].names[:2]


def test_the_embargo_holds_for_labels_that_are_known_late() -> None:
    features = market(planted)
    late = (TICKER == 0) & (SESSION >= 20) & (SESSION <= 50)
    features["forward_sessions"] = np.where(late, 59 - SESSION, features["forward_sessions"])  # the fold begins at 60
    tables = (to_table(table, PARAMS, 1, 5) for table in (features, mirrored(features, late)))
    first = [table.fit(table.values("price"), [2], 1)[0].forecast()[60 * 15 : 110 * 15] for table in tables]
    np.testing.assert_array_equal(*first)


def test_sentiment_learns_from_returns_that_are_cleaned_as_the_scores_are() -> None:
    features = market(planted)
    # Prices tell all: what the trees would make of scores that are not cleaned is taken for sentiment.
    table = to_table(features.assign(forward_return=features["price_return_1"] / 100), PARAMS, 1, 5)
    base, sentiment = fit_bases(table, 1)["base"], Sentiment(table, ["fine_tuned"])
    uncleaned = table.fit(np.column_stack(list(sentiment.cleaned.values())), [2], 1, base.fitted)[0].forecast()
    assert np.nanstd(sentiment.add("fine_tuned", base, 1).values) < 0.75 * np.nanstd(uncleaned)


@pytest.mark.parametrize("horizon", [1, 5])
def test_pays_is_a_difference_after_costs_in_basis_points_a_session(horizon: int) -> None:
    settings = {cost: PARAMS.model_copy(update={"cost_bps": cost, "placebos": 0}) for cost in (0.0, 25.0)}
    tables = {cost: to_table(market(planted), params, horizon, 5) for cost, params in settings.items()}
    score = tables[0.0].column("fine_tuned_level")
    # A base without an opinion holds nothing: all that is traded is sentiment's.
    paid = {c: ask_pays(Asker(t, 1, 1), 0 * score, score, -0.3).estimate.mean for c, t in tables.items()}
    trades = trade(tables[0.0], tables[0.0].grid(score), prices_of(tables[0.0], -0.3), short=True)
    assert paid[0.0] == pytest.approx(trades.gross.mean() * 1e4 / horizon)
    assert paid[0.0] - paid[25.0] == pytest.approx(25 * trades.turnover.mean() / horizon)
    assert ask_pays(Asker(tables[25.0], 1, 1), score, 0 * score, -0.3).estimate.mean == 0


def test_a_delisting_in_the_features_reaches_the_prices_of_the_portfolio() -> None:
    features = market(planted)
    features.loc[(TICKER == 0) & (SESSION == 100), "delists"] = True
    gone = features[~((TICKER == 0) & (SESSION > 100))]
    long, short = prices_of(to_table(gone, PARAMS, 1, 5), -0.3).marks()
    last = features["entry_price"][100 * 15]
    assert (long[101, 0], short[101, 0]) == pytest.approx((0.7 * last, last))


def test_rows_outside_the_universe_train_judge_and_trade_nothing() -> None:
    ranked, features = TICKER < 10, market(planted)
    wild = features.assign(
        ranked=ranked,
        forward_return=np.where(ranked, features["forward_return"], 5.0),
        return_1=np.where(ranked, features["return_1"], 5.0),
        entry_price=np.where(ranked, features["entry_price"], 1 / features["entry_price"]),
    )
    params = PARAMS.model_copy(update={"placebos": 0})
    within, alone = (answer_questions(table, params, SECTION, 5) for table in (wild, features[ranked]))
    assert within.gain == pytest.approx(alone.gain)
    for name, found in within.evidence.items():
        assert found.estimate.mean == pytest.approx(alone.evidence[name].estimate.mean), name
