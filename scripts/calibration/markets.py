"""Simulated markets whose truth is known: news of a given shape, prices that something else moves too, tone or not.

Each session, each ticker gets a number of headlines. A share of them tells of the move that has just been: its chance
grows with the square of the move, its tone is mostly the sign of it. The other news has a tone of its own, and what is
surprising in it moves the price while the market learns of it: in the session or in the gap to the next open. A planted
`drift` then moves the price in the direction of the tone over the sessions that follow, from the entry on. Besides, one
`other` effect may move prices; it knows prices and the amount of news, and nothing of the tone.

Readings are drawn from a table of errors, one for each text: a text that comes again is read as before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import gamma, norm

from finsentiment import params
from finsentiment.arms import FINE_TUNED
from finsentiment.features.build import feature_table
from finsentiment.features.columns import lagged
from finsentiment.features.panel import Panel, per_cell
from finsentiment.market.simulate import FOLLOWS_SIGN, Noise, price_noise
from scripts.calibration.shape import Shape

VOLATILITY = 0.015  # daily, of a ticker's own return
REACTION = 0.3 * VOLATILITY  # to a surprise of one unit of tone, while the market learns of it
FOLLOW = 0.3  # share of the news that tells of the move that has just been
TONES = np.array([0.3, 0.3, 0.4])  # share of negative, neutral and positive news
BEFORE = 130  # sessions of news and prices before the first that counts, so that features have a memory
AFTER = 22  # sessions of prices after the last, so that forward returns end
SLOW = 0.985  # of a ticker's leaning from one session to the next, where sentiment persists
TOGETHER = 0.6  # of the logarithm of the amount of news, for all tickers at once, in a ragged market
EXTREME = 1.5  # standard deviations within the session
WINDOW = 21  # sessions of volume that the last volume is measured against


@dataclass(frozen=True)
class Kind:
    """A kind of market.

    name : begins with `null` where the tone says nothing of returns
    other : the effect besides, a name in `OTHERS`; None for none
    drift_sessions : over which a planted drift is spread
    coverage : share of ticker-sessions with news; None: that of the shape
    tickers, sessions : their number; None: that of the shape
    persistent : whether tickers lean to good or bad news for months
    ragged : whether tickers come and go, are halted and delisted, and leave and join the universe, and the amount of
        news goes up and down for all at once
    horizon : of the forecast, in sessions
    """

    name: str
    other: str | None = None
    drift_sessions: int = 3
    coverage: float | None = None
    tickers: int | None = None
    sessions: int | None = None
    persistent: bool = False
    ragged: bool = False
    horizon: int = 1

    def shape(self, shape: Shape) -> Shape:
        """The shape of this kind's markets."""
        shape = shape if self.coverage is None else shape.sparse(self.coverage)
        shape = shape if self.sessions is None else replace(shape, sessions=min(self.sessions, shape.sessions))
        return shape if self.tickers is None else shape.fewer(self.tickers)


class State(NamedTuple):
    """What is known at the entry of a session, each (K,): for the other effects."""

    past_return: np.ndarray
    return_before: np.ndarray
    gap: np.ndarray
    news: np.ndarray
    news_before: np.ndarray
    volume: np.ndarray


OTHERS: dict[str, Callable[[State], np.ndarray]] = {
    # Returns go on after a move with news and turn back after one without (Chan 2003, Tetlock 2010).
    "return_x_news": lambda now: _standard(now.past_return) * np.where(now.news > 0, 1, -1),
    "return_x_news_before": lambda now: _standard(now.return_before) * np.where(now.news_before > 0, 1, -1),
    "reversal": lambda now: -now.past_return,
    "gap": lambda now: -now.gap,
    "gap_extreme": lambda now: np.where(np.abs(_standard(now.gap)) > EXTREME, -now.gap, 0.0),
    "volume": lambda now: now.volume,
    "attention": lambda now: np.log1p(now.news),
}
"""What else may move prices, in units of its own within the session."""


class Market(NamedTuple):
    """A simulated market: prices on a panel, and where each headline counts (its flat cell) and how it is read."""

    panel: Panel
    cell: np.ndarray
    read: np.ndarray


def simulate_panel(kind: Kind, shape: Shape, other: float, drift: float, errors: np.ndarray, seed: int) -> Market:
    """One market, with sessions of news and prices before the first that counts, and of prices after the last.

    Parameters
    ----------
    other : size of the other effect, in standard deviations of the return per standard deviation of its own within the
        session: about its rank IC
    drift : log return per unit of tone, spread over `kind.drift_sessions`
    errors : (3, 3) chance of each reading (columns) of each tone (rows): negative, neutral, positive
    """
    shape = kind.shape(shape)
    seeds = np.random.SeedSequence(seed).spawn(6)
    arriving, telling, reading, moving, trading, leaving = map(np.random.default_rng, seeds)
    sessions, tickers = BEFORE + shape.sessions + AFTER, len(shape.news)
    noise = price_noise(tickers, sessions, moving)
    cell, tone, surprise, follows = _news(kind, shape, noise.own, arriving, telling)
    count = per_cell(cell, (sessions, tickers))
    read = _read(cell, tone, shape, errors, tickers, reading)
    moves = np.where(follows, 0.0, tone)
    panel = _panel(kind, shape, noise, count, cell, moves, surprise, other, drift, trading)
    return Market(_with_gaps(panel, leaving) if kind.ragged else panel, cell, read)


def simulate(
    kind: Kind, shape: Shape, other: float, drift: float, errors: np.ndarray, features: params.Features, seed: int
) -> pd.DataFrame:
    """The features of one market, as the pipeline builds them, read by `FINE_TUNED`. Parameters: `simulate_panel`."""
    found = simulate_panel(kind, shape, other, drift, errors, seed)
    session = found.cell // len(found.panel.tickers)
    counts = np.where((session >= BEFORE) & (session < BEFORE + shape.sessions), found.cell, -1)
    section = features.model_copy(update={"horizon": kind.horizon})
    return feature_table(found.panel, counts, {FINE_TUNED: found.read}, section)


def _rates(shape: Shape, sessions: int, rng: np.random.Generator) -> np.ndarray:
    """Expected number of headlines (sessions x K): gamma about each ticker's mean, as uneven as the coverage says."""
    mean = np.array(shape.news)
    low, high = 0.02, 200.0
    for _ in range(50):  # bisection in the evenness: the more even, the more cells have news
        even = np.sqrt(low * high)
        covered = np.mean(1 - (1 + mean / even) ** -even)
        low, high = (even, high) if covered < shape.coverage else (low, even)
    # Counts of a rate are noisier than the rate, so that it has to persist more than they are seen to.
    persistence = np.clip(1.6 * shape.persistence, 0, 0.95)
    level = _slow(sessions, len(mean), persistence, rng)
    return gamma.ppf(np.clip(norm.cdf(level), 1e-9, 1 - 1e-9), even) / even * mean


def _slow(sessions: int, tickers: int, persistence: float, rng: np.random.Generator) -> np.ndarray:
    """Standard normal series of first-order autoregression (sessions x K)."""
    shocks = rng.standard_normal((sessions, tickers))
    shocks[1:] *= np.sqrt(1 - persistence**2)
    for t in range(1, sessions):
        shocks[t] += persistence * shocks[t - 1]
    return shocks


def _news(
    kind: Kind, shape: Shape, own: np.ndarray, arriving: np.random.Generator, telling: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Of each headline: its flat cell, its tone, how much of it is a surprise, and whether it follows a move."""
    sessions, tickers = own.shape
    rate = _rates(shape, sessions, arriving)
    if kind.ragged:
        rate *= np.exp(TOGETHER * arriving.standard_normal((sessions, 1)) - TOGETHER**2 / 2)
    moved = np.concatenate([np.ones((1, tickers)), own[:-1] ** 2])
    fresh = arriving.poisson((1 - FOLLOW) * rate)
    after = arriving.poisson(FOLLOW * rate * moved / moved.mean(axis=0))
    first, second = (np.repeat(np.arange(counts.size), counts.ravel()) for counts in (fresh, after))
    bad, neutral, _ = TONES
    leaning = norm.cdf(1.2 * _slow(sessions, tickers, SLOW, telling)) if kind.persistent else np.full(own.shape, 0.0)
    negative = np.where(kind.persistent, (1 - neutral) * (1 - leaning), bad).ravel()[first]
    drawn = telling.random(len(first))
    tone = np.where(drawn < negative, -1.0, np.where(drawn < negative + neutral, 0.0, 1.0))
    expected = 1 - neutral - 2 * negative
    sign = np.sign(np.concatenate([np.ones((1, tickers)), own[:-1]])).ravel()[second]
    any_tone = telling.choice([-1.0, 0.0, 1.0], len(second), p=TONES)
    told = np.where(telling.random(len(second)) < FOLLOWS_SIGN, sign, any_tone)
    cell, tone = np.concatenate([first, second]), np.concatenate([tone, told])
    surprise = np.concatenate([tone[: len(first)] - expected, np.zeros(len(second))])
    follows = np.repeat([False, True], [len(first), len(second)])
    order = np.argsort(cell, kind="stable")
    return cell[order], tone[order], surprise[order], follows[order]


def _read(
    cell: np.ndarray, tone: np.ndarray, shape: Shape, errors: np.ndarray, tickers: int, rng: np.random.Generator
) -> np.ndarray:
    """The tones as read. A repeated text is the last one of its ticker and tone, and is read as that was."""
    number = np.arange(len(cell))
    by = np.lexsort((number, tone, cell % tickers))
    fresh = rng.random(len(cell)) >= shape.repeats
    begins = np.diff(cell[by] % tickers, prepend=-1) != 0
    begins |= np.diff(tone[by], prepend=9.0) != 0
    source = np.maximum.accumulate(np.where(fresh[by] | begins, number, 0))
    drawn = rng.random(len(cell))[source]
    chance = errors.cumsum(axis=1)[tone[by].astype(int) + 1]
    read = np.empty(len(cell))
    read[by] = (drawn[:, None] > chance[:, :2]).sum(axis=1) - 1.0
    return read


def _with_gaps(panel: Panel, rng: np.random.Generator) -> Panel:
    """The panel with tickers that come and go, halts, and a universe that changes every quarter.

    A fifth of the tickers is listed late, a fifth is delisted; 1 % of the cells begin a halt of one to three sessions;
    70 % of the tickers are in the universe.
    """
    grid = panel.listed.shape
    at, middle = np.arange(grid[0])[:, None], (BEFORE + grid[0] - AFTER) // 2
    begins = np.where(rng.random(grid[1]) < 0.2, rng.integers(BEFORE, middle, grid[1]), 0)
    ends = np.where(rng.random(grid[1]) < 0.2, rng.integers(middle, grid[0] - AFTER, grid[1]), grid[0])
    halted = rng.random(grid) < 0.01
    for more in (0.5, 0.25):
        halted |= lagged(halted, 1, False) & (rng.random(grid) < more)
    known = (at >= begins) & (at < ends) & ~halted
    listed = np.maximum.accumulate(known) & np.maximum.accumulate(known[::-1])[::-1]
    member = np.repeat(rng.random((grid[0] // 63 + 1, grid[1])) < 0.7, 63, axis=0)[: grid[0]]
    fields = {name: np.where(known, values, np.nan) for name, values in panel.fields.items()}
    return Panel(panel.sessions, panel.tickers, fields, listed, listed & member)


def _standard(values: np.ndarray) -> np.ndarray:
    spread = values.std()
    return (values - values.mean()) / spread if spread > 0 else np.zeros_like(values)


def _panel(
    kind: Kind,
    shape: Shape,
    noise: Noise,
    count: np.ndarray,
    cell: np.ndarray,
    moving: np.ndarray,
    surprise: np.ndarray,
    other: float,
    drift: float,
    rng: np.random.Generator,
) -> Panel:
    """Prices, session by session, since the other effect knows those before."""
    grid = count.shape
    many = np.maximum(count, 1)
    shock = REACTION * per_cell(cell, grid, surprise) / many
    closed = rng.random(grid) < shape.closed
    gap = VOLATILITY * noise.overnight + noise.beta * noise.market_overnight + np.where(closed, shock, 0.0)
    day = VOLATILITY * noise.within + noise.beta * noise.market_within
    day += lagged(np.where(closed, 0.0, shock), -1, 0.0)  # learned in the session before it counts for a forecast
    tone = per_cell(cell, grid, moving) / many
    later = (lagged(tone, lag, 0.0) for lag in range(1, kind.drift_sessions))
    day += drift / kind.drift_sessions * sum(later, start=tone)
    usual = rng.normal(13.5, 1.0, grid[1]) + 0.3 * rng.standard_normal(grid) + 0.3 * np.log1p(lagged(count, -1, 0.0))
    opening, close, volume = np.zeros(grid), np.zeros(grid), np.zeros(grid)
    last = rng.normal(np.log(40.0), 0.7, grid[1])
    for t in range(grid[0]):
        opening[t] = last + gap[t]
        if other and kind.other and t > WINDOW:
            recent = volume[t - 1] - volume[t - 1 - WINDOW : t - 1].mean(axis=0)
            past, before = close[t - 1] - close[t - 2], close[t - 2] - close[t - 3]
            now = State(past, before, gap[t], count[t], count[t - 1], recent)
            day[t] += other * VOLATILITY * _standard(OTHERS[kind.other](now))
        close[t] = last = opening[t] + day[t]
        # A move ten times the usual, which fat tails have at times, trades twenty times as much; a larger one no more.
        volume[t] = usual[t] + 0.3 * np.minimum(np.abs(gap[t] + day[t]) / VOLATILITY, 10)
    reach = 0.4 * VOLATILITY * noise.sigma
    top = np.maximum(opening, close) + reach * np.abs(rng.standard_normal(grid))
    bottom = np.minimum(opening, close) - reach * np.abs(rng.standard_normal(grid))
    logs = {"open": opening, "high": top, "low": bottom, "close": close, "volume": volume}
    return Panel(
        sessions=pd.bdate_range("2000-01-03", periods=grid[0]),
        tickers=pd.Index([f"T{number:04d}" for number in range(grid[1])]),
        fields={name: np.exp(values) for name, values in logs.items()},
        listed=np.ones(grid, dtype=bool),
        ranked=np.ones(grid, dtype=bool),
    )
