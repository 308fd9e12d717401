"""Scores and outcomes cleaned of what prices and the amount of news tell: a regression on columns and their products.

Each column is first turned into normal scores within its session (ranks, through the normal quantile function), so that
outliers, the market's move and the session's volatility drop out; a column of 0 and 1 stays as it is. Where a column is
missing its score is 0, and a column of 0 and 1 says so. Least squares takes what it can of the columns, the products of
any two, and of what is no 0 or 1 the squares and the third Hermite polynomials x³ - 3x. All are centred within the
session, and the coefficients are the same in all sessions. What is left is uncorrelated with each, on average over the
sessions.

Markets react to extremes, hence the third powers. They have products, too: where returns go on after a move with news
and turn back after one without, past return times news forecasts, and tone goes with both (Chan 2003, Tetlock 2010).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from scipy.stats import norm, rankdata

RIDGE = 1e-3  # of each column's own variance: keeps columns that repeat each other from breaking the regression
CELLS = 100_000  # worked on at once: what bounds the memory; the regressors of a smaller panel are kept


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks within each session less their mean (S x K), ties averaged; 0 where a value is missing."""
    known = ~np.isnan(values)
    places = rankdata(np.where(known, values, np.inf), axis=1)  # what is missing ranks last, and moves no rank
    return np.where(known, places - (known.sum(axis=1, keepdims=True) + 1) / 2, 0.0)


def normal_scores(values: np.ndarray) -> np.ndarray:
    """Normal scores within each session (S x K) of mean 0 and variance 1; 0 where a value is missing or all are equal.

    The score of rank r of n is the normal quantile of (r - 1/2) / n, ties averaged.
    """
    known = ~np.isnan(values)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    share = np.where(known, ranks(values) / count + 0.5, 0.5)
    return _standardised(norm.ppf(share), known, count)


def _standardised(values: np.ndarray, known: np.ndarray, count: np.ndarray) -> np.ndarray:
    centred = np.where(known, values - (values * known).sum(axis=1, keepdims=True) / count, 0.0)
    spread = np.sqrt((centred**2).sum(axis=1, keepdims=True) / count)
    return centred / np.where(spread > 1e-9, spread, 1.0)


class Regressors:
    """Columns to clean of, on a grid of S sessions x K tickers.

    scores : (p, S, K) normal scores or flags, 0 where they are missing and outside `rows`
    pairs : numbers of the two factors of each product
    graded : numbers of the columns that are no flags
    missing : (m, S, K), 1 where a column is missing: one for all columns that are missing in the same places
    rows : (S, K), True where there is a row that counts
    """

    def __init__(self, columns: list[np.ndarray], rows: np.ndarray) -> None:
        self.rows = rows
        inside = [np.where(rows, column, np.nan) for column in columns]
        flags = [bool(np.isin(column, (0, 1))[~np.isnan(column)].all()) for column in inside]
        self.scores = np.stack(
            [np.nan_to_num(c) if flag else normal_scores(c) for c, flag in zip(inside, flags, strict=True)]
        )
        self.graded = np.flatnonzero(~np.array(flags))
        one, other = np.triu_indices(len(columns))
        self.pairs = tuple(factor[(one != other) | np.isin(one, self.graded)] for factor in (one, other))
        patterns = {gaps.tobytes(): gaps for column in columns if (gaps := rows & np.isnan(column)).any()}
        self.missing = np.stack([*patterns.values(), np.zeros_like(rows)][: max(1, len(patterns))])

    @property
    def size(self) -> int:
        """The number of regressors."""
        return len(self.scores) + len(self.pairs[0]) + len(self.graded) + len(self.missing)

    def explained(self, session: np.ndarray, ticker: np.ndarray, values: np.ndarray) -> np.ndarray:
        """What the regression on the cells (session, ticker) explains of their values (n,): (n,)."""
        square, cross, found = np.zeros((self.size, self.size)), np.zeros(self.size), np.empty(len(values))
        for first, last, design in self._blocks(0, int(session.max()) + 1):
            inside = np.flatnonzero((session >= first) & (session < last))
            own = design[:, (session[inside] - first) * self.rows.shape[1] + ticker[inside]]
            square += own @ own.T
            cross += own @ values[inside]
        coefficients = _solve(square, cross)
        for first, last, design in self._blocks(0, int(session.max()) + 1):
            inside = np.flatnonzero((session >= first) & (session < last))
            found[inside] = (coefficients @ design)[(session[inside] - first) * self.rows.shape[1] + ticker[inside]]
        return found

    def clean_across(self, values: np.ndarray) -> np.ndarray:
        """Values (m, S, K) less what the regression over all sessions explains; 0 outside `rows`."""
        square, cross = self._moments(values, 0, len(self.rows))
        return self._less(values, _solve(square, cross), 0, len(self.rows))

    def left(self) -> float:
        """The share of the degrees of freedom that cleaning over all sessions leaves, from 0 to 1.

        Of n cells less their sessions the regression takes as many as the trace of its hat matrix.
        """
        square, _ = self._moments(np.zeros((1, *self.rows.shape)), 0, len(self.rows))
        taken = float(np.trace(_solve(square, square)))
        cells = int(self.rows.sum() - self.rows.any(axis=1).sum())
        return max(0.0, 1 - taken / cells) if cells > 0 else 0.0

    def clean_forward(self, values: np.ndarray, starts: list[int]) -> np.ndarray:
        """The same, each part of the sessions by what was fitted on the sessions before it.

        The parts begin at `starts`, the first of which is the first session that must not look ahead: those before it
        are cleaned by themselves.
        """
        square, cross = self._moments(values, 0, starts[0])
        coefficients = _solve(square, cross)
        parts = [self._less(values, coefficients, 0, starts[0])]
        for start, stop in zip(starts, [*starts[1:], len(self.rows)], strict=True):
            parts.append(self._less(values, _solve(square, cross), start, stop))
            more = self._moments(values, start, stop)
            square, cross = square + more[0], cross + more[1]
        return np.concatenate(parts, axis=1)

    def _blocks(self, start: int, stop: int) -> Iterator[tuple[int, int, np.ndarray]]:
        """Sessions from, sessions to, and their regressors: (regressors, cells)."""
        tickers = self.rows.shape[1]
        if self.rows.size <= CELLS:
            yield start, stop, self._whole[:, start * tickers : stop * tickers]
            return
        step = max(1, CELLS // tickers)
        for first in range(start, stop, step):
            last = min(first + step, stop)
            yield first, last, self._design(first, last)

    @cached_property
    def _whole(self) -> np.ndarray:
        return self._design(0, len(self.rows))

    def _design(self, first: int, last: int) -> np.ndarray:
        scores, rows = self.scores[:, first:last], self.rows[first:last]
        count = np.maximum(rows.sum(axis=1, keepdims=True), 1)
        products, graded = scores[self.pairs[0]] * scores[self.pairs[1]], scores[self.graded]
        design = np.concatenate([scores, products, graded**3 - 3 * graded, self.missing[:, first:last]])
        design -= design.sum(axis=2, keepdims=True) / count
        return np.where(rows, design, 0.0).reshape(self.size, -1)

    def _moments(self, values: np.ndarray, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        square, cross = np.zeros((self.size, self.size)), np.zeros((self.size, len(values)))
        for first, last, design in self._blocks(start, stop):
            square += design @ design.T
            cross += design @ np.where(self.rows[first:last], values[:, first:last], 0.0).reshape(len(values), -1).T
        return square, cross

    def _less(self, values: np.ndarray, coefficients: np.ndarray, start: int, stop: int) -> np.ndarray:
        left = np.where(self.rows[start:stop], values[:, start:stop], 0.0)
        for first, last, design in self._blocks(start, stop):
            left[:, first - start : last - start] -= (coefficients.T @ design).reshape(len(values), last - first, -1)
        return left


def _solve(square: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """Coefficients (regressors, m) of least squares, with a ridge."""
    ridge = np.diag(RIDGE * square.diagonal() + np.finfo(float).eps * max(1.0, square.trace()))
    return np.linalg.solve(square + ridge, cross)
