"""A market with known truth: real exchange sessions, invented companies, news at all hours, and a drift after news.

A headline of tone s in {-1, 0, 1} moves the price of its company twice:

1. by `reaction` x s in the session in which the market learns of it: within trading hours between then and the
   close, otherwise in the gap to the next open. A forecast enters at the first open after publication,
   when all of this is over, so it earns a forecast nothing.
2. by `drift` x s in equal parts over `drift_sessions` sessions, each part between an open and the close, from the
   first open after publication on. This is all that past news can forecast; with `drift` 0 nothing can.

A share of the news, `follow`, tells of moves that have been: it comes in the hours after a session in which its
company's price moved far, its tone is mostly the sign of the move, and it moves nothing itself. So tone goes with
past returns, as it does in real markets, without forecasting any.
"""

from __future__ import annotations

import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd

from finsentiment import params
from finsentiment.arms import TRUTH
from finsentiment.errors import InputError
from finsentiment.market.sessions import calendar, utc_values

STEMS = (
    "Aldermoor Brackwell Calvenor Dunmarrow Eskholm Fenwarren Galdrey Harrowmere Ilvaston Jorvand Kestrelby Lornwick "
    "Marlowen Norvane Ostermere Pendrake Quillham Ravensund Selbrook Thornavel Umberley Velmoor Wexcombe Yarrowden "
    "Zelkhurst Ashgrave Bellamont Corvane Drayhurst Elmsward Falkenrow Grimsholt Hollowick Ivermont Kirkvale "
    "Lyndhaven Mistlebrook Nettlecroft Oakenby Pellworth"
).split()
KINDS = (
    "Associates Brothers Corporation Enterprises Group Holdings International Limited Partners Resources Systems "
    "Trust Works"
).split()

MARKET_VOLATILITY = 0.008  # daily, of the factor that all tickers share
BETAS = (0.6, 1.4)  # range of the tickers' exposure to it
OVERNIGHT = 0.25  # share of a session's variance that falls between close and open
GARCH = (0.08, 0.90)  # weights of the last squared shock and of the last variance
FREEDOM = 5  # degrees of freedom of the Student t shocks
COVERAGE_SPREAD = 0.6  # standard deviation of the log of a ticker's share of the news
BUSY_HOURS = range(7, 19)  # of a session's day, local time
BUSY = 5.0  # how many times more news in those hours than at night, on weekends and on holidays
FOLLOWS_SIGN = 0.7  # share of the news after a move whose tone is the move's sign; the tone of the rest is any


class Simulation(NamedTuple):
    """News and prices in the pipeline's schema, and the true tone of each `news_id` (column `truth`)."""

    news: pd.DataFrame
    prices: pd.DataFrame
    truth: pd.DataFrame


def simulate_market(market: params.Simulated, exchange: str, headlines: pd.DataFrame, seed: int) -> Simulation:
    """Simulate `market.tickers` companies over `market.sessions` sessions.

    News depends on the seed, the sessions, the tickers, `news_per_session` and `follow` alone: markets that differ
    in drift, reaction or volatility have the same news and the same noise.

    Parameters
    ----------
    market : the section market.simulated of the parameters; returns are fractions of the price
    exchange : calendar code of exchange_calendars
    headlines : columns `headline` (with `{company}` once) and `tone` (-1, 0 or 1)
    seed : any non-negative integer
    """
    naming, arriving, telling, moving = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(4))
    sessions, opens, closes, zone = _schedule(exchange, datetime.date.fromisoformat(market.start), market.sessions)
    companies = _companies(market.tickers, naming)
    noise = price_noise(market.tickers, market.sessions, moving)
    coverage = arriving.lognormal(0.0, COVERAGE_SPREAD, market.tickers)
    rate = market.news_per_session * market.sessions * coverage / coverage.mean()
    tones = headlines["tone"].to_numpy()
    first = _arrivals((1 - market.follow) * rate, sessions, closes[-1], zone, arriving)
    after = _reports(market.follow * rate, noise.own, opens, closes, arriving)
    published, company, sign = (
        np.concatenate(pair) for pair in zip((*first, np.zeros(len(first[0]))), after, strict=True)
    )
    is_report = np.repeat([False, True], [len(first[0]), len(after[0])])
    order = np.lexsort((company, published))
    published, company, sign, is_report = published[order], company[order], sign[order], is_report[order]
    wanted = np.where(sign == 0, telling.choice(tones, len(company)), sign).astype(int)
    story = _stories(company, wanted, tones, telling)
    tone = tones[story].astype(float)

    names = companies["name"].to_numpy()[company]
    texts = headlines["headline"].to_numpy()[story]
    news_id = [f"n{number:07d}" for number in range(len(published))]
    news = pd.DataFrame(
        {
            "news_id": news_id,
            "published_at": pd.DatetimeIndex(published).tz_localize("UTC"),
            "ticker": companies["ticker"].to_numpy()[company],
            "headline": [text.replace("{company}", name) for text, name in zip(texts, names, strict=True)],
            "source": "simulated",
        }
    )
    moved_by = np.where(is_report, 0.0, tone)
    learned, gaps, days = _effects(market, published, company, moved_by, opens, closes)
    prices = _prices(market, companies["ticker"], sessions, learned, gaps, days, noise, moving)
    return Simulation(news, prices, pd.DataFrame({"news_id": news_id, TRUTH: tone}))


def _schedule(
    exchange: str, start: datetime.date, count: int
) -> tuple[pd.DatetimeIndex, np.ndarray, np.ndarray, datetime.tzinfo]:
    """The first `count` sessions from `start`, their opens and closes (UTC), and the exchange's time zone."""
    known = calendar(exchange)
    first = known.sessions.searchsorted(pd.Timestamp(start))
    chosen = slice(first, first + count)
    if pd.Timestamp(start) < known.first_session or len(known.sessions[chosen]) < count:
        raise InputError(
            f"market.simulated: {count} sessions from {start} are not all known; the calendar of {exchange} goes from "
            f"{known.first_session.date()} to {known.last_session.date()}; change start or sessions"
        )
    sessions = pd.DatetimeIndex(known.sessions[chosen].as_unit("us"), freq=None)
    return sessions, utc_values(known.opens)[chosen], utc_values(known.closes)[chosen], known.tz


def _companies(count: int, rng: np.random.Generator) -> pd.DataFrame:
    """Invented names with a ticker each: the stem's first three letters, which differ, and the kind's first."""
    stems, kinds = rng.permutation(STEMS), rng.permutation(KINDS)
    number = np.arange(count)
    stem = stems[number % len(stems)]
    # Round after round through the stems, the kind moves on by two, so no name comes twice in 13 rounds.
    kind = kinds[(number // len(stems) + number) % len(kinds)]
    names = [f"{s} {k}" for s, k in zip(stem, kind, strict=True)]
    tickers = [f"{s[:3].upper()}{k[0]}" for s, k in zip(stem, kind, strict=True)]
    return pd.DataFrame({"ticker": tickers, "name": names}).sort_values("ticker", ignore_index=True)


def _arrivals(
    expected: np.ndarray,
    sessions: pd.DatetimeIndex,
    end: np.datetime64,
    zone: datetime.tzinfo,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Publication times (UTC) and the company each is about: Poisson in time, blind to prices.

    `expected` is the number of headlines of each company over the whole period.
    """
    company = np.repeat(np.arange(len(expected)), rng.poisson(expected))
    last = pd.Timestamp(end).tz_localize("UTC").tz_convert(zone)
    hours = pd.date_range(sessions[0].tz_localize(zone), last, freq="h", inclusive="left")
    on_session_day = hours.tz_localize(None).normalize().isin(sessions)
    intensity = np.where(on_session_day & np.isin(hours.hour, BUSY_HOURS), BUSY, 1.0)
    hour = rng.choice(len(hours), size=len(company), p=intensity / intensity.sum())
    second = rng.integers(0, 3600, len(company)).astype("timedelta64[s]")
    return utc_values(hours)[hour] + second, company


def _reports(
    expected: np.ndarray, own: np.ndarray, opens: np.ndarray, closes: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """News that follows moves: its times, its companies, and the tone that each must have (0: any).

    The chance of a report after a session grows with the square of `own`, each company's move in that session in
    standard deviations (sessions x tickers). It comes between the close and the next open.
    """
    weight = own[:-1] ** 2
    count = rng.poisson(expected * weight / weight.sum(axis=0))
    session, company = (np.repeat(index.ravel(), count.ravel()) for index in np.indices(weight.shape))
    hours = (opens[session + 1] - closes[session]) / np.timedelta64(1, "s")
    published = closes[session] + (rng.random(len(session)) * hours).astype("timedelta64[s]")
    sign = np.where(rng.random(len(session)) < FOLLOWS_SIGN, np.sign(own[session, company]), 0.0)
    return published, company, sign


def _stories(company: np.ndarray, wanted: np.ndarray, tones: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which headline each piece of news tells, of the tone that is `wanted` where there is one.

    No company tells one of them again before it has told all of that tone.
    """
    story = np.empty(len(company), dtype=int)
    order = np.lexsort((wanted, company))
    starts = np.flatnonzero(np.diff(company[order], prepend=-1) | np.diff(wanted[order], prepend=2))
    for mine in np.split(order, starts[1:]):
        able = np.flatnonzero(tones == wanted[mine[0]])
        able = able if len(able) else np.arange(len(tones))
        rounds = -(-len(mine) // len(able))
        story[mine] = np.concatenate([rng.permutation(able) for _ in range(rounds)])[: len(mine)]
    return story


def _effects(
    market: params.Simulated,
    published: np.ndarray,
    company: np.ndarray,
    tone: np.ndarray,
    opens: np.ndarray,
    closes: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What news does, each an array of sessions x tickers.

    Returns the number of headlines that the market learns of in a session, and the log return they add to the gap
    before its open and to the time between its open and its close.
    """
    shape = (len(opens), market.tickers)

    def total(session: np.ndarray, weight: np.ndarray, counted: np.ndarray) -> np.ndarray:
        counted = counted & (session < shape[0])  # what comes after the last open is learned after the market ends
        cell = session[counted] * shape[1] + company[counted]
        return np.bincount(cell, weight[counted], shape[0] * shape[1]).reshape(shape)

    entry = np.searchsorted(opens, published, side="right")
    trading = (entry > 0) & (published < closes[entry - 1])
    ones, every = np.ones(len(published)), np.ones(len(published), dtype=bool)
    learned = total(entry, ones, ~trading) + total(entry - 1, ones, trading)
    gaps = market.reaction * total(entry, tone, ~trading)
    days = market.reaction * total(entry - 1, tone, trading)
    for later in range(market.drift_sessions):
        days += market.drift / market.drift_sessions * total(entry + later, tone, every)
    return learned, gaps, days


def _shocks(volatility: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Log returns overnight and within `count` sessions, and the volatility of each session (count x columns).

    GARCH(1, 1) with Student t shocks, of mean daily volatility `volatility` (one per column).
    """
    unit = np.sqrt((FREEDOM - 2) / FREEDOM)
    overnight = rng.standard_t(FREEDOM, (count, len(volatility))) * unit * np.sqrt(OVERNIGHT)
    within = rng.standard_t(FREEDOM, (count, len(volatility))) * unit * np.sqrt(1 - OVERNIGHT)
    shock, memory = GARCH
    variance = np.empty((count, len(volatility)))
    variance[0] = volatility**2
    for t in range(1, count):
        last = variance[t - 1] * (overnight[t - 1] + within[t - 1]) ** 2
        variance[t] = (1 - shock - memory) * volatility**2 + shock * last + memory * variance[t - 1]
    sigma = np.sqrt(variance)
    return overnight * sigma, within * sigma, sigma


class Noise(NamedTuple):
    """Returns without news, in units of a ticker's volatility.

    Own ones overnight and within sessions (sessions x tickers), their conditional volatility, and the market's factor
    as log returns.
    """

    overnight: np.ndarray
    within: np.ndarray
    sigma: np.ndarray
    market_overnight: np.ndarray
    market_within: np.ndarray
    beta: np.ndarray

    @property
    def own(self) -> np.ndarray:
        """Each ticker's own move in standard deviations, (sessions, tickers)."""
        return self.overnight + self.within


def price_noise(tickers: int, sessions: int, rng: np.random.Generator) -> Noise:
    """Returns of `tickers` over `sessions` without news, and how they move with the market."""
    # The last column is the market's own factor.
    overnight, within, sigma = _shocks(np.append(np.ones(tickers), MARKET_VOLATILITY), sessions, rng)
    beta = rng.uniform(*BETAS, tickers)
    return Noise(overnight[:, :-1], within[:, :-1], sigma[:, :-1], overnight[:, -1:], within[:, -1:], beta)


def _prices(
    market: params.Simulated,
    tickers: pd.Series,
    sessions: pd.DatetimeIndex,
    learned: np.ndarray,
    gaps: np.ndarray,
    days: np.ndarray,
    noise: Noise,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """The price table: noise of the market and of each ticker, plus what news does."""
    shape = learned.shape
    gap = market.volatility * noise.overnight + noise.beta * noise.market_overnight + gaps
    day = market.volatility * noise.within + noise.beta * noise.market_within + days

    close = rng.normal(np.log(40.0), 0.7, shape[1]) + np.cumsum(gap + day, axis=0)
    opening = close - day
    reach = 0.4 * market.volatility * noise.sigma
    high = np.maximum(opening, close) + reach * np.abs(rng.standard_normal(shape))
    low = np.minimum(opening, close) - reach * np.abs(rng.standard_normal(shape))
    turnover = rng.normal(13.5, 1.0, shape[1]) + 0.3 * rng.standard_normal(shape)
    turnover += 0.3 * np.abs(gap + day) / market.volatility + 0.5 * np.log1p(learned)
    columns = {"open": opening, "high": high, "low": low, "close": close, "volume": turnover}
    return pd.DataFrame(
        {
            "ticker": np.repeat(tickers.to_numpy(), shape[0]),
            "session": np.tile(sessions.to_numpy(), shape[1]),
            **{name: np.exp(values).T.ravel() for name, values in columns.items()},
        }
    ).round({"volume": 0})
