"""Prices with splits and dividends, and news, of Yahoo, through yfinance. Yahoo's data are for personal use only."""

from __future__ import annotations

import time
from typing import Any

import pandas as pd
import requests
import tenacity
import yfinance
from yfinance.exceptions import YFException, YFRateLimitError

from finsentiment.daily.ask import Ask, readable
from finsentiment.daily.settings import Yahoo
from finsentiment.daily.web import GIVE_UP, RETRIES, in_words
from finsentiment.market.store import Answer

OVERLAP = 10  # days of prices that are asked for again, so that a revision is seen
NEWS = 100  # stories of each ticker, at most
FIELDS = {"Open": "open", "High": "high", "Low": "low", "Close": "close", "Volume": "volume"}
AGAIN = tenacity.Retrying(
    stop=tenacity.stop_after_attempt(RETRIES + 1),
    wait=tenacity.wait_exponential_jitter(initial=2, max=120),
    retry=tenacity.retry_if_exception_type((YFRateLimitError, OSError)),
    reraise=True,
)


def fetch_yahoo(settings: Yahoo, ask: Ask) -> Answer:
    """Ask about each ticker in turn. A ticker that fails is named; a refusal of all ends the asking."""
    yfinance.config.debug.hide_exceptions = False
    answer = Answer(asked={"news": []})
    news, prices, actions, in_a_row = [], [], [], 0
    for ticker in ask.tickers:
        company = yfinance.Ticker(ticker, session=ask.session)
        try:
            if settings.prices:
                found = AGAIN(_history, company, settings, ask, ticker)
                prices.append(found[list(FIELDS.values())].assign(ticker=ticker))
                actions.append(found[["split", "dividend"]].assign(ticker=ticker))
                time.sleep(settings.pause)
            if settings.news:
                stories = AGAIN(company.get_news, count=NEWS)
                rows, refused = _stories(stories, ticker)
                news += rows
                answer.refused["news_unknown_shape"] = answer.refused.get("news_unknown_shape", 0) + refused
                answer.asked["news"].append(ticker)
                time.sleep(settings.pause)
            in_a_row = 0
        except YFRateLimitError:
            # What was answered before is kept.
            answer.failed["all"] = "too many requests (429), after every retry; try later, or raise `pause`"
            break
        except (YFException, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            answer.failed[ticker] = " ".join(str(error).split())[:150] or type(error).__name__
        except (OSError, requests.RequestException) as error:
            answer.failed[ticker], in_a_row = in_words(error), in_a_row + 1
            if in_a_row == GIVE_UP:
                answer.failed["the rest"] = f"not asked, after {GIVE_UP} failures in a row: {in_words(error)}"
                break
    columns = ["source_id", "ticker", "published_at", "headline", "url"]
    answer.news = pd.DataFrame(news, columns=columns) if settings.news else None
    if answer.asked["news"] and not news:  # yfinance gives an empty list for an answer that it does not understand too
        answer.failed["news"] = "no story on any ticker, also no old one: its answers may have changed; update yfinance"
        answer.asked["news"] = []
    if prices:
        answer.prices = pd.concat(prices).rename_axis("session").reset_index()
        told = pd.concat(actions).rename_axis("session").reset_index()
        answer.actions = told[(told["split"] != 1) | (told["dividend"] != 0)]
    return answer


def _history(company: Any, settings: Yahoo, ask: Ask, ticker: str) -> pd.DataFrame:
    """Prices by session: since the last time with some overlap, or `history` years."""
    before = ask.priced_until.get(ticker)
    start = before - pd.Timedelta(days=OVERLAP) if before is not None else None
    start = start or (ask.moment.tz_localize(None).normalize() - pd.DateOffset(years=settings.history))
    # Ahead, or a split of a session that has not begun would be left out while its prices are rescaled already.
    end = ask.moment + pd.Timedelta(days=2)
    found = company.history(
        start=f"{start:%Y-%m-%d}", end=f"{end:%Y-%m-%d}", interval="1d", auto_adjust=False, actions=True
    )
    if found.empty or not {*FIELDS, "Dividends", "Stock Splits"} <= set(found):
        raise ValueError(f"its prices have the columns {', '.join(map(str, found))}, expected {', '.join(FIELDS)}")
    found = found.set_axis(pd.DatetimeIndex(found.index).tz_localize(None).normalize().as_unit("us"))
    table = found[list(FIELDS)].rename(columns=FIELDS).astype(float)
    return table.assign(
        split=found["Stock Splits"].replace(0, 1).astype(float), dividend=found["Dividends"].astype(float)
    )


def _stories(stories: list[dict[str, Any]], ticker: str) -> tuple[list[list[Any]], int]:
    """A row of each story, and how many have another shape than is known."""
    rows, refused = [], 0
    for story in stories:
        try:
            content = story["content"]
            url = (content.get("canonicalUrl") or content.get("clickThroughUrl") or {}).get("url", "")
            moment = pd.Timestamp(content["pubDate"])
            if moment.tzinfo is None or not str(content["title"]).strip():
                raise ValueError
            rows.append([readable(story["id"]), ticker, moment, readable(content["title"]), readable(url)])
        except (KeyError, TypeError, ValueError, AttributeError):
            refused += 1
    if refused and not rows:
        raise ValueError("its news has another shape than is known (content.pubDate, content.title): update yfinance")
    return rows, refused
