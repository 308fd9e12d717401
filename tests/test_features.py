"""Features: hand-checked values, gaps, and no look at the future."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsentiment import params
from finsentiment.arms import arm_of
from finsentiment.backtest.table import FLAGS, OUTCOMES
from finsentiment.errors import InputError
from finsentiment.features import build as building
from finsentiment.features import look_ahead
from finsentiment.features.build import build_features
from finsentiment.features.columns import attention_features, lagged, price_features, sentiment_features
from finsentiment.features.panel import to_panel
from finsentiment.market.sessions import next_open, sessions_between

SETTINGS = params.Features(
    horizon=1, entry="open", latency=0, delisting_return=-0.3, window=5, half_life=1.0, surprise_window=5
)
SESSIONS = sessions_between("XNYS", pd.Timestamp("2023-06-01"), pd.Timestamp("2023-07-20"))


def random_market(seed: int, tickers: int = 4, headlines: int = 60):
    """Prices over SESSIONS with a few gaps, news at any time within them, and a score for each headline."""
    rng = np.random.default_rng(seed)
    days, shape = len(SESSIONS), (len(SESSIONS), tickers)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, shape), axis=0))
    opening = close * np.exp(rng.normal(0, 0.01, shape))
    prices = pd.DataFrame(
        {
            "ticker": np.repeat([f"T{k}" for k in range(tickers)], days),
            "session": np.tile(SESSIONS.to_numpy(), tickers),
            "open": opening.T.ravel(),
            "high": (np.maximum(opening, close) * 1.01).T.ravel(),
            "low": (np.minimum(opening, close) * 0.99).T.ravel(),
            "close": close.T.ravel(),
            "volume": rng.integers(0, 1000, days * tickers).astype(float),
        }
    )
    prices = prices.drop(index=rng.choice(np.arange(1, days - 1), 2, replace=False)).reset_index(drop=True)
    first = pd.Timestamp("2023-06-01", tz="UTC")
    seconds = np.sort(rng.integers(0, 49 * 86400, headlines))
    seconds[0], seconds[-1] = 0, 49 * 86400  # the same news period whatever happens in between
    news = pd.DataFrame(
        {
            "news_id": [f"n{i:03d}" for i in range(headlines)],
            "published_at": (first + pd.to_timedelta(seconds, unit="s")).astype("datetime64[us, UTC]"),
            "ticker": rng.choice([f"T{k}" for k in range(tickers)], headlines),
            "headline": "x",
            "source": "test",
        }
    )
    return prices, news, pd.DataFrame({"news_id": news["news_id"], "fine_tuned": rng.uniform(-1, 1, headlines)})


def build(prices, news, scores, settings=SETTINGS):
    return build_features(prices, news, scores, settings, "XNYS")[0]


@given(seed=st.integers(0, 10_000), day=st.integers(2, len(SESSIONS) - 2))
@settings(deadline=None, max_examples=12)
def test_features_do_not_move_when_anything_later_changes(seed, day):
    prices, news, scores = random_market(seed)
    t = SESSIONS[day]
    before = build(prices, news, scores)

    rng = np.random.default_rng(seed + 1)
    later = prices["session"] >= t
    changed = prices.copy()
    fields = ["open", "high", "low", "close", "volume"]
    changed.loc[later, fields] *= rng.uniform(0.5, 2.0, (later.sum(), 1))
    unread = next_open(news["published_at"], "XNYS") > t
    rewritten = scores["fine_tuned"].mask(unread, rng.uniform(-1, 1, len(scores)))
    moved = news["ticker"].mask(unread, "T0")
    after = build(changed, news.assign(ticker=moved), scores.assign(fine_tuned=rewritten))

    names = [name for name in before if name.startswith(("price_", "attention_", "fine_tuned_"))]
    pd.testing.assert_frame_equal(
        before.loc[before["session"] <= t, names], after.loc[after["session"] <= t, names], check_exact=True
    )


@given(seed=st.integers(0, 10_000), day=st.integers(7, len(SESSIONS) - 2))
@settings(deadline=None, max_examples=12)
def test_what_came_before_the_open_does_move_the_features(seed, day):
    prices, news, scores = random_market(seed)
    t = SESSIONS[day]
    changed = prices.copy()
    yesterday = prices["session"] == SESSIONS[day - 1]
    changed.loc[yesterday, ["open", "high", "low", "close"]] *= 1.5
    before, after = build(prices, news, scores), build(changed, news, scores)
    rows = before["session"] == t
    known = rows & before["price_return_1"].notna()
    assert (before["price_return_1"][known] != after["price_return_1"][known]).all()
    read = next_open(news["published_at"], "XNYS") == t
    if read.any():
        other = build(prices, news, scores.assign(fine_tuned=scores["fine_tuned"].mask(read, 2.0)))
        assert (before["fine_tuned_level"][rows] != other["fine_tuned_level"][rows]).any()


def table_of(tickers: dict[str, list[float | None]]) -> pd.DataFrame:
    """Prices that open and close at the given values on the sessions from 2023-06-01, None for a gap."""
    rows = [
        (ticker, SESSIONS[day], price, price, price, price, 100.0)
        for ticker, path in tickers.items()
        for day, price in enumerate(path)
        if price is not None
    ]
    return pd.DataFrame(rows, columns=["ticker", "session", "open", "high", "low", "close", "volume"])


def news_of(*rows: tuple[str, str, float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """News and scores from (published_at, ticker, score)."""
    news = pd.DataFrame(rows, columns=["published_at", "ticker", "fine_tuned"])
    news["published_at"] = pd.to_datetime(news["published_at"], utc=True).astype("datetime64[us, UTC]")
    news.insert(0, "news_id", [f"n{i}" for i in range(len(news))])
    return news.drop(columns="fine_tuned"), news[["news_id", "fine_tuned"]]


def test_sentiment_by_hand():
    prices = table_of({"A": [10] * 5, "B": [10] * 5})
    news, scores = news_of(
        ("2023-06-01T12:00Z", "A", 1.0),  # before the open of 06-01
        ("2023-06-01T18:00Z", "A", 0.5),  # within trading hours: counts for 06-02
        ("2023-06-01T22:00Z", "A", -0.5),  # after the close: 06-02 too
        ("2023-06-04T12:00Z", "A", -1.0),  # Sunday: Monday 06-05
        ("2023-06-07T12:00Z", "A", 0.0),
    )
    a = build(prices, news, scores).query("ticker == 'A'").reset_index(drop=True)
    assert a["fine_tuned_level"].tolist() == [1.0, 0.0, -1.0, 0.0, 0.0]
    # Half-life of one session. Sums: 1, .5, -.75, -.375, -.1875; counts: 1, 2.5, 2.25, 1.125, 1.5625
    expected = [1 / 2, 0.5 / 3.5, -0.75 / 3.25, -0.375 / 2.125, -0.1875 / 2.5625]
    assert a["fine_tuned_decayed"].to_numpy() == pytest.approx(expected)
    assert a["fine_tuned_change"].to_numpy() == pytest.approx([1, -1 / 2, -1 - 0.5 / 3.5, 0, 0.375 / 2.125])
    assert a["fine_tuned_surprise"].to_numpy() == pytest.approx([1, -1, -1 - 1 / 3, 0, 0])
    assert a["attention_count"].to_numpy() == pytest.approx(np.log([2, 3, 2, 1, 2]))
    assert a["attention_mean_5"].to_numpy() == pytest.approx([1, 1.5, 4 / 3, 1, 1])
    assert a["attention_abnormal"].to_numpy() == pytest.approx(np.log([2, 3 / 2, 2 / 2.5, 1 / (7 / 3), 2 / 2]))
    assert a["attention_covered"].tolist() == [1, 1, 1, 0, 1]


def test_without_news_a_row_is_neutral_and_flagged_never_dropped():
    prices = table_of({"A": [10] * 5, "B": [10] * 5})
    news, scores = news_of(("2023-06-01T12:00Z", "A", 1.0), ("2023-06-07T12:00Z", "A", 1.0))
    frame = build(prices, news, scores)
    assert len(frame) == 10
    quiet = frame[frame["ticker"] == "B"]
    assert (quiet.filter(regex="^(fine_tuned|attention)_") == 0).all(axis=None)
    assert not frame.filter(regex="^(fine_tuned|attention)_").isna().any(axis=None)


def test_prices_and_forward_returns_by_hand():
    path = [10.0, 11.0, 12.0, 9.0, 10.0, 10.0, 12.0, 15.0]
    prices = table_of({"A": path})
    prices["open"] = prices["close"] - 0.5
    prices["low"] = prices["open"]
    prices["volume"] = [1.0, 1, 1, 1, 6, 1, 1, 1]
    news, scores = news_of(("2023-06-01T12:00Z", "A", 1.0), ("2023-06-12T12:00Z", "A", 1.0))
    a = build(prices, news, scores, SETTINGS.model_copy(update={"horizon": 2}))
    assert len(a) == 8
    assert a["price_return_1"].to_numpy()[2:] == pytest.approx(np.log([11 / 10, 12 / 11, 9 / 12, 10 / 9, 1, 12 / 10]))
    assert a["price_return_1"].isna().tolist() == [True, True] + [False] * 6
    assert a["price_return_5"].to_numpy()[6:] == pytest.approx(np.log([10 / 10, 12 / 11]))
    assert a["price_overnight"].to_numpy()[2:4] == pytest.approx(np.log([10.5 / 10, 11.5 / 11]))
    assert a["price_intraday"].to_numpy()[1:3] == pytest.approx(np.log([10 / 9.5, 11 / 10.5]))
    assert a["price_range"].to_numpy()[1] == pytest.approx(np.log(10 / 9.5))
    assert a["price_volume_ratio"].to_numpy()[5] == pytest.approx(6 / 2)
    assert a["price_volatility"].to_numpy()[6] == pytest.approx(np.std(np.diff(np.log(path[:6])), ddof=1))
    gross = [11.5 / 9.5, 8.5 / 10.5, 9.5 / 11.5, 9.5 / 8.5, 11.5 / 9.5, 14.5 / 9.5]
    assert a["forward_return"].to_numpy()[:6] + 1 == pytest.approx(gross)
    assert a["forward_return"].isna().tolist() == [False] * 6 + [True] * 2
    # These are of one session and of five, whatever the horizon of the forecast is.
    opens = np.array(path) - 0.5
    assert a["return_1"].to_numpy()[:7] + 1 == pytest.approx(opens[1:] / opens[:-1])
    assert a["return_5"].to_numpy()[:3] + 1 == pytest.approx(opens[5:] / opens[:3])


def test_a_gap_in_prices_stays_a_missing_session_and_shifts_nothing():
    prices = table_of({"A": [10, 11, None, 13, 14, 15], "B": [10] * 6})
    news, scores = news_of(("2023-06-01T12:00Z", "B", 1.0), ("2023-06-08T12:00Z", "B", 1.0))
    frame, facts = build_features(prices, news, scores, SETTINGS, "XNYS")
    a = frame[frame["ticker"] == "A"].reset_index(drop=True)
    assert a["session"].tolist() == SESSIONS[:6].tolist()
    expected = [np.nan, np.nan, np.log(1.1), np.nan, np.nan, np.log(14 / 13)]
    assert a["price_return_1"].to_numpy() == pytest.approx(expected, nan_ok=True)
    forward = [0.1, 13 / 11 - 1, np.nan, 14 / 13 - 1, 15 / 14 - 1, np.nan]  # a halt is held until it ends
    assert a["forward_return"].to_numpy() == pytest.approx(forward, nan_ok=True)
    assert a["forward_sessions"].to_numpy() == pytest.approx([1, 2, np.nan, 1, 1, np.nan], nan_ok=True)
    assert a["tradable"].tolist() == [True, True, False, True, True, True]
    assert facts["price_gaps"] == 1 and facts["rows"] == 12 == facts["price_rows_in"] + 1
    assert facts["rows_without_forward_return"] == 3


def test_a_delisting_takes_the_return_that_is_given_on_the_last_price():
    gone = [10.0, 12.0, 15.0, *[None] * 9]
    prices = table_of({"A": gone, "B": [10.0] * 12})
    news, scores = news_of(("2023-06-01T12:00Z", "B", 1.0), ("2023-06-08T12:00Z", "B", 1.0))
    frame, facts = build_features(prices, news, scores, SETTINGS.model_copy(update={"horizon": 2}), "XNYS")
    a = frame[frame["ticker"] == "A"]
    # After session 2 the stock is gone: what is held then takes -30 % on the price of 15.
    assert a["forward_return"].to_numpy() == pytest.approx([15 / 10 - 1, 15 * 0.7 / 12 - 1, 0.7 - 1])
    # It is known when the next LATE sessions have passed without a price: till then it may be a halt.
    assert a["forward_sessions"].tolist() == [2, 7, 6] and a["delists"].tolist() == [False, False, True]
    assert facts["delisted"] == 1
    late = table_of({"A": [10.0] * 8 + [None] * 4, "B": [10.0] * 12})
    frame, facts = build_features(late, news, scores, SETTINGS, "XNYS")
    assert facts["delisted"] == 0 and not frame["delists"].any(), "prices that come a few days late are no delisting"


def test_news_within_the_latency_before_the_entry_waits_for_the_next_session():
    prices = table_of({"A": [10.0] * 6, "B": [10.0] * 6})
    stamps = (
        "2023-06-01T12:00:00Z",
        "2023-06-02T13:14:59Z",
        "2023-06-06T13:15:00Z",
        "2023-06-07T19:40:00Z",
        "2023-06-08T12:00:00Z",
    )
    news, scores = news_of(*((stamp, "A", 1.0) for stamp in stamps))

    def counted(**changes):
        settings = SETTINGS.model_copy(update={"latency": 15, **changes})
        frame = build(prices, news, scores, settings)
        look_ahead.check_no_look_ahead(frame, prices, news, scores, settings, "XNYS", 2)
        mine = frame[(frame["ticker"] == "A") & (frame["attention_covered"] == 1)]
        return mine["session"].dt.strftime("%d").tolist()

    # The open is at 13:30 UTC: a quarter of an hour before it is too late by no second.
    assert counted() == ["01", "02", "07", "08"]
    assert counted(latency=0) == ["01", "02", "06", "08"]
    assert counted(entry="close") == ["01", "02", "06", "07", "08"]  # 19:40 is 20 minutes before the close


def test_who_is_not_in_the_universe_of_a_session_is_not_ranked_in_it():
    prices = table_of({"A": [10.0] * 6, "B": [10.0] * 6}).assign(universe=True)
    prices.loc[(prices["ticker"] == "B") & (prices["session"] >= SESSIONS[3]), "universe"] = False
    news, scores = news_of(("2023-06-01T12:00Z", "A", 1.0), ("2023-06-08T12:00Z", "A", 1.0))
    frame, facts = build_features(prices, news, scores, SETTINGS, "XNYS")
    ranked = frame.set_index(["ticker", "session"])["ranked"]
    assert ranked["A"].all() and ranked["B"].tolist() == [True] * 3 + [False] * 3
    assert facts["rows_outside_universe"] == 3 and facts["rows"] == 12


def test_rows_cover_the_news_period_and_every_headline_is_accounted_for():
    prices = table_of({"A": [10] * 10, "B": [None] * 5 + [10] * 5})
    news, scores = news_of(
        ("2023-06-05T12:00Z", "A", 1.0),  # the third session
        ("2023-06-06T12:00Z", "B", 1.0),  # before B is listed
        ("2023-06-09T12:00Z", "A", 1.0),  # the seventh session
        ("2023-06-30T12:00Z", "A", 1.0),  # after the last price
    )
    frame, facts = build_features(prices, news, scores, SETTINGS, "XNYS")
    assert frame["session"].unique().tolist() == SESSIONS[2:7].tolist()
    assert frame[["session", "ticker"]].equals(frame[["session", "ticker"]].sort_values(["session", "ticker"]))
    assert (facts["rows"], facts["rows_outside_news"], facts["price_rows_in"]) == (7, 8, 15)
    names = ("news_in", "news_used", "news_after_last_session", "news_without_row")
    assert [facts[name] for name in names] == [4, 2, 1, 1]
    # Prices from before the first news still serve the features, as does the open after the last.
    assert frame["price_return_1"].notna().sum() == 5 and frame["forward_return"].notna().all()


def test_the_order_of_the_rows_changes_nothing():
    prices, news, scores = random_market(3)
    mixed = [frame.sample(frac=1, random_state=1) for frame in (prices, news, scores)]
    pd.testing.assert_frame_equal(build(prices, news, scores), build(*mixed))


def test_a_headline_without_a_score_is_an_error():
    prices, news, scores = random_market(3)
    with pytest.raises(InputError, match="1 of 60 headlines have no score, first news_id = 'n007'.*score_news"):
        build(prices, news, scores.drop(index=7))


def test_news_and_prices_of_different_times_are_an_error():
    prices, _, _ = random_market(3)
    news, scores = news_of(("2020-06-01T12:00Z", "T1", 1.0))
    with pytest.raises(InputError, match="no news counts for any session that has prices"):
        build(prices, news, scores)


def test_the_check_finds_a_feature_that_peeks_one_session_ahead(monkeypatch):
    prices, news, scores = random_market(3)
    table = build(prices, news, scores)
    look_ahead.check_no_look_ahead(table, prices, news, scores, SETTINGS, "XNYS", 4)
    for name in ("sentiment_features", "attention_features", "price_features"):
        honest = getattr(building, name)

        def peeking(*arguments, honest=honest):
            return {key: lagged(array, -1, 0.0) for key, array in honest(*arguments).items()}

        with monkeypatch.context() as patch:
            patch.setattr(building, name, peeking)
            leaking = build(prices, news, scores)
            with pytest.raises(
                look_ahead.LookAhead, match="moves when what comes after that session's entry is changed"
            ):
                look_ahead.check_no_look_ahead(leaking, prices, news, scores, SETTINGS, "XNYS", 4)


def test_each_reader_of_the_news_has_features_of_its_own():
    prices, news, scores = random_market(3)
    table = build(prices, news, scores.assign(lexicon=0.0, masked=scores["fine_tuned"]))
    assert (table.filter(like="lexicon_") == 0).all(axis=None)
    np.testing.assert_array_equal(table.filter(like="masked_"), table.filter(like="fine_tuned_"))


def test_every_column_belongs_to_an_arm_and_each_function_makes_its_own_arms_columns_alone():
    prices, news, scores = random_market(3)
    fixed = {"session", "ticker", *FLAGS, *OUTCOMES}
    assert not [name for name in build(prices, news, scores) if name not in fixed and arm_of(name) is None]
    panel = to_panel(prices, "XNYS")
    nothing = np.zeros(panel.listed.shape)
    none = np.array([], dtype=int)
    assert {arm_of(name) for name in price_features(panel, 5)} == {"price"}
    assert {arm_of(name) for name in attention_features(nothing, 5)} == {"attention"}
    assert {arm_of(name) for name in sentiment_features(none, none, nothing.shape, 1.0, 5, "masked_")} == {"masked"}
