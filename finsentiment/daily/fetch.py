"""Ask every source and keep what is new, as one run of the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import requests

from finsentiment.daily.ask import Ask
from finsentiment.daily.door import check_answer
from finsentiment.daily.settings import Daily, Source
from finsentiment.daily.web import Unavailable
from finsentiment.errors import InputError
from finsentiment.intake.columns import Columns
from finsentiment.intake.tables import read_user_table
from finsentiment.market.history import last_settled, new_prices
from finsentiment.market.store import Answer, Store

Clock = Callable[[], pd.Timestamp]


def _yahoo(settings: Any, ask: Ask) -> Answer:
    from finsentiment.daily.sources.yahoo import fetch_yahoo

    return fetch_yahoo(settings, ask)


def _edgar(settings: Any, ask: Ask) -> Answer:
    from finsentiment.daily.sources.edgar import fetch_edgar

    return fetch_edgar(settings, ask)


def _feed(settings: Any, ask: Ask) -> Answer:
    from finsentiment.daily.sources.feed import fetch_feed

    return fetch_feed(settings, ask)


def _files(settings: Any, ask: Ask) -> Answer:
    from finsentiment.daily.sources.files import fetch_files

    return fetch_files(settings, ask)


SOURCES: dict[str, Callable[[Any, Ask], Answer]] = {
    "yahoo": _yahoo,
    "edgar": _edgar,
    "feed": _feed,
    "files": _files,
}
"""A row for each `kind` of source. What a source imports is imported when it is asked."""


@dataclass(frozen=True)
class Fetched:
    """What fetching did: what the run wrote down of itself, and what must not be overlooked, a line each."""

    run: dict[str, Any]
    stopped: list[str]


def tickers_of(settings: Daily) -> list[str]:
    """The companies, sorted. Raises InputError where there are none."""
    given = settings.tickers
    if not isinstance(given, list):
        given = read_user_table(given, Columns(("ticker",), others=True)).rows["ticker"].tolist()
    found = sorted({str(name).strip() for name in given} - {""})
    if not found:
        raise InputError("tickers: no company is named; give a list, or a CSV with a column `ticker`")
    return found


def fetch_all(
    settings: Daily, clock: Clock, accepted: set[str], facts: dict[str, Any], session: requests.Session | None = None
) -> Fetched:
    """Ask every source and keep what is new, as one run of the store.

    A source that can't be had stops none of the others. Of a ticker whose past prices changed no prices are kept.

    Parameters
    ----------
    accepted : tickers whose changed past prices are taken
    facts : what else the run writes down of itself
    session : of all requests; None: each source makes its own
    """
    store, tickers = Store(settings.store), tickers_of(settings)
    stopped: list[str] = []
    with store.locked():
        began, behind = store.moment(clock)
        prices, news, asked = store.read("prices"), store.read("news"), store.asked()
        answers: dict[str, Answer] = {}
        for source in settings.sources:
            mine = prices[prices["source"] == source.name]
            told = news[news["source"] == source.name]
            ask = Ask(
                tickers=tickers,
                moment=began,
                known=frozenset(zip(told["source_id"], told["ticker"], strict=True)),
                asked_before=asked.get((source.name, "news"), {}),
                priced_until=mine.groupby("ticker")["session"].max().to_dict(),
                cursor=store.cursor(source.name),
                session=session,
            )
            answer = _asked(source, ask)
            settled = last_settled(min(began, clock()), settings.exchange)
            check_answer(
                answer, tickers, began, settled, settings.exchange, set(prices["ticker"]) - set(mine["ticker"])
            )
            stopped += _without_revisions(answer, mine, store, accepted, source.name)
            if answer.failed and not any(answer.asked.values()):
                reason = answer.failed.get("all") or next(iter(answer.failed.values()))
                stopped.append(f"{source.name}: {reason}")
            answers[source.name] = answer
        seen, _ = store.moment(clock)
        seen = max(seen, began)
        run = store.append(answers, began, seen, {"clock_behind_s": behind, "tickers": tickers, **facts})
    return Fetched(run, stopped)


def _asked(source: Source, ask: Ask) -> Answer:
    """The answer of one source; where it fails, why."""
    try:
        return SOURCES[source.kind](source, ask)
    except (Unavailable, InputError) as error:
        reason = str(error)
    except ModuleNotFoundError as error:
        reason = f"it needs {error.name}: pip install 'finsentiment[daily]'"
    except Exception as error:  # whatever one server's answer breaks, what the others gave must be kept
        reason = f"what it answered can't be read ({type(error).__name__}: {' '.join(str(error).split())[:120]})"
    return Answer(failed={"all": reason}, cursor=dict(ask.cursor))


def _without_revisions(
    answer: Answer, stored: pd.DataFrame, store: Store, accepted: set[str], source: str
) -> list[str]:
    """Leave out prices that the store has, and all of tickers whose past changed; a line for each of these."""
    if answer.prices is None:
        return []
    known = store.read("actions")
    told = answer.actions if answer.actions is not None else known.iloc[:0]
    answer.prices, changed = new_prices(answer.prices, stored, known[known["source"] == source], told, accepted)
    for ticker, reason in changed.items():
        answer.failed[ticker] = f"its past changed: {reason}"
    if answer.actions is not None:
        answer.actions = answer.actions[~answer.actions["ticker"].isin(changed)]
    answer.asked = {
        name: [ticker for ticker in tickers if name == "news" or ticker not in changed]
        for name, tickers in answer.asked.items()
    }
    return [f"{source}, {ticker}: {reason}" for ticker, reason in changed.items()]
