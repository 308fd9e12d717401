"""News whose time of day was lost: found by how many stamps are one clock time, moved to where it can't look ahead.

A scraped file often has the day alone, or midnight in its place. Such news counts for the open of its own day though
most of it came later: it looks ahead, and neither a placebo nor the check of the features can see it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import binom

from finsentiment.errors import InputError
from finsentiment.market.sessions import calendar

LIKELY_LOST = {0: "00:00:00", 43200: "12:00:00", 86340: "23:59:00", 86399: "23:59:59"}
"""Clock times, in seconds of the day, that programs put in place of a time that they don't have."""
LEAST_STORIES = 10  # at one clock time, on at least LEAST_DAYS days: fewer can be chance
LEAST_DAYS = 5
HABIT_SHARE = 0.02  # of true stamps may be midnight or noon to the second without more ado
HABIT_TIMES = 3.0  # true stamps cluster on full hours, so the share must stand out against the next clock time
CHANCE = 1e-6
ANY_CLOCK_SHARE = 0.9  # of the file or a source at any one clock time; a ticker's news may come at one hour by habit
ANY_CLOCK_STORIES = 30


class Lost(NamedTuple):
    """A group of news whose times look lost.

    rows : positions of its stamps at that clock time
    group : what it is: `the file`, `source reuters`, `ticker ACME`
    clock : the clock time in words, `00:00:00 UTC`
    total : stories in the group
    there : those at that clock time
    """

    rows: np.ndarray
    group: str
    clock: str
    total: int
    there: int


def find_lost(news: pd.DataFrame, written: pd.Series, exchange: str) -> list[Lost]:
    """Groups of news (file, sources, tickers) with more stamps at one clock time than chance and habit explain.

    Midnight, noon and the last second of the day, as written, in UTC and at the exchange, are suspect where at least
    `LEAST_STORIES` stories on `LEAST_DAYS` days stand there, more than `HABIT_SHARE` of the group and `HABIT_TIMES`
    as many as at the most frequent other clock time, and a binomial test against the larger of these two habits has
    p < `CHANCE`. Any other clock time is suspect where `ANY_CLOCK_SHARE` of the file or of a source stand there.

    Parameters
    ----------
    news : `published_at` (UTC), `ticker`, `headline`, `source`
    written : the same times as written, without zone
    """
    views = _views(news["published_at"], written, exchange)
    suspect = np.any([np.isin(clock, list(LIKELY_LOST)) for clock, _ in views.values()], axis=0)
    # One story on many tickers is one stamp.
    first = ~news.duplicated(["published_at", "headline"]).to_numpy()
    found: list[Lost] = []
    taken = np.zeros(len(news), dtype=bool)
    for group, members in _groups(news):
        for view, (clock, day) in views.items():
            left = members[~taken[members]]
            stories = left[first[left]]
            judged = _judge(clock[stories], day[stories], suspect[stories], alone=not group.startswith("ticker"))
            if judged is not None:
                second, there = judged
                words = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d} {view}"
                rows = left[clock[left] == second]
                found.append(Lost(rows, group, words, len(stories), there))
                taken[rows] = True
    return found


def _views(published_at: pd.Series, written: pd.Series, exchange: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Seconds of the day and number of the day of each stamp, by the zone it is looked at in."""
    zone = calendar(exchange).tz
    local = published_at.dt.tz_convert(zone).dt.tz_localize(None)
    views = {}
    for name, stamps in (("UTC", published_at.dt.tz_localize(None)), ("as written", written), (str(zone), local)):
        seconds = stamps.to_numpy().astype("datetime64[s]").astype(np.int64)
        views[name] = (seconds % 86400, seconds // 86400)
    return views


def _groups(news: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """Names of the groups and the positions of their rows."""
    yield "the file", np.arange(len(news))
    for column in ("source", "ticker"):
        codes, names = pd.factorize(news[column])
        if len(names) < 2:
            continue
        counts = np.bincount(codes, minlength=len(names))
        parts = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
        yield from ((f"{column} {names[code]}", parts[code]) for code in np.flatnonzero(counts >= LEAST_STORIES))


def _judge(clock: np.ndarray, day: np.ndarray, suspect: np.ndarray, alone: bool) -> tuple[int, int] | None:
    """The clock time at which the times of a group were lost, and the stories there; None if none were.

    Parameters
    ----------
    clock, day : second of the day and number of the day of each story
    suspect : whether the story stands at a likely clock time in any zone
    alone : whether any clock time that (nearly) all have is suspect
    """
    total = len(clock)
    if total < LEAST_STORIES:
        return None
    usual = np.unique(clock[~suspect], return_counts=True)[1]
    habit = max(HABIT_SHARE, HABIT_TIMES * usual.max(initial=0) / total)
    counted = {second: int((clock == second).sum()) for second in LIKELY_LOST}
    judged = [(there, second) for second, there in counted.items() if _is_lost(there, total, habit)]
    if alone and total >= ANY_CLOCK_STORIES and usual.max(initial=0) >= ANY_CLOCK_SHARE * total:
        clocks, counts = np.unique(clock, return_counts=True)
        judged.append((int(counts.max()), int(clocks[counts.argmax()])))
    for there, second in sorted(judged, reverse=True):
        if there >= LEAST_STORIES and len(np.unique(day[clock == second])) >= LEAST_DAYS:
            return second, there
    return None


def _is_lost(there: int, total: int, habit: float) -> bool:
    """Whether chance and habit don't explain that `there` of `total` stories stand at one clock time."""
    return there >= LEAST_STORIES and habit < 1 and bool(binom.sf(there - 1, total, habit) < CHANCE)


def settle_undated(
    news: pd.DataFrame, written: pd.Series, only_day: pd.Series, rule: str, exchange: str, path: str
) -> tuple[pd.Series, int]:
    """Times of publication with undated news where `market.undated_news` puts it.

    Undated is news with a day alone, and news whose times `find_lost` takes for lost. The rule `next_session` lets it
    count for the first session that opens after its day has ended, as written, in UTC and at the exchange; `trust`
    leaves it at the time that stands there (a day alone: at its first moment at the exchange).

    Returns
    -------
    published_at (UTC), and the number of undated rows

    Raises
    ------
    InputError
        There is undated news and the rule is `refuse`; it says how much and what to set.
    """
    published_at = news["published_at"].copy()
    timed = ~only_day.to_numpy()
    found = find_lost(news[timed], written[timed], exchange) if timed.any() else []
    undated = only_day.to_numpy().copy()
    for lost in found:
        undated[np.flatnonzero(timed)[lost.rows]] = True
    count = int(undated.sum())
    if not count:
        return published_at, 0
    if rule == "refuse":
        said = _in_words(found, int(only_day.sum()), len(news))
        raise InputError(f"{path}: {said}", {"market.undated_news": "next_session"})
    zone = calendar(exchange).tz
    day = written.dt.normalize()
    if rule == "trust":
        start = day.dt.tz_localize(zone, ambiguous=True, nonexistent="shift_forward").dt.tz_convert("UTC")
        return published_at.where(timed, start), count
    over = day + pd.Timedelta(days=1) - pd.Timedelta(seconds=1)
    # The day's end as written, in UTC and at the exchange: whichever comes last, the news was out by then.
    ends = [
        published_at + (over - written),
        over.dt.tz_localize("UTC"),
        over.dt.tz_localize(zone, ambiguous=False, nonexistent="shift_forward"),
    ]
    latest = pd.concat([published_at, *(end.dt.tz_convert("UTC") for end in ends)], axis=1).max(axis=1)
    return published_at.where(~undated, latest).astype("datetime64[us, UTC]"), count


def _in_words(found: list[Lost], only_day: int, rows: int) -> str:
    parts = [f"{only_day} of {rows} rows have a day and no time"] if only_day else []
    parts += [
        f"{lost.there} of {lost.total} times{'' if lost.group == 'the file' else f' of {lost.group}'} "
        f"({lost.there / lost.total:.0%}) are {lost.clock}"
        for lost in found[:3]
    ]
    more = f" (and {len(found) - 3} more groups)" if len(found) > 3 else ""
    return (
        f"{'; '.join(parts)}{more}: their time of day was lost, and with it whether they came before the open; "
        "set market.undated_news=next_session, which lets such news count for the session after its day, or "
        "market.undated_news=trust if the times are true"
    )
