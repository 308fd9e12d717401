"""Does sentiment improve the forecast? The backtest from the features to the verdict, without disk access."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from finsentiment.arms import AGAINST, ATTENTION, PRICE, READERS, TESTED, TRUTH
from finsentiment.backtest.enough import MIN_IC_SESSIONS
from finsentiment.backtest.evidence import Estimate, deflated_sharpe, estimate_mean, superior_predictive_ability
from finsentiment.backtest.placebos import Placebo, run_placebos
from finsentiment.backtest.portfolio import Portfolio, portfolio_metrics, sharpe, trade_forecast
from finsentiment.backtest.table import FeatureTable, fit_arms, to_table
from finsentiment.backtest.verdict import Evidence, beyond_chance, decide_verdict, verdict_in_words
from finsentiment.errors import InputError
from finsentiment.features.build import HORIZONS
from finsentiment.params import Backtest

NEWS_COUNTS = {"no news": (0, 0), "one headline": (1, 1), "more": (2, np.inf)}


@dataclass(frozen=True)
class Result:
    """What a backtest found: `metrics` (the verdict and a tree of figures) and the tables behind the plots.

    words : the verdict as a sentence

    ic : session, the cumulative rank IC of each arm
    equity : session, the equity of each arm's long-short portfolio and of the tested arm's long-only one, from 1
    placebo : kind, placebo, difference
    importance : arm, feature, gain_share, shap_share
    """

    words: str
    metrics: dict[str, Any]
    ic: pd.DataFrame
    equity: pd.DataFrame
    placebo: pd.DataFrame
    importance: pd.DataFrame


def run_backtest(features: pd.DataFrame, params: Backtest, horizon: int, seed: int, threads: int) -> Result:
    """Backtest every arm and decide whether sentiment improves the forecast.

    Parameters
    ----------
    features : one row per session and ticker, in any order: `session`, `ticker`, numeric columns with the prefixes
        of the arms, `tradable` (there is an open to enter at), `forward_return`, the return from the
        open of the session to the open `horizon` sessions later (a fraction, NaN where unknown), and the same for
        the `HORIZONS` as `return_1`, …
    params : the section `backtest`
    horizon : in sessions
    threads : fits that run at once; the result doesn't depend on it

    Raises
    ------
    InputError
        where columns are missing, a session and ticker come twice, a value is infinite, or there are too few
        sessions to train on or to judge by
    """
    table = to_table(features, params, horizon, seed)
    fitted, forecasts = fit_arms(table, tuple(table.columns), threads, explain=True)
    ic = _comparable(table, forecasts)

    def judge(series: pd.Series, ahead: int = horizon) -> Estimate:
        return estimate_mean(series.to_numpy(), ahead, params.bootstrap_samples, params.significance, seed)

    ics = {arm: judge(ic[arm]) for arm in ic}
    gains = {ATTENTION: judge(ic[ATTENTION] - ic[PRICE])}
    gains |= {arm: judge(ic[arm] - ic[AGAINST]) for arm in table.columns if arm in READERS}
    found = Evidence(gains[TESTED], *run_placebos(table, fitted[TESTED], forecasts[AGAINST], seed, threads))
    value = decide_verdict(found, params.significance)
    trades = {(arm, kind): _trade(table, forecasts[arm], horizon, kind) for arm in fitted for kind in (True, False)}
    costs = sorted({params.cost_bps, *params.other_costs_bps})

    def money(portfolio: Portfolio) -> dict[str, Any]:
        return portfolio_metrics(portfolio, horizon, costs, params.bootstrap_samples, params.significance, seed)

    untrue = [arm for arm in ic if arm != TRUTH]  # nobody can trade on the truth, so it is no trial
    ratios = [sharpe(trades[arm, True].net(params.cost_bps), 1) for arm in untrue]
    trials = len(untrue) + params.trials_before
    metrics = {
        "verdict": value,
        "interval": 1 - params.significance,
        "ic": {arm: asdict(figures) for arm, figures in ics.items()},
        "gain": {arm: asdict(figures) for arm, figures in gains.items()},
        "placebo": {kind: _placebo_metrics(getattr(found, kind)) for kind in ("shuffled", "shifted")},
        "spa_p": superior_predictive_ability(
            ic[[AGAINST, *(arm for arm in untrue if arm in READERS)]], AGAINST, params.bootstrap_samples, seed
        ),
        "deflated_sharpe": deflated_sharpe(trades[TESTED, True].net(params.cost_bps), ratios, trials),
        "trials": trials,
        "portfolio": {
            arm: {"long_short": money(trades[arm, True]), "long_only": money(trades[arm, False])} for arm in fitted
        },
        "ic_by": _slices(table, forecasts, judge),
        "counts": {
            "folds": len(table.folds),
            "rows": len(table.rows),
            "rows_without_forward_return": int(np.isnan(table.outcome).sum()),
            "sessions": len(table.sessions),
            "sessions_before_first_forecast": params.train_sessions,
            "sessions_below_min_tickers": len(table.sessions) - params.train_sessions - len(ic),
            "sessions_with_ic": len(ic),
        },
    }
    curves = {arm: trades[arm, True] for arm in fitted} | {f"{TESTED}_long_only": trades[TESTED, False]}
    equity = {name: pd.Series(p.equity(params.cost_bps), index=p.session) for name, p in curves.items()}
    return Result(
        words=verdict_in_words(value, ics[TESTED].mean, ics[AGAINST].mean, found, params.significance),
        metrics=metrics,
        ic=_by_session({arm: ic[arm].cumsum() for arm in ic}, table.sessions),
        equity=_by_session(equity, table.sessions),
        placebo=pd.concat(
            [
                pd.DataFrame({"kind": kind, "placebo": range(params.placebos), "difference": placebo.differences})
                for kind, placebo in (("shuffled", found.shuffled), ("shifted", found.shifted))
            ]
        ),
        importance=pd.concat(
            [
                pd.DataFrame(
                    {
                        "arm": arm,
                        "feature": table.columns[arm],
                        "gain_share": fitted[arm].gain,
                        "shap_share": fitted[arm].shap,
                    }
                )
                for arm in fitted
            ],
            ignore_index=True,
        ),
    )


def paired_verdict(features: pd.DataFrame, params: Backtest, horizon: int, seed: int) -> tuple[str, Estimate]:
    """The verdict alone, by the same steps as `run_backtest`, on one thread; what can't change it is left out."""
    table = to_table(features, params, horizon, seed)
    fitted, forecasts = fit_arms(table, (PRICE, AGAINST, TESTED), threads=1)
    ic = _comparable(table, forecasts)
    series = (ic[TESTED] - ic[AGAINST]).to_numpy()
    difference = estimate_mean(series, horizon, params.bootstrap_samples, params.significance, seed)
    if not beyond_chance(difference, params.significance):
        return "no evidence", difference
    found = Evidence(difference, *run_placebos(table, fitted[TESTED], forecasts[AGAINST], seed, threads=1))
    return decide_verdict(found, params.significance), difference


def _comparable(table: FeatureTable, forecasts: dict[str, np.ndarray]) -> pd.DataFrame:
    """Daily rank ICs of all arms on the sessions where each has one."""
    every = pd.DataFrame({arm: table.daily_ic(forecast) for arm, forecast in forecasts.items()})
    ic, params = every.dropna(), table.params
    if len(ic) < MIN_IC_SESSIONS:
        raise InputError(
            f"only {len(ic)} of the {len(every)} forecast sessions have backtest.min_tickers = "
            f"{params.min_tickers} tickers with a forward_return: expected at least {MIN_IC_SESSIONS} sessions; give a "
            f"longer period or more tickers, or lower backtest.train_sessions = {params.train_sessions}"
        )
    return ic


def _trade(table: FeatureTable, forecast: np.ndarray, horizon: int, short: bool) -> Portfolio:
    tradable = table.rows["tradable"].to_numpy(bool)
    return trade_forecast(
        forecast, table.outcome, tradable, table.session, table.ticker, horizon, table.params.min_tickers, short
    )


def _slices(table: FeatureTable, forecasts: dict[str, np.ndarray], judge: Any) -> dict[str, Any]:
    """Where the tested arm's forecast is any good: mean rank IC by horizon, by year and by how much news there is.

    None where too few sessions have enough tickers to say.
    """
    forecast = forecasts[TESTED]
    count = table.news_count
    year = pd.DatetimeIndex(table.rows["session"]).year
    horizons = {str(h): table.daily_ic(forecast, table.rows[f"return_{h}"].to_numpy(float)) for h in HORIZONS}
    news = {
        name: table.daily_ic(forecast, rows=(count >= low) & (count <= high))
        for name, (low, high) in NEWS_COUNTS.items()
    }
    tested = np.unique(year[table.session >= table.params.train_sessions])
    years = {str(y): table.daily_ic(forecast, rows=year == y) for y in tested}

    def mean(series: pd.Series, *ahead: int) -> dict[str, Any] | None:
        known = series.dropna()
        return {**asdict(judge(known, *ahead)), "sessions": len(known)} if len(known) >= MIN_IC_SESSIONS else None

    return {
        "horizon": {name: mean(series, int(name)) for name, series in horizons.items()},
        "news": {name: mean(series) for name, series in news.items()},
        "year": {name: mean(series) for name, series in years.items()},
    }


def _placebo_metrics(placebo: Placebo) -> dict[str, Any]:
    mean = float(placebo.differences.mean()) if len(placebo.differences) else None
    return {
        "count": len(placebo.differences),
        "observed": placebo.observed,
        "mean": mean,
        "p": placebo.p,
        "p_hurts": placebo.p_hurts,
    }


def _by_session(series: dict[str, pd.Series], sessions: pd.Index) -> pd.DataFrame:
    """One column per arm; each series is indexed by session number, which becomes the session's date."""
    table = pd.DataFrame(series)
    dates = pd.DatetimeIndex(sessions[table.index]).strftime("%Y-%m-%d")
    return table.assign(session=dates)[["session", *series]].reset_index(drop=True)
