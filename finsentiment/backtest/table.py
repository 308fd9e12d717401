"""The features as arrays, checked and laid out for the arms, and the models of one arm or all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from finsentiment.arms import AGAINST, ARMS, PRICE, TESTED, arm_of
from finsentiment.backtest.evidence import rank_ic
from finsentiment.backtest.walkforward import Fitted, Fold, expanding_folds, rank_target, walk_forward
from finsentiment.errors import InputError
from finsentiment.features.build import HORIZONS
from finsentiment.params import Backtest

COUNT = "attention_count"
"""The column from which the number of headlines is known: log(1 + number)."""


@dataclass(frozen=True)
class FeatureTable:
    """The features as arrays, rows sorted by session and ticker, with what all arms share.

    columns : names of the columns that each arm adds
    session, ticker : (rows,) numbers; `sessions` are the dates
    outcome, target : (rows,) forward returns, and their ranks within the session
    """

    rows: pd.DataFrame
    columns: dict[str, list[str]]
    session: np.ndarray
    sessions: pd.Index
    ticker: np.ndarray
    outcome: np.ndarray
    target: np.ndarray
    folds: list[Fold]
    seeds: list[int]
    params: Backtest

    @property
    def news_count(self) -> np.ndarray:
        """Number of headlines that count for each row."""
        return np.rint(np.expm1(self.rows[COUNT].to_numpy(float)))

    def values(self, arm: str) -> np.ndarray:
        """The columns that an arm adds, (rows, columns)."""
        return self.rows[self.columns[arm]].to_numpy(float)

    def fit(self, arm: str, onto: Fitted | None, threads: int, explain: bool = False) -> Fitted:
        """Models of what the arm's columns add to `onto`."""
        settings, columns = self.params.lightgbm, self.values(arm)
        return walk_forward(
            columns, self.target, self.session, self.folds, settings, self.seeds, threads, onto, explain
        )

    def daily_ic(
        self, forecast: np.ndarray, outcome: np.ndarray | None = None, rows: np.ndarray | None = None
    ) -> pd.Series:
        """Rank IC by session number from the first forecast on, against `outcome` and on `rows` (all if None)."""
        outcome = self.outcome if outcome is None else outcome
        outcome = outcome if rows is None else np.where(rows, outcome, np.nan)
        tested = self.session >= self.params.train_sessions
        return rank_ic(forecast[tested], outcome[tested], self.session[tested], self.params.min_tickers)


def to_table(features: pd.DataFrame, params: Backtest, horizon: int, seed: int) -> FeatureTable:
    """Check the features and lay out what all arms share.

    Parameters and errors are those of `finsentiment.backtest.run.run_backtest`.
    """
    rows, columns = _check_features(features)
    session, sessions = pd.factorize(rows["session"])
    outcome = rows["forward_return"].to_numpy(float)
    folds = expanding_folds(len(sessions), params.train_sessions, params.test_sessions, horizon, params.embargo)
    seeds = (np.random.SeedSequence(seed).generate_state(params.seeds) >> 1).tolist()  # LightGBM's are 31 bits wide
    ticker, target = pd.factorize(rows["ticker"])[0], rank_target(outcome, session)
    return FeatureTable(rows, columns, session, sessions, ticker, outcome, target, folds, seeds, params)


def fit_arms(
    table: FeatureTable, arms: tuple[str, ...], threads: int, explain: bool = False
) -> tuple[dict[str, Fitted], dict[str, np.ndarray]]:
    """The models of each arm, of what it adds, and its whole forecast: its own and that of the arms it adds to."""
    fitted: dict[str, Fitted] = {}
    forecasts: dict[str, np.ndarray] = {}
    for arm in arms:
        onto = ARMS[arm].adds_to
        fitted[arm] = table.fit(arm, None if onto is None else fitted[onto], threads, explain)
        own = fitted[arm].forecast(table.values(arm))
        forecasts[arm] = own if onto is None else forecasts[onto] + own
    return fitted, forecasts


def _check_features(features: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """The rows sorted by session and ticker, and the columns of each arm in order of their names."""
    fixed = ("session", "ticker", "tradable", "forward_return", COUNT, *(f"return_{h}" for h in HORIZONS))
    missing = [name for name in fixed if name not in features]
    missing += [f"{ARMS[arm].prefix}*" for arm in (PRICE, AGAINST, TESTED) if arm not in map(arm_of, features)]
    if missing:
        raise InputError(f"the features have no column {', '.join(missing)}: run build_features again")
    columns: dict[str, list[str]] = {arm: [] for arm in ARMS if arm in set(map(arm_of, features))}
    for name in sorted(set(features) - set(fixed) | {COUNT}):
        arm = arm_of(name)
        if arm is None:
            raise InputError(
                f"the features have a column {name!r} that belongs to no arm: expected one of "
                f"{', '.join(f'{known.prefix}*' for known in ARMS.values())}; run build_features again"
            )
        columns[arm].append(name)
    rows = features.sort_values(["session", "ticker"], ignore_index=True)

    def where(bad: pd.Series | np.ndarray) -> str:
        first = rows[bad].iloc[0]
        return f"session {pd.Timestamp(first['session']).date()}, ticker {first['ticker']}"

    twice = rows.duplicated(["session", "ticker"])
    if twice.any():
        raise InputError(f"the features hold {where(twice)} twice: expected one row; run build_features again")
    for name in sorted({name for names in columns.values() for name in names} | {"forward_return"}):
        infinite = np.isinf(rows[name].to_numpy(float))
        if infinite.any():
            raise InputError(
                f"the features hold an infinite {name} at {where(infinite)}: expected a number or a missing value; "
                "look for a price of 0 there and run build_features again"
            )
    return rows, columns
