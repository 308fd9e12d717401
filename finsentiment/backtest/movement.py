"""StockNet's own task: does a stock close up or down?

Xu and Cohen (2018), "Stock Movement Prediction from Tweets and Historical Prices", section 4. A target is a ticker and
session whose close moved by at most -0.5 % or by more than 0.55 % since the last close; smaller moves are left out.
Trained to 2015-07-31 and tested from 2015-10-01 to 2015-12-31: 3,720 targets, as many as in the paper. The two months
between serve the paper to choose a model, and nobody here. What is known is what was known at the close of the session
before: the paper lets news count until the end of that day, so this is stricter.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from finsentiment import params
from finsentiment.arms import ATTENTION, PRICE, READERS, TESTED
from finsentiment.backtest.forecasts import Forecast, Sentiment
from finsentiment.backtest.table import FeatureTable, to_table
from finsentiment.errors import InputError
from finsentiment.features.build import build_features
from finsentiment.features.panel import to_panel
from finsentiment.market.sessions import session_after_close

DOWN, UP = -0.005, 0.0055
TRAIN_END, TEST_START, TEST_END = (pd.Timestamp(day) for day in ("2015-08-01", "2015-10-01", "2016-01-01"))


def movements(rows: pd.DataFrame, prices: pd.DataFrame, exchange: str) -> np.ndarray:
    """1 for up, 0 for down, NaN for what is no target: one value per row (`session`, `ticker`).

    A move is from the close of the exchange's session before; where one of the two is missing there is no target.
    """
    panel = to_panel(prices, exchange)
    close = panel.fields["close"]
    move = np.full_like(close, np.nan)
    move[1:] = close[1:] / close[:-1] - 1
    found = move[panel.sessions.get_indexer(rows["session"]), panel.tickers.get_indexer(rows["ticker"])]
    return np.select([found > UP, found <= DOWN], [1.0, 0.0], np.nan)


def judge_movement(
    news: pd.DataFrame,
    prices: pd.DataFrame,
    scores: pd.DataFrame,
    section: params.Features,
    settings: params.Backtest,
    exchange: str,
    seed: int,
    threads: int,
) -> dict[str, Any]:
    """Accuracy and Matthews correlation on the test targets, by arm of the backtest, with 95 % intervals.

    `gain` is what the fine-tuned model adds to prices and attention, on the same resamples. The intervals are
    percentiles of a bootstrap over whole sessions, whose stocks move together.

    Raises
    ------
    InputError
        where no target lies in the training or in the test period
    """
    built, _ = build_features(prices, news, scores, section, exchange, entry_rule=session_after_close)
    target, day = movements(built, prices, exchange), built["session"]
    train = (day < TRAIN_END).to_numpy() & ~np.isnan(target)
    test = ((day >= TEST_START) & (day < TEST_END)).to_numpy() & ~np.isnan(target)
    if not train.any() or not test.any():
        raise InputError(
            f"{train.sum()} movements to train on before {TRAIN_END.date()} and {test.sum()} to test on from "
            f"{TEST_START.date()}: expected StockNet's tweets and prices of 2014 and 2015 (market.source=stocknet)"
        )
    table = to_table(built, settings, section.horizon, seed)  # the rows are in its order already
    fold = (np.unique(table.session[day < TRAIN_END]), np.unique(table.session[test]))
    table = replace(table, target=target - 0.5, label_end=table.session.astype(float), folds=[fold])
    forecasts = _forecasts(table, threads)

    session = pd.factorize(table.session[test])[0]
    draws = np.random.default_rng(seed).integers(0, session.max() + 1, (settings.bootstrap_samples, session.max() + 1))
    found = {arm: _scores(values[test] > 0, target[test] == 1, session, draws) for arm, values in forecasts.items()}
    gain = found[TESTED] - found[ATTENTION]
    facts = {"train": int(train.sum()), "test": int(test.sum()), "test_up_share": float(target[test].mean())}
    return facts | {"arms": {arm: _figures(values) for arm, values in found.items()}, "gain": _figures(gain)}


def _forecasts(table: FeatureTable, threads: int) -> dict[str, np.ndarray]:
    """Forecasts of every arm (rows,) by the smallest trees; the readers add to prices and the amount of news."""
    size = [min(table.params.lightgbm.leaves)]
    prices = table.fit(table.values(PRICE), size, threads)[0]
    attention = table.fit(table.values(PRICE, ATTENTION), size, threads)[0]
    readers = [arm for arm in table.columns if arm in READERS]
    sentiment = Sentiment(table, readers)
    base = Forecast(attention.forecast(), attention, [(ATTENTION, size[0])])
    return {PRICE: prices.forecast(), ATTENTION: base.values} | {
        arm: base.values + sentiment.add(arm, base, threads).values for arm in readers
    }


def _scores(said: np.ndarray, actual: np.ndarray, session: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Accuracy and Matthews correlation (columns) of the targets themselves, then of each draw of sessions.

    Matthews (1975): (tp tn - fp fn) / sqrt((tp + fp)(tp + fn)(tn + fp)(tn + fn)), 0 where that is 0 / 0.
    """
    counts = np.zeros((session.max() + 1, 2, 2))
    np.add.at(counts, (session, actual.astype(int), said.astype(int)), 1)
    (tn, fp), (fn, tp) = np.moveaxis(np.concatenate([[counts.sum(axis=0)], counts[draws].sum(axis=1)]), 0, 2)
    scale = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return np.column_stack([(tp + tn) / (tp + tn + fp + fn), (tp * tn - fp * fn) / np.where(scale > 0, scale, 1)])


def _figures(scores: np.ndarray) -> dict[str, float]:
    (low, high) = np.quantile(scores[1:], [0.025, 0.975], axis=0)
    figures = {"accuracy": scores[0, 0], "accuracy_low": low[0], "accuracy_high": high[0]}
    figures |= {"mcc": scores[0, 1], "mcc_low": low[1], "mcc_high": high[1]}
    return {name: float(value) for name, value in figures.items()}
