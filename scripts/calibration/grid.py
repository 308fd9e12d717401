"""Which markets are judged: the kinds, the sizes of their effects, and how many of each."""

from __future__ import annotations

from typing import NamedTuple

from scripts.calibration.markets import Kind

READINGS = (0.68, 0.85, 1.0)
"""Shares of the headlines that are read right: the default model on headlines, a better one, and no error at all."""

NULLS = (
    Kind("null_plain"),
    Kind("null_return_x_news", "return_x_news"),
    Kind("null_return_x_news_before", "return_x_news_before"),
    Kind("null_reversal", "reversal"),
    Kind("null_gap", "gap"),
    Kind("null_gap_extreme", "gap_extreme"),
    Kind("null_volume", "volume"),
    Kind("null_attention", "attention"),
    Kind("null_sparse", "return_x_news", coverage=0.05),
    Kind("null_persistent", "return_x_news", persistent=True),
    Kind("null_horizon_5", "return_x_news", horizon=5),
    Kind("null_horizon_21", "return_x_news", horizon=21),
    Kind("null_25_tickers", "return_x_news", tickers=25),
    Kind("null_10_tickers", "return_x_news", tickers=10),
    Kind("null_300_sessions", "return_x_news", sessions=300),
    Kind("null_ragged", "return_x_news", ragged=True),
)
"""Markets in which the tone says nothing of returns, given prices, the amount of news, their products and the gap."""

PLANTED = (
    Kind("drift_1", "reversal", drift_sessions=1),
    Kind("drift_3", "reversal", drift_sessions=3),
    Kind("drift_10", "reversal", drift_sessions=10),
)
"""Markets in which the tone moves the price over so many sessions; other sizes than 0 have a reversal beside it."""

KINDS = {kind.name: kind for kind in (*NULLS, *PLANTED)}
OTHER = (0.03, 0.06)
"""Rank ICs of the other effect."""
LARGE = 0.12
"""Reported, without a bar."""
CONFIRMED_FROM = 100_000
"""Seeds from here on were never looked at while the rule was made; those below are for development."""


class Job(NamedTuple):
    """One market: its kind, rank IC of the other effect, rank IC planted as read, share read right, and seed."""

    kind: str
    other: float
    planted: float
    reading: float
    seed: int


def jobs(full: bool, first: int) -> list[Job]:
    """The markets of the quick or the full grid, with seeds from `first` on. The quick one is part of the full one.

    No two markets of a grid have the same seed, so that none repeats the noise of another.
    """
    nulls, planted = (200, 100) if full else (24, 24)
    groups: list[tuple[str, float, float, tuple[float, ...], int]] = []
    for kind in NULLS:
        sizes = OTHER if kind.other else (0.0,)
        groups += [(kind.name, size, 0.0, READINGS, nulls // len(sizes)) for size in sizes]
    sized = ((0.0, planted // 2), (0.06, planted))
    groups += [("drift_3", size, level, READINGS[:1], count) for size, count in sized for level in (0.01, 0.02, 0.03)]
    other_drifts = [(name, READINGS[0]) for name in ("drift_1", "drift_10")]
    other_drifts += [("drift_3", reading) for reading in READINGS[1:]]
    groups += [
        (name, 0.06, level, (reading,), planted // 4) for name, reading in other_drifts for level in (0.02, 0.03)
    ]
    plain = [kind.name for kind in NULLS if kind.other and kind == Kind(kind.name, kind.other)]
    groups += [(name, LARGE, 0.0, READINGS, 20 if full else 0) for name in plain]
    return [
        Job(name, other, level, readings[number % len(readings)], first + 1000 * place + number)
        for place, (name, other, level, readings, count) in enumerate(groups)
        for number in range(count)
    ]
