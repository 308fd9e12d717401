"""What a store tells the pipeline: late is late, the past stands, and prices are on one footing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsentiment.arms import arm_of
from finsentiment.features.build import build_features
from finsentiment.features.live import LATER, live_features, moved
from finsentiment.market.history import adjusted_prices, coming_session, last_settled, new_prices
from finsentiment.market.live import known_news
from finsentiment.market.sessions import calendar, sessions_between
from finsentiment.market.store import COLUMNS
from finsentiment.params import Features

FEATURES = Features(
    horizon=1, entry="open", latency=15, delisting_return=-0.3, window=5, half_life=2.0, surprise_window=5
)
SESSIONS = sessions_between("XNYS", pd.Timestamp("2026-02-02"), pd.Timestamp("2026-03-06"))


def at(text: str) -> pd.Timestamp:
    """A moment on New York's clock."""
    return pd.Timestamp(text, tz="America/New_York").tz_convert("UTC").as_unit("us")


def seen(*rows: tuple[str, str, str, str | None, str]) -> pd.DataFrame:
    """Rows of the store's news: id, published, first seen, asked before, headline."""
    table = pd.DataFrame(rows, columns=["source_id", "published_at", "first_seen_at", "asked_before_at", "headline"])
    for name in ("published_at", "first_seen_at", "asked_before_at"):
        table[name] = pd.to_datetime([at(text) if text else None for text in table[name]], utc=True)
    table = table.assign(source="wire", ticker="AAA", url="", run_id="r")
    return table.reindex(columns=list(COLUMNS["news"])).astype(COLUMNS["news"])


def counted(rows: pd.DataFrame, backfill: bool = False) -> tuple[pd.DataFrame, dict[str, int]]:
    return known_news(rows, "XNYS", "open", 15, backfill)


def test_news_counts_from_when_it_was_seen_and_never_from_before() -> None:
    rows = seen(("1", "2026-03-02 18:00", "2026-03-03 09:00", "2026-03-02 09:00", "on time"))
    news, facts = counted(rows)
    assert news["published_at"].tolist() == [at("2026-03-03 09:00")] and facts["news_backfill"] == 0


@pytest.mark.parametrize(
    ("row", "backfill"),
    [
        # The job of the 3rd failed: what came since the 2nd counts when it was seen, late.
        (("1", "2026-03-02 18:00", "2026-03-04 09:00", "2026-03-02 09:00", "late job"), False),
        # The first answer of a source holds its history.
        (("1", "2026-02-20 18:00", "2026-03-03 09:00", None, "history"), True),
        (("1", "2026-03-02 18:00", "2026-03-03 09:00", None, "of this night, in the first answer"), False),
        # It bears a time before the source was last asked, and was not there.
        (("1", "2026-03-01 18:00", "2026-03-03 09:00", "2026-03-02 09:00", "appeared afterwards"), True),
    ],
)
def test_backfill_is_what_could_have_been_seen_for_an_earlier_session(row: tuple, backfill: bool) -> None:
    news, facts = counted(seen(row))
    assert (facts["news_backfill"], len(news)) == ((1, 0) if backfill else (0, 1))
    used, _ = counted(seen(row), True)
    assert used["published_at"].tolist() == [at(row[2])]


def test_a_correction_counts_if_it_came_before_the_entry_and_is_kept_out_if_later() -> None:
    first = ("1", "2026-03-02 18:00", "2026-03-02 20:00", "2026-03-02 09:00", "profit fell")
    in_time = ("1", "2026-03-02 18:00", "2026-03-03 09:10", "2026-03-02 20:00", "profit rose")
    too_late = ("1", "2026-03-02 18:00", "2026-03-03 10:00", "2026-03-03 09:10", "profit fell after all")
    news, facts = counted(seen(first, in_time, too_late))
    assert news["headline"].tolist() == ["profit rose"] and facts["news_corrected"] == 2
    assert counted(seen(first, too_late))[0]["headline"].tolist() == ["profit fell"]


def priced(sessions: pd.DatetimeIndex, close: list[float], as_of: str, asked: str | None = None) -> pd.DataFrame:
    """Rows of the store's prices of AAA."""
    table = pd.DataFrame({"session": sessions, **dict.fromkeys(("open", "high", "low", "close"), close)})
    table = table.assign(source="wire", ticker="AAA", volume=100.0, run_id="r", as_of=at(as_of))
    table["asked_before_at"] = pd.to_datetime([at(asked) if asked else None] * len(table), utc=True)
    return table.reindex(columns=list(COLUMNS["prices"])).astype(COLUMNS["prices"])


def acted(session: str, as_of: str, split: float = 1.0, dividend: float = 0.0) -> pd.DataFrame:
    row = {"source": "wire", "ticker": "AAA", "session": session, "split": split, "dividend": dividend}
    table = pd.DataFrame([{**row, "as_of": at(as_of), "run_id": "r"}])
    table["asked_before_at"] = pd.to_datetime([None], utc=True)
    return table[list(COLUMNS["actions"])].astype(COLUMNS["actions"])


NONE = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS["actions"].items()})


def test_a_split_told_later_rescales_what_was_answered_before_it_and_nothing_else() -> None:
    before = priced(SESSIONS[:2], [40.0, 44.0], "2026-02-03 20:00")
    after = priced(SESSIONS[2:3], [11.0], "2026-02-04 20:00", "2026-02-03 20:00")
    split = acted("2026-02-04", "2026-02-04 20:00", split=4.0)
    table, _ = adjusted_prices(pd.concat([before, after]), split, "XNYS")
    assert table["close"].tolist() == [10.0, 11.0, 11.0] and table["volume"].tolist() == [400.0, 400.0, 100.0]


def test_a_dividend_scales_the_prices_before_it_by_its_share_of_the_last_close() -> None:
    prices = priced(SESSIONS[:3], [10.0, 20.0, 19.0], "2026-02-04 20:00")
    table, _ = adjusted_prices(prices, acted("2026-02-04", "2026-02-04 20:00", dividend=1.0), "XNYS")
    assert table["close"].tolist() == pytest.approx([9.5, 19.0, 19.0])  # 1 - 1 / 20
    with_split = pd.concat(
        [acted("2026-02-04", "2026-02-04 20:00", dividend=1.0), acted("2026-02-10", "2026-02-10 20:00", split=2.0)]
    )
    halved, _ = adjusted_prices(prices, with_split, "XNYS")
    assert halved["close"].tolist() == pytest.approx([4.75, 9.5, 9.5])


def test_a_price_that_was_asked_for_and_came_later_is_left_out_and_counted() -> None:
    on_time = priced(SESSIONS[[0, 2]], [1.0, 3.0], "2026-02-04 20:00")
    late = priced(SESSIONS[1:2], [2.0], "2026-02-05 20:00", "2026-02-04 20:00")
    table, facts = adjusted_prices(pd.concat([on_time, late]), NONE, "XNYS")
    assert table["close"].tolist() == [1.0, 3.0] and facts["prices_late"] == 1


def test_a_history_that_changed_stops_the_job_unless_a_split_explains_it_or_it_is_accepted() -> None:
    stored = priced(SESSIONS[:2], [40.0, 44.0], "2026-02-03 20:00")
    answer = stored.assign(close=stored["close"] / 2, open=stored["open"] / 2, high=stored["high"] / 2, low=20.0)
    answer["low"] = [20.0, 22.0]
    answer = answer[["ticker", "session", "open", "high", "low", "close", "volume"]]
    split = acted("2026-02-04", "2026-02-04 20:00", split=2.0)[["ticker", "session", "split"]]
    other = answer.assign(ticker="BBB")
    rows, changed = new_prices(pd.concat([answer, other]), stored, NONE, split, set())
    assert set(rows["ticker"]) == {"BBB"} and not changed
    rows, changed = new_prices(pd.concat([answer, other]), stored, NONE, NONE, set())
    assert set(rows["ticker"]) == {"BBB"}, "one ticker's revision kept out another's prices"
    assert changed["AAA"].startswith("the close on 2026-02-02 is 20 and was 40, in 2 sessions")
    assert len(new_prices(answer, stored, NONE, NONE, {"AAA"})[0]) == 2
    rounded = stored.assign(close=stored["close"] * 1.0005)[answer.columns]
    assert new_prices(rounded, stored, NONE, NONE, set())[0].empty


def test_a_file_from_before_a_split_says_what_it_said_and_changes_nothing() -> None:
    stored = priced(SESSIONS[:2], [40.0, 44.0], "2026-02-03 20:00")
    split = acted("2026-02-04", "2026-02-04 20:00", split=2.0)
    answer = stored[["ticker", "session", "open", "high", "low", "close", "volume"]]
    rows, changed = new_prices(answer, stored, split, NONE, set())
    assert rows.empty and not changed


def test_a_split_told_again_rescales_nothing_that_was_stored_after_it() -> None:
    split = acted("2026-02-04", "2026-02-05 20:00", split=4.0)
    stored = priced(SESSIONS[:4], [10.0, 11.0, 11.0, 12.0], "2026-02-05 20:00")
    answer = stored[["ticker", "session", "open", "high", "low", "close", "volume"]]
    again = split[["ticker", "session", "split"]]
    assert new_prices(answer.assign(close=answer["close"] * 1.0001), stored, split, again, set())[0].empty
    told = pd.concat([split, split.assign(dividend=0.1, as_of=at("2026-02-06 20:00"))])
    assert adjusted_prices(stored, told, "XNYS")[0]["volume"].tolist() == [100.0] * 4


def test_a_dividend_told_again_in_the_money_after_a_split_is_the_same_dividend() -> None:
    prices = priced(SESSIONS[:4], [10.0, 20.0, 19.0, 9.0], "2026-02-04 20:00")
    first = acted("2026-02-04", "2026-02-04 20:00", dividend=1.0)
    split = acted("2026-02-05", "2026-02-05 20:00", split=2.0)
    again = acted("2026-02-04", "2026-02-05 20:00", dividend=0.5).assign(asked_before_at=at("2026-02-04 20:00"))
    later = priced(SESSIONS[3:4], [9.0], "2026-02-05 20:00", "2026-02-04 20:00")
    table, facts = adjusted_prices(pd.concat([prices[:3], later]), pd.concat([first, split, again]), "XNYS")
    assert table["close"].tolist() == pytest.approx([4.75, 9.5, 9.5, 9.0]) and facts["dividends_late"] == 0


def test_prices_settle_after_the_close_and_the_coming_session_is_the_one_that_can_still_be_traded() -> None:
    assert last_settled(at("2026-03-02 16:10"), "XNYS") == pd.Timestamp("2026-02-27")
    assert last_settled(at("2026-03-02 16:15"), "XNYS") == pd.Timestamp("2026-03-02")
    assert coming_session(at("2026-03-02 09:14"), "XNYS", "open", 15) == pd.Timestamp("2026-03-02")
    assert coming_session(at("2026-03-02 09:15"), "XNYS", "open", 15) == pd.Timestamp("2026-03-03")


ALL = {"AAA", "BBB", "CCC"}


def features_of(table: pd.DataFrame) -> list[str]:
    return [name for name in table if arm_of(name)]


@pytest.fixture(scope="module")
def market() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Prices and news of three tickers; one is halted in the last two sessions."""
    rng = np.random.default_rng(3)
    grid = pd.MultiIndex.from_product([["AAA", "BBB", "CCC"], SESSIONS], names=["ticker", "session"]).to_frame(
        index=False
    )
    close = 50 * np.exp(rng.normal(0, 0.02, len(grid)).cumsum())
    prices = grid.assign(open=close, high=close, low=close, close=close, volume=rng.integers(100, 200, len(grid)) * 1.0)
    prices = prices[~((prices["ticker"] == "CCC") & (prices["session"] >= SESSIONS[-2]))].reset_index(drop=True)
    opens = calendar("XNYS").opens.loc[SESSIONS[1:]]
    moments = opens.iloc[rng.integers(0, len(opens), 60)] - pd.Timedelta(hours=2)
    news = pd.DataFrame(
        {"news_id": [f"{n:03}" for n in range(60)], "published_at": pd.DatetimeIndex(moments).as_unit("us")}
    )
    news["ticker"] = rng.choice(["AAA", "BBB", "CCC"], 60)
    scores = pd.DataFrame({"news_id": news["news_id"], "fine_tuned": rng.uniform(-1, 1, 60)})
    return prices, news, scores


@pytest.mark.parametrize("last_news", [True, False], ids=["with news on the coming session", "without"])
def test_the_row_of_the_coming_session_is_what_it_will_be_once_its_prices_are_known(market, last_news: bool) -> None:
    prices, news, scores = market
    coming, known = SESSIONS[-3], prices[prices["session"] < SESSIONS[-3]]
    if not last_news:
        counts = calendar("XNYS").opens.loc[coming] - pd.Timedelta(minutes=15)
        before = calendar("XNYS").opens.loc[SESSIONS[-4]] - pd.Timedelta(minutes=15)
        news = news[~news["published_at"].between(before, counts)].reset_index(drop=True)
    live = live_features(known, news, scores, FEATURES, "XNYS", coming, ALL)
    later, _ = build_features(prices, news, scores, FEATURES, "XNYS")
    names = [name for name in live if name not in (*LATER, "tradable", "delists")]
    keys = ["session", "ticker"]
    assert len(live.merge(later[keys], on=keys)) == len(live), "a row is gone later"
    pd.testing.assert_frame_equal(live[names], live[keys].merge(later[names], on=keys), rtol=1e-12)
    row, past = live[live["session"] == coming], live[live["session"] < coming]
    assert len(row) == 3 and row[LATER].isna().all().all() and not row["tradable"].any()
    told, _ = build_features(known, news, scores, FEATURES, "XNYS")
    expected = past[keys].merge(told[[*keys, *LATER]], on=keys)
    pd.testing.assert_frame_equal(past[[*keys, *LATER]].merge(told[keys], on=keys), expected)
    assert len(live_features(known, news, scores, FEATURES, "XNYS", coming, {"AAA"})) == len(live) - 2


def test_sessions_without_any_news_leave_no_hole(market) -> None:
    prices, news, scores = market
    early = news[news["published_at"] < calendar("XNYS").opens.loc[SESSIONS[10]]]
    live = live_features(prices, early, scores, FEATURES, "XNYS", SESSIONS[-1] + pd.Timedelta(days=3), ALL)
    assert live["session"].nunique() == len(SESSIONS)  # the first has no news before it; the coming one is added
    assert live.loc[live["session"] == SESSIONS[-5], "forward_return"].notna().all()


def test_a_ticker_whose_prices_ended_has_no_row_in_the_coming_session(market) -> None:
    prices, news, scores = market
    gone = prices[~((prices["ticker"] == "BBB") & (prices["session"] > SESSIONS[5]))]
    live = live_features(gone, news, scores, FEATURES, "XNYS", SESSIONS[-1] + pd.Timedelta(days=3), ALL)
    assert set(live.loc[live["session"] == live["session"].max(), "ticker"]) == {"AAA", "CCC"}


@settings(deadline=None, max_examples=15)
@given(st.integers(8, len(SESSIONS) - 2), st.integers(1, 4), st.floats(0.01, 3.0), st.sampled_from([0.5, 2.0, 3.0]))
def test_features_of_past_sessions_do_not_move_when_days_are_added(market, day, more, dividend, split) -> None:
    """Later days, a later split, a later dividend, later news, a later correction: the past stands."""
    prices, news, scores = market
    coming, after = SESSIONS[day], SESSIONS[min(day + more, len(SESSIONS) - 1)]
    early = news[news["published_at"] < calendar("XNYS").opens.loc[coming] - pd.Timedelta(minutes=15)]
    before = live_features(prices[prices["session"] < coming], early, scores, FEATURES, "XNYS", coming, ALL)
    stored = prices.assign(source="wire", as_of=at("2026-02-02 20:00"), run_id="r")
    stored["asked_before_at"] = pd.to_datetime([None] * len(stored), utc=True)
    stored = stored[stored["session"] < after].reindex(columns=list(COLUMNS["prices"])).astype(COLUMNS["prices"])
    told = acted(str(coming.date()), "2026-03-06 20:00", split, dividend)
    told = pd.concat([told, told.assign(ticker="BBB")])
    rescaled, _ = adjusted_prices(stored, told, "XNYS")
    now = live_features(rescaled, news, scores, FEATURES, "XNYS", after, ALL)
    assert moved(before, now, features_of(before), after, 1e-9) == ""


def test_what_moved_is_named(market) -> None:
    prices, news, scores = market
    before, _ = build_features(prices, news, scores, FEATURES, "XNYS")
    now = before.assign(fine_tuned_level=before["fine_tuned_level"].where(before.index != 7, 0.5))
    row = before.loc[7]
    told = (features_of(before), SESSIONS[-1] + pd.Timedelta(days=1), 1e-9)
    assert moved(before, now, *told).startswith(f"fine_tuned_level of {row['ticker']} on {row['session'].date()} was ")
    assert moved(before, before.drop(index=3), *told).endswith("is gone (1 rows)")
    assert moved(before, before, *told) == moved(before, now, features_of(before), row["session"], 1e-9) == ""
