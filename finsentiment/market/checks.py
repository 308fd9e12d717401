"""News and prices of every source, checked alike."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pandera.pandas as pa

from finsentiment.arms import TRUTH
from finsentiment.errors import InputError
from finsentiment.intake.numbers import MISSING
from finsentiment.intake.tables import also, counts_in_words, places, where
from finsentiment.market.adjust import overnight_moves
from finsentiment.market.price_checks import TEXT, check_prices, check_schema
from finsentiment.market.sessions import calendar, sessions_between
from finsentiment.market.tickers import (
    read_ticker_list,
    rename_tickers,
    several_tickers,
    without_prices,
    without_prices_in_words,
)
from finsentiment.market.undated import settle_undated
from finsentiment.params import Market
from finsentiment.text import clean_texts

NEWS_SCHEMA = pa.DataFrameSchema(
    {
        "news_id": TEXT,
        "published_at": pa.Column("datetime64[us, UTC]"),
        "ticker": TEXT,
        "headline": TEXT,
        "source": TEXT,
    },
    strict=True,
    ordered=True,
)


class Entry(NamedTuple):
    """Which session news counts for: `features.entry` and `features.latency` of the parameters."""

    at: str
    latency: int


OPEN = Entry("open", 15)


class RawMarket(NamedTuple):
    """What a source reads, not yet checked.

    news, prices : tables in the final columns; their index is the number that messages name, its name what that counts
        (`line`, `row`). News may lack `news_id`, and have `written` (the times as written, without zone) and `only_day`
        (no time was written) beside them, prices `adj_close`
    refused, converted : rows that the source left out, and read otherwise than as they stand, by reason; each reason
        starts with its table (`news_`, `prices_`)
    where : what messages call the two tables
    seen : whether times are those when news was seen, which were never lost
    truth : `news_id` and its true tone `truth`, where it is known
    """

    news: pd.DataFrame
    prices: pd.DataFrame
    refused: dict[str, int]
    where: tuple[str, str]
    truth: pd.DataFrame | None = None
    converted: Mapping[str, int] = MappingProxyType({})
    seen: bool = False


@dataclass(frozen=True)
class MarketData:
    """A market, ready for the pipeline.

    news, prices : tables in the final schema, sorted by key
    refused, converted : rows left out, and read otherwise than as they stand, by reason; each reason starts with its
        table (`news_`, `prices_`)
    facts : counts for the metrics; `news_in` = `news_out` + the refused of news, and so for prices
    truth : `news_id` and its true tone `truth`, known for the simulated market only; elsewhere without rows
    moves : the largest overnight move of each ticker (`overnight_moves`)
    """

    news: pd.DataFrame
    prices: pd.DataFrame
    refused: dict[str, int]
    converted: dict[str, int]
    facts: dict[str, Any]
    truth: pd.DataFrame
    moves: pd.DataFrame


def count_price_gaps(prices: pd.DataFrame, exchange: str) -> int:
    """Sessions of the exchange between a ticker's first and last price for which it has none, over all tickers."""
    sessions = sessions_between(exchange, prices["session"].min(), prices["session"].max())
    span = prices.groupby("ticker")["session"].agg(["min", "max", "size"])
    return int((sessions.searchsorted(span["max"]) - sessions.searchsorted(span["min"]) + 1 - span["size"]).sum())


def check_market(raw: RawMarket, market: Market) -> MarketData:
    """What every source passes through: rows refused and counted, the rest checked and sorted.

    Refused are news for tickers without prices, news without text, and repeated rows. A gap in a ticker's prices (a
    halt) is no error: it is counted, and the features keep it as a missing session. Texts are cleaned, tickers renamed
    and undated news moved as the parameters say.

    Raises InputError naming the row and what is wrong with it.
    """
    refused, converted = dict(raw.refused), dict(raw.converted)
    counts = {
        f"{name}_in": len(table) + sum(n for reason, n in refused.items() if reason.startswith(f"{name}_"))
        for name, table in (("news", raw.news), ("prices", raw.prices))
    }
    prices, lost, done = check_prices(raw.prices, market, raw.where[1])
    refused |= lost
    converted |= done
    rule = "trust" if raw.seen else market.undated_news
    news, lost, done, facts = _check_news(raw.news, set(prices["ticker"]), market, raw.where[0], rule)
    refused |= lost
    converted |= done
    moves = overnight_moves(prices)
    splits = moves[moves["like_split"] > 0]
    facts |= counts | {
        "news_out": len(news),
        "prices_out": len(prices),
        "tickers": prices["ticker"].nunique(),
        "tickers_with_news": news["ticker"].nunique(),
        "tickers_like_split": len(splits),
        "first_like_split": f"{splits['ticker'].iloc[0]} on {splits['session'].iloc[0].date()}" if len(splits) else "",
        "unique_headlines": news["headline"].nunique(),
        "mean_words": float(np.mean([len(text.split()) for text in news["headline"].tolist()])),
        "first_session": str(prices["session"].min().date()),
        "last_session": str(prices["session"].max().date()),
        "price_gaps": count_price_gaps(prices, market.exchange),
    }
    truth = pd.DataFrame({"news_id": [], TRUTH: []}).astype({"news_id": "str"}) if raw.truth is None else raw.truth
    return MarketData(news, prices, refused, converted, facts, truth, moves)


def _check_news(
    news: pd.DataFrame, known: set[str], market: Market, path: str, undated_rule: str
) -> tuple[pd.DataFrame, dict[str, int], dict[str, int], dict[str, Any]]:
    """News that keeps `NEWS_SCHEMA`, sorted by key; rows refused, rows converted, and facts."""
    texts, cleaned = clean_texts(news["headline"])
    renamed = rename_tickers(news["ticker"], known, read_ticker_list(market.tickers), market.ticker_rule)
    converted = {f"news_{name}": count for name, count in cleaned.items()}
    converted["news_tickers_renamed"] = int((renamed != news["ticker"]).sum())
    news = news.assign(headline=texts.where(~texts.str.lower().isin(MISSING), ""), ticker=renamed)
    if "news_id" not in news:
        news = news.assign(news_id=_ids(news))
    missing = without_prices(renamed[renamed != ""], known)
    refused = {}
    for reason, bad in (
        ("news_without_ticker", lambda table: table["ticker"] == ""),
        ("news_ticker_without_prices", lambda table: ~table["ticker"].isin(known)),
        ("news_without_text", lambda table: table["headline"] == ""),
        ("news_duplicate", lambda table: table[list(NEWS_SCHEMA.columns)].duplicated()),
    ):
        rows = bad(news)
        refused[reason] = int(rows.sum())
        news = news[~rows]
    if news.empty:
        remedy = {"market.ticker_rule": "plain"} if any(m["nearest"] for m in missing) else None
        raise InputError(f"{path}: {_none_left(refused, missing, known)}", remedy)
    published_at = news["published_at"]
    _check_known(published_at, market.exchange, path)
    written = news["written"] if "written" in news else published_at.dt.tz_localize(None)
    only_day = news["only_day"] if "only_day" in news else pd.Series(False, index=news.index)
    settled, undated = settle_undated(news, written, only_day, undated_rule, market.exchange, path)
    news = news[list(NEWS_SCHEMA.columns)].assign(published_at=settled)
    check_schema(news, NEWS_SCHEMA, path)
    twice = news["news_id"].duplicated(keep=False)
    if twice.any():
        first = news["news_id"][twice].iloc[0]
        rows = news.index[news["news_id"] == first]
        raise InputError(
            f"{places(path, news, rows)}: news_id = {first!r} for news that differ; expected one id "
            "per row; for a story on several tickers append the ticker to the id"
        )
    facts = {"undated_news": undated, "undated_rule": undated_rule, "tickers_without_prices": missing}
    done = {name: count for name, count in converted.items() if count}
    return news.sort_values("news_id", ignore_index=True), refused, done, facts


def _check_known(published_at: pd.Series, exchange: str, path: str) -> None:
    """Refuse news that no session of the exchange's calendar can count.

    Raises InputError naming the first row, and how many there are.
    """
    known = calendar(exchange)
    first, last = known.opens.iloc[0], known.opens.iloc[-1]
    outside = (published_at < first - pd.Timedelta(days=1)) | (published_at >= last)
    if outside.any():
        at = outside.idxmax()
        raise InputError(
            f"{where(path, published_at, at)}: published_at = {published_at[outside].iloc[0].tz_localize(None)} UTC"
            f"{also(int(outside.sum()))}: the calendar of {exchange} knows sessions from {known.first_session.date()} "
            f"to {known.last_session.date()} only; correct the time or take the row out"
        )


def _ids(news: pd.DataFrame) -> list[str]:
    """A key for each row, made of what it says, so that a row that says the same has the same."""
    moments = news["published_at"].astype("int64").astype(str).tolist()
    columns = (news[name].tolist() for name in ("ticker", "headline", "source"))
    keys = map("\0".join, zip(moments, *columns, strict=True))
    return [hashlib.sha256(key.encode()).hexdigest()[:16] for key in keys]


def _none_left(refused: dict[str, int], missing: list[dict[str, Any]], known: set[str]) -> str:
    """Why no news is left."""
    reasons = {reason.removeprefix("news_"): count for reason, count in refused.items() if count}
    if not reasons:
        return "no rows; expected a headline on a ticker in each"
    said = f"no news is left, refused: {counts_in_words(reasons)}; expected news on tickers with prices"
    if missing:
        said += f"; without prices: {without_prices_in_words(missing)}"
    if any(m["nearest"] for m in missing):
        return f"{said}; set market.ticker_rule=plain, or map them with market.tickers"
    if any(several_tickers(str(m["ticker"])) for m in missing):
        return f"{said}; a story on several tickers is one row per ticker (pandas: str.split and explode)"
    such = ", ".join(sorted(known)[:3])
    return f"{said}; the prices have tickers such as {such}: map those of the news with market.tickers, a CSV from,to"
