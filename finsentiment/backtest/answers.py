"""From the features to the three answers alone: all that decides them, and no more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from finsentiment.arms import BASE, TESTED
from finsentiment.backtest.enough import MIN_IC_SESSIONS
from finsentiment.backtest.forecasts import Forecast, Sentiment, fit_bases
from finsentiment.backtest.partial import Partial
from finsentiment.backtest.questions import Asker, ask_improves, ask_informative, ask_pays
from finsentiment.backtest.table import FeatureTable, to_table
from finsentiment.backtest.verdict import Answer, Evidence, Value, decide_answer, decide_verdict
from finsentiment.errors import InputError
from finsentiment.params import Backtest, Features


@dataclass(frozen=True)
class Answers:
    """The three answers.

    evidence : by question, what its answer rests on
    gain : in mean rank IC over the base
    partial : the cleaned signal and the cleaned returns behind `informative`
    """

    verdict: Value
    informative: Answer
    pays: Answer
    evidence: dict[str, Evidence]
    gain: float
    partial: Partial


def answer_questions(features: pd.DataFrame, params: Backtest, section: Features, seed: int) -> Answers:
    """The three answers, on one thread; placebos only where an answer hangs on them.

    Parameters and errors are those of `finsentiment.backtest.run.run_backtest`.
    """
    table = to_table(features, params, section.horizon, seed)
    base = fit_bases(table, threads=1)[BASE]
    added = Sentiment(table, [TESTED]).add(TESTED, base, threads=1)
    ic = comparable(table, {BASE: base.values, TESTED: base.values + added.values})
    return answer(Asker(table, seed, threads=1, thorough=False), base, added, ic, section.delisting_return)


def answer(asker: Asker, base: Forecast, added: Forecast, ic: pd.DataFrame, delisting_return: float) -> Answers:
    """The three answers from the forecasts and their daily rank ICs."""
    informative, partial = ask_informative(asker)
    improves = ask_improves(asker, added.values)
    pays = ask_pays(asker, base.values, added.values, delisting_return)
    gain = float((ic[TESTED] - ic[BASE]).mean())
    evidence = {"informative": informative, "improves": improves, "pays": pays}
    verdict = decide_verdict(improves, gain)
    return Answers(verdict, decide_answer(informative), decide_answer(pays), evidence, gain, partial)


def comparable(table: FeatureTable, forecasts: dict[str, np.ndarray]) -> pd.DataFrame:
    """Daily rank ICs of all forecasts on the sessions where each has one. Raises InputError where these are too few."""
    every = pd.DataFrame({arm: table.daily_ic(forecast) for arm, forecast in forecasts.items()})
    ic, params = every.dropna(), table.params
    least = MIN_IC_SESSIONS + table.horizon - 1
    if len(ic) < least:
        raise InputError(
            f"only {len(ic)} of the {len(every)} forecast sessions have backtest.min_tickers = "
            f"{params.min_tickers} tickers with a forward_return: expected at least {least} sessions; give a "
            f"longer period or more tickers, or lower backtest.train_sessions = {params.train_sessions}"
        )
    return ic
