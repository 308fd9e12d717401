"""The files of public bug reports (shared/cases), each read as it is meant or refused in one line."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pandas as pd
import pytest

from finsentiment.backtest.enough import check_enough
from finsentiment.corpus.cleaning import clean_corpus
from finsentiment.corpus.load import load_corpus
from finsentiment.errors import InputError
from finsentiment.market.load import load_market
from finsentiment.params import Corpus
from tests.markets import market

ARCHIVE = Path(__file__).parents[2] / "shared" / "cases" / "inputs.tar.xz"
pytestmark = pytest.mark.skipif(not ARCHIVE.is_file(), reason=f"{ARCHIVE} is not here")

CORPUS_PARAMETERS: dict[str, dict] = {
    "bullish.csv": {"labels": {"Bullish": "positive", "Bearish": "negative"}},
    "num012.csv": {"labels": {"0": "negative", "1": "neutral", "2": "positive"}},
    "mixed_label.csv": {"labels": {"mixed": None}},
    "kaggle_like_utf8.csv": {"columns": {"text": 2, "label": 1}},
    "no_header.csv": {"columns": {"text": 1, "label": 2}},
    "other_names.csv": {"columns": {"text": "Sentence", "label": "Sentiment"}},
}
CORPUS_REFUSED = {
    "backslash.csv": "line 2: not CSV",
    "comma_unquoted.csv": "line 2: 3 values, expected 2",
    "corpus.xlsx": "Excel",
    "empty.csv": "empty",
    "empty_text.csv": r"line 62: text = '', .*\(2 such rows\)",
    "header_only.csv": "no rows",
    "lfs.csv": "Git LFS",
    "nan_label.csv": "line 62: label = ''",
    "two_classes.csv": "no sentence is labelled neutral",
    "unbalanced.csv": "line 13: not CSV",
}
MARKET_PARAMETERS: dict[str, dict] = {
    "alphavantage": {"time_zone": "UTC"},
    "naive": {"time_zone": "UTC"},
    "pq_news_naive": {"time_zone": "UTC"},
    "us_slash": {"time_zone": "America/New_York", "time_format": "%m/%d/%Y %I:%M %p"},
    "title_col": {"news": {"headline": "title"}},
    "brkb": {"ticker_rule": "plain"},
    "cashtag": {"ticker_rule": "plain"},
    "lower_ticker": {"ticker_rule": "plain"},
    "p_case": {"ticker_rule": "plain"},
    "dateonly": {"undated_news": "next_session"},
    "midnight": {"undated_news": "next_session"},
    "p_adjclose_col": {"adjusted_close": "use"},
    **{f"x_{code}": {"exchange": code} for code in ("XBOM", "XETR", "XHKG", "XKRX", "XSAU", "XTKS")},
    "x_247": {"exchange": "24/7"},
}
MARKET_REFUSED = {
    "badday": "news.csv, line 2: .*there is no such day",
    "empty_news": "news.csv: no rows",
    "future2049": "news.csv, line 2: published_at = 2050-06-01",
    "listed": "a story on several tickers is one row per ticker",
    "no_overlap": "no news counts for a session with prices",
    "one_missing": "news.csv, line 2: published_at = ''",
    "p_1tick": "the prices have 1 ticker",
    "p_3tick": "the prices have 3 tickers",
    "p_adjclose_as_close": r"\(1968 such rows\): low = .* is the close adjusted",
    "p_empty": "prices.csv: no prices",
    "p_holiday": "line 2082 .*2023-07-04.*no session of XNYS",
    "p_inf": "line 6: volume = inf",
    "p_neg": "line 11: low = -1.0",
    "p_short": "there are 62 sessions with news and prices",
    "p_weekend": "line 2082 .*2023-01-07.*no session of XNYS",
    "p_zero": "line 11: low = 0.0",
    "year1": "line 2: published_at = 0*1-01-01",
    "year1969": "line 2: published_at = 1969-12-31",
    "year2262": "line 2: published_at = 2300-01-01",
}
SAME_AS_OK = (
    "alphavantage",
    "brkb",
    "cashtag",
    "csvgz",
    "epoch_ms",
    "gdelt",
    "lower_ticker",
    "micros",
    "mixed",
    "naive",
)
SAME_AS_OK += (
    "nanos",
    "p_comma",
    "p_dup_same",
    "p_isoT",
    "p_tz",
    "p_wide",
    "p_yf_names",
    "pg_short",
    "pq_date",
)
SAME_AS_OK += (
    "pq_news_naive",
    "pq_news_tz",
    "pq_types",
    "pq_tz",
    "rfc822",
    "semicolon",
    "title_col",
    "body",
    "bom_crlf",
)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def corpus(path: Path) -> pd.DataFrame:
    plain = {"columns": {}, "labels": {}, "encoding": None, "delimiter": None, "agreement": 50}
    found = load_corpus(Corpus(source="csv", path=str(path), **plain | CORPUS_PARAMETERS.get(path.name, {})))
    table, refused = clean_corpus(found.rows, "csv", str(path))
    assert len(found.rows) == len(table) + sum(refused.values())
    return table


def tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    section = market("tables", folder, **MARKET_PARAMETERS.get(folder.name, {}))
    found = load_market(section, 0)
    check_enough(found.news, found.prices, section.exchange, 1, 126, 5)
    for name, out in (("news", found.news), ("prices", found.prices)):
        refused = sum(count for reason, count in found.refused.items() if reason.startswith(f"{name}_"))
        assert found.facts[f"{name}_in"] == len(out) + refused
    return found.news.drop(columns="news_id"), found.prices


def test_every_corpus_is_read_or_refused(cases: Path) -> None:
    sentences = set(corpus(cases / "corpus/ok.csv")["text"])
    for path in sorted((cases / "corpus").iterdir()):
        if path.name in CORPUS_REFUSED:
            with pytest.raises(InputError, match=f"{path.name}.*{CORPUS_REFUSED[path.name]}"):
                corpus(path)
        else:
            assert len(set(corpus(path)["text"]) & sentences) >= 40 or path.name in ("backslash.csv", "emoji.csv")


def test_every_market_is_read_or_refused(cases: Path) -> None:
    for folder in sorted((cases / "market").iterdir()):
        if folder.name in MARKET_REFUSED:
            with pytest.raises(InputError, match=MARKET_REFUSED[folder.name]):
                tables(folder)
        else:
            tables(folder)


def test_what_is_only_written_otherwise_gives_the_very_tables_of_the_sound_market(cases: Path) -> None:
    news, prices = tables(cases / "market/ok")
    news = news.sort_values(["published_at", "ticker", "headline"], ignore_index=True)
    for name in SAME_AS_OK:
        found, same = tables(cases / "market" / name)
        found = found.sort_values(["published_at", "ticker", "headline"], ignore_index=True)
        pd.testing.assert_frame_equal(found, news, obj=name)
        pd.testing.assert_frame_equal(same, prices, obj=name, rtol=1e-4)
