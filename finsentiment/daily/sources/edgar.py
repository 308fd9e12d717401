"""Filings with the SEC as news, through the public files of EDGAR.

The time in the list of filings ends in Z and is the clock of New York for some companies, UTC for others. So the time
of a filing is that of its own header, which is always that of New York; where there is none, the later of both.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pandas as pd
import requests

from finsentiment.daily.ask import Ask, readable
from finsentiment.daily.settings import Edgar
from finsentiment.daily.web import GIVE_UP, Unavailable, fetch, new_session
from finsentiment.market.store import Answer

TICKERS = "{www}/files/company_tickers.json"
FILINGS = "{data}/submissions/CIK{cik:010d}.json"
FOLDER = "{www}/Archives/edgar/data/{cik}/{folder}"
NEW_YORK = "America/New_York"
RECENT = pd.Timedelta(days=2)
"""Of the first run: filings older than this are history, and keep the later of both times."""
HOURS = pd.Timedelta(hours=6)  # more than New York's clock lies behind UTC
ITEMS = {
    "1.01": "entry into a material agreement",
    "1.02": "end of a material agreement",
    "1.03": "bankruptcy or receivership",
    "1.05": "material cybersecurity incident",
    "2.01": "acquisition or sale of assets completed",
    "2.02": "results of operations",
    "2.03": "new financial obligation",
    "2.04": "event that accelerates an obligation",
    "2.05": "costs of exit or disposal",
    "2.06": "material impairment",
    "3.01": "notice of delisting",
    "3.02": "unregistered sale of equity",
    "3.03": "change of the rights of shareholders",
    "4.01": "change of auditor",
    "4.02": "earlier financial statements not to be relied on",
    "5.01": "change of control",
    "5.02": "departure or appointment of directors or officers",
    "5.03": "change of articles or bylaws",
    "5.07": "votes of shareholders",
    "7.01": "disclosure under Regulation FD",
    "8.01": "other events",
    "9.01": "financial statements and exhibits",
}
"""Items of form 8-K, in words."""


def fetch_edgar(settings: Edgar, ask: Ask) -> Answer:
    """Ask for the recent filings of each company."""
    headers = {"User-Agent": f"finsentiment {settings.contact}", "Accept-Encoding": "gzip, deflate"}
    session = ask.session or new_session(settings.pause)
    session.headers.update(headers)
    answer, rows = Answer(asked={"news": []}, refused={"news_other_form": 0}), []
    companies, in_a_row = _companies(session, settings.www), 0
    for ticker in ask.tickers:
        if ticker.upper() not in companies:
            answer.failed[ticker] = "the SEC knows no such ticker"
            continue
        cik, name = companies[ticker.upper()]
        try:
            # The list of a company that filed nothing since is not sent again.
            content, seen = fetch(session, FILINGS.format(data=settings.data, cik=cik), ask.cursor.get(ticker, {}))
        except Unavailable as error:
            answer.failed[ticker], in_a_row = str(error), in_a_row + 1
            if in_a_row == GIVE_UP:
                answer.failed["the rest"] = f"not asked, after {GIVE_UP} failures in a row"
                break
            continue
        in_a_row = 0
        answer.cursor[ticker] = seen
        answer.asked["news"].append(ticker)
        if content is None:
            continue
        try:
            filings = _filings(content)
        except (ValueError, KeyError, TypeError, AttributeError):
            answer.failed[ticker] = "its list of filings has another shape than is known, or broke off"
            answer.asked["news"].remove(ticker)
            del answer.cursor[ticker]
            continue
        answer.refused["news_other_form"] += int((~filings["form"].isin(settings.forms)).sum())
        known = [number for number, of in ask.known if of == ticker]
        wanted = filings[filings["form"].isin(settings.forms) & ~filings["accessionNumber"].isin(known)]
        since = ask.asked_before.get(ticker, ask.moment - RECENT) - HOURS
        for filing in wanted.to_dict("records"):
            late = _later(filing["acceptanceDateTime"])
            url = FOLDER.format(www=settings.www, cik=cik, folder=filing["accessionNumber"].replace("-", ""))
            header = f"{url}/{filing['accessionNumber']}.hdr.sgml"
            accepted = _accepted(session, header, late) if late >= since else late
            rows.append([filing["accessionNumber"], ticker, accepted, readable(_headline(name, filing)), f"{url}/"])
    answer.news = pd.DataFrame(rows, columns=["source_id", "ticker", "published_at", "headline", "url"])
    return answer


def _companies(session: requests.Session, www: str) -> dict[str, tuple[int, str]]:
    """Number and name of each company by ticker. Raises Unavailable."""
    content, _ = fetch(session, TICKERS.format(www=www), {})
    try:
        rows = json.loads(content or b"").values()
        return {str(row["ticker"]).upper(): (int(row["cik_str"]), str(row["title"])) for row in rows}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unavailable("its list of tickers has another shape than is known, or broke off") from None


def _filings(content: bytes) -> pd.DataFrame:
    recent = json.loads(content)["filings"]["recent"]
    columns = ("accessionNumber", "acceptanceDateTime", "form", "items", "primaryDocDescription")
    told = {name: ["" if value is None else readable(value) for value in recent[name]] for name in columns}
    return pd.DataFrame(told).astype("str")


def _accepted(session: requests.Session, header: str, late: pd.Timestamp) -> pd.Timestamp:
    """When the SEC accepted a filing, to the second; `late` where its header can't be had."""
    try:
        content, _ = fetch(session, header, {})
    except Unavailable:
        content = None
    found = re.search(rb"<ACCEPTANCE-DATETIME>(\d{14})", content or b"")
    if not found:
        return late
    return _in_new_york(pd.to_datetime(found[1].decode(), format="%Y%m%d%H%M%S"))


def _later(written: str) -> pd.Timestamp:
    """The later of what a time may mean, New York's clock: UTC is some hours ahead of it."""
    return _in_new_york(pd.Timestamp(written).tz_localize(None))


def _in_new_york(local: pd.Timestamp) -> pd.Timestamp:
    """An hour that comes twice is the second, one that never came is moved on."""
    return local.tz_localize(NEW_YORK, ambiguous=False, nonexistent="shift_forward").tz_convert("UTC")


def _headline(name: str, filing: dict[str, Any]) -> str:
    items = [ITEMS.get(item.strip(), f"item {item.strip()}") for item in filing["items"].split(",") if item.strip()]
    told = "; ".join(items) or filing["primaryDocDescription"].strip()
    return f"{name} files {filing['form']}" + (f": {told}" if told else "")
