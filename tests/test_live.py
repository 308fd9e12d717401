"""What a store tells the pipeline: late is late, the past stands, and prices are on one footing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from finsentiment.arms import arm_of
from finsentiment.features.build import build_features
from finsentiment.features.live import LATER, live_features, moved
from finsentiment.features.look_ahead import check_no_look_ahead
from finsentiment.market.history import adjusted_prices, coming_session, known_in_time, last_settled, new_prices
from finsentiment.market.live import Known, known_market, known_news
from finsentiment.market.load import load_market
from finsentiment.market.sessions import calendar, sessions_between
from finsentiment.market.store import COLUMNS, Answer, Store
from finsentiment.params import Features, check_params
from tests.repository import ROOT

MARKET = check_params(yaml.safe_load((ROOT / "params.yaml").read_text())).market
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


def test_of_three_versions_the_last_that_came_before_the_entry_of_the_earliest_counts() -> None:
    """The first bears a time still to come; the second is right, and the third only mends a letter."""
    first = ("1", "2026-03-03 07:00", "2026-03-02 08:00", "2026-02-27 09:00", "profit fell")
    second = ("1", "2026-03-02 08:10", "2026-03-02 08:30", "2026-03-02 08:00", "profit rose")
    third = ("1", "2026-03-02 08:10", "2026-03-03 08:00", "2026-03-02 08:30", "profit rose.")
    assert counted(seen(first, second))[0]["headline"].tolist() == ["profit rose"]
    assert counted(seen(first, second, third))[0]["headline"].tolist() == ["profit rose"]


def priced(sessions: pd.DatetimeIndex, close: list[float], as_of: str, accepted: bool = False) -> pd.DataFrame:
    """Rows of the store's prices of AAA."""
    table = pd.DataFrame({"session": sessions, **dict.fromkeys(("open", "high", "low", "close"), close)})
    table = table.assign(source="wire", ticker="AAA", volume=100.0, run_id="r", as_of=at(as_of), accepted=accepted)
    return table.reindex(columns=list(COLUMNS["prices"])).astype(COLUMNS["prices"])


def acted(session: str, as_of: str, split: float = 1.0, dividend: float = 0.0) -> pd.DataFrame:
    row = {"source": "wire", "ticker": "AAA", "session": session, "split": split, "dividend": dividend}
    return pd.DataFrame([{**row, "as_of": at(as_of), "run_id": "r"}])[list(COLUMNS["actions"])].astype(
        COLUMNS["actions"]
    )


TOLD = ["ticker", "session", "split", "dividend"]
NONE = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS["actions"].items()})


def test_a_split_told_later_rescales_what_was_answered_before_it_and_nothing_else() -> None:
    before = priced(SESSIONS[:2], [40.0, 44.0], "2026-02-03 20:00")
    after = priced(SESSIONS[2:3], [11.0], "2026-02-04 20:00")
    split = acted("2026-02-04", "2026-02-04 20:00", split=4.0)
    table, _ = adjusted_prices(pd.concat([before, after]), split)
    assert table["close"].tolist() == [10.0, 11.0, 11.0] and table["volume"].tolist() == [400.0, 400.0, 100.0]


def test_a_dividend_scales_the_prices_before_it_by_its_share_of_the_last_close() -> None:
    prices = priced(SESSIONS[:3], [10.0, 20.0, 19.0], "2026-02-04 20:00")
    table, _ = adjusted_prices(prices, acted("2026-02-04", "2026-02-04 20:00", dividend=1.0))
    assert table["close"].tolist() == pytest.approx([9.5, 19.0, 19.0])  # 1 - 1 / 20
    with_split = pd.concat(
        [acted("2026-02-04", "2026-02-04 20:00", dividend=1.0), acted("2026-02-10", "2026-02-10 20:00", split=2.0)]
    )
    halved, _ = adjusted_prices(prices, with_split)
    assert halved["close"].tolist() == pytest.approx([4.75, 9.5, 9.5])


def test_a_dividend_above_the_price_is_no_dividend() -> None:
    prices = priced(SESSIONS[:3], [10.0, 20.0, 19.0], "2026-02-04 20:00")  # pence told for pounds
    table, _ = adjusted_prices(prices, acted("2026-02-04", "2026-02-04 20:00", dividend=100.0))
    assert table["close"].tolist() == [10.0, 20.0, 19.0]


@pytest.mark.parametrize(
    ("as_of", "out"),
    [
        ("2026-02-04 20:00", []),  # on the evening of its session
        ("2026-02-05 09:10", []),  # in the last minutes before the next entry
        ("2026-02-05 09:20", [3]),  # within the latency before it
        ("2026-02-09 08:00", [3, 4]),  # two sessions late
    ],
)
def test_a_price_that_came_late_takes_the_ticker_out_of_the_sessions_between_and_is_kept(as_of: str, out: list) -> None:
    rows = [priced(SESSIONS[[n]], [1.0 + n], f"{SESSIONS[n].date()} 20:00") for n in range(6)]
    rows[2] = priced(SESSIONS[[2]], [3.0], as_of)
    known = known_in_time(pd.concat(rows), NONE, SESSIONS[:7], "XNYS", "open", 15)["AAA"]
    assert [n for n in range(1, 7) if not known.iloc[n]] == out and not known.iloc[0]
    assert adjusted_prices(pd.concat(rows), NONE)[0]["close"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_a_dividend_or_a_split_told_late_does_the_same_and_the_history_of_a_first_answer_counts_for_nothing() -> None:
    rows = pd.concat([priced(SESSIONS[[n]], [1.0], f"{SESSIONS[n].date()} 20:00") for n in range(6)])
    late = acted("2026-02-04", "2026-02-06 20:00", dividend=0.1)  # the third session, told after the fifth
    known = known_in_time(rows, late, SESSIONS[:7], "XNYS", "open", 15)["AAA"]
    assert known.tolist() == [False, True, True, False, False, True, True]
    history = priced(SESSIONS[:6], [1.0] * 6, "2026-02-10 08:00")
    assert known_in_time(history, NONE, SESSIONS[:8], "XNYS", "open", 15)["AAA"].tolist() == [False] * 6 + [True] * 2


def test_a_history_that_changed_stops_the_job_unless_a_split_explains_it_or_it_is_accepted() -> None:
    stored = priced(SESSIONS[:2], [40.0, 44.0], "2026-02-03 20:00")
    answer = stored.assign(close=stored["close"] / 2, open=stored["open"] / 2, high=stored["high"] / 2, low=20.0)
    answer["low"] = [20.0, 22.0]
    answer = answer[["ticker", "session", "open", "high", "low", "close", "volume"]]
    split = acted("2026-02-04", "2026-02-04 20:00", split=2.0)[TOLD]
    other = answer.assign(ticker="BBB")
    rows, kept, changed = new_prices(pd.concat([answer, other]), stored, NONE, split, set())
    assert set(rows["ticker"]) == {"BBB"} and len(kept) == 1 and not changed
    rows, _, changed = new_prices(pd.concat([answer, other]), stored, NONE, NONE, set())
    assert set(rows["ticker"]) == {"BBB"}, "one ticker's revision kept out another's prices"
    assert changed["AAA"].startswith("the close on 2026-02-02 is 20 and was 40, in 2 sessions")
    accepted = new_prices(answer, stored, NONE, NONE, {"AAA"})[0]
    assert accepted["accepted"].tolist() == [True, True]
    revised = priced(SESSIONS[:2], accepted["close"].tolist(), "2026-02-05 20:00", accepted=True)
    assert adjusted_prices(pd.concat([stored, revised]), NONE)[0]["close"].tolist() == [20.0, 22.0]
    by_another_machine = priced(SESSIONS[:2], [40.01, 44.01], "2026-02-05 20:00")
    assert adjusted_prices(pd.concat([stored, by_another_machine]), NONE)[0]["close"].tolist() == [40.0, 44.0]
    rounded = stored.assign(close=stored["close"] * 1.0005)[answer.columns]
    assert new_prices(rounded, stored, NONE, NONE, set())[0].empty


def test_a_file_from_before_a_split_says_what_it_said_and_changes_nothing() -> None:
    stored = priced(SESSIONS[:2], [40.0, 44.0], "2026-02-03 20:00")
    split = acted("2026-02-04", "2026-02-04 20:00", split=2.0)
    answer = stored[["ticker", "session", "open", "high", "low", "close", "volume"]]
    rows, _, changed = new_prices(answer, stored, split, NONE, set())
    assert rows.empty and not changed


def test_a_split_waits_until_the_prices_before_it_are_rescaled_or_are_all_stored() -> None:
    """Told on the morning of its session, with yesterday's price in the old money beside it."""
    stored = priced(SESSIONS[:2], [40.0, 44.0], "2026-02-03 20:00")
    new = priced(SESSIONS[2:3], [42.0], "2026-02-05 08:00")
    columns = ["ticker", "session", "open", "high", "low", "close", "volume"]
    told = acted("2026-02-05", "2026-02-05 08:00", split=2.0)
    rows, kept, changed = new_prices(pd.concat([stored, new])[columns], stored, NONE, told[TOLD], set())
    assert rows["close"].tolist() == [42.0] and kept.empty and not changed
    then = pd.concat([stored, new])
    rescaled = then[columns].assign(**{name: then[name] / 2 for name in ("open", "high", "low", "close")})
    rows, kept, changed = new_prices(rescaled, then, NONE, told[TOLD], set())
    assert rows.empty and len(kept) == 1 and not changed
    whole = adjusted_prices(then, told.assign(as_of=at("2026-02-06 08:00")))[0]
    assert whole["close"].tolist() == [20.0, 22.0, 21.0]


def test_a_split_told_again_rescales_nothing_that_was_stored_after_it() -> None:
    split = acted("2026-02-04", "2026-02-05 20:00", split=4.0)
    stored = priced(SESSIONS[:4], [10.0, 11.0, 11.0, 12.0], "2026-02-05 20:00")
    answer = stored[["ticker", "session", "open", "high", "low", "close", "volume"]]
    again = split[TOLD]
    assert new_prices(answer.assign(close=answer["close"] * 1.0001), stored, split, again, set())[0].empty
    told = pd.concat([split, split.assign(dividend=0.1, as_of=at("2026-02-06 20:00"))])
    assert adjusted_prices(stored, told)[0]["volume"].tolist() == [100.0] * 4


def test_a_dividend_told_again_in_the_money_after_a_split_is_the_same_dividend() -> None:
    prices = priced(SESSIONS[:4], [10.0, 20.0, 19.0, 9.0], "2026-02-04 20:00")
    first = acted("2026-02-04", "2026-02-04 20:00", dividend=1.0)
    split = acted("2026-02-05", "2026-02-05 20:00", split=2.0)
    again = acted("2026-02-04", "2026-02-05 20:00", dividend=0.4999)  # rounded
    later = priced(SESSIONS[3:4], [9.0], "2026-02-05 20:00")
    table, _ = adjusted_prices(pd.concat([prices[:3], later]), pd.concat([first, split, again]))
    assert table["close"].tolist() == pytest.approx([4.75, 9.5, 9.5, 9.0], rel=1e-12)


def test_prices_settle_after_the_close_and_the_coming_session_is_the_one_that_can_still_be_traded() -> None:
    assert last_settled(at("2026-03-02 16:10"), "XNYS") == pd.Timestamp("2026-02-27")
    assert last_settled(at("2026-03-02 16:15"), "XNYS") == pd.Timestamp("2026-03-02")
    assert coming_session(at("2026-03-02 09:14"), "XNYS", "open", 15) == pd.Timestamp("2026-03-02")
    assert coming_session(at("2026-03-02 09:15"), "XNYS", "open", 15) == pd.Timestamp("2026-03-03")


ALL = {"AAA", "BBB", "CCC"}


def known_of(prices: pd.DataFrame, news: pd.DataFrame, reach: pd.Timestamp, listed: set[str] = ALL) -> Known:
    """What a store would know that had all this in time."""
    moment = calendar("XNYS").opens.loc[reach] - pd.Timedelta(hours=1)
    sessions, tickers = sessions_between("XNYS", SESSIONS[0], reach), sorted(set(prices["ticker"]))
    universe = pd.DataFrame(True, sessions, tickers)
    return Known(news, prices.assign(universe=True), moment, reach, reach, universe, listed, SESSIONS[1], {})


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
    live, given = live_features(known_of(known, news, coming), scores, FEATURES, "XNYS")
    check_no_look_ahead(live[live["session"] < coming], *given, FEATURES, "XNYS", 3)
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
    assert len(live_features(known_of(known, news, coming, {"AAA"}), scores, FEATURES, "XNYS")[0]) == len(live) - 2


NEXT = SESSIONS[-1] + pd.Timedelta(days=3)


def test_sessions_without_any_news_leave_no_hole_and_look_ahead_nowhere(market) -> None:
    prices, news, scores = market
    quiet = (news["published_at"] > calendar("XNYS").opens.loc[SESSIONS[4]]) & (
        news["published_at"] < calendar("XNYS").opens.loc[SESSIONS[10]]
    )
    live, given = live_features(known_of(prices, news[quiet], NEXT), scores, FEATURES, "XNYS")
    assert live["session"].nunique() == len(SESSIONS)  # from the coming session of the first run to the coming one
    assert live.loc[live["session"] == SESSIONS[-5], "forward_return"].notna().all()
    check_no_look_ahead(live[live["session"] <= SESSIONS[-1]], *given, FEATURES, "XNYS", 6)


def test_a_store_without_any_news_that_counts_has_features_too(market) -> None:
    prices, news, scores = market
    live, _ = live_features(known_of(prices, news[:0], NEXT), scores, FEATURES, "XNYS")
    assert (live["attention_count"] == 0).all() and live["price_return_1"].notna().any()


def test_a_ticker_whose_prices_ended_has_no_row_in_the_coming_session(market) -> None:
    prices, news, scores = market
    gone = prices[~((prices["ticker"] == "BBB") & (prices["session"] > SESSIONS[5]))]
    live, _ = live_features(known_of(gone, news, NEXT, {"AAA", "CCC"}), scores, FEATURES, "XNYS")
    assert set(live.loc[live["session"] == live["session"].max(), "ticker"]) == {"AAA", "CCC"}


def append(store: Store, moment: pd.Timestamp, **tables: pd.DataFrame) -> None:
    answer = Answer(asked={"news": sorted(ALL)}, **tables)
    with store.locked():
        store.append({"wire": answer}, moment, moment, {})


@settings(deadline=None, max_examples=12, phases=(Phase.explicit, Phase.reuse, Phase.generate))  # shrinking takes long
@given(st.data())
def test_features_of_past_sessions_do_not_move_when_days_are_added(market, tmp_path_factory, data) -> None:
    """Failed days, tickers without an answer, late splits and dividends, corrections: the past stands in a store."""
    prices, news, _ = market
    store = Store(tmp_path_factory.mktemp("store"))
    draw, before, written = data.draw, None, set()
    texts: dict[str, float] = {}
    for number in range(3, 15):
        session, hours = SESSIONS[number], draw(st.sampled_from([-1, -1, -1, 2, 9]), label="hours after the open")
        if draw(st.integers(0, 4), label="day") == 0:
            continue  # the job did not run
        moment = (calendar("XNYS").opens.loc[session] + pd.Timedelta(hours=hours)).as_unit("us")
        silent = draw(st.sampled_from(["", "", "AAA", "BBB"]), label="no answer on")
        final = prices[prices["session"] <= last_settled(moment, "XNYS")]
        told = final[(final["ticker"] != silent)]
        told = told[[key not in written for key in zip(told["ticker"], told["session"], strict=True)]]
        written |= set(zip(told["ticker"], told["session"], strict=True))
        told = told[told["ticker"] != draw(st.sampled_from(["", "", "BBB"]), label="halted")]  # never told later
        actions = pd.DataFrame({"ticker": ["CCC"], "session": [SESSIONS[draw(st.integers(1, number), label="of")]]})
        actions["split"] = draw(st.sampled_from([1.0, 1.0, 2.0, 0.1]), label="split")
        actions["dividend"] = draw(st.sampled_from([0.0, 0.0, 0.3]), label="dividend")
        out = news[news["published_at"] <= moment].rename(columns={"news_id": "source_id"}).assign(url="")
        out["headline"] = [f"{key} {draw(st.sampled_from('aab'), label='version')}" for key in out["source_id"]]
        append(store, moment, prices=told.drop(columns="universe", errors="ignore"), actions=actions, news=out)
        known = known_market(store, "XNYS", "open", 15, draw(st.just(False)))
        for row in known.news.itertuples():
            texts.setdefault(row.headline, (len(texts) * 0.37) % 2 - 1)
        read = pd.DataFrame({"news_id": known.news["news_id"], "fine_tuned": known.news["headline"].map(texts)})
        now, given = live_features(known, read.astype({"fine_tuned": float}), FEATURES, "XNYS")
        if before is not None:
            assert moved(before, now, features_of(before), known.coming, 1e-9) == ""
        past = now[now["session"] <= known.prices["session"].max()]
        if len(past):
            check_no_look_ahead(past, *given, FEATURES, "XNYS", 2)
        before = now


def test_what_moved_is_named(market) -> None:
    prices, news, scores = market
    before, _ = build_features(prices.assign(universe=True), news, scores, FEATURES, "XNYS")
    now = before.assign(fine_tuned_level=before["fine_tuned_level"].where(before.index != 7, 0.5))
    row = before.loc[7]
    told = (features_of(before), SESSIONS[-1] + pd.Timedelta(days=1), 1e-9)
    assert moved(before, now, *told).startswith(f"fine_tuned_level of {row['ticker']} on {row['session'].date()} was ")
    assert moved(before, before.drop(index=3), *told).endswith("is gone (1 rows)")
    assert moved(before, before, *told) == moved(before, now, features_of(before), row["session"], 1e-9) == ""


def test_a_row_that_rests_on_what_came_late_is_not_compared(market) -> None:
    prices, news, scores = market
    before, _ = build_features(prices, news, scores, FEATURES, "XNYS")
    now = before.assign(price_return_1=9.0, ranked=before.index != 40)
    now["price_return_1"] = before["price_return_1"].where(now["ranked"], 9.0)
    assert moved(before, now, features_of(before), NEXT, 1e-9) == ""


def test_a_run_within_the_session_keeps_its_rows_and_says_nothing_of_the_next(tmp_path) -> None:
    """The price of the session is not final: what is known goes up to the session itself."""
    store = Store(tmp_path / "store")
    close = dict.fromkeys(("open", "high", "low", "close"), 10.0)
    rows = pd.DataFrame({"ticker": "AAA", "session": SESSIONS[:5], **close, "volume": 1.0})
    append(store, at("2026-02-09 08:00"), prices=rows)
    morning = known_market(store, "XNYS", "open", 15, False)
    append(store, at("2026-02-09 11:00"))
    later = known_market(store, "XNYS", "open", 15, False)
    assert (morning.coming, morning.reach) == (SESSIONS[5], SESSIONS[5])
    assert (later.coming, later.reach) == (SESSIONS[6], SESSIONS[5])
    assert later.universe.loc[SESSIONS[5], "AAA"] and morning.universe.loc[SESSIONS[5], "AAA"]


def test_a_ticker_without_a_price_of_the_session_before_is_not_in_the_universe_then_nor_later(tmp_path) -> None:
    """It has no row that morning; that it traded again is known only afterwards."""
    store = Store(tmp_path / "store")
    close = dict.fromkeys(("open", "high", "low", "close"), 10.0)
    for number in range(1, 8):
        told = pd.DataFrame({"ticker": ["AAA", "BBB"], "session": SESSIONS[number - 1], **close, "volume": 1.0})
        moment = calendar("XNYS").opens.loc[SESSIONS[number]] - pd.Timedelta(hours=1)
        append(store, moment.as_unit("us"), prices=told[1:] if number == 4 else told)
    known = known_market(store, "XNYS", "open", 15, False)
    assert known.universe["AAA"].tolist() == [False, True, True, True, False, True, True, True]
    scores = pd.DataFrame({"news_id": pd.Series(dtype="str"), "fine_tuned": pd.Series(dtype=float)})
    table = live_features(known, scores, FEATURES, "XNYS")[0].set_index(["ticker", "session"])["ranked"]["AAA"]
    assert table.tolist() == known.universe["AAA"].iloc[1:].tolist(), "the flag of a gap is that of the session before"


def test_a_run_of_another_machine_with_the_same_prices_takes_nothing_out_of_the_universe(tmp_path) -> None:
    rows = pd.concat([priced(SESSIONS[[n]], [1.0], f"{SESSIONS[n].date()} 20:00") for n in range(6)])
    again = priced(SESSIONS[[2]], [1.0], "2026-02-09 20:00")
    known = [
        known_in_time(prices, NONE, SESSIONS[:8], "XNYS", "open", 15) for prices in (rows, pd.concat([rows, again]))
    ]
    pd.testing.assert_frame_equal(*known)


def test_of_two_sources_of_prices_the_first_holds_a_ticker(tmp_path) -> None:
    store = Store(tmp_path / "store")
    one = pd.DataFrame({"ticker": "AAA", "session": SESSIONS[:2], "volume": 1.0})
    one = one.assign(**dict.fromkeys(("open", "high", "low", "close"), 10.0))
    paid = pd.DataFrame({"ticker": ["AAA"], "session": [SESSIONS[1]], "split": [1.0], "dividend": [1.0]})
    with store.locked():
        two = Answer(prices=one.assign(close=99.0), actions=paid)
        store.append(
            {"a": Answer(prices=one, actions=paid), "b": two}, at("2026-02-04 08:00"), at("2026-02-04 08:00"), {}
        )
    assert known_market(store, "XNYS", "open", 15, False).prices["close"].tolist() == [9.0, 10.0]


def test_the_pipeline_reads_the_store(market, tmp_path) -> None:
    prices, news, _ = market
    store = Store(tmp_path / "store")
    append(store, at("2026-02-02 08:00"), prices=prices[prices["session"] < SESSIONS[0]])
    for session in SESSIONS:
        moment = (calendar("XNYS").opens.loc[session] - pd.Timedelta(hours=1)).as_unit("us")
        since = moment - pd.Timedelta(days=6)
        out = news[news["published_at"].between(since, moment)].rename(columns={"news_id": "source_id"})
        append(
            store,
            moment,
            prices=prices[prices["session"].between(since.tz_localize(None), last_settled(moment, "XNYS"))],
            news=out.assign(url="", headline="x"),
        )
    section = MARKET.model_copy(update={"source": "live", "path": str(tmp_path / "store")})
    found = load_market(section, 0)
    assert len(found.prices) == len(prices) - 2  # of the last session no price is final yet
    assert found.prices.groupby("session")["universe"].sum().iloc[-1] == 2
    assert 0 < len(found.news) <= len(news) and (found.news["published_at"].dt.hour >= 13).all()
