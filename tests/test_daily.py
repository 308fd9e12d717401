"""Days of the daily job, from dropped files to exports: good ones, missed ones, and what goes wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import alphalens
import duckdb
import jsonschema
import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from finsentiment.daily.run import build
from finsentiment.daily.settings import read_settings
from finsentiment.errors import InputError
from finsentiment.features.export import COLUMNS, MONTHS, check_daily, factor_of, monthly_tables, write_monthly
from finsentiment.files import read_json, sha256_folder
from finsentiment.market.sessions import calendar, sessions_between
from finsentiment.market.store import Store
from tests.repository import ROOT

pytestmark = pytest.mark.slow

SESSIONS = sessions_between("XNYS", pd.Timestamp("2026-01-05"), pd.Timestamp("2026-04-10"))
TICKERS = ["AAA", "BBB", "BRK-B"]
WHOLE = sessions_between("XNYS", pd.Timestamp("2026-01-02"), pd.Timestamp("2026-04-10"))
FIRST = 20  # number of the session before which the job runs for the first time
FEATURES = {
    **{"horizon": 1, "entry": "open", "latency": 15, "delisting_return": -0.3, "window": 5},
    **{"half_life": 2.0, "surprise_window": 10},
}
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
THEN = "then.parquet"  # the features as they were written on the second day
PHRASES = ["profit rose", "profit fell", "the firm met today", "orders grew sharply", "the loss widened"]


def settings(folder: Path, adapter: Path, **changes: Any) -> Path:
    """A daily.yaml in `folder` and its drop folder."""
    (folder / "drop").mkdir(exist_ok=True)
    tree = {
        **{"tickers": TICKERS, "exchange": "XNYS", "store": "data/live", "export": "export"},
        **{"features_file": "data/daily/features.parquet", "adapter": str(adapter), "threads": 1},
        **{"batch_tokens": 512, "backfill": False, "stale_after": 100, "verdict_sessions": 126, "features": FEATURES},
        "sources": [{"kind": "files", "folder": "drop"}],
        **changes,
    }
    path = folder / "daily.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def opened(number: int) -> pd.Timestamp:
    return calendar("XNYS").opens.loc[SESSIONS[number]]


def drop_prices(folder: Path, before: int, scale: float = 1.0) -> None:
    """Prices of every session before the session of this number."""
    rng = np.random.default_rng(0)
    parts = []
    for ticker in TICKERS:
        close = 50 * scale * np.exp(rng.normal(0, 0.02, len(SESSIONS)).cumsum())
        part = pd.DataFrame({"ticker": ticker, "session": SESSIONS, "open": close, "high": close, "low": close})
        parts.append(part.assign(close=close, volume=100.0)[:before])
    pd.concat(parts).to_parquet(folder / "drop/prices.parquet")


def drop_news(folder: Path, number: int, *rows: tuple[str, str]) -> None:
    """News of the night before the session of this number."""
    stamp = (opened(number) - pd.Timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
    lines = [f"{stamp},{ticker},{headline}" for ticker, headline in rows]
    (folder / f"drop/news-{number}.csv").write_text("\n".join(["published_at,ticker,headline", *lines]) + "\n")


def run(folder: Path, number: int, *options: str, minutes: int = 60, code: int = 0) -> subprocess.CompletedProcess[str]:
    """`finsentiment daily` so many minutes before the open of the session of this number."""
    now = (opened(number) - pd.Timedelta(minutes=minutes)).isoformat()
    command = [sys.executable, "-m", "finsentiment.cli", "daily", *options]
    environment = ENVIRONMENT | {"FINSENTIMENT_NOW": now}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == code and "Traceback" not in done.stderr, done.stdout + done.stderr
    return done


def day(folder: Path, number: int, *rows: tuple[str, str], **named: Any) -> subprocess.CompletedProcess[str]:
    """Drop a day and run the job."""
    drop_prices(folder, number)
    if rows:
        drop_news(folder, number, *rows)
    return run(folder, number, **named)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory, tiny_adapter: Path) -> Path:
    """A folder in which the job ran on five days; on the third it was not started."""
    folder = tmp_path_factory.mktemp("days")
    settings(folder, tiny_adapter)
    rng = np.random.default_rng(1)
    for number in range(FIRST, FIRST + 5):
        rows = [(ticker, PHRASES[rng.integers(len(PHRASES))]) for ticker in TICKERS if rng.random() < 0.7]
        if number == FIRST + 2:
            drop_news(folder, number, ("AAA", "orders dropped sharply"))
        else:
            day(folder, number, *rows)
        if number == FIRST + 1:
            shutil.copy(folder / "data/daily/features.parquet", folder / THEN)
    return folder


def features(folder: Path, name: str = "data/daily/features.parquet") -> pd.DataFrame:
    return pd.read_parquet(folder / name)


def test_the_features_go_to_the_coming_session_and_say_what_is_missing_for_a_verdict(days: Path) -> None:
    table = features(days)
    assert table["session"].max() == SESSIONS[FIRST + 4] and set(table["ticker"]) == set(TICKERS)
    summary = (days / "export/summary.md").read_text()
    assert "| files | " in summary and f"Session {SESSIONS[FIRST + 4].date()}: " in summary
    assert "for a verdict" in summary and read_json(days / "export/status.json") == {"stale": False, "stopped": []}


def test_news_of_a_day_without_a_run_counts_late_and_never_backwards(days: Path) -> None:
    table = features(days).set_index(["session", "ticker"])["attention_count"]
    late = np.expm1(table[(SESSIONS[FIRST + 3], "AAA")])
    missed = np.expm1(table[(SESSIONS[FIRST + 2], "AAA")])
    assert missed == 0 and late >= 1


def test_a_run_repeated_changes_nothing(days: Path) -> None:
    before, rows = features(days), Store(days / "data/live").read("news")
    run(days, FIRST + 4, minutes=50)
    pd.testing.assert_frame_equal(features(days), before)
    pd.testing.assert_frame_equal(Store(days / "data/live").read("news"), rows)


def test_what_was_known_on_a_past_day_is_rebuilt_to_the_byte(days: Path, tmp_path: Path) -> None:
    run(days, FIRST + 4, "--as-of", str(SESSIONS[FIRST + 1].date()), "-o", str(tmp_path / "then"))
    pd.testing.assert_frame_equal(features(tmp_path, "then/features.parquet"), features(days, THEN), check_exact=True)
    assert check_daily(tmp_path / "then/sentiment_daily.parquet") == ([], [])


def test_a_score_is_read_once_and_stands(days: Path) -> None:
    before = sha256_folder(days / "data/live/scores")
    done = run(days, FIRST + 4, minutes=40)
    assert "were scored before" not in done.stderr and sha256_folder(days / "data/live/scores") == before


# --- what goes wrong


def test_a_past_price_that_changed_is_not_kept_and_the_news_is(days: Path, tmp_path: Path, tiny_adapter: Path) -> None:
    settings(tmp_path, tiny_adapter)
    day(tmp_path, FIRST, ("AAA", "profit rose"))
    drop_prices(tmp_path, FIRST + 1, scale=1.5)
    drop_news(tmp_path, FIRST + 1, ("BBB", "profit fell"))
    done = run(tmp_path, FIRST + 1, code=1)
    assert done.stderr.count("\n") == 1 or done.stderr.count("error:") == 1
    assert "files, AAA: the close on 2026-01-05 is" in done.stderr and "--accept AAA" in done.stderr
    store = Store(tmp_path / "data/live")
    assert store.read("prices")["session"].max() == SESSIONS[FIRST - 1] and len(store.read("news")) == 2
    accepted = [option for ticker in TICKERS for option in ("--accept", ticker)]
    run(tmp_path, FIRST + 1, *accepted, minutes=30)
    assert store.read("prices")["session"].max() == SESSIONS[FIRST]


def test_a_source_that_fails_is_said_at_the_end_and_stops_no_other(tmp_path: Path, tiny_adapter: Path) -> None:
    sources = [
        {"kind": "files", "name": "gone", "folder": "no-such-folder"},
        {"kind": "feed", "name": "wire", "url": "http://127.0.0.1:9/rss"},
        {"kind": "files", "folder": "drop"},
    ]
    settings(tmp_path, tiny_adapter, sources=sources)
    done = day(tmp_path, FIRST, ("AAA", "profit rose"), code=1)
    assert "gone: no-such-folder is no folder" in done.stderr and "wire: no connection" in done.stderr
    assert features(tmp_path)["session"].max() == SESSIONS[FIRST]
    assert len(read_json(tmp_path / "export/status.json")["stopped"]) == 2


def test_features_of_the_past_that_moved_stop_the_job_before_anything_is_written(days: Path, tmp_path: Path) -> None:
    shutil.copytree(days, tmp_path / "copy")
    copy = tmp_path / "copy"
    (copy / "daily.yaml").write_text((days / "daily.yaml").read_text())
    old = sorted(copy.glob("data/live/2*/*/prices.parquet"))[0]
    table = pd.read_parquet(old)
    table.loc[FIRST - 1, ["open", "high", "low", "close"]] *= 1.1  # the last of the first ticker
    table.to_parquet(old)
    before = features(copy)
    done = run(copy, FIRST + 4, "--no-fetch", code=1)
    assert "the past moved: price_" in done.stderr and "--changed" in done.stderr
    pd.testing.assert_frame_equal(features(copy), before)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tickers": []}, "no company is named"),
        ({"sources": [{"kind": "wire"}]}, "daily.yaml: sources.0"),
        ({"sources": [{"kind": "feed", "name": "a", "url": "https://x"}]}, "no source has prices"),
        ({"store": "export/live"}, "need a folder each"),
        ({"features": {**FEATURES, "window": 1}}, "daily.yaml: features.window = 1"),
        ({"exchange": "NYSE?"}, "no calendar of exchange_calendars has this code"),
    ],
)
def test_bad_settings_are_one_line(tmp_path: Path, tiny_adapter: Path, changes: dict, said: str) -> None:
    settings(tmp_path, tiny_adapter, **changes)
    done = run(tmp_path, FIRST, code=1)
    assert done.stderr.count("\n") == 1 and said in done.stderr, done.stderr
    assert not (tmp_path / "data").exists() or not list((tmp_path / "data").rglob("*.parquet"))


def test_without_an_adapter_the_news_of_the_day_is_kept(tmp_path: Path) -> None:
    settings(tmp_path, tmp_path / "nowhere")
    done = day(tmp_path, FIRST, ("AAA", "profit rose"), code=1)
    assert "no fine-tuned model there" in done.stderr and done.stderr.count("error:") == 1
    assert len(Store(tmp_path / "data/live").read("news")) == 1


def test_a_first_day_whose_news_is_all_history_exports_tickers_without_news_and_says_so(
    tmp_path: Path, tiny_adapter: Path
) -> None:
    settings(tmp_path, tiny_adapter)
    drop_news(tmp_path, FIRST - 3, ("AAA", "profit rose"))
    done = day(tmp_path, FIRST)
    assert "0 of 3 tickers have news" in done.stdout and "1 stories do not count" in done.stdout
    export = pd.read_parquet(tmp_path / "export/sentiment_daily.parquet")
    assert export.index.tolist() == [(SESSIONS[FIRST], ticker) for ticker in TICKERS] and (export["news"] == 0).all()


def test_a_first_day_without_prices_keeps_its_news_and_has_a_page(tmp_path: Path, tiny_adapter: Path) -> None:
    settings(tmp_path, tiny_adapter)
    drop_news(tmp_path, FIRST, ("AAA", "profit rose"))
    done = run(tmp_path, FIRST, code=1)
    assert "no prices yet" in done.stderr and done.stderr.count("error:") == 1
    assert len(read_json(tmp_path / "export/status.json")["stopped"]) == 1
    day(tmp_path, FIRST + 1)
    assert "no price yet" not in (tmp_path / "export/store.html").read_text()


def test_a_run_within_the_session_leaves_the_export_of_the_morning(tmp_path: Path, tiny_adapter: Path) -> None:
    settings(tmp_path, tiny_adapter)
    day(tmp_path, FIRST, ("AAA", "profit rose"))
    before = pd.read_parquet(tmp_path / "export/sentiment_daily.parquet")
    drop_news(tmp_path, FIRST, ("AAA", "profit rose"), ("BBB", "profit fell"))
    done = run(tmp_path, FIRST, minutes=-60)
    assert "It has begun" in done.stdout
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "export/sentiment_daily.parquet"), before)


def test_prices_that_come_a_day_late_are_told_and_the_job_goes_on(tmp_path: Path, tiny_adapter: Path) -> None:
    settings(tmp_path, tiny_adapter)
    day(tmp_path, FIRST, ("AAA", "profit rose"))
    drop_news(tmp_path, FIRST + 1, ("AAA", "profit fell"))
    done = run(tmp_path, FIRST + 1, code=1)  # the file of prices is yesterday's
    assert f"3 of 3 tickers have no price of {SESSIONS[FIRST].date()}" in done.stderr
    day(tmp_path, FIRST + 2)
    table = features(tmp_path).set_index(["session", "ticker"])
    assert not table.loc[SESSIONS[FIRST + 1], "ranked"].any() and table.loc[SESSIONS[FIRST + 2], "ranked"].all()
    assert table.loc[SESSIONS[FIRST + 1], "price_return_1"].notna().all()


# --- exports


def test_pandas_polars_and_duckdb_read_the_contract(days: Path) -> None:
    path = days / "export/sentiment_daily.parquet"
    by_pandas, by_polars = pd.read_parquet(path), polars.read_parquet(path)
    assert by_pandas.index.names == ["date", "ticker"] and by_polars.columns == list(COLUMNS)
    counted = duckdb.sql(f"SELECT count(*), max(news) FROM '{path}'").fetchall()[0]
    assert counted == (len(by_pandas), by_pandas["news"].max()) and len(by_polars) == len(by_pandas)
    assert (by_pandas["known_at"].dt.tz_convert("America/New_York").dt.strftime("%H:%M") == "09:15").all()
    schema = json.loads((days / "export/sentiment_daily.schema.json").read_text())
    assert list(schema["properties"]) == sorted(COLUMNS) or set(schema["properties"]) == set(COLUMNS)
    assert len(schema["made_of"]["rests_on"]["adapter"]) == 64


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="news"), "no column news"),
        (lambda t: t.assign(sentiment_level=3.0), "sentiment_level outside ±1"),
        (lambda t: t.assign(news=t["news"].astype("float64")), "news is of type double, expected int64"),
        (lambda t: pd.concat([t, t[:1]]), "the date and ticker of another row in 1 of"),
        (lambda t: t[::-1], "not sorted"),
        (lambda t: t.assign(sentiment_level=np.nan), "sentiment_level is missing in"),
        (
            lambda t: t.assign(known_at=t["known_at"] - pd.Timedelta(minutes=1)),
            "known_at is not the entry less the lat",
        ),
        (lambda t: t.assign(date=t["date"] + pd.Timedelta(hours=3)), "a date that is no session of XNYS"),
        (lambda t: t.assign(news=0), "sentiment_level without news"),
        (lambda t: t.assign(covered=False), "news, but not covered"),
        (lambda t: t.assign(more=1), "a column more"),
        (lambda t: t[:0], "no rows"),
    ],
)
def test_a_file_that_breaks_the_contract_is_told(days: Path, tmp_path: Path, change: Any, said: str) -> None:
    path = days / "export/sentiment_daily.parquet"
    assert check_daily(path) == ([], [])
    metadata = pq.read_schema(path).metadata
    table = pa.Table.from_pandas(change(pd.read_parquet(path).reset_index()), preserve_index=False)
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "bad.parquet")
    faults, _ = check_daily(tmp_path / "bad.parquet")
    assert any(said in fault for fault in faults), faults


@pytest.mark.parametrize("program", ["pandas", "polars", "duckdb"])
def test_a_file_that_another_program_rewrote_keeps_the_contract(days: Path, tmp_path: Path, program: str) -> None:
    path, copy = days / "export/sentiment_daily.parquet", tmp_path / "copy.parquet"
    if program == "pandas":
        pd.read_parquet(path).reset_index().to_parquet(copy, index=False)
    elif program == "polars":
        polars.read_parquet(path).write_parquet(copy)
    else:
        duckdb.sql(f"COPY (SELECT * FROM '{path}' ORDER BY date, ticker) TO '{copy}' (FORMAT parquet)")
    faults, notes = check_daily(copy)
    assert not faults and len(notes) == 1 and "another program rewrote it" in notes[0]


def test_a_row_of_every_exported_file_fits_its_schema(days: Path) -> None:
    for path in (days / "export/sentiment_daily.parquet", days / "export/factor.parquet"):
        schema = json.loads(path.with_suffix(".schema.json").read_text())
        row = pd.read_parquet(path).reset_index().iloc[-1]
        told = json.loads(row.to_frame().T.to_json(orient="records", date_format="iso"))[0]
        dates = {name: told[name][:10] for name, p in schema["properties"].items() if p.get("format") == "date"}
        jsonschema.validate(told | dates, schema, format_checker=jsonschema.FormatChecker())
    monthly = sorted((days / "export/monthly").glob("*.csv"))
    assert len(monthly) == 5
    for path in monthly:
        schema = json.loads(path.with_suffix(".schema.json").read_text())
        jsonschema.validate({"Date": "2026-01-30", **dict.fromkeys(["AAA", "BRK.B"], 0.0)}, schema)


def test_the_export_command_knows_what_the_features_of_the_daily_job_rest_on(days: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "finsentiment.cli", "export"]
    given = ["data/daily/features.parquet", "--settings", "daily.yaml", "-o", str(tmp_path / "out")]
    done = subprocess.run([*command, *given], cwd=days, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    mine, theirs = (pd.read_parquet(path / "sentiment_daily.parquet") for path in (tmp_path / "out", days / "export"))
    pd.testing.assert_frame_equal(mine, theirs)
    other = yaml.safe_load((days / "daily.yaml").read_text())
    other["features"]["entry"] = "close"
    (tmp_path / "close.yaml").write_text(yaml.safe_dump(other))
    for arguments, said in (
        ([given[0], "--settings", str(tmp_path / "close.yaml")], "entry = close, but data/daily/features.parquet was"),
        (["export/sentiment_daily.parquet", "--settings", "daily.yaml"], "finsentiment export --check FILE"),
        ([*given[:3], "-o", "daily.yaml"], "daily.yaml is a file"),
        (["--check", "daily.yaml"], "cannot be read as Parquet"),
    ):
        done = subprocess.run([*command, *arguments], cwd=days, env=ENVIRONMENT, capture_output=True, text=True)
        assert done.returncode == 1 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr


def daily(sessions: pd.DatetimeIndex) -> pd.DataFrame:
    """A contract's table of two tickers; BRK-B has news in February alone."""
    grid = pd.MultiIndex.from_product([sessions, ["AAA", "BRK-B"]], names=["date", "ticker"]).to_frame(index=False)
    quiet = (grid["ticker"] == "BRK-B") & (grid["date"].dt.month != 2)
    news = np.where(quiet, 0, 2)
    level = np.where(news > 0, 0.5, 0.0)
    return grid.assign(sentiment_level=level, sentiment_decayed=level / 2, sentiment_surprise=level, news=news)


def test_monthly_tables_join_by_the_pattern_of_financial_ml_and_lose_no_month() -> None:
    tables = monthly_tables(daily(WHOLE), "XNYS", WHOLE[-1])
    assert list(tables["NewsCount"].index.strftime("%Y-%m-%d")) == ["2026-01-30", "2026-02-27", "2026-03-31"]
    assert tables["NewsCount"].columns.tolist() == ["AAA", "BRK.B"], "April is not over"
    assert tables["NewsCoverage"]["BRK.B"].tolist() == [0.0, 1.0, 0.0]
    late = daily(WHOLE)[lambda rows: (rows["ticker"] == "AAA") | (rows["date"] >= "2026-02-17")]
    assert monthly_tables(late, "XNYS", WHOLE[-1])["NewsCoverage"]["BRK.B"].tolist() == [0.0, 9 / 19, 0.0]
    assert list(monthly_tables(daily(WHOLE), "XNYS", WHOLE[60])["NewsCount"].index.month) == [1, 2], "March may move"
    from_the_ninth = daily(WHOLE[5:])
    assert list(monthly_tables(from_the_ninth, "XNYS", WHOLE[-1])["NewsCount"].index.month) == [2, 3], "half a month"
    with pytest.raises(InputError, match=r"BRK.B is written in two ways"):
        both = pd.concat([from_the_ninth, from_the_ninth.assign(ticker=from_the_ninth["ticker"].str.replace("-", "."))])
        monthly_tables(both, "XNYS", WHOLE[-1])


def test_the_ten_lines_of_the_docs_join_the_monthly_tables_to_the_inputs_of_financial_ml(tmp_path: Path) -> None:
    """Its prices have BRK-B; it joins by `pd.concat` with keys and `stack`, and drops rows with a gap."""
    (tmp_path / "export").mkdir()
    write_monthly(tmp_path / "export/monthly", monthly_tables(daily(WHOLE), "XNYS", WHOLE[-1]), {})
    index = pd.DatetimeIndex(["2026-01-30", "2026-02-27", "2026-03-31", "2026-04-30"], name="Date")
    prices = pd.DataFrame(1.0, index=index, columns=["AAA", "BRK-B", "CCC"])
    given = {"prices": prices, "input_vars": [prices], "df_keys": ["ClosePrice"], "input_keys": ["ClosePrice"]}
    lines = re.search(r"```python\n(from pathlib.*?)```", (ROOT / "docs/daily.md").read_text(), re.DOTALL)[1]
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        exec(lines, given)
    finally:
        os.chdir(before)
    features = pd.concat(given["input_vars"], axis=1, keys=given["df_keys"])
    rows = features.stack(level=1, future_stack=True).dropna()
    assert len(rows) == 12 and len(lines.strip().splitlines()) <= 12
    assert rows.loc[("2026-01-30", "BRK-B"), "SentimentLevel"] == 0
    assert rows.loc[("2026-02-27", "BRK-B"), "NewsCount"] == 38
    assert given["input_keys"] == given["df_keys"] == ["ClosePrice", *MONTHS]


def test_the_factor_is_what_alphalens_takes() -> None:
    factor = factor_of(daily(SESSIONS))
    assert factor.index.names == ["date", "asset"] and len(factor) < 2 * len(SESSIONS)
    rng = np.random.default_rng(0)
    close = pd.DataFrame(50 * np.exp(rng.normal(0, 0.02, (len(SESSIONS), 2)).cumsum(0)), SESSIONS, ["AAA", "BRK-B"])
    varied = factor + rng.normal(0, 0.1, len(factor))
    clean = alphalens.utils.get_clean_factor_and_forward_returns(varied, close, quantiles=1, periods=(1,), max_loss=0.5)
    assert {"1D", "factor"} <= set(clean.columns)


def test_a_store_that_is_not_there_is_one_line(tmp_path: Path, tiny_adapter: Path) -> None:
    path = settings(tmp_path, tiny_adapter, store=str(tmp_path / "none"))
    with pytest.raises(InputError, match="no run"):
        build(read_settings(path), None)
