"""The portfolio by hand: returns, turnover, costs, halts and delistings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsentiment.backtest.portfolio import Prices, portfolio_metrics, sharpe, trade_forecast, weights_of

FORECAST = np.array([[5.0, 4, 3, 2, 1], [1, 4, 3, 2, 5]])  # A above E, then E above A
GROWTH = np.array([[0.04, 0.9, 0.9, 0.9, -0.02], [0.01, 0.9, 0.9, 0.9, 0.03]])


def prices(growth=GROWTH, delists=None, delisting_return=-0.3):
    """Prices that grow so from session to session, from 100; a session more than there is growth."""
    price = 100 * np.cumprod(np.vstack([np.zeros(growth.shape[1]), growth]) + 1, axis=0)
    gone = np.zeros(price.shape, dtype=bool)
    if delists:
        gone[delists] = True
    return Prices(price, gone, delisting_return)


def traded(forecast, market, horizon=1, short=True, least=4):
    more = len(market.price) - len(forecast)
    padded = np.vstack([forecast, np.repeat(forecast[-1:], more, axis=0)])
    return trade_forecast(padded, market, 0, horizon, least, short)


def test_returns_turnover_and_costs_of_a_hand_checked_portfolio():
    trades = traded(FORECAST, prices())
    # +1/2 A -1/2 E, then the reverse: 1 to enter, 2 to turn round, 1 to close at the end.
    np.testing.assert_allclose(trades.gross, [0.03, 0.01])
    np.testing.assert_allclose(trades.turnover, [1, 3])
    np.testing.assert_allclose(trades.net(20), [0.028, 0.004])
    np.testing.assert_allclose(trades.equity(20), [1.028, 1.028 * 1.004])
    figures = portfolio_metrics(trades, horizon=1, costs_bps=[20, 0], samples=100, significance=0.05, seed=1)
    assert figures["break_even_bps"] == pytest.approx(100)
    assert figures["gross_return"] == pytest.approx(0.02 * 252)
    assert figures["turnover"] == 2 and figures["costs"]["20"]["max_drawdown"] == 0
    assert figures["costs"]["20"]["net_return"] == pytest.approx(0.016 * 252)
    assert figures["costs"]["0"]["net_return"] == pytest.approx(0.02 * 252)
    assert sharpe(np.array([0.0, 0.02]), 252) == pytest.approx(0.01 / (0.02 / np.sqrt(2)) * np.sqrt(252))


def test_a_long_only_portfolio_holds_the_top_fifth():
    trades = traded(FORECAST, prices(), short=False)
    np.testing.assert_allclose(trades.gross, [0.04, 0.03])
    np.testing.assert_allclose(trades.turnover, [1, 3])


def test_drawdown_counts_from_the_capital_at_the_start():
    figures = portfolio_metrics(
        traded(-FORECAST, prices()), horizon=1, costs_bps=[0], samples=100, significance=0.05, seed=1
    )
    assert figures["costs"]["0"]["max_drawdown"] == pytest.approx(1 - 0.97 * 0.99)


def test_a_longer_horizon_trades_when_the_last_position_ends_and_none_that_would_end_after_the_data():
    trades = traded(FORECAST, prices(), horizon=2)
    assert trades.session.tolist() == [0] and trades.turnover.tolist() == [2]


def without(market, *cells):
    price = market.price.copy()
    for cell in cells:
        price[cell] = np.nan
    return Prices(price, market.delists, market.delisting_return)


def test_what_has_no_price_is_not_traded():
    halted = without(prices(), (0, 0), (1, 0), (2, 0))
    trades = traded(FORECAST, halted)
    np.testing.assert_allclose(trades.gross, [0.5 * 0.9 + 0.5 * 0.02, 0.5 * 0.03 - 0.5 * 0.9])


def test_a_stock_that_halves_over_a_halt_costs_half_of_the_position_and_one_trade_less():
    growth = np.array([[0.0] * 5, [-0.5, 0, 0, 0, 0], [0.0] * 5])
    halted = without(prices(growth), (1, 0))  # A is bought in session 0, halted in 1, and opens at half in 2
    trades = traded(np.array([[5.0, 4, 3, 2, 1]] * 3), halted, short=False)
    np.testing.assert_allclose(trades.gross, [0, -0.5, 0])
    np.testing.assert_allclose(trades.turnover, [1, 0, 1])  # bought once, sold once: nothing is traded in the halt


def test_what_is_stuck_in_a_halt_is_missing_elsewhere():
    halted = without(prices(np.zeros((2, 5))), (1, 0))
    trades = traded(FORECAST, halted, short=True)
    # A, half of the capital, is stuck; the other half is dealt out: a quarter in E, a quarter short in D.
    np.testing.assert_allclose(trades.turnover, [1, 0.75 + 0.25 + 0.5 + 0.25 + 0.25])


def test_what_is_still_halted_at_the_end_is_not_sold():
    halted = without(prices(np.zeros((1, 5))), (1, 0))
    assert traded(FORECAST[:1], halted, short=False).turnover.tolist() == [1]


@pytest.mark.parametrize(("given", "long", "short"), [(-0.3, -0.3, 0.0), (0.2, 0.2, -0.2), (-1.0, -1.0, 0.0)])
def test_a_delisting_takes_the_return_that_is_given_and_gives_a_short_position_nothing(given, long, short):
    market = prices(np.zeros((2, 5)), delists=(0, 0), delisting_return=given)
    market = without(market, (1, 0), (2, 0))
    bought = traded(np.array([[5.0, 4, 3, 2, 1]] * 2), market, short=False)
    sold = traded(-np.array([[5.0, 4, 3, 2, 1]] * 2), market)
    assert bought.gross[0] == pytest.approx(long) and sold.gross[0] == pytest.approx(short / 2)
    assert bought.turnover[0] == 1 and bought.turnover[1] == 2  # nothing is sold of A: B is bought and sold


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=30))
def test_the_portfolio_is_neutral_and_equal_forecasts_weigh_the_same(forecast):
    values = np.array(forecast, dtype=float)
    weight = weights_of(values[None], min_tickers=2, short=True)[0]
    assert weight.sum() == pytest.approx(0, abs=1e-12) and np.abs(weight).sum() <= 1 + 1e-12
    assert all(np.ptp(weight[values == value]) < 1e-12 for value in set(forecast))
    if len(set(forecast)) == 1:
        assert np.abs(weight).max() < 1e-12
    long_only = weights_of(values[None], min_tickers=2, short=False)[0]
    assert long_only.min() >= 0 and long_only.sum() == pytest.approx(1)
