"""News without a time of day, written as a day alone or lost, moved to where it can't look ahead.

A scraped file often has the day alone, or midnight in its place. Such news counts for the open of its own day though
most of it came later: it looks ahead, and neither a placebo nor the check of the features can see it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from finsentiment.errors import InputError
from finsentiment.market.lost_times import LIKELY_LOST, OTHER_ZONES, Lost, find_lost, view_of, views_of
from finsentiment.market.sessions import calendar, next_open

DAY = 86400
SHOWN = 3  # groups that a message names


def settle_undated(
    news: pd.DataFrame, written: pd.Series, only_day: pd.Series, rule: str, exchange: str, path: str
) -> tuple[pd.Series, int]:
    """Times of publication with undated news where `market.undated_news` puts it.

    Undated is news with a day alone, and news whose times `find_lost` takes for lost, if it would count for an earlier
    session than after its day (noon at the exchange, say, would not). The rule `next_session` lets it count for the
    first session that opens after its day has ended: as written, in UTC, at the exchange, whichever is last. `trust`
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
    zones = {lost.clock.partition(" ")[2] for lost in found} & set(OTHER_ZONES)
    found = [lost._replace(rows=np.flatnonzero(timed)[lost.rows]) for lost in found]
    candidates = np.zeros(len(news), dtype=bool)
    candidates[np.concatenate([np.flatnonzero(~timed), *(lost.rows for lost in found)]).astype(int)] = True
    if not candidates.any():
        return published_at, 0
    settled = published_at.copy()
    settled[candidates] = _day_ends(news[candidates], written[candidates], exchange, zones)
    early = (next_open(published_at, exchange) < next_open(settled, exchange)).to_numpy()
    undated = candidates & (early | ~timed)
    found = [lost for lost in found if undated[lost.rows].any()]
    count = int(undated.sum())
    if not count:
        return published_at, 0
    if rule == "refuse":
        said = _in_words(found, int(only_day.sum()), len(news))
        raise InputError(f"{path}: {said}", {"market.undated_news": "next_session"})
    if rule == "trust":
        zone = calendar(exchange).tz
        start = written.dt.normalize().dt.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
        return published_at.where(timed, start.dt.tz_convert("UTC")), count
    return published_at.where(~undated, settled).astype("datetime64[us, UTC]"), count


def _day_ends(news: pd.DataFrame, written: pd.Series, exchange: str, zones: Iterable[str] = ()) -> pd.Series:
    """The last second of each undated row's day, in whichever zone that is last.

    Its day is that of the written date in UTC and at the exchange, and that of the stamp in every zone in which it
    stands at a time that programs put for none (also in the other `zones`); where it stands so in no zone, the 24 hours
    from it on.
    """
    published_at = news["published_at"]
    over = written.dt.normalize() + pd.Timedelta(seconds=DAY - 1)
    zone = calendar(exchange).tz
    here = over.dt.tz_localize(zone, ambiguous=False, nonexistent="shift_forward").dt.tz_convert("UTC")
    seconds = np.zeros(len(news), dtype=np.int64)
    others = [view_of(published_at.dt.tz_convert(name).dt.tz_localize(None)) for name in sorted(zones)]
    for view in [*views_of(published_at, written, exchange).values(), *others]:
        rest = np.where(np.isin(view.minute, LIKELY_LOST), DAY - 1 - view.second, 0)
        seconds = np.maximum(seconds, rest)
    after = published_at + pd.to_timedelta(np.where(seconds > 0, seconds, DAY - 1), unit="s")
    return pd.concat([published_at, over.dt.tz_localize("UTC"), here, after], axis=1).max(axis=1)


def _in_words(found: list[Lost], only_day: int, rows: int) -> str:
    parts = [f"{only_day} of {rows} rows have a day and no time"] if only_day else []
    parts += [
        f"{len(lost.rows)} of {lost.total} times{'' if lost.group == 'the file' else f' of {lost.group}'} "
        f"({len(lost.rows) / lost.total:.0%}) are {lost.clock}"
        for lost in found[:SHOWN]
    ]
    more = f" (and {len(found) - SHOWN} more groups)" if len(found) > SHOWN else ""
    return (
        f"{'; '.join(parts)}{more}: their time of day was lost, and with it whether they came before the open; "
        "set market.undated_news=next_session, which lets such news count for the session after its day, or "
        "market.undated_news=trust if the times are true"
    )
