"""Expanding walk-forward: what may be trained on, what is forecast, and the LightGBM models in between."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import lightgbm
import numpy as np
import pandas as pd

from finsentiment.errors import InputError
from finsentiment.params import LightGBM

Fold = tuple[np.ndarray, np.ndarray]


def expanding_folds(sessions: int, train_sessions: int, test_sessions: int, horizon: int, embargo: int) -> list[Fold]:
    """Session numbers to train on and to forecast, fold by fold.

    A label of session t runs from the open of t to the open of t + horizon. It may train a fold whose first
    session is f only if it is known strictly before f, and `embargo` sessions earlier still:
    t + horizon + embargo < f (purge and embargo of López de Prado 2018, chapter 7, in sessions). Where sessions
    are missing from the table, the count of those present only makes the gap longer.

    Parameters
    ----------
    sessions : number of sessions there are, numbered from 0
    train_sessions : sessions before the first fold
    test_sessions : sessions per fold; the last fold takes what is left
    horizon, embargo : in sessions

    Returns
    -------
    list of (train, test), two sorted integer arrays of session numbers; the tests follow on each other from
    `train_sessions` to the end

    Raises
    ------
    InputError
        where no session is left to forecast, or none to train on
    """
    if sessions <= train_sessions:
        raise InputError(
            f"the features hold {sessions} sessions and backtest.train_sessions = {train_sessions} of them come before "
            f"the first forecast: expected more than {train_sessions}; give a longer period or lower "
            "backtest.train_sessions"
        )
    if train_sessions <= horizon + embargo:
        raise InputError(
            f"backtest.train_sessions = {train_sessions} leaves nothing to train on once features.horizon = {horizon} "
            f"and backtest.embargo = {embargo} sessions are purged: expected more than {horizon + embargo}"
        )
    starts = range(train_sessions, sessions, test_sessions)
    return [(np.arange(f - horizon - embargo), np.arange(f, min(f + test_sessions, sessions))) for f in starts]


def rank_target(forward_return: np.ndarray, session: np.ndarray) -> np.ndarray:
    """Forward returns as ranks within their session, evenly spaced in (-0.5, 0.5), ties averaged.

    Ranks, because the forecast is judged by its rank IC: the market's move, the session's volatility and single
    huge returns drop out of a squared loss on ranks, and each session weighs the same.

    Both arrays have shape (rows,); an unknown return (NaN) stays NaN.
    """
    by_session = pd.Series(forward_return).groupby(session)
    return ((by_session.rank() - 0.5) / by_session.transform("count") - 0.5).to_numpy()


def walk_forward(
    columns: np.ndarray,
    target: np.ndarray,
    session: np.ndarray,
    folds: list[Fold],
    settings: LightGBM,
    seeds: list[int],
    threads: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Forecasts of every test row by models that were trained on the rows of its fold alone.

    Each model runs on one thread and `threads` folds run at once. For tables of this size that is faster than
    LightGBM's own threads, and it makes the forecasts the same for any number of threads.

    Parameters
    ----------
    columns : (rows, features) array; NaN is a missing value, which LightGBM handles itself
    target : (rows,) array; rows with NaN train nothing
    session : (rows,) array of session numbers
    folds : from `expanding_folds`
    seeds : one model each, averaged; they draw the rows and columns that a tree sees

    Returns
    -------
    forecast : (rows,) array, NaN in rows that no fold tests
    gain : (features,) array, a feature's share of the total gain, mean over folds and seeds

    Raises
    ------
    InputError
        where a fold has no row with a target to train on
    """
    params = {
        "objective": "regression",
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.leaves,
        "min_data_in_leaf": settings.min_leaf,
        "feature_fraction": settings.column_share,
        "bagging_fraction": settings.row_share,
        "bagging_freq": 1,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }

    def fold_forecast(fold: Fold) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        train = np.isin(session, fold[0]) & ~np.isnan(target)
        if not train.any():
            raise InputError(
                f"none of the first {len(fold[0])} sessions of the features has a forward_return to train on: "
                "expected prices in that period; give a longer period or raise backtest.train_sessions"
            )
        test = np.flatnonzero(np.isin(session, fold[1]))
        data = lightgbm.Dataset(columns[train], target[train], params=params)
        forecast, gain = np.zeros(len(test)), np.zeros(columns.shape[1])
        for seed in seeds:
            # Not `seed`, which belongs to the data set as well and would have it built again for each model.
            seeded = {**params, "feature_fraction_seed": seed, "bagging_seed": seed}
            model = lightgbm.train(seeded, data, settings.trees)
            forecast += model.predict(columns[test], num_threads=1) / len(seeds)
            gain += model.feature_importance("gain")
        return test, forecast, gain / max(gain.sum(), np.finfo(float).tiny)

    forecast = np.full(len(columns), np.nan)
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(fold_forecast, folds))
    for test, values, _ in parts:
        forecast[test] = values
    return forecast, np.mean([gain for *_, gain in parts], axis=0)
