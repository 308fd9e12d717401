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

    rows : (n,) True for its stamps at that clock time
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
            lost = _judge(group, members & ~taken, first, clock, day, suspect, view)
            if lost is not None:
                found.append(lost)
                taken |= lost.rows
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
    yield "the file", np.ones(len(news), dtype=bool)
    for column in ("source", "ticker"):
        codes, names = pd.factorize(news[column])
        counts = np.bincount(codes, minlength=len(names))
        if len(names) > 1:
            for code in np.flatnonzero(counts >= LEAST_STORIES):
                yield f"{column} {names[code]}", codes == code


def _judge(
    group: str,
    members: np.ndarray,
    first: np.ndarray,
    clock: np.ndarray,
    day: np.ndarray,
    suspect: np.ndarray,
    view: str,
) -> Lost | None:
    stories = members & first
    total = int(stories.sum())
    if total < LEAST_STORIES:
        return None
    clocks, counts = np.unique(clock[stories], return_counts=True)
    usual = np.unique(clock[stories & ~suspect], return_counts=True)[1]
    habit = max(HABIT_SHARE, HABIT_TIMES * usual.max(initial=0) / total)
    for at in np.argsort(-counts):
        second, count = int(clocks[at]), int(counts[at])
        days = len(np.unique(day[stories & (clock == second)]))
        enough = count >= LEAST_STORIES and days >= LEAST_DAYS
        lost = second in LIKELY_LOST and habit < 1 and binom.sf(count - 1, total, min(habit, 1.0)) < CHANCE
        alone = not group.startswith("ticker") and total >= ANY_CLOCK_STORIES and count >= ANY_CLOCK_SHARE * total
        if enough and (lost or alone):
            words = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d} {view}"
            return Lost(members & (clock == second), group, words, total, count)
    return None


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
    ends = [over.dt.tz_localize("UTC"), over.dt.tz_localize(zone, ambiguous=False, nonexistent="shift_forward")]
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
