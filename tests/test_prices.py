"""Prices that are not adjusted alike are refused, used or shown; what is wrong by rounding alone is put right."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from finsentiment.errors import InputError
from finsentiment.market.adjust import adjust_prices, overnight_moves
from finsentiment.market.price_checks import check_prices
from finsentiment.market.sessions import sessions_between
from tests.markets import market

SESSIONS = sessions_between("XNYS", pd.Timestamp("2023-01-03"), pd.Timestamp("2023-06-30"))
SPLIT_AT = 60


def prices(ticker: str = "AAA", seed: int = 0, **columns: object) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = 80 * np.exp(np.cumsum(rng.normal(0, 0.01, len(SESSIONS))))
    four = {"open": close * 1.002, "high": close * 1.01, "low": close * 0.99, "close": close}
    table = pd.DataFrame(
        {"ticker": ticker, "session": SESSIONS, **four, "volume": rng.uniform(1e6, 2e6, len(SESSIONS))}
    )
    return table.assign(**columns).rename_axis("row")


def split(table: pd.DataFrame, factor: float, volume_too: bool) -> pd.DataFrame:
    """Prices that were divided by `factor` from a day on."""
    after = np.arange(len(table)) >= SPLIT_AT
    table = table.copy()
    for name in ("open", "high", "low", "close"):
        table[name] = np.where(after, table[name] / factor, table[name])
    if volume_too:
        table["volume"] = np.where(after, table["volume"] * factor, table["volume"])
    return table


def test_an_adjusted_close_that_differs_is_refused_used_or_ignored() -> None:
    adjusted = np.where(np.arange(len(SESSIONS)) < SPLIT_AT, 0.5, 1.0)
    table = prices()
    table["adj_close"] = table["close"] * adjusted
    with pytest.raises(
        InputError, match=r"prices.csv, row 0 \(AAA, 2023-01-03\): close = 80\.1.*\(60 such rows\)"
    ) as e:
        adjust_prices(table, "refuse", "prices.csv")
    assert e.value.remedy == {"market.adjusted_close": "use"}
    used, rows = adjust_prices(table, "use", "prices.csv")
    assert rows == SPLIT_AT and "adj_close" not in used
    for name in ("open", "high", "low", "close"):
        assert used[name].to_numpy() == pytest.approx(table[name].to_numpy() * adjusted)
    assert used["volume"].equals(table["volume"])
    ignored, rows = adjust_prices(table, "ignore", "prices.csv")
    assert rows == 0 and ignored["close"].equals(table["close"])


def test_an_adjusted_close_of_a_price_below_one_differs_too() -> None:
    penny = prices()
    penny[["open", "high", "low", "close"]] /= 8000
    with pytest.raises(InputError, match="the adjusted close"):
        adjust_prices(penny.assign(adj_close=penny["close"] / 2), "refuse", "prices.csv")


def test_an_adjusted_close_that_is_rounded_to_cents_does_not_differ() -> None:
    table = prices()
    found, rows = adjust_prices(table.assign(adj_close=table["close"].round(2)), "refuse", "prices.csv")
    assert rows == 0 and found["close"].equals(table["close"])


@pytest.mark.parametrize("factor", [2, 3, 4, 5, 10, 20, 50, 1 / 2, 1 / 10])
def test_splits_are_seen_by_price_and_volume_and_from_a_factor_of_five_on_by_price_alone(factor: float) -> None:
    found = overnight_moves(split(prices(), factor, volume_too=True)).iloc[0]
    assert found["like_split"] == round(max(factor, 1 / factor)) and found["session"] == SESSIONS[SPLIT_AT]
    assert found["move"] == pytest.approx(1 / factor - 1, abs=0.06 / factor)
    alone = overnight_moves(split(prices(), factor, volume_too=False)).iloc[0]
    assert bool(alone["like_split"]) == (max(factor, 1 / factor) >= 5)


def test_a_crash_on_high_volume_that_calms_down_and_plain_markets_are_no_splits() -> None:
    crash = split(prices(), 1.7, volume_too=False)
    table = pd.concat([prices("BBB", 1), prices("CCC", 2), crash], ignore_index=True)
    found = overnight_moves(table)
    assert (found["like_split"] == 0).all() and found["ticker"].tolist()[0] == "AAA" and len(found) == 3


def test_a_ticker_with_one_price_has_no_move() -> None:
    assert overnight_moves(prices().iloc[:1]).empty


def checked(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int], dict[str, int]]:
    return check_prices(table, market("tables", "folder"), "prices.csv")


def test_high_and_low_that_miss_by_rounding_are_put_right_and_by_more_are_refused() -> None:
    table = prices()
    table.loc[5, "high"] = table.loc[5, "open"] * (1 - 1e-6)
    found, _, converted = checked(table)
    assert converted == {"prices_high_low_rounding": 1} and found["high"][5] == table.loc[5, "open"]
    table.loc[5, "high"] = table.loc[5, "open"] * (1 - 1e-3)
    with pytest.raises(InputError, match=r"row 5 \(AAA, 2023-01-10\): high = .* is below another price"):
        checked(table)


def test_a_close_that_alone_is_adjusted_is_asked_about() -> None:
    table = prices()
    with pytest.raises(InputError, match=r"such rows\): low = .* is the close adjusted for splits and dividends and"):
        checked(table.assign(close=table["close"] * 0.9))


def test_empty_rows_and_repeated_rows_are_left_out_and_counted() -> None:
    table = prices()
    empty = table.iloc[[3]].assign(**dict.fromkeys(("open", "high", "low", "close", "volume"), np.nan))
    found, refused, _ = checked(pd.concat([table.drop(3), empty, table.iloc[[4, 5]]], ignore_index=True))
    assert refused == {"prices_empty": 1, "prices_duplicate": 2} and len(found) == len(SESSIONS) - 1


def test_days_that_are_no_sessions_are_counted() -> None:
    table = prices()
    holidays = table.iloc[:2].assign(session=pd.to_datetime(["2023-01-07", "2023-01-08"]).as_unit("us"))
    with pytest.raises(InputError, match=r"\(AAA, 2023-01-07\) \(2 such rows\): this day is no session of XNYS") as e:
        checked(pd.concat([table, holidays], ignore_index=True))
    assert e.value.remedy == {"market.exchange": None}
