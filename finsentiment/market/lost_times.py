"""Stamps whose time of day was lost, seen from how many stand at one clock time.

Times are compared in minutes, as written, in UTC, at the exchange and in its standard time. Releases that are true
cluster too: on full hours, and a firm's own on the hour that it likes. So a minute is suspect only where neither chance
nor such habits explain how many stories stand there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import binom

from finsentiment.market.sessions import calendar

LIKELY_LOST = (0, 720, 1439)
"""Minutes of the day that programs put in place of a time that they don't have: midnight, noon, the last one."""
LEAST_STORIES = 10  # at one minute, on at least LEAST_DAYS days: fewer can be chance
LEAST_DAYS = 5
HABIT_SHARE = 0.02  # of true stamps that may stand at such a minute without more ado
NIGHT_SHARE = 0.01  # the same where it falls into the night of the exchange
NIGHT = (19 * 60, 6 * 60)  # minutes at the exchange from which and until which little news comes
HABIT_TIMES = 3.0  # a suspect minute has more than this many times the stories of the most frequent other one
CHANCE = 1e-6  # of a binomial test against the larger of these two habits
ELSEWHERE = 0.003  # share of the other tickers' stories at a minute, above which it is nobody's mistake
OTHER_ZONES = ("America/New_York", "Europe/London", "Europe/Berlin", "Asia/Kolkata", "Asia/Shanghai", "Asia/Tokyo")
"""Zones of scrapers: (nearly) all of a file or a source at their midnight or noon is too much."""
NEARLY_ALL = 0.9  # of a file's or a source's rows at one minute are too many, whatever minute it is
TICKERS_OWN = 0.95  # the same for a ticker at a likely minute that others use
MANY = 30  # stories, or rows, that such shares must be of


class Lost(NamedTuple):
    """A group of news whose times look lost.

    rows : positions of its stamps at that minute
    group : what it is: `the file`, `source reuters`, `ticker ACME`
    clock : the clock time in words, `00:00 UTC`
    total : rows of the group
    """

    rows: np.ndarray
    group: str
    clock: str
    total: int


class View(NamedTuple):
    """The stamps as one zone has them: minute of the day, second of the day, number of the day, all (n,)."""

    minute: np.ndarray
    second: np.ndarray
    day: np.ndarray


def view_of(stamps: pd.Series) -> View:
    """Stamps without a zone as a view."""
    seconds = stamps.to_numpy().astype("datetime64[s]").astype(np.int64)
    return View(seconds // 60 % 1440, seconds % 86400, seconds // 86400)


def views_of(published_at: pd.Series, written: pd.Series, exchange: str) -> dict[str, View]:
    """The stamps in UTC, as written, at the exchange, and in its standard time, by the name of the view."""
    zone = calendar(exchange).tz
    standard = min(pd.Timestamp(f"2021-{month}-15", tz=zone).utcoffset() for month in ("01", "07"))
    utc = published_at.dt.tz_localize(None)
    local = published_at.dt.tz_convert(zone).dt.tz_localize(None)
    views: dict[str, View] = {}
    for name, stamps in (
        ("UTC", utc),
        ("as written", written),
        (str(zone), local),
        (f"{zone}, winter", utc + standard),
    ):
        view = view_of(stamps)
        if not any(np.array_equal(view.second, other.second) for other in views.values()):
            views[name] = view
    return views


def _elsewhere(published_at: pd.Series, rows: np.ndarray, known: dict[str, View]) -> tuple[str, View] | None:
    """The other zone in which (nearly) all `rows` stand at a likely minute; None where there is none."""
    if len(rows) < MANY:
        return None
    stamps = published_at.iloc[rows]
    for zone in OTHER_ZONES:
        local = stamps.dt.tz_convert(zone)
        minute = (local.dt.hour * 60 + local.dt.minute).to_numpy()
        if zone not in known and max((minute == likely).mean() for likely in LIKELY_LOST) >= NEARLY_ALL:
            return zone, view_of(published_at.dt.tz_convert(zone).dt.tz_localize(None))
    return None


def find_lost(news: pd.DataFrame, written: pd.Series, exchange: str) -> list[Lost]:
    """Groups of news (the file, its sources, its tickers) that lost their times, by the rule of this file's constants.

    Of a ticker, a minute that other tickers use too is a habit, unless (nearly) all of many stories stand there.

    Parameters
    ----------
    news : `published_at` (UTC), `ticker`, `headline`, `source`
    written : the same times as written, without zone
    """
    views = views_of(news["published_at"], written, exchange)
    local = news["published_at"].dt.tz_convert(calendar(exchange).tz)
    clock = (local.dt.hour * 60 + local.dt.minute).to_numpy()
    night = ((clock >= NIGHT[0]) | (clock < NIGHT[1])) & (exchange != "24/7")
    suspect = np.any([np.isin(view.minute, LIKELY_LOST) for view in views.values()], axis=0)
    story = news.groupby(["published_at", "headline"], sort=False).ngroup().to_numpy()
    left = np.ones(len(news), dtype=bool)
    used: dict[str, np.ndarray] = {}
    found: list[Lost] = []
    for kind, group, members in _groups(news):
        other = _elsewhere(news["published_at"], members[left[members]], views) if kind != "ticker" else None
        if other is not None:
            views[other[0]] = other[1]
        if kind == "ticker" and not used:
            every = _stories(np.flatnonzero(left), story)
            used = {name: np.bincount(view.minute[every], minlength=1440) for name, view in views.items()}
        while True:
            rows = members[left[members]]
            stories = _stories(rows, story)
            hit = _judge(kind, rows, stories, views, suspect, night, used)
            if hit is None:
                break
            name, minute = hit
            lost = rows[views[name].minute[rows] == minute]
            for view, counts in used.items():
                counts -= np.bincount(views[view].minute[_stories(lost, story)], minlength=1440)
            left[lost] = False
            words = f"{minute // 60:02d}:{minute % 60:02d} {name}"
            found.append(Lost(lost, group, words, len(members)))
    return found


def _groups(news: pd.DataFrame) -> Iterator[tuple[str, str, np.ndarray]]:
    """Kind, name and positions of the rows of each group."""
    yield "file", "the file", np.arange(len(news))
    for column in ("source", "ticker"):
        codes, names = pd.factorize(news[column])
        counts = np.bincount(codes, minlength=len(names))
        parts = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
        if len(names) > 1:
            yield from ((column, f"{column} {names[c]}", parts[c]) for c in np.flatnonzero(counts >= LEAST_STORIES))


def _stories(rows: np.ndarray, story: np.ndarray) -> np.ndarray:
    """One row for each story: a story on many tickers is one stamp."""
    return rows[np.unique(story[rows], return_index=True)[1]]


def _judge(
    kind: str,
    rows: np.ndarray,
    stories: np.ndarray,
    views: dict[str, View],
    suspect: np.ndarray,
    night: np.ndarray,
    used: dict[str, np.ndarray],
) -> tuple[str, int] | None:
    """View and minute at which the group lost its times; None if it didn't."""
    total = len(stories)
    for name, view in views.items():
        counts = np.bincount(view.minute[stories], minlength=1440)
        of_rows = np.bincount(view.minute[rows], minlength=1440) if kind != "ticker" else counts
        for minute in sorted({*LIKELY_LOST, int(of_rows.argmax())}, key=lambda m: -of_rows[m]):
            there, likely = int(counts[minute]), minute in LIKELY_LOST
            most = kind != "ticker" and len(rows) >= MANY and of_rows[minute] >= NEARLY_ALL * len(rows)
            at = stories[view.minute[stories] == minute]
            days = len(np.unique(view.day[at]))
            if days < (2 if most and likely else LEAST_DAYS) or (there < LEAST_STORIES and not most):
                continue
            if most:
                return name, minute
            if (
                likely
                and _unexplained(kind, at, stories, view.minute, suspect, night)
                and (
                    kind != "ticker"
                    or (total >= MANY and there >= TICKERS_OWN * total)
                    or used[name][minute] - there <= ELSEWHERE * (used[name].sum() - total)
                )
            ):
                return name, minute
    return None


def _unexplained(
    kind: str, at: np.ndarray, stories: np.ndarray, minute: np.ndarray, suspect: np.ndarray, night: np.ndarray
) -> bool:
    """Whether neither chance nor habit explains that the stories `at` one minute are so many of all `stories`."""
    by_night = kind != "ticker" and night[at].mean() > 0.5
    others = stories[~suspect[stories] & (night[stories] | (not by_night))]
    most = np.bincount(minute[others], minlength=1).max(initial=0) if len(others) else 0
    habit = max(NIGHT_SHARE if by_night else HABIT_SHARE, HABIT_TIMES * most / len(stories))
    return habit < 1 and bool(binom.sf(len(at) - 1, len(stories), habit) < CHANCE)
