"""A feed in RSS or Atom as news, through feedparser."""

from __future__ import annotations

import calendar
import hashlib
import io
import re

import feedparser
import pandas as pd

from finsentiment.daily.ask import Ask
from finsentiment.daily.settings import Feed
from finsentiment.daily.web import Unavailable, fetch, new_session
from finsentiment.market.store import Answer
from finsentiment.readers.masking import read_names

AGENT = "finsentiment (feed reader)"


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
    if parsed.bozo and isinstance(parsed.bozo_exception, Exception) and "SAX" in type(parsed.bozo_exception).__name__:
        # The entry at the break may be cut. It and those behind it come the next time: it counts as not asked.
        del parsed.entries[-1:]
        answer.failed["the feed"] = f"broken XML, {len(parsed.entries)} entries could be read"
        answer.cursor, answer.asked = {}, {}
    names = _patterns(settings, ask.tickers)
    rows = []
    refused = dict.fromkeys(("news_without_time", "news_without_text", "news_without_ticker"), 0)
    for entry in parsed.entries:
        stamp = entry.get("published_parsed") or entry.get("updated_parsed")
        headline = re.sub(r"<[^>]+>", "", entry.get("title", "")).strip()
        tickers = (
            [settings.ticker] if settings.ticker else [t for t, pattern in names.items() if pattern.search(headline)]
        )
        reason = "" if stamp else "news_without_time"
        reason = reason or ("" if headline else "news_without_text") or ("" if tickers else "news_without_ticker")
        if reason:
            refused[reason] += 1
            continue
        moment = pd.Timestamp(calendar.timegm(stamp), unit="s", tz="UTC")
        link = entry.get("link", "")
        key = entry.get("id") or hashlib.sha256(f"{link}\0{headline}".encode()).hexdigest()[:16]
        rows += [[str(key), ticker, moment, headline, link] for ticker in tickers]
    answer.refused = refused
    answer.news = pd.DataFrame(rows, columns=["source_id", "ticker", "published_at", "headline", "url"])
    return answer


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
