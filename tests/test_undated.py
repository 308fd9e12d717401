"""News that lost its time of day is found, and can't look ahead where it counts for the session after its day."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsentiment.backtest.answers import answer_questions
from finsentiment.errors import InputError
from finsentiment.features.build import build_features
from finsentiment.market.checks import RawMarket, check_market
from finsentiment.market.lost_times import find_lost
from finsentiment.market.sessions import calendar, next_open
from finsentiment.market.simulate import simulate_market
from finsentiment.market.sources.simulated import read_headlines
from finsentiment.market.undated import settle_undated
from stages.parameters import all_params
from tests.markets import SIMULATED, market

ROOT = Path(__file__).parents[1]


def feed(moments: pd.DatetimeIndex, tickers: int = 20, source: object = "wire") -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "published_at": moments.as_unit("us"),
            "ticker": rng.integers(0, tickers, len(moments)).astype(str),
            "headline": [f"story {n}" for n in range(len(moments))],
            "source": source,
        }
    )


def at_seconds(rows: int, seed: int = 0) -> pd.DatetimeIndex:
    """Times to the second, at all hours of two years."""
    rng = np.random.default_rng(seed)
    return pd.DatetimeIndex(pd.Timestamp("2022-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 63e6, rows), "s"))


def by_habit(rows: int, zone: str, clocks: dict[str, float], seed: int = 0) -> pd.DatetimeIndex:
    """Times of releases: shares of them at the clock times, the rest to the minute by day."""
    rng = np.random.default_rng(seed)
    days = pd.Timestamp("2022-01-03") + pd.to_timedelta(rng.integers(0, 700, rows), "D")
    minutes = rng.integers(6 * 60, 20 * 60, rows)
    drawn = rng.choice([*clocks, ""], rows, p=[*clocks.values(), 1 - sum(clocks.values())])
    fixed = np.array([int(c[:2]) * 60 + int(c[3:]) if c else -1 for c in drawn])
    local = days + pd.to_timedelta(np.where(fixed >= 0, fixed, minutes), "min")
    return pd.DatetimeIndex(local).tz_localize(zone, ambiguous=True, nonexistent="shift_forward").tz_convert("UTC")


def lost_groups(news: pd.DataFrame, exchange: str = "XNYS") -> list[str]:
    return [lost.group for lost in find_lost(news, news["published_at"].dt.tz_localize(None), exchange)]


@pytest.mark.parametrize(
    ("moments", "exchange"),
    [
        (at_seconds(3000), "XNYS"),
        (by_habit(3000, "America/New_York", {"08:00": 0.2, "07:00": 0.15, "16:05": 0.1, "12:00": 0.03}), "XNYS"),
        (by_habit(3000, "Europe/London", {"07:00": 0.7}), "XLON"),
        (by_habit(3000, "Asia/Tokyo", {"15:00": 0.3, "09:00": 0.08}), "XTKS"),
        (at_seconds(3000).floor("15min"), "XNYS"),
        (at_seconds(3000).floor("h"), "XNYS"),
    ],
)
def test_feeds_with_true_times_and_their_habits_are_not_suspected(moments: pd.DatetimeIndex, exchange: str) -> None:
    assert lost_groups(feed(moments), exchange) == []


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_midnights_are_found_from_a_tenth_of_the_file_on(share: float, zone: str) -> None:
    moments = at_seconds(2000)
    midnight = moments.tz_convert(zone).normalize().tz_convert("UTC")
    mixed = moments.where(np.random.default_rng(2).random(len(moments)) >= share, midnight)
    assert lost_groups(feed(mixed))[0] == "the file"


def test_the_source_or_ticker_that_lost_its_times_is_named_and_no_other_row() -> None:
    moments = at_seconds(4000)
    news = feed(
        moments, source=np.random.default_rng(3).choice(["good", "fine", "fair", "bad"], 4000, p=[0.5, 0.3, 0.19, 0.01])
    )
    bad = (news["source"] == "bad").to_numpy()
    news["published_at"] = news["published_at"].where(~bad, news["published_at"].dt.normalize() + pd.Timedelta("12h"))
    found = find_lost(news, news["published_at"].dt.tz_localize(None), "XNYS")
    assert [(lost.group, lost.clock) for lost in found] == [("source bad", "12:00 UTC")]
    assert sorted(found[0].rows) == np.flatnonzero(bad).tolist()
    news = feed(moments)
    mine = (news["ticker"] == "7").to_numpy()
    news["published_at"] = news["published_at"].where(~mine, news["published_at"].dt.normalize())
    assert lost_groups(news) in (["ticker 7"], ["the file"])


def test_a_story_that_two_tickers_share_is_moved_for_both() -> None:
    good = feed(at_seconds(3000), tickers=50)
    shared = feed(at_seconds(60, 5).normalize(), tickers=1)
    shared["headline"] = [f"shared {n}" for n in range(len(shared))]
    news = pd.concat([good, shared.assign(ticker="GOOG"), shared.assign(ticker="GOOGL")], ignore_index=True)
    late = settled(news, "next_session", "XNYS")
    moved = news["ticker"][late != news["published_at"]].value_counts().to_dict()
    # Midnight of a Sunday counts for Monday's open anyhow.
    assert 30 < moved["GOOG"] == moved["GOOGL"] < 60 and sum(moved.values()) < 140


def test_a_firm_s_own_hour_that_others_use_too_is_a_habit() -> None:
    rng = np.random.default_rng(4)
    parts = []
    for ticker in range(30):
        hour = ["07:00", "08:00", "08:30", "16:05"][rng.integers(4)]
        own = feed(by_habit(60, "America/New_York", {hour: 0.8}, ticker)).assign(ticker=str(ticker))
        summer = own["published_at"].dt.month.between(4, 10)
        parts.append(own[summer].assign(headline=own["headline"] + f" of {ticker}"))
    assert lost_groups(pd.concat(parts, ignore_index=True)) == []


@pytest.mark.parametrize("lose", ["second", "minute", "hour of winter"])
def test_midnights_with_other_seconds_and_of_a_fixed_offset_are_found(lose: str) -> None:
    moments = at_seconds(2000)
    day = moments.normalize()
    lost = {
        "second": day + pd.Timedelta("1s"),
        "minute": day + pd.to_timedelta(np.random.default_rng(6).integers(0, 60, 2000), "s"),
        "hour of winter": (moments - pd.Timedelta("5h")).normalize() + pd.Timedelta("5h"),
    }[lose]
    mixed = moments.where(np.random.default_rng(2).random(2000) >= 0.4, lost)
    assert lost_groups(feed(mixed))[0] == "the file"


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata"])
def test_a_whole_file_at_midnight_of_another_zone_is_found_and_moved_past_its_day(zone: str) -> None:
    true = feed(at_seconds(1500))
    midnight = true["published_at"].dt.tz_convert(zone).dt.normalize().dt.tz_convert("UTC")
    news = true.assign(published_at=midnight.astype("datetime64[us, UTC]"))
    late = settled(news, "next_session", "XTKS")
    assert (next_open(late, "XTKS") >= next_open(true["published_at"], "XTKS")).all()
    with pytest.raises(InputError, match="1500 of 1500 times .* are "):
        settled(news, "refuse", "XTKS")


def test_one_story_on_many_tickers_is_one_stamp() -> None:
    news = feed(at_seconds(400))
    story = news.iloc[[0] * 200].assign(
        published_at=pd.Timestamp("2022-03-01", tz="UTC"), ticker=list(map(str, range(200)))
    )
    assert lost_groups(pd.concat([news, story], ignore_index=True)) == []


def settled(news: pd.DataFrame, rule: str, exchange: str, only_day: bool = False) -> pd.Series:
    written = news["published_at"].dt.tz_localize(None)
    days = pd.Series(only_day, index=news.index)
    return settle_undated(news, written, days, rule, exchange, "news.csv")[0]


ZONES = ["UTC", "America/New_York", "Asia/Tokyo", "Etc/GMT+5", "Asia/Kolkata", "exchange"]


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["XNYS", "XLON", "XTKS", "XHKG", "XASX", "XBOM", "XSAU", "CMES", "24/7"]),
    st.sampled_from(ZONES),
    st.sampled_from(["00:00:00", "12:00:00", "23:59:59"]),
    st.booleans(),
    st.integers(0, 99),
)
def test_undated_news_never_counts_for_an_earlier_session_than_its_true_time(
    exchange: str, zone: str, clock: str, in_utc: bool, seed: int
) -> None:
    true = feed(at_seconds(60, seed))
    zone = str(calendar(exchange).tz) if zone == "exchange" else zone
    day = true["published_at"].dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
    lost = (day + pd.Timedelta(clock)).dt.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
    news = true.assign(published_at=lost.dt.tz_convert("UTC").astype("datetime64[us, UTC]"))
    written = news["published_at"].dt.tz_localize(None) if in_utc else lost.dt.tz_localize(None)
    timed = pd.Series(False, index=news.index)
    late, _ = settle_undated(news, written, timed, "next_session", exchange, "news.csv")
    assert (next_open(late, exchange) >= next_open(true["published_at"], exchange)).all()


def test_the_rules_say_what_becomes_of_days_alone() -> None:
    news = feed(pd.DatetimeIndex(["2023-01-06", "2023-01-09"], tz="UTC"))
    with pytest.raises(
        InputError, match=r"news.csv: 2 of 2 rows have a day and no time: .*set market.undated_news=next_"
    ) as e:
        settled(news, "refuse", "XNYS", only_day=True)
    assert e.value.remedy == {"market.undated_news": "next_session"}
    entry = next_open(settled(news, "next_session", "XNYS", only_day=True), "XNYS").dt.strftime("%Y-%m-%d")
    assert entry.tolist() == ["2023-01-09", "2023-01-10"]  # a Friday counts for Monday, a Monday for Tuesday
    entry = next_open(settled(news, "trust", "XNYS", only_day=True), "XNYS").dt.strftime("%Y-%m-%d")
    assert entry.tolist() == ["2023-01-06", "2023-01-09"]


def verdict(news: pd.DataFrame, prices: pd.DataFrame, truth: pd.DataFrame, rule: str) -> str:
    """The verdict with the true tones as scores."""
    params = all_params()
    section = market("tables", "folder", undated_news=rule)
    found = check_market(RawMarket(news, prices, {}, ("news", "prices")), section)
    scores = truth.rename(columns={"truth": "fine_tuned"})
    features, _ = build_features(found.prices, found.news, scores, params.features, "XNYS")
    quick = params.backtest.model_copy(update={"placebos": 39, "bootstrap_samples": 500})
    return answer_questions(features, quick, params.features, 1).verdict


def test_a_market_without_drift_improves_with_midnights_and_does_not_when_they_count_a_session_later() -> None:
    headlines = read_headlines(ROOT / "data/sample/headlines.csv")
    section = SIMULATED.model_copy(update={"drift": 0.0, "reaction": 0.02, "sessions": 350, "follow": 0.0})
    simulated = simulate_market(section, "XNYS", headlines, 3)
    local = simulated.news["published_at"].dt.tz_convert("America/New_York")
    minute = local.dt.hour * 60 + local.dt.minute
    trading = minute.between(9 * 60 + 30, 16 * 60) & (local.dt.day_of_week < 5)
    news = simulated.news[trading]
    midnight = news.assign(published_at=news["published_at"].dt.normalize())
    given_market = (simulated.prices, simulated.truth)
    assert verdict(news, *given_market, "refuse") == "no evidence"
    assert verdict(midnight, *given_market, "trust") == "improves", "the attack no longer works, so this proves nothing"
    assert verdict(midnight, *given_market, "next_session") == "no evidence"
    with pytest.raises(InputError, match=r"\(100%\) are 00:00 UTC: their time of day was lost"):
        verdict(midnight, *given_market, "refuse")
