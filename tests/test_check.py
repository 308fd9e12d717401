"""`finsentiment check` proposes parameters with which the file loads, and changes nothing."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from finsentiment.check.corpus import TWIN_THRESHOLD
from finsentiment.check.look import look_at
from finsentiment.check.market import HORIZON, MIN_TICKERS, TRAIN_SESSIONS, likely_exchange
from finsentiment.check.report import override
from finsentiment.cli import main
from finsentiment.errors import InputError
from finsentiment.market.sessions import sessions_between
from tests.fuzz import market_tables, to_csv

ROOT = Path(__file__).parents[1]
SAMPLE = pd.read_csv(ROOT / "data/sample/sentences.csv")[["text", "label"]].groupby("label").head(60)
NUMBERS = {"negative": 0, "neutral": 1, "positive": 2}


def corpus(folder: Path, table: pd.DataFrame, **options: object) -> str:
    path = folder / "my corpus, (v2) ü.csv"
    path.write_bytes(table.to_csv(index=False, **options).encode(options.get("encoding", "utf-8")))
    return str(path)


def news_and_prices(folder: Path, **columns: object) -> str:
    news, prices = market_tables()
    (folder / "news.csv").write_bytes(to_csv(news.assign(**columns)))
    (folder / "prices.csv").write_bytes(to_csv(prices))
    return str(folder)


def test_a_corpus_is_described_and_its_parameters_are_whole(tmp_path: Path) -> None:
    table = SAMPLE.rename(columns={"text": "Sentence", "label": "Sentiment"})
    table["Sentiment"] = table["Sentiment"].map({"negative": "Bearish", "neutral": "Neutral", "positive": "Bullish"})
    path = corpus(tmp_path, table, sep=";")
    before = Path(path).read_bytes()
    found = look_at(path)
    assert not found.error and found.parameters == {
        "corpus.source": "csv",
        "corpus.path": path,
        "corpus.columns": {"text": "Sentence", "label": "Sentiment"},
        "corpus.labels": {"Bullish": "positive", "Bearish": "negative"},
    }
    assert any("180 rows in, 180 out" in fact for fact in found.facts)
    assert "classes: 60 negative (33%), 60 neutral (33%), 60 positive (33%)" in found.facts
    assert Path(path).read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_numbers_for_labels_are_shown_with_a_sentence_each_and_guessed_only_where_it_is_clear(tmp_path: Path) -> None:
    sample = pd.read_csv(ROOT / "data/sample/sentences.csv")[["text", "label"]]
    found = look_at(corpus(tmp_path, sample.assign(label=sample["label"].map(NUMBERS))))
    assert [doubt.split(":")[0] for doubt in found.doubts[:3]] == [
        "labelled 1",
        "labelled 0",
        "labelled 2",
    ] or found.error
    if not found.error:
        assert found.parameters["corpus.labels"] == {str(n): label for label, n in NUMBERS.items()}
    few = sample.groupby("label").head(8)
    unclear = look_at(corpus(tmp_path, few.assign(label=few["label"].map(NUMBERS))))
    assert "say what each is, as in corpus.labels=" in unclear.error and len(unclear.doubts) == 3


def test_the_encoding_that_fits_is_proposed(tmp_path: Path) -> None:
    table = SAMPLE.assign(text="Café: " + SAMPLE["text"].str.encode("ascii", "ignore").str.decode("ascii"))
    found = look_at(corpus(tmp_path, table, encoding="cp1252"))
    assert found.parameters["corpus.encoding"] == "cp1252" and not found.error


def test_a_market_is_described_by_year_and_its_doubts_are_named(tmp_path: Path) -> None:
    found = look_at(news_and_prices(tmp_path))
    assert not found.error and found.parameters["market.exchange"] == "XNYS"
    assert "news: 200 rows in, 200 out" in found.facts
    assert any(fact.startswith("news of 2023: 200 headlines on 6 of 6 tickers") for fact in found.facts)
    assert any("too little for the backtest" in doubt for doubt in found.doubts)


@pytest.mark.parametrize(
    ("change", "parameters", "doubt"),
    [
        (lambda n: {"ticker": n["ticker"].str.lower().str.replace("-", ".")}, {"market.ticker_rule": "plain"}, ""),
        (
            lambda n: {"published_at": n["published_at"].str[:10]},
            {"market.undated_news": "next_session"},
            "a day and no",
        ),
        (
            lambda n: {"published_at": n["published_at"].str[:11] + "22:00:0" + n["published_at"].str[18:19]},
            {"market.time_zone": "UTC"},
            "is a guess from",
        ),
        (
            lambda n: {"published_at": pd.to_datetime(n["published_at"]).dt.strftime("%d/%m/%Y %H:%M")},
            {"market.time_format": "%d/%m/%Y %H:%M"},
            "",
        ),
    ],
)
def test_what_a_message_proposes_is_tried(tmp_path: Path, change: object, parameters: dict, doubt: str) -> None:
    found = look_at(news_and_prices(tmp_path, **change(market_tables()[0])))
    assert not found.error and parameters.items() <= found.parameters.items()
    assert any(doubt in said for said in found.doubts)


def test_the_zone_of_times_without_one_is_told_at_the_exchange_of_the_prices(tmp_path: Path) -> None:
    sessions = sessions_between("XTKS", pd.Timestamp("2023-01-04"), pd.Timestamp("2023-12-29"))
    rows = [[t, d.strftime("%d.%m.%Y"), 10, 11, 9, 10, 5] for t in ("A", "B") for d in sessions]
    prices = pd.DataFrame(rows, columns=["ticker", "session", "open", "high", "low", "close", "volume"])
    at = sessions[:60] + pd.to_timedelta(np.random.default_rng(1).integers(8 * 3600, 19 * 3600, 60), "s")
    news = pd.DataFrame({"published_at": at.strftime("%Y-%m-%d %H:%M:%S"), "ticker": "A", "headline": map(str, at)})
    (tmp_path / "news.csv").write_bytes(to_csv(news))
    (tmp_path / "prices.csv").write_bytes(to_csv(prices))
    found = look_at(str(tmp_path))
    assert not found.error, found
    told = {"market.exchange": "XTKS", "market.time_zone": "Asia/Tokyo", "market.date_format": "%d.%m.%Y"}
    assert told.items() <= found.parameters.items()


def test_what_was_found_before_an_unknown_label_is_printed_too(tmp_path: Path) -> None:
    table = SAMPLE.rename(columns={"text": "Sentence"}).assign(label=SAMPLE["label"].str.replace("neutral", "mixed"))
    found = look_at(corpus(tmp_path, table))
    assert "'mixed' (60)" in found.error and "-S 'corpus.columns={text: Sentence}'" in str(found)


def test_the_exchange_is_told_by_its_sessions_and_not_where_a_few_days_are_wrong() -> None:
    days = pd.Series(sessions_between("XTKS", pd.Timestamp("2023-01-01"), pd.Timestamp("2023-12-31")))
    assert likely_exchange(days) == "XTKS"
    american = pd.Series(sessions_between("XNYS", pd.Timestamp("2023-01-01"), pd.Timestamp("2023-12-31")))
    assert likely_exchange(pd.concat([american, pd.Series(pd.to_datetime(["2023-07-04"]))])) == ""


def test_what_a_market_is_held_against_is_what_params_yaml_says() -> None:
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    backtest = tree["backtest"]
    told = (
        backtest["train_sessions"],
        backtest["min_tickers"],
        tree["features"]["horizon"],
        tree["split"]["twin_threshold"],
    )
    assert told == (TRAIN_SESSIONS, MIN_TICKERS, HORIZON, TWIN_THRESHOLD)


def test_a_path_that_is_nothing_is_one_line() -> None:
    with pytest.raises(InputError, match="'nowhere' does not exist; give a file of labelled sentences or a folder"):
        look_at("nowhere")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("corpus.path", "/data/My Corpus (v2), final ü.csv"),
        ("corpus.path", "a,b.csv"),
        ("corpus.path", "x=1.csv"),
        ("corpus.path", 'it\'s "quoted" [1] {2} \\ $HOME.csv'),
        ("corpus.path", '\\"a\\'),
        ("corpus.delimiter", "\t"),
        ("corpus.encoding", None),
        ("market.time_format", "%m/%d/%Y %I:%M %p"),
        ("market.exchange", "24/7"),
        ("corpus.labels", {"Bullish": "positive", "very bad": "negative", "0": "neutral", "-1": None}),
        ("corpus.columns", {"text": 2, "label": 1}),
    ],
)
def test_what_is_printed_is_what_dvc_understands(tmp_path: Path, name: str, value: object) -> None:
    (tmp_path / "params.yaml").write_text("corpus: {path: a}\nmarket: {exchange: b}\n")
    (argument,) = shlex.split(override(name, value))
    section, leaf = name.split(".")
    argument = argument.replace(f"{name}=", f"++{name}=", 1)  # the file of this test holds no leaves
    apply_overrides(tmp_path / "params.yaml", [argument])
    read = yaml.safe_load((tmp_path / "params.yaml").read_text())[section][leaf]
    if isinstance(value, dict):
        read, value = ({str(k): v for k, v in d.items()} for d in (read, value))
    assert read == value


def test_the_command_prints_the_report_and_fails_where_the_file_can_t_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    main(["check", corpus(tmp_path, SAMPLE)])
    out = capsys.readouterr().out
    assert "labelled sentences (csv)" in out and "dvc exp run -S corpus.source=csv" in out
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SystemExit) as error:
        main(["check", str(tmp_path / "mine.csv")])
    assert error.value.code == 1 and "it can't be used as it is" in capsys.readouterr().out
