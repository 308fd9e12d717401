"""The shape of a panel: how much news there is, on whom, how it bunches and repeats; no price and no text."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from finsentiment import params
from finsentiment.features.panel import cells, per_cell, to_panel
from finsentiment.market.sessions import entry_moments, next_entry, utc_values


@dataclass(frozen=True)
class Shape:
    """What a simulated market takes from a real one.

    sessions : from the first that news counts for to the last
    news : mean number of headlines per session of each ticker, the largest first
    coverage : share of ticker-sessions with news
    persistence : correlation of a ticker's log(1 + headlines) with that of the session before
    repeats : share of headlines whose text stood there before, on the same ticker
    closed : share of headlines published while the exchange is closed
    """

    sessions: int
    news: list[float]
    coverage: float
    persistence: float
    repeats: float
    closed: float

    def facts(self) -> dict[str, float]:
        """The shape in a few numbers: the largest five tickers' share of the news, and the like."""
        total = sum(self.news)
        figures = {"tickers": len(self.news), "news_per_session": total / len(self.news)}
        return {**asdict(self), **figures, "top_five": sum(self.news[:5]) / total}

    def sparse(self, coverage: float) -> Shape:
        """The same with news on no more than this share of ticker-sessions."""
        coverage = min(coverage, self.coverage)
        less = coverage / self.coverage
        return Shape(**{**asdict(self), "news": [rate * less for rate in self.news], "coverage": coverage})

    def fewer(self, tickers: int) -> Shape:
        """The same with fewer tickers, spread evenly over the amounts of news."""
        kept = np.linspace(0, len(self.news) - 1, tickers).round().astype(int)
        return Shape(**{**asdict(self), "news": [self.news[at] for at in kept]})


def shape_of(news: pd.DataFrame, prices: pd.DataFrame, features: params.Features, exchange: str) -> Shape:
    """The shape of the prepared tables `news` and `prices`."""
    panel = to_panel(prices, exchange)
    entry = next_entry(news["published_at"], exchange, features.entry, features.latency)
    placed = cells(entry, news["ticker"], panel)
    inside = (panel.sessions >= entry[placed >= 0].min()) & (panel.sessions <= entry[placed >= 0].max())
    counts = per_cell(placed, panel.listed.shape)[inside]
    logs = np.log1p(counts)
    logs = logs - logs.mean(axis=0)
    texts = news.loc[placed >= 0, ["ticker", "headline"]]
    opens, closes = (entry_moments(exchange, moment) for moment in ("open", "close"))
    published = utc_values(news["published_at"])
    trading = np.searchsorted(opens, published, side="right") > np.searchsorted(closes, published, side="right")
    return Shape(
        sessions=len(counts),
        news=[round(float(rate), 4) for rate in np.sort(counts.mean(axis=0))[::-1]],
        coverage=round(float((counts > 0).mean()), 4),
        persistence=round(float((logs[1:] * logs[:-1]).sum() / max((logs**2).sum(), 1e-12)), 3),
        repeats=round(float(texts.duplicated().mean()), 3),
        closed=round(float(1 - trading.mean()), 3),
    )
