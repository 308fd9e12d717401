"""Expanding walk-forward: what may be trained on, what is forecast, and the LightGBM models in between."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import lightgbm
import numpy as np
import pandas as pd

from finsentiment.errors import InputError
from finsentiment.params import LightGBM

Fold = tuple[np.ndarray, np.ndarray]
Explained = Callable[[np.ndarray, np.ndarray], np.ndarray]


def expanding_folds(sessions: int, train_sessions: int, test_sessions: int, horizon: int, embargo: int) -> list[Fold]:
    """Session numbers to train on and to forecast, fold by fold.

    A label of session t runs from the entry at t to the entry at t + horizon. It may train a fold whose first
    session is f only if it is known strictly before f, and `embargo` sessions earlier still:
    t + horizon + embargo < f (purge and embargo of López de Prado 2018, chapter 7, in sessions). Where sessions
    are missing from the table, the count of those present only makes the gap longer. A label that takes longer, since
    the stock was halted, is left out by `walk_forward`.

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


def rank_target(forward_return: np.ndarray, session: np.ndarray, on_time: np.ndarray) -> np.ndarray:
    """Forward returns as ranks within their session, evenly spaced in (-0.5, 0.5), ties averaged.

    Ranks, because the forecast is judged by its rank IC: the market's move, the session's volatility and single
    huge returns drop out of a squared loss on ranks, and each session weighs the same.

    Returns that are known `on_time` are ranked among each other, and a late one among these and itself: no return ranks
    another that is known before it. All arrays have shape (rows,); an unknown return (NaN) stays NaN.
    """
    returns, late = pd.Series(forward_return), ~on_time
    timely = returns.where(on_time).groupby(session)
    count = timely.transform("count") + late
    # Of a late return: its rank among all less that among the late ones, itself not taken away.
    among_late = returns.where(late).groupby(session).rank().fillna(1) - 1
    rank = timely.rank().where(on_time, returns.groupby(session).rank() - among_late)
    return ((rank - 0.5) / count - 0.5).to_numpy()


@dataclass(frozen=True)
class FoldModels:
    """The models of one fold, which differ by their seeds alone.

    columns : (rows, features) array that they read; every row of the table, not those of the fold alone
    test : numbers of the rows that they forecast
    gain, shap : (features,) arrays, each feature's share of the total gain and of the mean absolute Shapley value of
        the forecasts (Lundberg et al. 2020, as LightGBM computes it)
    """

    models: list[lightgbm.Booster]
    columns: np.ndarray
    test: np.ndarray
    gain: np.ndarray
    shap: np.ndarray

    def forecast(self, rows: np.ndarray) -> np.ndarray:
        """The mean forecast of the models for these rows."""
        values = self.columns[rows]
        return np.mean([np.asarray(model.predict(values, num_threads=1)) for model in self.models], axis=0)


@dataclass(frozen=True)
class Fitted:
    """The models of a walk-forward, one entry per fold."""

    folds: list[FoldModels]

    def forecast(self) -> np.ndarray:
        """Forecasts (rows,), each row by the models of the fold that tests it; NaN in rows that no fold tests."""
        forecast = np.full(len(self.folds[0].columns), np.nan)
        for fold in self.folds:
            forecast[fold.test] = fold.forecast(fold.test)
        return forecast


def walk_forward(
    columns: np.ndarray,
    target: np.ndarray,
    session: np.ndarray,
    label_end: np.ndarray,
    folds: list[Fold],
    settings: LightGBM,
    leaves: list[int],
    embargo: int,
    seeds: list[int],
    threads: int,
    onto: Fitted | None = None,
    explained: Explained | None = None,
    explain: bool = False,
) -> list[Fitted]:
    """Models for every fold, each trained on the rows of its fold alone: one walk-forward for each size of tree.

    With `onto` the trees are added to those of other models, whose forecasts are where the boosting begins: they
    learn what is left to explain from `columns` alone, and the sum of both forecasts is the one to use. So two such
    forecasts differ by what `columns` add and by nothing else. Fitted apart from each other they would differ by
    chance in all that they share.

    Each model runs on one thread and `threads` folds run at once. For tables of this size that is faster than
    LightGBM's own threads, and it makes the forecasts the same for any number of threads.

    Parameters
    ----------
    columns : (rows, features) array; NaN is a missing value, which LightGBM handles itself
    target : (rows,) array; rows with NaN train nothing
    session : (rows,) array of session numbers
    label_end : (rows,) array, the session in which the row's label is known; the row trains a fold only if that and
        `embargo` more sessions come before it
    folds : from `expanding_folds`
    leaves : sizes of the trees
    seeds : one model each, averaged; they draw the rows and columns that a tree sees
    onto : models of the same folds
    explained : takes rows and what `onto` left of their targets, and gives what else explains it: that is taken out
        too, so that the trees can't learn it in its place
    explain : whether to work out `shap`, which takes as long again; zeros if not

    Raises
    ------
    InputError
        where a fold has no row with a target to train on
    """
    params = {
        "objective": "regression",
        "learning_rate": settings.learning_rate,
        "min_data_in_leaf": settings.min_leaf,
        "feature_fraction": settings.column_share,
        "bagging_fraction": settings.row_share,
        "bagging_freq": 1,
        "max_bin": settings.bins,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }

    def fit(number: int) -> list[FoldModels]:
        trained, tested = folds[number]
        usable = np.isin(session, trained) & ~np.isnan(target) & (label_end + embargo < tested[0])
        train, test = np.flatnonzero(usable), np.flatnonzero(np.isin(session, tested))
        if not len(train):
            raise InputError(
                f"none of the first {len(trained)} sessions of the features has a forward_return to train on: "
                "expected prices in that period; give a longer period or raise backtest.train_sessions"
            )
        start = None if onto is None else onto.folds[number].forecast(train)
        if start is not None and explained is not None:
            start = start + explained(train, target[train] - start)
        data = lightgbm.Dataset(columns[train], target[train], init_score=start, params=params)
        found = []
        for size in leaves:
            # Not `seed`, which belongs to the data set as well and would have it built again for each model.
            own = [params | {"num_leaves": size, "feature_fraction_seed": s, "bagging_seed": s} for s in seeds]
            models = [lightgbm.train(each, data, settings.trees) for each in own]
            gain = np.sum([model.feature_importance("gain") for model in models], axis=0)
            shap = np.zeros(columns.shape[1])
            if explain:
                parts = [np.asarray(m.predict(columns[test], pred_contrib=True, num_threads=1)) for m in models]
                shap = np.abs(np.mean(parts, axis=0)[:, :-1]).mean(axis=0)
            found.append(FoldModels(models, columns, test, _shares(gain), _shares(shap)))
        return found

    with ThreadPoolExecutor(threads) as pool:
        by_fold = list(pool.map(fit, range(len(folds))))
    return [Fitted([fold[number] for fold in by_fold]) for number in range(len(leaves))]


def _shares(values: np.ndarray) -> np.ndarray:
    return values / max(values.sum(), np.finfo(float).tiny)
