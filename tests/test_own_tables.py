"""A user's own news and prices: what is taken, what is counted, what is refused and how."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest

from finsentiment import params
from finsentiment.errors import InputError
from finsentiment.market.load import load_market
from tests.markets import market

NEWS = """published_at,ticker,headline
2023-03-01T09:00:00-05:00,ABC,Profit  up
2023-03-02T20:00:00.7Z,NA,Strike ends
2023-03-02T20:00:00Z,XYZ,No prices
2023-03-02T20:00:00Z,ABC,
2023-03-01T14:00:00Z,ABC,Profit up
"""
PRICES = """ticker,session,open,high,low,close,volume
NA,2023-03-02,10,11,9,10,100
ABC,2023-03-03,10,11,9,10,100
ABC,2023-03-01,10,11,9,10.5,0
"""


def as_tables(path: Path, news: str = NEWS, prices: str = PRICES) -> params.Market:
    (path / "news.csv").write_text(news)
    (path / "prices.csv").write_text(prices)
    return market("tables", path)


def test_own_tables_are_checked_sorted_and_counted(tmp_path):
    data = load_market(as_tables(tmp_path), 1)
    assert set(data.news["headline"]) == {"Profit up", "Strike ends"}
    assert set(data.news["ticker"]) == {"ABC", "NA"}
    assert sorted(data.news["published_at"].astype(str)) == ["2023-03-01 14:00:00+00:00", "2023-03-02 20:00:00+00:00"]
    assert data.news["news_id"].is_monotonic_increasing and data.news["source"].eq("tables").all()
    assert data.refused == {
        "news_ticker_without_prices": 1,
        "news_without_text": 1,
        "news_duplicate": 1,
        "prices_empty": 0,
        "prices_duplicate": 0,
    }
    assert data.facts["news_in"] == 5 == data.facts["news_out"] + 3
    assert data.prices["ticker"].tolist() == ["ABC", "ABC", "NA"]
    assert data.facts["price_gaps"] == 1  # ABC on 2023-03-02: kept as a gap
    assert data.truth.empty


def test_parquet_gives_the_same_tables_as_csv(tmp_path):
    expected = load_market(as_tables(tmp_path), 1)
    folder = tmp_path / "parquet"
    folder.mkdir()
    news = pd.read_csv(io.StringIO(NEWS), keep_default_na=False)
    news["published_at"] = pd.to_datetime(news["published_at"], utc=True, format="ISO8601")
    news.to_parquet(folder / "news.parquet")
    prices = pd.read_csv(io.StringIO(PRICES), keep_default_na=False, parse_dates=["session"])
    prices.to_parquet(folder / "prices.parquet")
    found = load_market(market("tables", folder), 1)
    pd.testing.assert_frame_equal(found.news, expected.news)
    pd.testing.assert_frame_equal(found.prices, expected.prices)


PLAIN, WITH_ID = "published_at,ticker,headline\n", "news_id,published_at,ticker,headline\n"


@pytest.mark.parametrize(
    ("news", "message"),
    [
        (PLAIN + "2023-03-01 09:00:00,ABC,x", "line 2: .* = '2023-03-01 09:00:00': expected a time with its zone"),
        (PLAIN + "2023-03-01,ABC,x", "1 of 1 rows have a day and no time"),
        (PLAIN + "2023-13-01T09:00:00Z,ABC,x", "line 2: published_at = .*there is no such day or time"),
        ("published_at,headline\n2023-03-01T09:00:00Z,x", "line 1: no column 'ticker'"),
        (WITH_ID + "a,2023-03-01T09:00:00Z,ABC,x\na,2023-03-01T09:00:00Z,NA,x", "lines 2, 3: news_id = 'a'"),
        (WITH_ID + ",2023-03-01T09:00:00Z,ABC,x", "line 2: news_id = '': expected a text"),
        (PLAIN + "2023-03-01T09:00:00Z,ABC,up, then down", "line 2: 4 values, expected 3"),
        (PLAIN + "2023-03-01T09:00:00Z,XYZ,x", "no news is left, refused: 1 ticker_without_prices"),
    ],
)
def test_bad_news_is_named(tmp_path, news, message):
    with pytest.raises(InputError, match=f"news.csv.*{message}"):
        load_market(as_tables(tmp_path, news=news), 1)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "ABC,2023-03-01,10,11,9,10,5\nABC,2023-03-01,10,11,9,10,6\n",
            "lines 2, 3: 2 prices that differ for ABC",
        ),
        ("ABC,2023-03-04,10,11,9,10,5\n", r"line 2 \(ABC, 2023-03-04\): this day is no session of XNYS"),
        ("ABC,2023-03-01,10,11,9,10,5\nABC,2023-03-02,0,11,0,10,5\n", "line 3: open = 0.0: expected a positive number"),
        ("ABC,2023-03-01,10,11,9,12,5\n", r"line 2 \(ABC, 2023-03-01\): high = 11 is below"),
        ("ABC,2023-03-01,10,11,10.5,10.7,5\n", r"line 2 \(ABC, 2023-03-01\): low = 10.5 is above"),
        ("ABC,2023-03-01,10,11,9,,5\n", "line 2: close = '': expected a number"),
        ("ABC,2023-03-01,10,inf,9,10,5\n", "line 2: high = inf: expected a positive number"),
        ("ABC,2023-03-01,10,11,9,10,-5\n", "line 2: volume = -5.0: expected a number, 0 or more"),
        ("ABC,01.03.2023,10,11,9,10,5\n", "line 2: session = '01.03.2023': expected a date such as"),
        ("", "no prices"),
    ],
)
def test_bad_prices_are_named(tmp_path, rows, message):
    with pytest.raises(InputError, match=f"prices.csv.*{message}"):
        load_market(as_tables(tmp_path, prices="ticker,session,open,high,low,close,volume\n" + rows), 1)


def test_missing_or_ambiguous_tables_are_errors(tmp_path):
    with pytest.raises(InputError, match="is no folder; give one with news.csv"):
        load_market(market("tables", tmp_path / "none"), 1)
    with pytest.raises(InputError, match=r"0 of news.csv, news.jsonl, news.parquet and a folder news are there"):
        load_market(market("tables", tmp_path), 1)
    (tmp_path / "news.csv").write_bytes(b"published_at,ticker,headline\n2023-03-01T09:00:00Z,ABC,caf\xe9\n")
    (tmp_path / "prices.csv").write_text(PRICES)
    with pytest.raises(InputError, match="news.csv, line 2: byte 0xe9 .* is not UTF-8"):
        load_market(market("tables", tmp_path), 1)
