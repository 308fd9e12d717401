"""A user's own news and prices: what is taken, what is counted, what is refused and how."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest

from finsentiment import params
from finsentiment.errors import InputError
from finsentiment.features.build import build_features
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
        "news_without_ticker": 0,
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


@pytest.mark.parametrize(("said", "expected"), [("1", True), ("0", False), ("TRUE", True), ("no", False)])
def test_the_universe_of_a_file_reaches_the_features_and_positions_are_entered_at_the_close(tmp_path, said, expected):
    rows = [f"ABC,2023-03-0{day},10,13,9,{10 + day},5,1\nNA,2023-03-0{day},20,23,19,20,5,{said}" for day in (1, 2, 3)]
    file = as_tables(tmp_path, prices="\n".join(["ticker,session,open,high,low,close,volume,universe", *rows]))
    data = load_market(file, 1)
    section = params.Features(
        horizon=1, entry="close", latency=15, delisting_return=-0.3, window=5, half_life=1.0, surprise_window=5
    )
    scores = pd.DataFrame({"news_id": data.news["news_id"], "fine_tuned": 1.0})
    frame, facts = build_features(data.prices, data.news, scores, section, "XNYS")
    rows = frame.set_index(["ticker", "session"]).sort_index()
    assert rows.loc["NA", "ranked"].eq(expected).all() and rows.loc["ABC", "ranked"].all()
    assert facts["rows_outside_universe"] == (0 if expected else len(rows.loc["NA"]))
    first = rows.loc["ABC"].iloc[0]
    # 14:00 UTC is before the open of 1 March, 20:00 UTC of 2 March an hour before the close.
    assert first.name == pd.Timestamp("2023-03-01") and first["entry_price"] == 11
    assert first["forward_return"] == pytest.approx(12 / 11 - 1)
    assert rows.loc["NA", "attention_covered"].tolist() == [0, 1]


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


def test_a_universe_is_yes_or_no(tmp_path):
    rows = "ticker,session,open,high,low,close,volume,universe\nABC,2023-03-01,10,11,9,10,5,maybe\n"
    with pytest.raises(InputError, match="prices.csv.*line 2: universe = 'maybe': expected one of"):
        load_market(as_tables(tmp_path, prices=rows), 1)


def test_missing_or_ambiguous_tables_are_errors(tmp_path):
    with pytest.raises(InputError, match="is no folder; give one with news.csv"):
        load_market(market("tables", tmp_path / "none"), 1)
    with pytest.raises(InputError, match=r"0 of news.csv, news.jsonl, news.parquet and a folder news are there"):
        load_market(market("tables", tmp_path), 1)
    (tmp_path / "news.csv").write_bytes(b"published_at,ticker,headline\n2023-03-01T09:00:00Z,ABC,caf\xe9\n")
    (tmp_path / "prices.csv").write_text(PRICES)
    with pytest.raises(InputError, match="news.csv, line 2: byte 0xe9 .* is not UTF-8"):
        load_market(market("tables", tmp_path), 1)


# What people have


def wide(levels: tuple[str, str] = ("Price", "Ticker")) -> str:
    """Prices as yfinance's `to_csv` writes them; NA has none on the last day."""
    fields = ["Adj Close", "Close", "High", "Low", "Open", "Volume"]
    rows = {"Adj Close": "10", "Close": "10", "High": "11", "Low": "9", "Open": "10", "Volume": "100"}
    columns = [(field, ticker) for field in fields for ticker in ("ABC", "NA")]
    lines = [
        [levels[i], *(column[i] if levels == ("Price", "Ticker") else column[1 - i] for column in columns)]
        for i in (0, 1)
    ]
    lines.append(["Date", *[""] * len(columns)])
    for day in ("2023-03-01", "2023-03-02"):
        lines.append([day, *("" if (t, day) == ("NA", "2023-03-02") else rows[f] for f, t in columns)])
    return "\n".join(",".join(line) for line in lines) + "\n"


@pytest.mark.parametrize("levels", [("Price", "Ticker"), ("Ticker", "Price")])
def test_wide_prices_of_yfinance_are_read_as_they_are(tmp_path: Path, levels: tuple[str, str]) -> None:
    data = load_market(as_tables(tmp_path, prices=wide(levels)), 1)
    assert data.prices[["ticker", "session"]].astype(str).agg(" ".join, axis=1).tolist() == [
        "ABC 2023-03-01",
        "ABC 2023-03-02",
        "NA 2023-03-01",
    ]
    assert data.prices.iloc[0][["open", "high", "low", "close", "volume"]].tolist() == [10, 11, 9, 10, 100]
    assert data.converted["prices_wide_columns"] == 13 and data.refused["prices_empty"] == 0


def test_wide_prices_in_parquet_and_without_a_field(tmp_path: Path) -> None:
    table = pd.read_csv(io.StringIO(wide()), header=[0, 1], index_col=0, keep_default_na=False, na_values=[""])
    table.index = pd.DatetimeIndex(pd.to_datetime(table.index), name="Date")
    folder = tmp_path / "parquet"
    folder.mkdir()
    (folder / "news.csv").write_text(NEWS)
    table.to_parquet(folder / "prices.parquet")
    expected = load_market(as_tables(tmp_path, prices=wide()), 1).prices
    pd.testing.assert_frame_equal(load_market(market("tables", folder), 1).prices, expected)
    without = "\n".join(line.rsplit(",", 2)[0] for line in wide().splitlines())
    with pytest.raises(InputError, match="no volume of ABC; expected open, high, low, close, volume of every ticker"):
        load_market(as_tables(tmp_path, prices=without), 1)


def test_a_folder_of_one_file_per_ticker_is_one_table(tmp_path: Path) -> None:
    (tmp_path / "prices").mkdir()
    header = "Date,Open,High,Low,Close,Adj Close,Volume\n"
    for ticker, close in (("ABC", "10"), ("NA", "20")):
        row = f"2023-03-02,{close},{close},{close},{close},{close},100\n"
        (tmp_path / "prices" / f"{ticker}.csv").write_text(header + row)
    (tmp_path / "news.csv").write_text(NEWS)
    data = load_market(market("tables", tmp_path), 1)
    assert data.prices[["ticker", "close"]].values.tolist() == [["ABC", 10.0], ["NA", 20.0]]
    (tmp_path / "prices" / "NA.csv").write_text(header + "2023-03-02,20,x,20,20,20,100\n")
    with pytest.raises(InputError, match=r"prices/NA.csv, line 2: high = 'x': expected a number"):
        load_market(market("tables", tmp_path), 1)


def test_columns_formats_and_tickers_are_what_the_parameters_say(tmp_path: Path) -> None:
    news = "day;symbol;title\n01/03/2023 09:00;abc;Profit up\n02/03/2023 20:00;FB;Strike ends\n"
    prices = "symbol,day,o,h,l,c,v\nNA,02.03.2023,10,11,9,10,1.2M\nABC,01.03.2023,10,11,9,10.5,0\n"
    (tmp_path / "tickers.csv").write_text("from,to\nFB,NA\n")
    section = as_tables(tmp_path, news, prices)
    told = market(
        "tables",
        section.path,
        news={"published_at": "day", "ticker": "symbol", "headline": "title"},
        prices={
            "ticker": "symbol",
            "session": "day",
            "open": "o",
            "high": "h",
            "low": "l",
            "close": "c",
            "volume": "v",
        },
        time_zone="America/New_York",
        time_format="%d/%m/%Y %H:%M",
        date_format="%d.%m.%Y",
        tickers=str(tmp_path / "tickers.csv"),
        ticker_rule="plain",
    )
    data = load_market(told, 1)
    assert data.news.sort_values("published_at")["ticker"].tolist() == ["ABC", "NA"]
    assert str(data.news["published_at"].min()) == "2023-03-01 14:00:00+00:00"
    assert data.prices["volume"].tolist() == [0, 1_200_000]
    assert data.converted == {
        "news_delimiter_semicolon": 1,
        "news_time_format": 2,
        "news_tickers_renamed": 2,
        "prices_suffix": 1,
        "prices_date_format": 2,
    }


def test_entities_in_headlines_are_what_they_stand_for_and_equal_texts_become_equal(tmp_path: Path) -> None:
    rows = "2023-03-01T09:00:00Z,ABC,Torvik &amp; Sons&#39; loss\n2023-03-02T09:00:00Z,ABC,Torvik & Sons' loss\n"
    data = load_market(as_tables(tmp_path, PLAIN + rows), 1)
    assert data.facts["unique_headlines"] == 1 and data.converted == {"news_html": 1}


@pytest.mark.parametrize(
    ("news", "said"),
    [
        (PLAIN, "news.csv: no rows; expected a headline on a ticker in each"),
        (
            PLAIN + "2050-06-01T00:00:00Z,ABC,x\n2023-03-01T09:00:00Z,ABC,y\n",
            "news.csv, line 2: published_at = 2050-06-01",
        ),
        (PLAIN + "1969-06-01T00:00:00Z,ABC,x\n", "the calendar of XNYS knows sessions from 1970-01-02 to 2049-12-31"),
        (PLAIN + "2023-03-01T09:00:00Z,abc,x\n", "'abc' (1 rows; the prices have ABC); set market.ticker_rule=plain"),
        (PLAIN + "2023-03-01T09:00:00Z,\"['ABC', 'NA']\",x\n", "a story on several tickers is one row per ticker"),
        ("published_at,ticker,title\n2023-03-01T09:00:00Z,ABC,x\n", "set market.columns.news={headline: title}"),
    ],
)
def test_news_that_can_t_be_used_is_refused_with_what_to_do(tmp_path: Path, news: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        load_market(as_tables(tmp_path, news), 1)
    assert said in str(error.value)


def test_an_exchange_that_is_unknown_is_told_the_nearest(tmp_path: Path) -> None:
    section = as_tables(tmp_path)
    for code, likely in (("xnys", "XNYS"), ("XNSE", "XBOM"), ("XNYSE", "XNYS")):
        with pytest.raises(InputError, match=f"has this code; set market.exchange={likely} ") as error:
            load_market(section.model_copy(update={"exchange": code}), 1)
        assert error.value.remedy == {"market.exchange": likely}
    with pytest.raises(InputError, match="can't make this calendar with the installed pandas"):
        load_market(section.model_copy(update={"exchange": "ASEX"}), 1)
