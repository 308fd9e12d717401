"""Which session news counts for. New York opens at 9:30, which is 14:30 UTC in winter and 13:30 in summer."""

import datetime

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsentiment.errors import InputError
from finsentiment.market.sessions import calendar, next_open, sessions_between


def entry(moment: str, exchange: str = "XNYS") -> str:
    times = pd.Series([pd.Timestamp(moment)], dtype="datetime64[us, UTC]")
    return str(next_open(times, exchange)[0].date())


@pytest.mark.parametrize(
    ("claim", "moment", "session"),
    [
        ("before the open", "2023-03-01T09:00-05:00", "2023-03-01"),
        ("the second before the open", "2023-03-01T09:29:59-05:00", "2023-03-01"),
        ("at the open", "2023-03-01T09:30:00-05:00", "2023-03-02"),
        ("within trading hours", "2023-03-01T12:00-05:00", "2023-03-02"),
        ("after the close", "2023-03-01T16:30-05:00", "2023-03-02"),
        ("Friday evening", "2023-03-03T18:00-05:00", "2023-03-06"),
        ("Saturday", "2023-03-04T10:00-05:00", "2023-03-06"),
        ("after an early close, before a holiday", "2023-07-03T14:00-04:00", "2023-07-05"),
        ("on a holiday", "2023-07-04T09:00-04:00", "2023-07-05"),
        ("on Good Friday", "2023-04-07T08:00-04:00", "2023-04-10"),
        ("across the year's end", "2022-12-30T17:00-05:00", "2023-01-03"),
        ("13:45 UTC in winter is before the open", "2023-03-10T13:45Z", "2023-03-10"),
        ("13:45 UTC in summer is after it", "2023-03-13T13:45Z", "2023-03-14"),
        ("14:15 UTC in summer is after the open", "2023-11-03T14:15Z", "2023-11-06"),
        ("14:15 UTC in winter is before it", "2023-11-06T14:15Z", "2023-11-06"),
    ],
)
def test_news_counts_from_the_first_session_that_opens_after_it(claim, moment, session):
    assert entry(moment) == session, claim


def test_the_exchange_decides_what_a_holiday_is():
    assert entry("2023-07-04T06:00Z", "XLON") == "2023-07-04"
    assert entry("2023-05-01T06:00Z", "XLON") == "2023-05-02"  # May Day, on which New York trades
    assert entry("2023-05-01T06:00Z", "XNYS") == "2023-05-01"


@given(st.lists(st.datetimes(datetime.datetime(2015, 1, 1), datetime.datetime(2024, 12, 1)), min_size=1, max_size=20))
@settings(deadline=None, max_examples=30)
def test_the_open_is_after_publication_and_the_one_before_is_not(moments):
    published = pd.Series(moments, dtype="datetime64[us]").dt.tz_localize("UTC")
    opens = calendar("XNYS").opens
    for time, session in zip(published, next_open(published, "XNYS"), strict=True):
        at = opens.index.get_loc(session)
        assert opens.iloc[at] > time
        assert opens.iloc[at - 1] <= time


def test_order_and_index_of_the_news_are_kept():
    published = pd.Series(pd.to_datetime(["2023-03-03T20:00Z", "2023-03-01T05:00Z"]), index=[7, 3])
    result = next_open(published, "XNYS")
    assert result.index.tolist() == [7, 3]
    assert result.dt.strftime("%m-%d").tolist() == ["03-06", "03-01"]
    assert next_open(published[:0], "XNYS").empty


def test_sessions_follow_the_calendar():
    week = sessions_between("XNYS", datetime.date(2023, 7, 1), datetime.date(2023, 7, 7))
    assert week.strftime("%m-%d").tolist() == ["07-03", "07-05", "07-06", "07-07"]
    assert week.dtype == "datetime64[us]"


def test_an_unknown_exchange_is_named():
    with pytest.raises(InputError, match="'WALL STREET'.*XNYS"):
        entry("2023-07-04T06:00Z", "WALL STREET")


def test_a_time_that_the_calendar_does_not_know_is_an_error():
    with pytest.raises(InputError, match="the calendar of XTKS knows sessions from 1997-01-06"):
        entry("1980-07-04T06:00Z", "XTKS")
