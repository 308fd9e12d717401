"""From the features to three answers and their evidence, without disk access."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from finsentiment.arms import ATTENTION, BASE, PRICE, READERS, TESTED, TRUTH
from finsentiment.backtest.answers import Answers, answer, comparable
from finsentiment.backtest.enough import MIN_IC_SESSIONS
from finsentiment.backtest.evidence import Estimate, deflated_sharpe, superior_predictive_ability
from finsentiment.backtest.forecasts import Forecast, Sentiment, fit_bases
from finsentiment.backtest.placebos import Placebo
from finsentiment.backtest.portfolio import Portfolio, portfolio_metrics, sharpe
from finsentiment.backtest.profile import profile_signal
from finsentiment.backtest.questions import BPS, Asker, prices_of, trade
from finsentiment.backtest.table import FeatureTable, to_table
from finsentiment.backtest.verdict import POWER, Evidence, detectable
from finsentiment.features.build import HORIZONS
from finsentiment.params import Backtest, Features
from finsentiment.reporting.answers import answers_in_words

NEWS_COUNTS = {"no news": (0, 0), "one headline": (1, 1), "more": (2, np.inf)}
TOP_FIFTH = 1.4
"""Mean of a standard normal above its 0.8 quantile: an IC of 1 earns the long-short portfolio, which has
half of its capital on each side, this many standard deviations of the returns within a session."""


@dataclass(frozen=True)
class Result:
    """What a backtest found: `metrics` (the answers and a tree of figures) and the tables behind the plots.

    words : the answers in sentences, one line for each question
    tables : by name
        ic : session, the cumulative rank IC of each arm and of the base
        equity : session, the equity of each arm's long-short portfolio and of the tested arm's long-only one, from 1
        placebo : question, kind, placebo, drawn
        importance : arm, feature, gain_share, shap_share
        and those of `profile_signal`
    """

    words: str
    metrics: dict[str, Any]
    tables: dict[str, pd.DataFrame]


def run_backtest(features: pd.DataFrame, params: Backtest, section: Features, seed: int, threads: int) -> Result:
    """Backtest every arm and answer whether sentiment is informative, improves the forecast, and pays.

    Parameters
    ----------
    features : the table of `finsentiment.features.build.feature_table`, rows in any order
    params, section : the sections `backtest` and `features` of the parameters
    threads : fits that run at once; the result doesn't depend on it

    Raises
    ------
    InputError
        where columns are missing, a session and ticker come twice, a value is infinite, or there are too few
        sessions to train on or to judge by
    """
    table = to_table(features, params, section.horizon, seed)
    bases = fit_bases(table, threads, explain=True)
    readers = [arm for arm in table.columns if arm in READERS]
    sentiment = Sentiment(table, readers)
    added = {arm: sentiment.add(arm, bases[BASE], threads, explain=True) for arm in readers}
    forecasts = {name: base.values for name, base in bases.items()}
    forecasts |= {arm: bases[BASE].values + increment.values for arm, increment in added.items()}
    ic = comparable(table, forecasts)
    asker = Asker(table, seed, threads)
    found = answer(asker, bases[BASE], added[TESTED], ic, section.delisting_return)

    def judge(series: pd.Series, ahead: int = section.horizon) -> Estimate:
        return asker.estimate(series.to_numpy(), ahead)

    prices = prices_of(table, section.delisting_return)
    trades = {
        (arm, short): trade(table, table.grid(values), prices, short)
        for arm, values in forecasts.items()
        for short in (True, False)
    }
    untrue = [arm for arm in forecasts if arm != TRUTH]  # nobody can trade on the truth, so it is no trial
    ratios = [sharpe(trades[arm, True].net(params.cost_bps), 1) for arm in untrue]
    trials = len(untrue) + params.trials_before
    profile, profile_tables = profile_signal(table, found.partial, asker)
    gains = {arm: judge(ic[arm] - ic[BASE]) for arm in readers}
    metrics = {
        "verdict": found.verdict,
        "interval": 1 - asker.level,
        "power": POWER,
        "entry": section.entry,
        "questions": {
            name: _question_metrics(found, name, table, evidence) for name, evidence in found.evidence.items()
        },
        "ic": {arm: asdict(judge(ic[arm])) for arm in ic},
        "gain": {arm: asdict(figures) for arm, figures in gains.items()},
        "gain_over": {
            TESTED: {arm: asdict(judge(ic[TESTED] - ic[arm])) for arm in (PRICE, ATTENTION)},
            ATTENTION: {PRICE: asdict(judge(ic[ATTENTION] - ic[PRICE]))},
        },
        "base": dict(Counter(f"{arm}, {leaves} leaves" for arm, leaves in bases[BASE].names)),
        "spa_p": superior_predictive_ability(
            ic[[BASE, *(arm for arm in untrue if arm in READERS)]], BASE, params.bootstrap_samples, seed
        ),
        "deflated_sharpe": deflated_sharpe(trades[TESTED, True].net(params.cost_bps), ratios, trials),
        "trials": trials,
        "portfolio": _portfolios(trades, asker),
        "gain_by": _slices(table, forecasts, judge),
        "profile": profile,
        "counts": _counts(table, len(ic)),
    }
    return Result(
        words=answers_in_words(metrics, params.cost_bps),
        metrics=metrics,
        tables={
            "ic": _by_session({arm: ic[arm].cumsum() for arm in ic}, table.sessions),
            "equity": _equity(trades, params.cost_bps, table.sessions),
            "placebo": _placebo_table(found.evidence),
            "importance": _importance(table, bases, added),
            **profile_tables,
        },
    )


def _portfolios(trades: dict[tuple[str, bool], Portfolio], asker: Asker) -> dict[str, dict[str, Any]]:
    """Figures of each arm's long-short and long-only portfolio at every cost."""
    params = asker.table.params
    costs = sorted({params.cost_bps, *params.other_costs_bps})
    found: dict[str, dict[str, Any]] = {}
    for (arm, short), portfolio in trades.items():
        found.setdefault(arm, {})["long_short" if short else "long_only"] = portfolio_metrics(
            portfolio, asker.table.horizon, costs, params.bootstrap_samples, asker.level, asker.seed
        )
    return found


def _counts(table: FeatureTable, judged: int) -> dict[str, int]:
    """Rows and sessions, of which `judged` have a rank IC."""
    first = table.params.train_sessions
    return {
        "folds": len(table.folds),
        "rows": len(table.rows),
        "rows_without_forward_return": int(table.rows["forward_return"].isna().sum()),
        "sessions": len(table.sessions),
        "sessions_before_first_forecast": first,
        "sessions_below_min_tickers": len(table.sessions) - first - judged,
        "sessions_with_ic": judged,
    }


def _question_metrics(found: Answers, name: str, table: FeatureTable, evidence: Evidence) -> dict[str, Any]:
    """The answer and what it rests on; of a partial rank IC also the smallest that would have been found."""
    answers = {"informative": found.informative, "improves": found.verdict, "pays": found.pays}
    figures: dict[str, Any] = {"answer": answers[name], **asdict(evidence.estimate)}
    figures |= {kind: _placebo_metrics(getattr(evidence, kind)) for kind in ("shuffled", "shifted")}
    smallest = figures["detectable"] = detectable(evidence)
    if name != "pays":
        daily = table.column("return_1")
        spread = float(pd.Series(np.where(table.ranked, daily, np.nan)).groupby(table.session).std().mean())
        figures["detectable_bps"] = None if smallest is None else smallest * spread * TOP_FIFTH * BPS
    return figures


def _slices(table: FeatureTable, forecasts: dict[str, np.ndarray], judge: Any) -> dict[str, Any]:
    """What sentiment adds to the mean rank IC of the base by horizon, by year and by how much news there is.

    None where too few sessions have enough tickers to say.
    """
    count = table.news_count
    year = pd.DatetimeIndex(table.rows["session"]).year

    def gain(*ahead: int, outcome: np.ndarray | None = None, rows: np.ndarray | None = None) -> dict[str, Any] | None:
        with_it, without = (table.daily_ic(forecasts[arm], outcome, rows) for arm in (TESTED, BASE))
        known = (with_it - without).dropna()
        return {**asdict(judge(known, *ahead)), "sessions": len(known)} if len(known) >= MIN_IC_SESSIONS else None

    tested = np.unique(year[table.session >= table.params.train_sessions])
    return {
        "horizon": {str(h): gain(h, outcome=table.column(f"return_{h}")) for h in HORIZONS},
        "news": {name: gain(rows=(count >= low) & (count <= high)) for name, (low, high) in NEWS_COUNTS.items()},
        "year": {str(y): gain(rows=year == y) for y in tested},
    }


def _placebo_metrics(placebo: Placebo) -> dict[str, Any]:
    mean = float(placebo.drawn.mean()) if len(placebo.drawn) else None
    return {
        "count": len(placebo.drawn),
        "beaten": int((placebo.drawn < placebo.observed).sum()),
        "mean": mean,
        "p": placebo.p,
        "p_hurts": placebo.p_hurts,
    }


def _placebo_table(evidence: dict[str, Evidence]) -> pd.DataFrame:
    parts = []
    for question, found in evidence.items():
        for kind, placebo in (("shuffled", found.shuffled), ("shifted", found.shifted)):
            numbers = range(len(placebo.drawn))
            parts.append(pd.DataFrame({"question": question, "kind": kind, "placebo": numbers, "drawn": placebo.drawn}))
    return pd.concat(parts, ignore_index=True)


def _importance(table: FeatureTable, bases: dict[str, Forecast], added: dict[str, Forecast]) -> pd.DataFrame:
    names = {PRICE: table.columns[PRICE], ATTENTION: [*table.columns[PRICE], *table.columns[ATTENTION]]}
    names |= {arm: table.columns[arm] for arm in added}
    parts = []
    for arm, columns in names.items():
        folds = {**bases, **added}[arm].fitted.folds
        shares = {
            "gain_share": np.mean([fold.gain for fold in folds], axis=0),
            "shap_share": np.mean([fold.shap for fold in folds], axis=0),
        }
        parts.append(pd.DataFrame({"arm": arm, "feature": columns, **shares}))
    return pd.concat(parts, ignore_index=True)


def _equity(trades: dict[tuple[str, bool], Portfolio], cost_bps: float, sessions: pd.Index) -> pd.DataFrame:
    curves = {arm: portfolio for (arm, short), portfolio in trades.items() if short}
    curves[f"{TESTED}_long_only"] = trades[TESTED, False]
    return _by_session({name: pd.Series(p.equity(cost_bps), index=p.session) for name, p in curves.items()}, sessions)


def _by_session(series: dict[str, pd.Series], sessions: pd.Index) -> pd.DataFrame:
    """One column per arm; each series is indexed by session number, which becomes the session's date."""
    table = pd.DataFrame(series)
    dates = pd.DatetimeIndex(sessions[table.index]).strftime("%Y-%m-%d")
    return table.assign(session=dates)[["session", *series]].reset_index(drop=True)
