"""The forecasts: of prices, of prices with the amount of news, of the better of the two, and what sentiment adds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from finsentiment.arms import ATTENTION, BASE, PRICE
from finsentiment.backtest.cleaning import Regressors
from finsentiment.backtest.table import FeatureTable
from finsentiment.backtest.walkforward import Fitted


@dataclass(frozen=True)
class Forecast:
    """A forecast, and of what it is made.

    values : (rows,), NaN in rows that no fold tests
    fitted : the models of each fold
    names : of each fold, the arm and the number of leaves that were chosen
    """

    values: np.ndarray
    fitted: Fitted
    names: list[tuple[str, int]]


def fit_bases(table: FeatureTable, threads: int, explain: bool = False) -> dict[str, Forecast]:
    """Forecasts without sentiment: of `price`, of `attention` (with the prices), and the `base`.

    Each arm is fitted with every number of leaves of the parameters. In each fold the one is taken that has forecast
    best so far: the highest mean rank IC over the sessions whose outcome was known before the fold, of stocks that
    were not halted. The first fold takes the smallest trees, and as base the prices. So nothing that comes later
    chooses, and nothing is fitted twice.
    """
    leaves = sorted(table.params.lightgbm.leaves)
    on_time = np.where(table.on_time, table.outcome, np.nan)
    found: dict[tuple[str, int], tuple[Fitted, np.ndarray, pd.Series]] = {}
    for arm, arms in ((PRICE, (PRICE,)), (ATTENTION, (PRICE, ATTENTION))):
        for size, fitted in zip(leaves, table.fit(table.values(*arms), leaves, threads, explain=explain), strict=True):
            values = fitted.forecast()
            found[arm, size] = fitted, values, table.daily_ic(values, on_time)

    def chosen(among: list[tuple[str, int]]) -> Forecast:
        names = []
        for _, tested in table.folds:
            known = tested[0] - table.horizon
            past = [found[name][2].loc[: known - 1].mean() for name in among]
            names.append(among[0] if np.isnan(past).any() else among[int(np.argmax(past))])
        values = np.full(len(table.rows), np.nan)
        folds = [found[name][0].folds[number] for number, name in enumerate(names)]
        for fold, name in zip(folds, names, strict=True):
            values[fold.test] = found[name][1][fold.test]
        return Forecast(values, Fitted(folds), names)

    by_arm = {arm: [name for name in found if name[0] == arm] for arm in (PRICE, ATTENTION)}
    return {PRICE: chosen(by_arm[PRICE]), ATTENTION: chosen(by_arm[ATTENTION]), BASE: chosen(list(found))}


class Sentiment:
    """What readers' scores add to the base, once both they and the returns are cleaned of what the base knows.

    Scores are cleaned of the base's columns and their products, each fold's by what was fitted before it. So are the
    returns that the trees learn from, within each fold's training rows (Chernozhukov et al. 2018). Else trees would
    learn through the scores what prices and the amount of news tell, and pass it for sentiment.
    """

    def __init__(self, table: FeatureTable, arms: list[str]) -> None:
        self.table = table
        rows = table.grid(table.ranked.astype(float)) == 1
        self.regressors = Regressors(table.base_columns(), rows)
        columns = [name for arm in arms for name in table.columns[arm]]
        values = np.stack([table.grid(table.column(name)) for name in columns])
        cleaned = self.regressors.clean_forward(values, [int(tested[0]) for _, tested in table.folds])
        self.cleaned = {name: grid[table.session, table.ticker] for name, grid in zip(columns, cleaned, strict=True)}

    def add(self, arm: str, base: Forecast, threads: int, explain: bool = False) -> Forecast:
        """What the cleaned scores of an arm add to the base: trees of the smallest size, on top of its."""
        table, size = self.table, min(self.table.params.lightgbm.leaves)
        columns = np.column_stack([self.cleaned[name] for name in table.columns[arm]])

        def explained(rows: np.ndarray, left: np.ndarray) -> np.ndarray:
            return self.regressors.explained(table.session[rows], table.ticker[rows], left)

        fitted = table.fit(columns, [size], threads, base.fitted, explained, explain)[0]
        return Forecast(fitted.forecast(), fitted, [(arm, size)] * len(table.folds))
