"""Sources of daily news and prices, against recorded answers of their servers: good days and all that goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from finsentiment.daily import web
from finsentiment.daily.ask import Ask
from finsentiment.daily.door import check_answer
from finsentiment.daily.fetch import SOURCES
from finsentiment.daily.settings import Edgar, Feed, Files, Yahoo
from finsentiment.daily.web import Unavailable
from finsentiment.market.store import Answer
from tests.replay import Recorded, Replay, replayed
from tests.repository import ROOT

MOMENT = pd.Timestamp("2026-03-03T13:00:00", tz="UTC")
LIST = "www.sec.gov/files/company_tickers.json"
FILINGS = "data.sec.gov/submissions/CIK0000000042.json"
HEADER = "www.sec.gov/Archives/edgar/data/42/000000004226000007/0000000042-26-000007.hdr.sgml"
CHART = "query2.finance.yahoo.com/v8/finance/chart/AAA"
NEWS = "finance.yahoo.com/xhr/ncp"
RSS = "news.example.com/rss"
ZZZ = "https://data.sec.gov/submissions/CIK0000000041.json"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Replay]:
    monkeypatch.setattr(web, "TIMEOUT", (2.0, 0.5))
    with replayed() as replay:
        yield replay


def ask(server: Replay, **changes: Any) -> Ask:
    return Ask(**{"tickers": ["AAA"], "moment": MOMENT, "session": server.session(), **changes})


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


# --- SEC EDGAR


EDGAR = Edgar(kind="edgar", contact="Jo Doe jo@example.com", forms=["8-K"])


def filings(**changes: list[str]) -> bytes:
    recent = {
        "accessionNumber": ["0000000042-26-000007", "0000000042-26-000006"],
        "filingDate": ["2026-03-02", "2026-02-27"],
        "acceptanceDateTime": ["2026-03-02T16:31:02.000Z", "2026-02-27T21:05:00.000Z"],
        "form": ["8-K", "10-K"],
        "items": ["2.02,9.01", ""],
        "primaryDocument": ["a.htm", "b.htm"],
        "primaryDocDescription": ["8-K", "10-K"],
    }
    return as_json({"cik": "42", "name": "Alpha Inc.", "filings": {"recent": recent | changes, "files": []}})


def edgar_day(server: Replay) -> None:
    server.put(LIST, Recorded(as_json({"0": {"cik_str": 42, "ticker": "AAA", "title": "Alpha Inc."}})))
    server.put(FILINGS, Recorded(filings(), headers={"ETag": '"1"'}))
    server.put(HEADER, Recorded(b"<SEC-HEADER>\n<ACCEPTANCE-DATETIME>20260302163102\n<TYPE>8-K\n"))


def test_edgar_a_filing_counts_from_the_second_of_its_own_header(server: Replay) -> None:
    edgar_day(server)
    found = SOURCES["edgar"](EDGAR, ask(server))
    row = found.news.iloc[0]
    assert len(found.news) == 1 and found.refused == {"news_other_form": 1} and found.asked == {"news": ["AAA"]}
    # The list says Z and means New York's clock for this company; the header is always New York's.
    assert row["published_at"] == pd.Timestamp("2026-03-02T21:31:02", tz="UTC")
    assert row["headline"] == "Alpha Inc. files 8-K: results of operations; financial statements and exhibits"
    assert row["source_id"] == "0000000042-26-000007" and row["url"].endswith("/42/000000004226000007/")
    assert all("Jo Doe jo@example.com" in headers["User-Agent"] for _, headers in server.asked)


def test_edgar_without_a_header_the_later_of_both_clocks_is_taken(server: Replay) -> None:
    edgar_day(server)
    server.put(HEADER, Recorded(b"", 404))
    assert SOURCES["edgar"](EDGAR, ask(server)).news["published_at"][0] == pd.Timestamp("2026-03-02T21:31:02", tz="UTC")


def test_edgar_a_list_that_did_not_change_is_not_sent_again_and_a_known_filing_not_looked_up(server: Replay) -> None:
    edgar_day(server)
    first = SOURCES["edgar"](EDGAR, ask(server))
    known = frozenset(zip(first.news["source_id"], first.news["ticker"], strict=True))
    again = SOURCES["edgar"](EDGAR, ask(server, cursor=first.cursor, known=known))
    assert again.news.empty and again.asked == {"news": ["AAA"]} and again.cursor == first.cursor
    assert [where for where, _ in server.asked].count(HEADER) == 1


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([Recorded(b"", 429)], "too many requests"),
        ([Recorded(b"", 403)], "it refuses this client"),
        ([Recorded(b"<html>maintenance</html>")], "another shape"),
        ([Recorded(as_json({"filings": {}}))], "another shape"),
        ([Recorded(filings(), cut=80)], "broke off"),
        ([Recorded(filings(), wait=1.0)], "no answer in time|no connection"),
        (
            [Recorded(b"", 302, {"Location": ZZZ})],
            "redirected without end",
        ),
    ],
)
def test_edgar_what_fails_for_a_company_is_named_and_stops_no_other(
    server: Replay, answers: list[Recorded], said: str
) -> None:
    edgar_day(server)
    companies = {str(n): {"cik_str": 41 + n, "ticker": t, "title": t} for n, t in enumerate(["ZZZ", "AAA"])}
    server.put(LIST, Recorded(as_json(companies)))
    server.put("data.sec.gov/submissions/CIK0000000041.json", *answers)
    found = SOURCES["edgar"](EDGAR, ask(server, tickers=["ZZZ", "AAA", "NONE"]))
    assert len(found.news) == 1 and found.asked == {"news": ["AAA"]}
    assert pd.Series(found.failed["ZZZ"]).str.contains(said).all(), found.failed
    assert found.failed["NONE"] == "the SEC knows no such ticker" and "ZZZ" not in found.cursor


@pytest.mark.parametrize(
    ("answers", "rows"),
    [
        ([Recorded(b"", 429, {"Retry-After": "0"}), Recorded(b"", 503), Recorded(filings())], 1),
        ([Recorded(b"", 301, {"Location": "https://data.sec.gov/moved.json"})], 1),
        ([Recorded(filings(**{name: [] for name in json.loads(filings())["filings"]["recent"]}))], 0),
    ],
    ids=["refused twice, then answered", "redirected", "an empty day"],
)
def test_edgar_what_gets_better_or_is_empty_is_no_failure(server: Replay, answers: list[Recorded], rows: int) -> None:
    edgar_day(server)
    server.put(FILINGS, *answers)
    server.put("data.sec.gov/moved.json", Recorded(filings()))
    found = SOURCES["edgar"](EDGAR, ask(server))
    assert len(found.news) == rows and not found.failed


# --- feeds


FEED = Feed(kind="feed", name="wire", url=f"https://{RSS}")
ITEM = (
    "<item><guid>{key}</guid><title>{title}</title><link>https://news.example.com/{key}</link>"
    "<pubDate>{stamp}</pubDate></item>"
)


def rss(*items: tuple[str, str, str]) -> bytes:
    told = "".join(ITEM.format(key=key, title=title, stamp=stamp) for key, title, stamp in items)
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>wire</title>{told}</channel></rss>'.encode()


STAMP = "Mon, 02 Mar 2026 09:15:00 -0500"
DAY = rss(
    ("1", "Alpha (NYSE: AAA) profit rises 12 %", STAMP),
    ("2", "Markets end flat", STAMP),
    ("3", "$AAA and $BBB merge", STAMP),
    ("4", "$BBB sued", ""),
)


def test_feed_titles_name_the_companies_and_times_are_those_of_the_entries(server: Replay) -> None:
    server.put(RSS, Recorded(DAY, headers={"ETag": '"x"', "Last-Modified": "Mon, 02 Mar 2026 15:00:00 GMT"}))
    found = SOURCES["feed"](FEED, ask(server, tickers=["AAA", "BBB"]))
    assert found.news[["source_id", "ticker"]].to_numpy().tolist() == [["1", "AAA"], ["3", "AAA"], ["3", "BBB"]]
    assert (found.news["published_at"] == pd.Timestamp("2026-03-02T14:15:00", tz="UTC")).all()
    assert found.refused == {"news_without_clear_time": 1, "news_without_ticker": 1}
    again = SOURCES["feed"](FEED, ask(server, cursor=found.cursor))
    assert again.news is None and again.cursor == found.cursor and again.asked == {"news": ["AAA"]}


def test_feed_names_of_a_file_are_whole_words(server: Replay, tmp_path: Path) -> None:
    (tmp_path / "names.csv").write_text("ticker,name\nAAA,Alpha\nBBB,Beta Works\n")
    server.put(
        RSS, Recorded(rss(("1", "Alpha rises", STAMP), ("2", "Alphabet falls", STAMP), ("3", "At Beta Works", STAMP)))
    )
    feed = FEED.model_copy(update={"names": str(tmp_path / "names.csv")})
    found = SOURCES["feed"](feed, ask(server, tickers=["AAA", "BBB"]))
    assert found.news["ticker"].tolist() == ["AAA", "BBB"] and found.news["source_id"].tolist() == ["1", "3"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Recorded(b"", 429), "too many requests"),
        (Recorded(b"<html><body>please log in</body></html>"), "no feed"),
        (Recorded(b""), "no feed"),
        (Recorded(DAY, wait=1.0), "no answer in time|no connection"),
        (Recorded(b"", 404), "not found"),
        (Recorded(DAY, cut=100), "broke off"),
    ],
)
def test_feed_that_cannot_be_had_says_why(server: Replay, answer: Recorded, said: str) -> None:
    server.put(RSS, answer)
    with pytest.raises(Unavailable, match=said):
        SOURCES["feed"](FEED, ask(server))


def test_feed_whose_xml_breaks_gives_what_came_before_and_is_asked_whole_again(server: Replay) -> None:
    broken = DAY[: DAY.index(b"<item><guid>3")] + b"<item><title>$AAA sinks\x00"
    server.put(RSS, Recorded(broken, headers={"ETag": '"x"'}))
    found = SOURCES["feed"](FEED, ask(server))
    assert found.news["source_id"].tolist() == ["1"] and "broken XML" in found.failed["the feed"]
    assert (found.cursor, found.asked) == ({}, {})


def test_feed_with_a_small_fault_in_its_xml_is_read_whole(server: Replay) -> None:
    server.put(RSS, Recorded(rss(("1", "$AAA R&D rises", STAMP), ("2", "$AAA &nbsp;falls", STAMP)) + b"<!-- 1 -->"))
    found = SOURCES["feed"](FEED, ask(server))
    assert found.news["source_id"].tolist() == ["1", "2"] and not found.failed and found.asked == {"news": ["AAA"]}


@pytest.mark.parametrize(
    ("stamp", "zone", "expected"),
    [
        ("Mon, 02 Mar 2026 09:15:00 EST", None, "2026-03-02T14:15:00Z"),
        ("Mon, 02 Mar 2026 09:15:00", None, None),
        ("Mon, 02 Mar 2026 09:15:00", "America/New_York", "2026-03-02T14:15:00Z"),
        ("Mon, 02 Mar 2026 09:15:00 BST", None, None),  # of Britain or of Bangladesh
        ("tomorrow", None, None),
    ],
)
def test_feed_times_without_a_clear_zone_count_for_nothing(
    server: Replay, stamp: str, zone: str | None, expected: str | None
) -> None:
    server.put(RSS, Recorded(rss(("1", "$AAA rises", stamp))))
    found = SOURCES["feed"](FEED.model_copy(update={"time_zone": zone}), ask(server))
    assert found.news["published_at"].tolist() == ([pd.Timestamp(expected)] if expected else [])
    assert found.refused.get("news_without_clear_time", 0) == (0 if expected else 1)


# --- Yahoo


YAHOO = Yahoo(kind="yahoo", news=True, prices=True, history=1, pause=0.0)
OPENS = pd.to_datetime(["2026-02-27T14:30", "2026-03-02T14:30"], utc=True)


def chart(**changes: Any) -> bytes:
    quote = {
        "open": [10.0, 11.0],
        "high": [10.5, 11.5],
        "low": [9.5, 10.5],
        "close": [10.2, 11.2],
        "volume": [1e6, 2e6],
    }
    meta = {
        **{"currency": "USD", "symbol": "AAA", "exchangeName": "NYQ", "instrumentType": "EQUITY"},
        **{"exchangeTimezoneName": "America/New_York", "timezone": "EST", "gmtoffset": -18000, "priceHint": 2},
        **{"regularMarketTime": int(OPENS[1].timestamp()), "validRanges": ["1d", "5d", "1mo", "1y", "max"]},
        **{"dataGranularity": "1d", "firstTradeDate": 0, "regularMarketPrice": 11.2},
    }
    result = {
        "meta": meta,
        "timestamp": [int(stamp.timestamp()) for stamp in OPENS],
        "events": {"dividends": {"1": {"amount": 0.25, "date": int(OPENS[1].timestamp())}}},
        "indicators": {"quote": [quote], "adjclose": [{"adjclose": [10.0, 11.2]}]},
        **changes,
    }
    return as_json({"chart": {"result": [result], "error": None}})


def stories(*titles: str, **changes: Any) -> bytes:
    stream = [
        {
            "id": f"id-{number}",
            "content": {
                "title": title,
                "pubDate": "2026-03-02T22:04:05Z",
                "canonicalUrl": {"url": "https://finance.yahoo.com/news/1"},
                **changes,
            },
        }
        for number, title in enumerate(titles)
    ]
    return as_json({"data": {"tickerStream": {"stream": stream}}})


@pytest.fixture
def yahoo(server: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replay:
    import yfinance
    from yfinance.data import YfData

    from finsentiment.daily.sources import yahoo as source

    yfinance.set_tz_cache_location(str(tmp_path))
    monkeypatch.setattr(source, "AGAIN", source.AGAIN.copy(wait=lambda _: 0.0))
    YfData._instances.clear()
    YfData.cache_get.cache_clear()
    server.put("fc.yahoo.com/", Recorded(b""))
    server.put("query1.finance.yahoo.com/v1/test/getcrumb", Recorded(b"crumb"))
    server.put(CHART, Recorded(chart()))
    server.put(NEWS, Recorded(stories("Alpha wins")))
    return server


def test_yahoo_gives_prices_as_traded_dividends_and_news_to_the_second(yahoo: Replay) -> None:
    found = SOURCES["yahoo"](YAHOO, ask(yahoo))
    assert not found.failed and found.asked == {"news": ["AAA"]}
    assert found.prices["session"].tolist() == [pd.Timestamp("2026-02-27"), pd.Timestamp("2026-03-02")]
    assert found.prices["close"].tolist() == [10.2, 11.2]  # not the adjusted one
    action = found.actions.iloc[0]
    assert (action["session"], action["dividend"], action["split"]) == (pd.Timestamp("2026-03-02"), 0.25, 1.0)
    story = found.news.iloc[0]
    assert story["published_at"] == pd.Timestamp("2026-03-02T22:04:05Z") and story["headline"] == "Alpha wins"
    yahoo.put(NEWS, Recorded(stories("Alpha \ud83d wins")))  # half of a character
    assert SOURCES["yahoo"](YAHOO, ask(yahoo)).news["headline"].tolist() == ["Alpha ? wins"]


@pytest.mark.parametrize(
    ("where", "answers", "failed"),
    [
        (CHART, [Recorded(b"<html>down</html>")], "AAA"),
        (CHART, [Recorded(chart(), cut=50)], "AAA"),
        (CHART, [Recorded(as_json({"chart": {"result": None, "error": {"description": "No data found"}}}))], "AAA"),
        (NEWS, [Recorded(stories("x", pubDate=None))], "AAA"),
        (NEWS, [Recorded(as_json({"data": {"tickerStream": {"stream": [{"title": "old shape"}]}}}))], "AAA"),
        (NEWS, [Recorded(as_json({"data": {"tickerStream": {"stream": []}}}))], "news"),
        (NEWS, [Recorded(as_json({"data": {"tickerStream": None}}))], "AAA"),
        (NEWS, [Recorded(as_json({"finance": {"error": "maintenance"}}), 500)], "news"),
        (CHART, [Recorded(chart(indicators={"quote": []}))], "AAA"),
        (CHART, [Recorded(b"", 429), Recorded(b"", 429), Recorded(chart())], None),
    ],
)
def test_yahoo_what_fails_for_a_ticker_is_named(
    yahoo: Replay, where: str, answers: list[Recorded], failed: str
) -> None:
    yahoo.put(where, *answers)
    found = SOURCES["yahoo"](YAHOO, ask(yahoo))
    assert list(found.failed) == ([failed] if failed else []), found.failed
    assert ("AAA" in found.asked["news"]) == (failed is None)


def test_yahoo_that_refuses_with_429_for_good_says_so(yahoo: Replay) -> None:
    yahoo.put(CHART, Recorded(b"Too Many Requests", 429))
    assert "429" in SOURCES["yahoo"](YAHOO, ask(yahoo)).failed["all"]


def test_yahoo_that_is_gone_is_not_asked_about_every_ticker(yahoo: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finsentiment.daily.sources.yahoo.AGAIN", lambda ask, *told, **named: ask(*told, **named))
    nobody = Replay(9)  # a port where nothing listens
    found = SOURCES["yahoo"](YAHOO, ask(nobody, tickers=[f"T{number}" for number in range(40)]))
    assert "the rest" in found.failed and len(found.failed) == web.GIVE_UP + 1


# --- files


def read_folder(folder: Path, **changes: Any) -> Answer:
    files = Files(kind="files", folder=str(folder))
    return SOURCES["files"](files, Ask(tickers=["AAA"], moment=MOMENT, **changes))


def test_files_of_every_kind_are_read_and_a_broken_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "news-1.csv").write_text("published_at,ticker,headline\n2026-03-02T22:00:00Z,AAA,Alpha wins\n")
    (tmp_path / "news-2.jsonl").write_text(
        '{"published_at": "2026-03-02T23:00:00Z", "ticker": "AAA", "headline": "Alpha again"}\n'
        '{"published_at": "2026-03-02T23:00:00Z", "ticker": "CCC", "headline": "another"}\n'
    )
    (tmp_path / "news-3.csv").write_text("published_at,ticker\n2026-03-02T22:00:00Z,AAA\n")
    prices = pd.DataFrame(
        {"ticker": ["AAA"], "session": ["2026-03-02"], **dict.fromkeys(["open", "high", "low", "close"], 1.0)}
    )
    prices.assign(volume=5.0).to_parquet(tmp_path / "prices.parquet")
    (tmp_path / "actions.csv").write_text("ticker,session,split,dividend\nAAA,2026-03-02,2,0\n")
    found = read_folder(tmp_path)
    assert found.news["headline"].tolist() == ["Alpha wins", "Alpha again"] and found.news["source_id"].is_unique
    assert found.prices["volume"].tolist() == [5.0] and found.actions["split"].tolist() == [2.0]
    assert list(found.failed) == ["news-3.csv"] and "headline" in found.failed["news-3.csv"]
    assert found.refused == {"rows_on_other_tickers": 1}
    assert np.array_equal(found.news["published_at"].dt.hour, [22, 23])


def test_files_with_days_alone_count_from_the_end_of_the_day_and_empty_ids_are_no_ids(tmp_path: Path) -> None:
    (tmp_path / "news.csv").write_text(
        "news_id,published_at,ticker,headline\n"
        ",2026-03-02,AAA,Alpha wins\n,2026-03-02,AAA,Alpha again\n7,2026-03-02,AAA,Alpha thrice\n"
    )
    found = read_folder(tmp_path).news
    assert (found["published_at"] == pd.Timestamp("2026-03-02T23:59:59Z")).all()
    assert found["source_id"].is_unique and found["source_id"].iloc[-1] == "7"


def test_what_cannot_be_true_is_left_out_and_counted_and_actions_wait_until_they_are_due() -> None:
    days = pd.to_datetime(["2026-02-27", "2026-03-02", "2026-03-02"])
    prices = pd.DataFrame({"ticker": "AAA", "session": days, "open": [10.0, 10.2, 10.0], "high": [10.0, 10.0, 10.0]})
    prices = prices.assign(low=[9.0, 9.0, 9.0], close=[9.5, 9.5, np.nan], volume=1.0)
    due = pd.to_datetime(["2026-03-03", "2026-03-04"])
    actions = pd.DataFrame({"ticker": "AAA", "session": due, "split": 2.0, "dividend": 0.0})
    answer = Answer(prices=prices, actions=actions)
    check_answer(answer, ["AAA"], MOMENT, pd.Timestamp("2026-03-02"), "XNYS", set())
    assert answer.prices["session"].tolist() == [days[0]] and answer.actions["session"].tolist() == [due[0]]
    assert answer.refused == {"prices_not_positive": 1, "prices_out_of_order": 1, "actions_not_due": 1}


def test_files_of_a_folder_that_is_not_there_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="is no folder"):
        read_folder(tmp_path / "none")


def test_every_source_of_the_daily_job_has_a_row_and_stands_in_the_docs() -> None:
    kinds = {get_args(section.model_fields["kind"].annotation)[0] for section in (Yahoo, Edgar, Feed, Files)}
    assert kinds == set(SOURCES)
    table = (ROOT / "docs/daily.md").read_text()
    assert not [kind for kind in kinds if f"| `{kind}` |" not in table]
