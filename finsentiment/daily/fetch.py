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

FEW = 0.1
"""Share of the tickers that may fail without an error at the end."""
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
    if unknown := sorted(accepted - set(tickers)):
        raise InputError(f"--accept {unknown[0]}: none of the tickers that are asked about")
    stopped: list[str] = []
    with store.locked():
        began, late = store.moment(clock)
        asked_at = began - pd.Timedelta(seconds=late)
        prices, news, asked = store.read("prices"), store.read("news"), store.asked(asked_at)
        holders = prices.drop_duplicates("ticker").set_index("ticker")["source"].to_dict()
        answers: dict[str, Answer] = {}
        for source in settings.sources:
            mine = prices[prices["source"] == source.name]
            told = news[news["source"] == source.name]
            ask = Ask(
                tickers=tickers,
                moment=began,
                known=frozenset(zip(told["source_id"], told["ticker"], strict=True)),
                asked_before=asked.get(source.name, {}),
                priced_until=mine.groupby("ticker")["session"].max().to_dict(),
                cursor=store.cursor(source.name),
                session=session,
            )
            settled = last_settled(clock(), settings.exchange)  # before it is asked: what came during a session is not
            answer = _asked(source, ask)
            taken = {ticker for ticker, holder in holders.items() if holder != source.name}
            check_answer(answer, tickers, began, settled, settings.exchange, taken)
            stopped += _failures(answer, source.name, tickers)
            stopped += _without_revisions(answer, mine, store, accepted, source.name)
            if answer.prices is not None:
                holders |= {ticker: source.name for ticker in answer.prices["ticker"].unique() if ticker not in holders}
            answers[source.name] = answer
        names = {source.name for source in settings.sources}
        if gone := sorted(ticker for ticker in tickers if holders.get(ticker, next(iter(names))) not in names):
            stopped.append(
                f"{gone[0]}: the store has its prices from {holders[gone[0]]!r}, which is no source any more "
                f"({len(gone)} tickers); name a source so, or begin a new store"
            )
        seen, _ = store.moment(clock)
        facts = {"clock_behind_s": late, "tickers": tickers, **facts}
        run = store.append(answers, asked_at, max(seen, began), facts)
    return Fetched(run, stopped)


def _failures(answer: Answer, source: str, tickers: list[str]) -> list[str]:
    """What failed of a source that must not be overlooked: all but a few tickers."""
    single = {name: reason for name, reason in answer.failed.items() if name in tickers}
    lines = [f"{source}: {name}: {reason}" for name, reason in answer.failed.items() if name not in single]
    if len(single) > FEW * len(tickers):
        first, reason = next(iter(single.items()))
        lines.append(f"{source}: {len(single)} of {len(tickers)} tickers failed, such as {first}: {reason}")
    return [line.replace(f"{source}: all: ", f"{source}: ", 1) for line in lines]


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
    known = known[known["source"] == source]
    answer.prices, kept, changed = new_prices(answer.prices, stored, known, told, accepted)
    answer.actions = None if answer.actions is None else kept
    answer.failed |= {ticker: f"its past changed: {reason}" for ticker, reason in changed.items()}
    return [f"{source}, {ticker}: {reason}" for ticker, reason in changed.items()]
