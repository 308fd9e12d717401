"""Does sentiment improve the forecast? The backtest from the features to the verdict, without disk access."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from finsentiment.errors import InputError
from finsentiment.market.evidence import (
    Estimate,
    Placebo,
    deflated_sharpe,
    estimate,
    rank_among_placebos,
    rank_ic,
    shift_in_time,
    shuffle_within,
    superior_predictive_ability,
)
from finsentiment.market.features import HORIZONS
from finsentiment.market.portfolio import Portfolio, portfolio_metrics, sharpe, trade
from finsentiment.market.verdict import Evidence, beyond_chance, in_words, verdict
from finsentiment.market.walkforward import Fitted, Fold, expanding_folds, rank_target, walk_forward
from finsentiment.params import Backtest

BASE = {"price": "price_", "attention": "attention_"}
READERS = {
    "lexicon": "lexicon_",
    "zero_shot": "zero_shot_",
    "fine_tuned": "sentiment_",
    "masked": "masked_",
    "truth": "truth_",
}
"""The arms: name, and prefix of the columns that each adds. `attention` adds to `price`, every reader of the news to
`attention`; readers whose columns are not there have no arm."""
TESTED, AGAINST = "fine_tuned", "attention"
NEWS_COUNTS = {"no news": (0, 0), "one headline": (1, 1), "more": (2, np.inf)}
MIN_IC_SESSIONS = 20  # from fewer, an interval means nothing


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


@dataclass(frozen=True)
class Table:
    """The features as arrays, rows sorted by session and ticker, with what all arms share.

    columns : names of the columns that each arm adds
    session, ticker : (rows,) numbers; `sessions` are the dates
    outcome, target : (rows,) forward returns, and their ranks within the session
    """

    rows: pd.DataFrame
    columns: dict[str, list[str]]
    session: np.ndarray
    sessions: pd.Index
    ticker: np.ndarray
    outcome: np.ndarray
    target: np.ndarray
    folds: list[Fold]
    seeds: list[int]
    params: Backtest

    @property
    def news_count(self) -> np.ndarray:
        """Number of headlines that count for each row."""
        return np.rint(np.expm1(self.rows["attention_count"].to_numpy(float)))

    def values(self, arm: str) -> np.ndarray:
        return self.rows[self.columns[arm]].to_numpy(float)

    def fit(self, arm: str, onto: Fitted | None, threads: int, explain: bool = False) -> Fitted:
        """Models of what the arm's columns add to `onto`."""
        settings, columns = self.params.lightgbm, self.values(arm)
        return walk_forward(
            columns, self.target, self.session, self.folds, settings, self.seeds, threads, onto, explain
        )

    def daily_ic(
        self, forecast: np.ndarray, outcome: np.ndarray | None = None, rows: np.ndarray | None = None
    ) -> pd.Series:
        """Rank IC by session number from the first forecast on, against `outcome` and on `rows` (all if None)."""
        outcome = self.outcome if outcome is None else outcome
        outcome = outcome if rows is None else np.where(rows, outcome, np.nan)
        tested = self.session >= self.params.train_sessions
        return rank_ic(forecast[tested], outcome[tested], self.session[tested], self.params.min_tickers)


def to_table(features: pd.DataFrame, params: Backtest, horizon: int, seed: int) -> Table:
    """Check the features and lay out what all arms share.

    Parameters and errors are those of `run`.
    """
    rows, columns = _checked(features)
    session, sessions = pd.factorize(rows["session"])
    outcome = rows["forward_return"].to_numpy(float)
    folds = expanding_folds(len(sessions), params.train_sessions, params.test_sessions, horizon, params.embargo)
    seeds = (np.random.SeedSequence(seed).generate_state(params.seeds) >> 1).tolist()  # LightGBM's are 31 bits wide
    ticker, target = pd.factorize(rows["ticker"])[0], rank_target(outcome, session)
    return Table(rows, columns, session, sessions, ticker, outcome, target, folds, seeds, params)


def run(features: pd.DataFrame, params: Backtest, horizon: int, seed: int, threads: int) -> Result:
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
        return estimate(series.to_numpy(), ahead, params.bootstrap_samples, params.significance, seed)

    ics = {arm: judge(ic[arm]) for arm in ic}
    gains = {"attention": judge(ic["attention"] - ic["price"])}
    gains |= {arm: judge(ic[arm] - ic[AGAINST]) for arm in table.columns if arm in READERS}
    found = Evidence(gains[TESTED], *placebos(table, fitted[TESTED], forecasts[AGAINST], seed, threads))
    value = verdict(found, params.significance)
    trades = {(arm, kind): _trade(table, forecasts[arm], horizon, kind) for arm in fitted for kind in (True, False)}
    costs = sorted({params.cost_bps, *params.other_costs_bps})

    def money(portfolio: Portfolio) -> dict[str, Any]:
        return portfolio_metrics(portfolio, horizon, costs, params.bootstrap_samples, params.significance, seed)

    untrue = [arm for arm in ic if arm != "truth"]  # nobody can trade on the truth, so it is no trial
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
        words=in_words(value, ics[TESTED].mean, ics[AGAINST].mean, found, params.significance),
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
    """The verdict alone, by the same steps as `run`, on one thread; what can't change it is left out."""
    table = to_table(features, params, horizon, seed)
    fitted, forecasts = fit_arms(table, ("price", AGAINST, TESTED), threads=1)
    ic = _comparable(table, forecasts)
    series = (ic[TESTED] - ic[AGAINST]).to_numpy()
    difference = estimate(series, horizon, params.bootstrap_samples, params.significance, seed)
    if not beyond_chance(difference, params.significance):
        return "no evidence", difference
    found = Evidence(difference, *placebos(table, fitted[TESTED], forecasts[AGAINST], seed, threads=1))
    return verdict(found, params.significance), difference


def placebos(table: Table, tested: Fitted, against: np.ndarray, seed: int, threads: int) -> tuple[Placebo, Placebo]:
    """What the fitted models gain from sentiment, beside what they gain from the same scores in other places.

    The models stay as they are, and only what they read on the sessions that they forecast changes: if sentiment
    tells nothing of returns, the real rows are one draw among these. (Fitting anew for each would ask another
    question, what columns without meaning do to the fit, which the paired interval answers.)

    Shuffled: within a session the whole rows of sentiment columns are dealt out among the tickers with about as much
    news (steps of a factor of 1.4) and the same coverage flags (the attention columns that hold nothing but 0 and 1).
    Dealt out among all tickers, the real scores would tell who was in the news, and how much, and the placebo's would
    not, so that an effect of attention could pass for one of sentiment. Shifted: every ticker's rows move on by the
    same share of its sessions, at least 63 of them where there are enough, so that they keep their order and the
    tickers keep their company.

    Parameters
    ----------
    tested : the models of what sentiment adds
    against : (rows,) forecasts without it
    """
    forecast = tested.of_any_row(table.values(TESTED))
    names = table.columns["attention"]
    flags = [name for name in names if table.rows[name].isin([0, 1]).all()]
    amount = np.floor(2 * np.log2(np.maximum(table.news_count, 0.5)))
    alike = table.rows.groupby([table.session, amount, *flags]).ngroup().to_numpy()
    reference = table.daily_ic(against)
    least = min(63 / len(table.sessions), 1 / 3)

    def gain(source: np.ndarray) -> float:
        return float((table.daily_ic(against + forecast(source)) - reference).mean())

    def shuffled(number: int) -> float:
        return gain(shuffle_within(alike, np.random.default_rng([seed, number])))

    def shifted(number: int) -> float:
        rng = np.random.default_rng([seed, number, 1])
        return gain(shift_in_time(table.ticker, rng.uniform(least, 1 - least)))

    observed = gain(np.arange(len(table.rows)))
    with ThreadPoolExecutor(threads) as pool:
        found = [np.array(list(pool.map(kind, range(table.params.placebos)))) for kind in (shuffled, shifted)]
    return tuple(rank_among_placebos(observed, differences) for differences in found)


def fit_arms(
    table: Table, arms: tuple[str, ...], threads: int, explain: bool = False
) -> tuple[dict[str, Fitted], dict[str, np.ndarray]]:
    """The models of each arm, of what it adds, and its whole forecast: its own and that of the arms it adds to."""
    fitted: dict[str, Fitted] = {}
    forecasts: dict[str, np.ndarray] = {}
    for arm in arms:
        onto = {"price": None, AGAINST: "price"}.get(arm, AGAINST)
        fitted[arm] = table.fit(arm, fitted.get(onto), threads, explain)
        own = fitted[arm].forecast(table.values(arm))
        forecasts[arm] = own if onto is None else forecasts[onto] + own
    return fitted, forecasts


def _comparable(table: Table, forecasts: dict[str, np.ndarray]) -> pd.DataFrame:
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


def _trade(table: Table, forecast: np.ndarray, horizon: int, short: bool) -> Portfolio:
    tradable = table.rows["tradable"].to_numpy(bool)
    return trade(
        forecast, table.outcome, tradable, table.session, table.ticker, horizon, table.params.min_tickers, short
    )


def _slices(table: Table, forecasts: dict[str, np.ndarray], judge: Any) -> dict[str, Any]:
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


def _checked(features: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """The rows sorted by session and ticker, and the columns of each arm in order of their names."""
    fixed = ("session", "ticker", "tradable", "forward_return", "attention_count", *(f"return_{h}" for h in HORIZONS))
    missing = [name for name in fixed if name not in features]
    prefixes = (*BASE.values(), READERS[TESTED])
    missing += [f"{prefix}*" for prefix in prefixes if not any(name.startswith(prefix) for name in features)]
    if missing:
        raise InputError(f"the features have no column {', '.join(missing)}: run build_features again")
    arms = BASE | READERS
    columns = {arm: sorted(name for name in features if name.startswith(prefix)) for arm, prefix in arms.items()}
    columns = {arm: names for arm, names in columns.items() if names}
    rows = features.sort_values(["session", "ticker"], ignore_index=True)

    def where(bad: pd.Series | np.ndarray) -> str:
        first = rows[bad].iloc[0]
        return f"session {pd.Timestamp(first['session']).date()}, ticker {first['ticker']}"

    twice = rows.duplicated(["session", "ticker"])
    if twice.any():
        raise InputError(f"the features hold {where(twice)} twice: expected one row; run build_features again")
    for name in sorted({name for names in columns.values() for name in names} | {"forward_return"}):
        infinite = np.isinf(rows[name].to_numpy(float))
        if infinite.any():
            raise InputError(
                f"the features hold an infinite {name} at {where(infinite)}: expected a number or a missing value; "
                "look for a price of 0 there and run build_features again"
            )
    return rows, columns


def _by_session(series: dict[str, pd.Series], sessions: pd.Index) -> pd.DataFrame:
    """One column per arm; each series is indexed by session number, which becomes the session's date."""
    table = pd.DataFrame(series)
    dates = pd.DatetimeIndex(sessions[table.index]).strftime("%Y-%m-%d")
    return table.assign(session=dates)[["session", *series]].reset_index(drop=True)
