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


@dataclass(frozen=True)
class Fitted:
    """The models of a walk-forward: for each fold the rows that it tests and one model per seed.

    trained : for each fold what its models, and those that they add to, make of the rows they were trained on
    gain, shap : (features,) arrays, each feature's share of the total gain and of the mean absolute Shapley value
        of the forecasts (Lundberg et al. 2020, as LightGBM computes it), over folds and seeds
    """

    folds: list[tuple[np.ndarray, list[lightgbm.Booster]]]
    trained: list[np.ndarray]
    gain: np.ndarray
    shap: np.ndarray

    def forecast(self, columns: np.ndarray) -> np.ndarray:
        """Forecasts (rows,) from the table trained on.

        Each row by the models of the fold that tests it, the mean over their seeds; NaN in rows that no fold tests.
        """
        forecast = np.full(len(columns), np.nan)
        for test, models in self.folds:
            forecast[test] = _mean_forecast(models, columns[test])
        return forecast

    def forecast_from_rows(self, columns: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """What the models would have said had each row held the columns of another row.

        The function that is returned takes the number of that other row for each row, (rows,), and gives forecasts
        (rows,). A placebo asks it again and again: every model has read every row by then.
        """
        read = [_mean_forecast(models, columns) for _, models in self.folds]

        def forecast(source: np.ndarray) -> np.ndarray:
            forecast = np.full(len(columns), np.nan)
            for (test, _), said in zip(self.folds, read, strict=True):
                forecast[test] = said[source[test]]
            return forecast

        return forecast


def walk_forward(
    columns: np.ndarray,
    target: np.ndarray,
    session: np.ndarray,
    folds: list[Fold],
    settings: LightGBM,
    seeds: list[int],
    threads: int,
    onto: Fitted | None = None,
    explain: bool = False,
) -> Fitted:
    """Models for every fold, each trained on the rows of its fold alone.

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
    folds : from `expanding_folds`
    seeds : one model each, averaged; they draw the rows and columns that a tree sees
    onto : models of the same folds
    explain : whether to work out `shap`, which takes as long again; zeros if not

    Raises
    ------
    InputError
        where a fold has no row with a target to train on
    """
    params = {
        "objective": "regression",
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.leaves,
        "feature_fraction": settings.column_share,
        "bagging_fraction": settings.row_share,
        "bagging_freq": 1,
        "max_bin": settings.bins,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }

    def fit(number: int) -> tuple[np.ndarray, list[lightgbm.Booster], np.ndarray, np.ndarray, np.ndarray]:
        fold = folds[number]
        train = np.isin(session, fold[0]) & ~np.isnan(target)
        if not train.any():
            raise InputError(
                f"none of the first {len(fold[0])} sessions of the features has a forward_return to train on: "
                "expected prices in that period; give a longer period or raise backtest.train_sessions"
            )
        test = np.flatnonzero(np.isin(session, fold[1]))
        start = None if onto is None else onto.trained[number]
        own = {**params, "min_data_in_leaf": max(1, round(settings.min_leaf * settings.row_share * train.sum()))}
        data = lightgbm.Dataset(columns[train], target[train], init_score=start, params=own)
        # Not `seed`, which belongs to the data set as well and would have it built again for each model.
        seeded = [{**own, "feature_fraction_seed": seed, "bagging_seed": seed} for seed in seeds]
        models = [lightgbm.train(each, data, settings.trees) for each in seeded]
        gain = np.sum([model.feature_importance("gain") for model in models], axis=0)
        shap = np.zeros(columns.shape[1])
        if explain:
            parts = [np.asarray(model.predict(columns[test], pred_contrib=True, num_threads=1)) for model in models]
            shap = np.abs(np.mean(parts, axis=0)[:, :-1]).mean(axis=0)
        known = _mean_forecast(models, columns[train])
        return test, models, known if start is None else start + known, _shares(gain), _shares(shap)

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(fit, range(len(folds))))
    return Fitted(
        [(test, models) for test, models, *_ in parts],
        [known for *_, known, _, _ in parts],
        np.mean([gain for *_, gain, _ in parts], axis=0),
        np.mean([shap for *_, shap in parts], axis=0),
    )


def _mean_forecast(models: list[lightgbm.Booster], columns: np.ndarray) -> np.ndarray:
    return np.mean([np.asarray(model.predict(columns, num_threads=1)) for model in models], axis=0)


def _shares(values: np.ndarray) -> np.ndarray:
    return values / max(values.sum(), np.finfo(float).tiny)
