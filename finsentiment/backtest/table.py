"""The features as arrays, checked and laid out for all that judges them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from finsentiment.arms import ARMS, ATTENTION, PRICE, SIGNAL, arm_of
from finsentiment.backtest.evidence import rank_ic
from finsentiment.backtest.walkforward import Explained, Fitted, Fold, expanding_folds, rank_target, walk_forward
from finsentiment.errors import InputError
from finsentiment.features.build import HORIZONS
from finsentiment.features.columns import lagged
from finsentiment.params import Backtest

COUNT = "attention_count"
"""The column from which the number of headlines is known: log(1 + number)."""

PAST_RETURN = "price_return_1"
"""The column by which tickers are alike in their past return."""

PARTS = ("price_overnight", "price_intraday")
"""The columns of a row that hold the two parts of the session before."""

OUTCOMES = ("forward_return", "forward_sessions", "entry_price", "entry_gap", *(f"return_{h}" for h in HORIZONS))
FLAGS = ("tradable", "ranked", "delists")


@dataclass(frozen=True)
class FeatureTable:
    """The features as arrays, rows sorted by session and ticker, with what all arms share.

    columns : names of the columns of each arm
    session, ticker : (rows,) numbers; `sessions` are the dates
    outcome, target : (rows,) forward returns, and their ranks within the session; NaN in rows that are not ranked
    label_end : (rows,) the session in which the outcome is known
    """

    rows: pd.DataFrame
    columns: dict[str, list[str]]
    session: np.ndarray
    sessions: pd.Index
    ticker: np.ndarray
    outcome: np.ndarray
    target: np.ndarray
    label_end: np.ndarray
    folds: list[Fold]
    seeds: list[int]
    horizon: int
    params: Backtest

    @property
    def news_count(self) -> np.ndarray:
        """Number of headlines that count for each row."""
        return np.rint(np.expm1(self.rows[COUNT].to_numpy(float)))

    @property
    def ranked(self) -> np.ndarray:
        """Rows of tickers in the universe."""
        return self.rows["ranked"].to_numpy(bool)

    @property
    def on_time(self) -> np.ndarray:
        """Rows whose outcome is known `horizon` sessions later: the stock is neither halted nor delisted then."""
        return self.label_end <= self.session + self.horizon

    def values(self, *arms: str) -> np.ndarray:
        """The columns of these arms, (rows, columns)."""
        return self.rows[[name for arm in arms for name in self.columns[arm]]].to_numpy(float)

    def column(self, name: str) -> np.ndarray:
        """One column of numbers, (rows,)."""
        return self.rows[name].to_numpy(float)

    def grid(self, values: np.ndarray, missing: float = np.nan) -> np.ndarray:
        """Values (rows,) on a grid of sessions x tickers, `missing` where there is no row."""
        grid = np.full((len(self.sessions), int(self.ticker.max()) + 1), missing)
        grid[self.session, self.ticker] = values
        return grid

    def base_columns(self) -> list[np.ndarray]:
        """What the base knows, to clean of, as grids: its columns; yesterday's past return, and whether there was news.

        The last two, since what goes on after a move with news may do so for days, and a score remembers the news.
        """
        names = [*self.columns[PRICE], *self.columns[ATTENTION]]
        before = (self.column(PAST_RETURN), (self.news_count > 0).astype(float))
        return [*(self.grid(self.column(name)) for name in names), *(lagged(self.grid(v), 1) for v in before)]

    def fit(
        self,
        columns: np.ndarray,
        leaves: list[int],
        threads: int,
        onto: Fitted | None = None,
        explained: Explained | None = None,
        explain: bool = False,
    ) -> list[Fitted]:
        """`walk_forward` of columns (rows, features) with what all arms share."""
        return walk_forward(
            columns,
            self.target,
            self.session,
            self.label_end,
            self.folds,
            self.params.lightgbm,
            leaves,
            self.params.embargo,
            self.seeds,
            threads,
            onto,
            explained,
            explain,
        )

    def daily_ic(
        self, forecast: np.ndarray, outcome: np.ndarray | None = None, rows: np.ndarray | None = None
    ) -> pd.Series:
        """Rank IC by session number from the first forecast on, against `outcome` and on `rows` (all if None)."""
        outcome = self.outcome if outcome is None else np.where(self.ranked, outcome, np.nan)
        outcome = outcome if rows is None else np.where(rows, outcome, np.nan)
        tested = self.session >= self.params.train_sessions
        return rank_ic(forecast[tested], outcome[tested], self.session[tested], self.params.min_tickers)


def to_table(features: pd.DataFrame, params: Backtest, horizon: int, seed: int) -> FeatureTable:
    """Check the features and lay out what all arms share.

    Parameters and errors are those of `finsentiment.backtest.run.run_backtest`.
    """
    rows, columns = _check_features(features)
    session, sessions = pd.factorize(rows["session"])
    outcome = np.where(rows["ranked"], rows["forward_return"].to_numpy(float), np.nan)
    label_end = session + rows["forward_sessions"].to_numpy(float)
    return FeatureTable(
        rows=rows,
        columns=columns,
        session=session,
        sessions=sessions,
        ticker=pd.factorize(rows["ticker"], sort=True)[0],
        outcome=outcome,
        target=rank_target(outcome, session, label_end <= session + horizon),
        label_end=label_end,
        folds=expanding_folds(len(sessions), params.train_sessions, params.test_sessions, horizon, params.embargo),
        seeds=(np.random.SeedSequence(seed).generate_state(params.seeds) >> 1).tolist(),  # LightGBM's are 31 bits wide
        horizon=horizon,
        params=params,
    )


def _check_features(features: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """The rows sorted by session and ticker, and the columns of each arm in order of their names."""
    fixed = ("session", "ticker", *FLAGS, *OUTCOMES)
    missing = [name for name in (*fixed, COUNT, PAST_RETURN, *PARTS, SIGNAL) if name not in features]
    missing += [f"{ARMS[arm].prefix}*" for arm in (PRICE, ATTENTION) if arm not in map(arm_of, features)]
    if missing:
        raise InputError(f"the features have no column {', '.join(missing)}: run build_features again")
    columns: dict[str, list[str]] = {arm: [] for arm in ARMS if arm in set(map(arm_of, features))}
    for name in sorted(set(features) - set(fixed)):
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
    for name in sorted({name for names in columns.values() for name in names} | set(OUTCOMES)):
        infinite = np.isinf(rows[name].to_numpy(float))
        if infinite.any():
            raise InputError(
                f"the features hold an infinite {name} at {where(infinite)}: expected a number or a missing value; "
                "look for a price of 0 there and run build_features again"
            )
    return rows, columns
