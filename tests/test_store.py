"""The store: nothing in it is rewritten, nothing gets lost or doubled, and any past moment can be had again."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsentiment.errors import InputError
from finsentiment.files import sha256_folder
from finsentiment.market.store import Answer, Store

START = pd.Timestamp("2026-03-02T13:00:00", tz="UTC")


def story(key: str, ticker: str = "AAA", headline: str = "Profit rose", minutes: int = -30) -> dict[str, object]:
    published = START + pd.Timedelta(minutes=minutes)
    return {"source_id": key, "ticker": ticker, "published_at": published, "headline": headline, "url": ""}


def stories(*rows: dict[str, object]) -> Answer:
    return Answer(news=pd.DataFrame(list(rows)), asked={"news": ["AAA", "BBB"]})


def append(store: Store, answer: Answer, hours: float) -> dict[str, object]:
    with store.locked():
        clock = START + pd.Timedelta(hours=hours)
        moment, behind = store.moment(lambda: clock)
        return store.append({"wire": answer}, clock, moment, {"clock_behind_s": behind})


def test_a_run_repeated_adds_nothing_and_a_correction_is_a_new_row(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert append(store, stories(story("1"), story("2", "BBB")), 0)["rows"]["news"] == 2
    before = sha256_folder(tmp_path / "store")
    assert append(store, stories(story("1"), story("2", "BBB")), 1)["rows"]["news"] == 0
    append(store, stories(story("1", headline="Profit fell")), 2)
    append(store, stories(story("1")), 3)  # and back again
    rows = store.read("news")
    assert rows["headline"].tolist() == ["Profit rose", "Profit rose", "Profit fell", "Profit rose"]
    assert rows["first_seen_at"].is_monotonic_increasing and rows["run_id"].nunique() == 3
    assert pd.isna(rows["asked_before_at"]).tolist() == [True, True, False, False]
    assert sha256_folder(tmp_path / "store") != before


def test_what_was_known_at_any_past_moment_is_there_to_the_byte(tmp_path: Path) -> None:
    store, past = Store(tmp_path / "store"), []
    for hour in range(4):
        append(store, stories(story(str(hour)), story("0", headline=f"version {hour}")), hour)
        past.append(store.read("news"))
    for hour, known in enumerate(past):
        pd.testing.assert_frame_equal(store.read("news", START + pd.Timedelta(hours=hour)), known)
    assert store.read("news", START - pd.Timedelta(seconds=1)).empty


def test_a_clock_that_was_set_back_makes_news_late_and_never_early(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    append(store, stories(story("1")), 5)
    run = append(store, stories(story("2")), 2)
    assert run["clock_behind_s"] == 3 * 3600
    first, second = store.read("news")["first_seen_at"]
    assert first == START + pd.Timedelta(hours=5) and second == first + pd.Timedelta(microseconds=1)


def test_a_clock_that_was_ahead_once_makes_no_backfill_of_what_comes_later(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    append(store, stories(story("1")), 48)
    append(store, stories(story("2")), 24)  # set right
    append(store, stories(story("3")), 30)
    assert store.read("news")["asked_before_at"].tolist()[1:] == [
        START + pd.Timedelta(hours=24),
        START + pd.Timedelta(hours=24),
    ]


def test_runs_of_another_machine_count_from_when_they_came_in_if_others_were_there_before(tmp_path: Path) -> None:
    mine, other = Store(tmp_path / "mine"), Store(tmp_path / "other")
    append(mine, stories(story("1")), 0)
    shutil.copytree(mine.folder, other.folder)
    append(other, stories(story("2"), story("3")), 1)
    shutil.copytree(other.folder, tmp_path / "ahead")
    mine.take_in(tmp_path / "ahead", lambda: START + pd.Timedelta(hours=9))
    assert mine.read("news")["first_seen_at"].iloc[-1] == START + pd.Timedelta(hours=1), "nobody had run meanwhile"

    mine, past = Store(tmp_path / "published"), START + pd.Timedelta(hours=3)
    append(mine, stories(story("2")), 2)
    known = mine.read("news")
    mine.take_in(other.folder, lambda: START + pd.Timedelta(hours=9))
    rows = mine.read("news")
    pd.testing.assert_frame_equal(rows.iloc[: len(known)], known)
    assert (rows["first_seen_at"].iloc[1:] >= START + pd.Timedelta(hours=9)).all() and len(rows) == 4
    pd.testing.assert_frame_equal(mine.read("news", past), known)
    before = sha256_folder(mine.folder)
    mine.take_in(other.folder, lambda: START + pd.Timedelta(hours=10))
    assert sha256_folder(mine.folder) == before, "it was taken in twice"


def _append_many(folder: Path, worker: int) -> None:
    store = Store(folder)
    for number in range(5):
        append(store, stories(*(story(f"{key}") for key in range(number + worker, number + worker + 3))), number)


def test_runs_at_the_same_time_lose_no_row_and_double_none(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append_many, args=(tmp_path / "store", worker)) for worker in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    rows = Store(tmp_path / "store").read("news")
    assert sorted(rows["source_id"].astype(int)) == list(range(9))


def _append_for_ever(folder: Path) -> None:
    store, number = Store(folder), 0
    while True:
        append(store, stories(*(story(f"{number}-{key}") for key in range(200))), number)
        number += 1


@pytest.mark.parametrize("after", [0.05, 0.2, 0.4])
def test_a_run_that_is_killed_leaves_whole_runs_alone_and_the_next_goes_on(tmp_path: Path, after: float) -> None:
    context = multiprocessing.get_context("spawn")
    worker = context.Process(target=_append_for_ever, args=(tmp_path / "store",))
    worker.start()
    store, end = Store(tmp_path / "store"), time.monotonic() + 60
    while not store.runs() and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(after)
    assert worker.pid
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    rows = store.read("news")
    assert len(rows) == 200 * len(store.runs()) and not rows.duplicated(["source_id"]).any()
    append(store, stories(story("new")), 1e4)
    assert len(store.read("news")) == len(rows) + 1


def test_a_store_that_is_held_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finsentiment.market.store.WAIT", 0.1)
    store = Store(tmp_path / "store")
    with (
        store.locked(),
        pytest.raises(InputError, match="another run has held this store"),
        Store(store.folder).locked(),
    ):
        pass


ROWS = st.lists(st.tuples(st.sampled_from("123"), st.sampled_from(["AAA", "BBB"]), st.sampled_from("xy")), max_size=6)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(ROWS, st.floats(0, 50)), min_size=1, max_size=6))
def test_whatever_comes_in_whatever_order_rows_are_only_added(tmp_path_factory, days) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    seen = store.read("news")
    last: dict[tuple[str, str], str] = {}
    for rows, hours in days:
        answer = stories(*(story(key, ticker, headline) for key, ticker, headline in rows))
        append(store, answer if rows else Answer(asked={"news": ["AAA"]}), hours)
        now = store.read("news")
        pd.testing.assert_frame_equal(now.iloc[: len(seen)], seen)
        assert now["first_seen_at"].is_monotonic_increasing
        last |= {(key, ticker): headline for key, ticker, headline in rows}
        kept = now.drop_duplicates(["source_id", "ticker"], keep="last")
        assert dict(zip(zip(kept["source_id"], kept["ticker"], strict=True), kept["headline"], strict=True)) == last
        seen = now
    assert not np.any(seen["headline"].isna())
