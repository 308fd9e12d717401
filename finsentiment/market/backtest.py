"""Does sentiment improve the forecast? The backtest from the features to the verdict, without disk access."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from finsentiment.errors import InputError
from finsentiment.market.evidence import Estimate, Placebo, estimate, rank_among_placebos, rank_ic, shuffle_within
from finsentiment.market.portfolio import long_short, portfolio_metrics
from finsentiment.market.verdict import in_words, verdict
from finsentiment.market.walkforward import expanding_folds, rank_target, walk_forward
from finsentiment.params import Backtest

# An arm is a forecast from the columns with these prefixes; all arms share folds, seeds and settings.
ARMS = {
    "price": ("price_",),
    "price_attention": ("price_", "attention_"),
    "price_attention_sentiment": ("price_", "attention_", "sentiment_"),
}
# What is added -> the arm that has it, the arm that does not.
COMPARISONS = {
    "attention": ("price_attention", "price"),
    "sentiment": ("price_attention_sentiment", "price_attention"),
}
MIN_IC_SESSIONS = 20  # from fewer, an interval means nothing


@dataclass(frozen=True)
class Result:
    """What a backtest found: `metrics` (the verdict and a tree of figures) and the tables behind the plots.

    words : the verdict as a sentence

    ic : session, the cumulative rank IC of each arm
    equity : session, the equity of each arm's portfolio, 1 at the start
    placebo : placebo, difference
    importance : arm, feature, gain_share
    """

    words: str
    metrics: dict[str, Any]
    ic: pd.DataFrame
    equity: pd.DataFrame
    placebo: pd.DataFrame
    importance: pd.DataFrame


def run(features: pd.DataFrame, params: Backtest, horizon: int, seed: int, threads: int) -> Result:
    """Backtest every arm and decide whether sentiment improves the forecast.

    Parameters
    ----------
    features : one row per session and ticker, in any order: `session`, `ticker`, numeric columns with the prefixes
        of `ARMS`, `tradable` (there is an open to enter at), and `forward_return`, the return from the open of the
        session to the open `horizon` sessions later (a fraction, NaN where unknown)
    params : the section `backtest`
    horizon : in sessions
    threads : fits that run at once; the result doesn't depend on it

    To be quick the placebo test takes the first seed alone, for the observed difference as for the placebos'.

    Raises
    ------
    InputError
        where columns are missing, a session and ticker come twice, a value is infinite, or there are too few
        sessions to train on or to judge by
    """
    rows, columns = _checked(features)
    session, sessions = pd.factorize(rows["session"])
    outcome, ticker = rows["forward_return"].to_numpy(float), rows["ticker"].to_numpy()
    tradable = rows["tradable"].to_numpy(bool)
    folds = expanding_folds(len(sessions), params.train_sessions, params.test_sessions, horizon, params.embargo)
    seeds = (np.random.SeedSequence(seed).generate_state(params.seeds) >> 1).tolist()  # LightGBM's are 31 bits wide
    target = rank_target(outcome, session)
    values = {arm: rows[names].to_numpy(float) for arm, names in columns.items()}

    def fit(values: np.ndarray, seeds: list[int]) -> tuple[np.ndarray, np.ndarray]:
        return walk_forward(values, target, session, folds, params.lightgbm, seeds, threads)

    def daily_ic(forecast: np.ndarray) -> pd.Series:
        return rank_ic(forecast, outcome, session, params.min_tickers).iloc[params.train_sessions :]

    fitted = {arm: fit(values[arm], seeds) for arm in ARMS}
    ic = pd.DataFrame({arm: daily_ic(forecast) for arm, (forecast, _) in fitted.items()})
    below_min_tickers = int(ic.isna().any(axis=1).sum())
    ic = ic.dropna()
    if len(ic) < MIN_IC_SESSIONS:
        raise InputError(
            f"only {len(ic)} of the {len(ic) + below_min_tickers} forecast sessions have backtest.min_tickers = "
            f"{params.min_tickers} tickers with a forward_return: expected at least {MIN_IC_SESSIONS} sessions; give a "
            f"longer period or more tickers, or lower backtest.train_sessions = {params.train_sessions}"
        )

    def judge(series: pd.Series) -> Estimate:
        return estimate(series.to_numpy(), horizon, params.bootstrap_samples, params.significance, seed)

    ics = {arm: judge(ic[arm]) for arm in ARMS}
    differences = {name: judge(ic[more] - ic[less]) for name, (more, less) in COMPARISONS.items()}
    more, less = COMPARISONS["sentiment"]
    reference = daily_ic(fit(values[less], seeds[:1])[0])

    def gain_of_first_seed(table: pd.DataFrame) -> float:
        return float((daily_ic(fit(table.to_numpy(float), seeds[:1])[0]) - reference).mean())

    against = sentiment_placebo(rows[columns[more]], session, gain_of_first_seed, params.placebos, seed)
    difference = differences["sentiment"]
    value = verdict(difference, against, params.significance)
    portfolios = {
        arm: long_short(forecast, outcome, tradable, session, ticker, horizon, params.min_tickers, params.cost_bps)
        for arm, (forecast, _) in fitted.items()
    }
    metrics = {
        "verdict": value,
        "ic": {arm: asdict(figures) for arm, figures in ics.items()},
        "difference": {name: asdict(figures) for name, figures in differences.items()},
        "placebo": {
            "count": params.placebos,
            "observed": against.observed,
            "mean": float(against.differences.mean()) if params.placebos else None,
            "p": against.p,
            "p_hurts": against.p_hurts,
        },
        "portfolio": {
            arm: portfolio_metrics(trades, horizon, params.bootstrap_samples, params.significance, seed)
            for arm, trades in portfolios.items()
        },
        "counts": {
            "folds": len(folds),
            "rows": len(rows),
            "rows_without_forward_return": int(np.isnan(outcome).sum()),
            "sessions": len(sessions),
            "sessions_before_first_forecast": params.train_sessions,
            "sessions_below_min_tickers": below_min_tickers,
            "sessions_with_ic": len(ic),
        },
    }
    return Result(
        words=in_words(value, ics[more].mean, ics[less].mean, difference, against, params.significance),
        metrics=metrics,
        ic=_by_session({arm: ic[arm].cumsum() for arm in ARMS}, sessions),
        equity=_by_session({arm: pd.Series(p.equity, index=p.session) for arm, p in portfolios.items()}, sessions),
        placebo=pd.DataFrame({"placebo": range(params.placebos), "difference": against.differences}),
        importance=pd.concat(
            [pd.DataFrame({"arm": arm, "feature": columns[arm], "gain_share": fitted[arm][1]}) for arm in ARMS],
            ignore_index=True,
        ),
    )


def sentiment_placebo(
    columns: pd.DataFrame, session: np.ndarray, gain: Callable[[pd.DataFrame], float], placebos: int, seed: int
) -> Placebo:
    """What sentiment gains, beside what the same scores gain once they belong to other tickers.

    Within a session the whole rows of sentiment columns are dealt out anew among the tickers with the same
    coverage flags (the attention columns that hold nothing but 0 and 1). Dealt out among all tickers, the real
    scores would tell who was in the news and the placebo's would not, so that an effect of coverage could pass
    for one of sentiment. `gain` is the same function for both, models fitted anew included, so that what it is
    given differs in nothing but the deal.

    Parameters
    ----------
    columns : the columns of the arm with sentiment, one row per session and ticker
    session : (rows,) array of session numbers
    gain : the difference in mean rank IC that the sentiment in such a table makes
    """
    sentiment = [name for name in columns if name.startswith("sentiment_")]
    flags = [name for name in columns if name.startswith("attention_") and columns[name].isin([0, 1]).all()]
    same_coverage = columns.groupby([session, *flags]).ngroup().to_numpy()
    differences = []
    for number in range(placebos):
        rng = np.random.default_rng([seed, number])
        dealt = columns.copy()
        dealt[sentiment] = shuffle_within(columns[sentiment].to_numpy(float), same_coverage, rng)
        differences.append(gain(dealt))
    return rank_among_placebos(gain(columns), np.array(differences))


def _checked(features: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """The rows sorted by session and ticker, and the columns of each arm in order of their names."""
    missing = [name for name in ("session", "ticker", "tradable", "forward_return") if name not in features]
    prefixes = sorted({prefix for arm in ARMS.values() for prefix in arm})
    missing += [f"{prefix}*" for prefix in prefixes if not any(name.startswith(prefix) for name in features)]
    if missing:
        raise InputError(f"the features have no column {', '.join(missing)}: run build_features again")
    columns = {arm: sorted(name for name in features if name.startswith(start)) for arm, start in ARMS.items()}
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
