"""Placebos: the same scores in places where they can't mean anything, and where the real ones rank among them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Placebo:
    """The observed figure beside those that sentiment of no meaning gives.

    `p` is the chance of a figure at least as high, `p_hurts` of one at least as low, if sentiment says
    nothing; both count the observed figure itself, so they are at least 1 / (1 + len(drawn)).
    """

    observed: float
    drawn: np.ndarray
    p: float
    p_hurts: float


@dataclass(frozen=True)
class Places:
    """Where scores may be moved to, on a grid of S sessions x K tickers.

    alike : (S, K) number of the group of rows whose scores may be dealt out among each other; -1 where there is no row
    first : the first session that may be moved
    """

    alike: np.ndarray
    first: int

    def shuffled(self, scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Scores (S, K) dealt out anew within each group."""
        group, values = self.alike[self.first :].ravel(), scores[self.first :].ravel()
        moved = np.empty_like(values)
        moved[self._in_order] = values[np.argsort(group + rng.random(len(group)))]
        return np.concatenate([scores[: self.first], moved.reshape(-1, scores.shape[1])])

    @cached_property
    def _in_order(self) -> np.ndarray:
        return np.argsort(self.alike[self.first :].ravel(), kind="stable")

    def shifted(self, scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Scores (S, K) moved on in time, the last to the front: all by the same number of sessions.

        By at least 63 sessions, or a third of them where there are fewer, so that scores keep their order and the
        tickers keep their company. A score that falls where a ticker has no row is lost, and where none falls there is
        0; so what is left of a session's scores is stretched to the length that they had.
        """
        sessions = len(scores) - self.first
        least = min(63, sessions // 3)
        by = rng.integers(least, max(sessions - least, least + 1))
        row = self.alike[self.first :] >= 0
        rolled = np.roll(np.where(row, np.nan_to_num(scores[self.first :]), 0.0), by, axis=0)
        moved = np.where(row, rolled, 0.0)
        before, left = (np.sqrt(np.square(values).sum(axis=1, keepdims=True)) for values in (rolled, moved))
        return np.concatenate([scores[: self.first], moved * before / np.where(left > 0, left, 1.0)])


def run_placebos(
    observed: float,
    scores: np.ndarray,
    places: Places,
    figure: Callable[[np.ndarray], float],
    count: int,
    seed: int,
    threads: int,
) -> tuple[Placebo, Placebo]:
    """The observed figure of scores (S, K), beside `count` figures of them shuffled and as many shifted in time.

    Shuffled: within a session, among the tickers that are alike. Among all tickers, the real scores would tell who was
    in the news and whose price had moved, and the placebo's would not, so that an effect of attention or of past
    returns could pass for one of sentiment. Shifted: they keep what scores have in common from one session to the next.
    """

    def drawn(kind: int, number: int) -> float:
        move = (places.shuffled, places.shifted)[kind]
        return figure(move(scores, np.random.default_rng([seed, number, kind])))

    with ThreadPoolExecutor(threads) as pool:
        found = [np.array(list(pool.map(lambda n, k=kind: drawn(k, n), range(count)))) for kind in (0, 1)]
    shuffled, shifted = (rank_among_placebos(observed, values) for values in found)
    return shuffled, shifted


def rank_among_placebos(observed: float, drawn: np.ndarray) -> Placebo:
    """Rank the observed figure among those of the placebos (permutation p-values, Phipson and Smyth 2010)."""
    count = 1 + len(drawn)
    p = (1 + int((drawn >= observed).sum())) / count
    return Placebo(observed, drawn, p, (1 + int((drawn <= observed).sum())) / count)
