"""A look at news and prices."""

from __future__ import annotations

from typing import Any

import exchange_calendars as xc
import numpy as np
import pandas as pd

from finsentiment.backtest.enough import check_enough
from finsentiment.check.report import Report, absolute, odd_keys
from finsentiment.errors import InputError
from finsentiment.intake.times import UNSURE
from finsentiment.market.checks import MarketData
from finsentiment.market.load import load_market
from finsentiment.market.sessions import KNOWN, calendar
from finsentiment.market.sources.tables import read_tables
from finsentiment.params import Market, MarketColumns
from finsentiment.reporting.rows import doubts, row_line, table_counts

LIKELY_EXCHANGES = ("XNYS", "XLON", "XTKS", "XETR", "XPAR", "XHKG", "XSHG", "XBOM", "XTSE", "XASX", "XKRX", "24/7")
"""Tried first, so that of exchanges with the same sessions the one that is meant more often is named."""
NOTED = frozenset(("market.undated_news", "market.adjusted_close", "market.encoding"))
"""Remedies that are more than a matter of writing: the message is shown as a doubt."""
LEAST_COVERED = 0.95  # share of a calendar's sessions that must have prices for it to be the one
FEW_WRONG = 0.01  # share of the days with prices
UNKNOWN_ZONE = "Etc/UTC"  # in place of the zone until the exchange is known
DAYTIME = (6, 20)  # hours at the exchange in which most news comes
TRAIN_SESSIONS, MIN_TICKERS, HORIZON = 126, 5, 1  # of params.yaml


def plain_market(path: str, source: str, tickers: str) -> Market:
    """The section market with nothing said about the files."""
    return Market.model_construct(
        source=source,
        path=path,
        exchange="XNYS",
        columns=MarketColumns(news={}, prices={}),
        encoding=None,
        delimiter=None,
        time_zone=None,
        time_format=None,
        date_format=None,
        undated_news="refuse",
        adjusted_close="refuse",
        tickers=tickers,
        ticker_rule="exact",
    )


def check_market_folder(path: str, source: str, tickers: str) -> Report:
    """Read the folder as news and prices, trying what messages propose, and say what is in it.

    `tickers` is an empty list of tickers (`market.tickers`).
    """
    found: dict[str, Any] = {}
    tried: list[dict[str, Any]] = []
    noted: list[str] = []
    market = plain_market(path, source, tickers)
    while True:
        try:
            data = load_market(market, 0)
        except InputError as error:
            remedy = _completed(error.remedy, market, noted)
            if not remedy or remedy in tried:
                return Report(f"{path}: taken for news and prices ({source})", found, doubts=noted, error=str(error))
            if NOTED & remedy.keys() or UNSURE in str(error):
                noted.append(str(error).removeprefix(f"{path}/"))
        else:
            alike = any(missing["nearest"] for missing in data.facts["tickers_without_prices"])
            if found.get("market.time_zone") == UNKNOWN_ZONE:
                remedy = {"market.time_zone": _likely_zone(data, market)}
                noted.append(f"times are without a zone; {remedy['market.time_zone']} is a guess from their hours")
                found |= remedy
                market = _with(market, found)
                continue
            if not alike or market.ticker_rule == "plain":
                break
            remedy = {"market.ticker_rule": "plain"}
            pairs = [f"{m['ticker']} as {m['nearest']}" for m in data.facts["tickers_without_prices"] if m["nearest"]]
            noted.append(f"tickers that differ in writing alone are taken for the same: {', '.join(pairs)}")
        tried.append(remedy)
        found |= remedy
        market = _with(market, found)
    parameters = {"market.source": source, "market.path": absolute(path), "market.exchange": market.exchange, **found}
    report = Report(f"{path}: news and prices ({source})", parameters, doubts=noted + odd_keys(found))
    _describe(report, data, market)
    return report


def _with(market: Market, found: dict[str, Any]) -> Market:
    columns = {name.rpartition(".")[2]: value for name, value in found.items() if name.startswith("market.columns.")}
    plain = {name.partition(".")[2]: value for name, value in found.items() if not name.startswith("market.columns.")}
    return market.model_copy(update={**plain, "columns": market.columns.model_copy(update=columns)})


def _describe(report: Report, data: MarketData, market: Market) -> None:
    facts = {"refused": data.refused, "converted": data.converted, **data.facts}
    report.facts += [row_line(name, table) for name, table in table_counts(facts).items()]
    report.facts.append(
        f"prices: {facts['tickers']} tickers from {facts['first_session']} to {facts['last_session']}, "
        f"{facts['price_gaps']} sessions missing within"
    )
    years = data.news["published_at"].dt.year
    covered = data.news.groupby(years)["ticker"].nunique()
    report.facts += [
        f"news of {year}: {count} headlines on {covered[year]} of {facts['tickers']} tickers"
        for year, count in years.value_counts().sort_index().items()
    ]
    repeated = 1 - facts["unique_headlines"] / facts["news_out"]
    report.facts.append(f"headlines that repeat another: {repeated:.0%}")
    top = data.moves.head(3)
    moves = ", ".join(f"{row.ticker} {row.move:+.0%} on {row.session.date()}" for row in top.itertuples())
    report.facts.append(f"largest moves from close to open: {moves}")
    report.doubts += doubts({**facts, "undated_news": 0})  # of undated news the message is noted already
    try:
        check_enough(data.news, data.prices, market.exchange, HORIZON, TRAIN_SESSIONS, MIN_TICKERS)
    except InputError as error:
        report.doubts.append(f"too little for the backtest of params.yaml: {error}")


def _completed(remedy: dict[str, Any], market: Market, noted: list[str]) -> dict[str, Any]:
    """The remedy, with what the file alone can't tell guessed."""
    if "market.exchange" in remedy and remedy["market.exchange"] is None:
        prices = read_tables(market, 0).prices if market.source == "tables" else None
        code = "" if prices is None else likely_exchange(prices["session"])
        if code and code != market.exchange:
            noted.append(f"the exchange {code} is a guess from the days that have prices")
            return {"market.exchange": code}
        return {}
    # Which zone is told by the hours at the exchange, so the exchange comes first.
    return {"market.time_zone": UNKNOWN_ZONE} if "market.time_zone" in remedy else remedy


def likely_exchange(days: pd.Series) -> str:
    """Code of the calendar whose sessions are the days that have prices; "" where none has all of them and few more."""
    first, last = days.min(), days.max()
    if not (KNOWN[0] <= first and last <= KNOWN[1]):
        return ""
    known = pd.DatetimeIndex(days.unique())
    best, most = "", LEAST_COVERED
    for code in dict.fromkeys((*LIKELY_EXCHANGES, *xc.get_calendar_names(include_aliases=False))):
        try:
            sessions = xc.get_calendar(code, start=first, end=last + pd.Timedelta(days=1)).sessions
        except (ValueError, NotImplementedError, xc.errors.CalendarError):
            continue
        inside = sessions[(sessions >= first) & (sessions <= last)]
        if code in LIKELY_EXCHANGES and (~known.isin(inside)).mean() < FEW_WRONG and not known.isin(inside).all():
            return ""  # an exchange that fits but for a few days: those are mistakes
        if known.isin(inside).all() and (share := len(known) / max(len(inside), 1)) > most:
            best, most = code, share
            if share == 1:
                break
    return best


def _likely_zone(data: MarketData, market: Market) -> str:
    """UTC or the exchange's zone: in which of the two more of the news comes by day at the exchange."""
    local = str(calendar(market.exchange).tz)
    times = data.news["published_at"]
    hours = {"UTC": times.dt.tz_convert(local).dt.hour, local: times.dt.hour}
    by_day = {zone: np.mean(hour.between(DAYTIME[0], DAYTIME[1] - 1)) for zone, hour in hours.items()}
    return max(by_day, key=lambda zone: by_day[zone])
