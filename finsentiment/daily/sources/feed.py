"""A feed in RSS or Atom as news, through feedparser."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from typing import Any

import feedparser
import pandas as pd

from finsentiment.daily.ask import Ask, readable
from finsentiment.daily.settings import Feed
from finsentiment.daily.web import Unavailable, fetch, new_session
from finsentiment.errors import InputError
from finsentiment.intake.times import parse_times
from finsentiment.market.store import Answer
from finsentiment.readers.masking import read_names

AGENT = "finsentiment (feed reader)"
END = re.compile(rb"</(?:\w+:)?(?:rss|feed|RDF)\s*>", re.IGNORECASE)
"""Of a whole feed. A small fault in its XML is no harm."""


def fetch_feed(settings: Feed, ask: Ask) -> Answer:
    """Ask for the feed, unless it is as it was. An entry on several companies is a row for each."""
    session = ask.session or new_session(pause=1.0)
    session.headers["User-Agent"] = AGENT
    known = ask.cursor if ask.cursor.get("url") == settings.url else {}
    content, seen = fetch(session, settings.url, known)
    answer = Answer(asked={"news": list(ask.tickers)}, cursor={**seen, "url": settings.url})
    if content is None:
        return answer
    parsed = feedparser.parse(io.BytesIO(content))
    if not parsed.get("version"):
        raise Unavailable("what it answered is no feed in RSS or Atom")
    if not END.search(content):
        # The entry at the break may be cut. It and those behind it come the next time: it counts as not asked.
        del parsed.entries[-1:]
        answer.failed["the feed"] = f"broken XML, {len(parsed.entries)} entries could be read"
        answer.cursor, answer.asked = {}, {}
    names = _patterns(settings, ask.tickers)
    rows = []
    refused: dict[str, int] = {}
    for entry in parsed.entries:
        moment = _moment(entry.get("published") or entry.get("updated") or "", settings.time_zone)
        headline = re.sub(r"<[^>]+>", "", entry.get("title", "")).strip()
        tickers = (
            [settings.ticker] if settings.ticker else [t for t, pattern in names.items() if pattern.search(headline)]
        )
        reason = "" if moment is not None else "news_without_clear_time"
        reason = reason or ("" if headline else "news_without_text") or ("" if tickers else "news_without_ticker")
        if reason:
            refused[reason] = refused.get(reason, 0) + 1
            continue
        link = entry.get("link", "")
        key = entry.get("id") or hashlib.sha256(f"{link}\0{headline}".encode()).hexdigest()[:16]
        rows += [[readable(key), ticker, moment, readable(headline), readable(link)] for ticker in tickers]
    answer.refused = refused
    answer.news = pd.DataFrame(rows, columns=["source_id", "ticker", "published_at", "headline", "url"])
    return answer


def _moment(written: str, zone: str | None) -> pd.Timestamp | None:
    """The time of an entry; None where it has none, or one that does not say in which zone, and `zone` neither."""

    def fail(bad: Any, expected: str, remedy: Mapping[str, Any] | None = None) -> None:
        if bad.any():
            raise InputError(expected)

    try:
        return parse_times(pd.Series([written]), zone, None, fail).moment.iloc[0] if written.strip() else None
    except InputError:
        return None


def _patterns(settings: Feed, tickers: list[str]) -> dict[str, re.Pattern[str]]:
    """What names a company in a title, by ticker: its names of the file, or $TICKER, (NYSE: TICKER)."""
    told = read_names(settings.names).groupby("ticker")["name"].agg(list).to_dict() if settings.names else {}
    found = {}
    for ticker in tickers:
        names = "|".join(re.escape(name) for name in sorted(told.get(ticker, []), key=len, reverse=True))
        code = re.escape(ticker)
        marked = rf"\${code}\b|\((?:[A-Za-z ]+:\s*)?{code}\)"
        found[ticker] = re.compile(rf"(?<!\w)(?:{names})(?!\w)|{marked}" if names else marked)
    return found
