"""The backtest's part of the report: the three answers, pictures of the evidence, and a sentence for each."""

from __future__ import annotations

from typing import Any

import pandas as pd

from finsentiment.arms import ARMS, ATTENTION, BASE, PRICE, TESTED, TRUTH, describe_feature
from finsentiment.reporting.answers import answer_in_words, no_evidence_in_words
from finsentiment.reporting.pictures import (
    bars_picture,
    events_picture,
    intervals_picture,
    line_picture,
    placebo_picture,
    shares_picture,
    through_time_picture,
)
from finsentiment.reporting.words import (
    LONG_ONLY,
    arm_label,
    confidence,
    gains_in_words,
    joined,
    p_in_words,
    percent,
    signed,
)

TOP_FEATURES = 12
QUESTIONS = {
    "improves": "Does sentiment improve the forecast?",
    "informative": "Does it tell anything about returns that prices and the amount of news do not?",
    "pays": "Does a portfolio earn more with it, after costs?",
}


def answer_rows(found: dict[str, Any]) -> list[dict[str, str]]:
    """One row per question: the question, the answer, the figure that it rests on with its interval, in words."""
    rows = []
    for name, question in QUESTIONS.items():
        figures = found["questions"][name]
        if name == "pays":
            said = f"basis points a session: {_interval(figures, 1)}"
        else:
            said = f"partial rank IC {_interval(figures)}"
        if figures["answer"] == "no evidence":
            said += f". {no_evidence_in_words(name, found)}"
        rows.append({"question": question, "answer": answer_in_words(name, figures), "figure": said})
    return rows


def evidence_pictures(found: dict[str, Any], tables: dict[str, pd.DataFrame]) -> dict[str, bytes]:
    """Pictures of the backtest as PNG by name. `found` are its metrics, `tables` as in `report_page`."""
    within = f"with its {confidence(found['interval'])} interval"
    gains = {f"{ARMS[arm].label}, over the base": gain for arm, gain in in_order(found["gain"]).items()}
    over = found["gain_over"]
    gains |= {f"{ARMS[TESTED].label}, over {ARMS[arm].label}": over[TESTED][arm] for arm in (PRICE, ATTENTION)}
    gains[f"{ARMS[ATTENTION].label}, over {ARMS[PRICE].label}"] = over[ATTENTION][PRICE]
    horizons = sorted(found["gain_by"]["horizon"].items(), key=lambda item: int(item[0]))
    slices = {f"{h} session{'s' * (h != '1')} ahead": value for h, value in horizons}
    slices |= {name: found["gain_by"]["news"][name] for name in ("no news", "one headline", "more")}
    slices |= found["gain_by"]["year"]
    top = _top_features(tables["importance"])
    placebos = tables["placebo"]
    return {
        "gains": intervals_picture(gains, "What each arm adds", f"gain in mean daily rank IC, {within}"),
        "placebos": placebo_picture(
            placebos[placebos["question"] == "improves"], found["questions"]["improves"]["mean"]
        ),
        "ic": through_time_picture(_labelled(tables["ic"]), "Cumulative daily rank IC", "sum of rank ICs"),
        "slices": intervals_picture(
            {name: value for name, value in slices.items() if value},
            "What sentiment adds, by horizon, news and year",
            f"gain in mean daily rank IC, {within}",
        ),
        "decay": line_picture(
            tables["decay"].rename(columns={"lag": "x"}),
            "How long the signal tells",
            "sessions after the news counts",
            "partial rank IC with that session's return",
        ),
        "quantiles": bars_picture(
            tables["quantiles"].rename(columns={"quantile": "x"}),
            "Return of the next session by fifth of the news",
            "fifth of the tickers with news, 1: the worst news",
            "abnormal return, basis points",
        ),
        "events": events_picture(tables["events"], found["entry"]),
        "importance": shares_picture(
            [describe_feature(name, arm) for name, arm in zip(top["feature"], top["arm"], strict=True)],
            {"Shapley values": top["shap_share"].tolist(), "gain": top["gain_share"].tolist()},
            "What the forecasts are made of: shares within each arm",
        ),
        "equity": through_time_picture(
            _labelled(tables["equity"]), "Capital of the portfolios after costs", "capital, from 1"
        ),
    }


def evidence_captions(found: dict[str, Any], tables: dict[str, pd.DataFrame], cost_bps: float) -> dict[str, str]:
    """A sentence or two for each picture, made from its data; of portfolios at the cost `cost_bps`."""
    last = tables["ic"].iloc[-1]
    return {
        "gains": _gains(found),
        "placebos": _placebos(found["questions"]["improves"]),
        "ic": f"A steady climb is an effect that lasts; one jump is one event. After {len(tables['ic'])} sessions the "
        f"sum is {last[TESTED]:.1f} with sentiment and {last[BASE]:.1f} without.",
        "slices": _slices(found["gain_by"]),
        "decay": _decay(found["profile"]["horizon"], tables["decay"]),
        "quantiles": _quantiles(found["profile"]),
        "events": _events(tables["events"], found["entry"]),
        "coverage": _coverage(found["profile"], tables["coverage"]),
        "importance": _importance(tables["importance"]),
        "equity": _equity(found, cost_bps),
    }


def portfolio_rows(portfolios: dict[str, Any], costs: list[str], shown: str) -> list[dict[str, Any]]:
    """Sharpe ratios by arm and cost, the drawdown at the cost `shown`, and the cost at which nothing is left."""
    rows = []
    for arm, kinds in in_order(portfolios).items():
        for kind, words in (("long_short", "long-short"), ("long_only", "long only")):
            figures = kinds[kind]
            at = [figures["costs"][cost] for cost in costs]
            even = figures["break_even_bps"]
            rows.append(
                {
                    "name": f"{arm_label(arm)}, {words}",
                    "sharpe": [[f"{cost[key]:.2f}" for key in ("sharpe", "sharpe_low", "sharpe_high")] for cost in at],
                    "drawdown": percent(figures["costs"][shown]["max_drawdown"]),
                    "turnover": f"{figures['turnover']:.2f}",
                    "break_even": "none" if even is None or even <= 0 else f"{even:.1f}",
                }
            )
    return rows


def coverage_rows(coverage: pd.DataFrame, shown: int = 10) -> list[dict[str, str]]:
    """The tickers with the most headlines: how many, the share of all, and of the sessions that have news."""
    every = max(int(coverage["headlines"].sum()), 1)
    return [
        {
            "ticker": str(row["ticker"]),
            "headlines": f"{row['headlines']}",
            "share": percent(row["headlines"] / every, 1),
            "covered": percent(row["covered"]),
        }
        for row in coverage.head(shown).to_dict("records")
    ]


def _equity(found: dict[str, Any], cost_bps: float) -> str:
    costs = [found["portfolio"][arm]["long_short"]["costs"][f"{cost_bps:g}"] for arm in (TESTED, BASE)]
    with_it, without = (percent(figures["max_drawdown"]) for figures in costs)
    return (
        "The top fifth of the tickers by forecast is held long and the bottom fifth short. The largest drawdown is "
        f"{with_it} with sentiment and {without} without. Deflated Sharpe ratio of the fine-tuned model: "
        f"{found['deflated_sharpe']:.2f}, the probability that its true Sharpe ratio is higher than what the best of "
        f"{found['trials']} strategies without merit would show."
    )


def in_order(by_arm: dict[str, Any]) -> dict[str, Any]:
    """What is kept by arm, the base among them, in the one order of the arms: JSON files sort their keys."""
    return {arm: by_arm[arm] for arm in _ORDER if arm in by_arm}


_ORDER = (PRICE, ATTENTION, BASE, *(arm for arm in ARMS if arm not in (PRICE, ATTENTION)))


def _labelled(table: pd.DataFrame) -> pd.DataFrame:
    """A table with a column per arm or portfolio, in the order of the arms and under their labels."""
    names = [name for arm in _ORDER for name in (arm, f"{arm}{LONG_ONLY}") if name in table]
    return table[["session", *names]].rename(columns={name: arm_label(name) for name in names})


def _top_features(importance: pd.DataFrame) -> pd.DataFrame:
    return importance.sort_values("shap_share", ascending=False, kind="stable").head(TOP_FEATURES)


def _interval(figures: dict[str, float], digits: int = 3) -> str:
    mean, low, high = (signed(figures[name], digits) for name in ("mean", "low", "high"))
    return f"{mean} ({low} to {high})"


def _slices(gain_by: dict[str, Any]) -> str:
    """The gain by horizon, amount of news and year; those with too few sessions are named."""
    names = {key: f"over {key} session{'s' * (key != '1')}" for key in sorted(gain_by["horizon"], key=int)}
    news = {"no news": "without news", "one headline": "with one headline", "more": "with more than one"}
    words = {**names, **news, **{key: f"in {key}" for key in gain_by["year"]}}
    slices = {**gain_by["horizon"], **gain_by["news"], **gain_by["year"]}
    known = [f"{signed(slices[key]['mean'], 3)} {said}" for key, said in words.items() if slices[key]]
    left_out = [said for key, said in words.items() if not slices[key]]
    few = f" Too few sessions to say: {joined(left_out)}." if left_out else ""
    return f"The gain is {joined(known)}.{few}"


def _gains(found: dict[str, Any]) -> str:
    over = found["gain_over"][TESTED]
    folds = sum(found["base"].values())
    bases = joined([f"{name} in {count} of {folds} folds" for name, count in sorted(found["base"].items())])
    every = "all readers but the true tone" if TRUTH in found["gain"] else "all readers"
    return (
        f"{gains_in_words(in_order(found['gain']))} Over prices alone the fine-tuned model gains "
        f"{_interval(over[PRICE])}, over prices and the amount of news {_interval(over[ATTENTION])}. The base was "
        f"{bases}. Hansen's test for superior predictive ability over {every} at once: p "
        f"{p_in_words(found['spa_p'])}."
    )


def _placebos(figures: dict[str, Any]) -> str:
    if not figures["shuffled"]["count"]:
        return "No placebos were drawn."
    shuffled, shifted = figures["shuffled"], figures["shifted"]
    p, side = ("p", "high") if figures["mean"] >= 0 else ("p_hurts", "low")
    return (
        f"What sentiment adds has a partial rank IC of {signed(figures['mean'], 3)}. Shuffled across similar tickers "
        f"it is {signed(shuffled['mean'], 3)} on average (one as {side}: p {p_in_words(shuffled[p])}), shifted in "
        f"time {signed(shifted['mean'], 3)} (p {p_in_words(shifted[p])})."
    )


def _importance(importance: pd.DataFrame) -> str:
    first = _top_features(importance[importance["arm"] == TESTED]).iloc[0]
    if not first["shap_share"]:
        return "The fine-tuned model adds nothing to the base: no tree splits on its scores."
    name = first["feature"].removeprefix(ARMS[TESTED].prefix)
    share = percent(first["shap_share"])
    return f"Of what the fine-tuned model adds, {share} comes from its `{name}` (by Shapley values)."


def _decay(horizon: dict[str, Any], decay: pd.DataFrame) -> str:
    if not horizon["by"] or decay.empty:
        return "There are too few sessions to say how long the signal tells."
    by = joined([f"{_interval(by)} over {h}" for h, by in sorted(horizon["by"].items(), key=lambda item: int(item[0]))])
    return (
        f"Mean partial rank IC with daily returns that don't overlap: {by} sessions. Without an effect, the largest "
        f"of their t would be as large as here with p {p_in_words(horizon['p'])}."
    )


def _quantiles(profile: dict[str, Any]) -> str:
    spread, same, new = profile["spread"], profile["autocorrelation"], profile["top_turnover"]
    if spread is None:
        return "There are too few sessions with news on five tickers for returns by quantile."
    parts = [
        f"The fifth of the tickers with the best news earns {_interval(spread, 1)} basis points a session more than "
        "the fifth with the worst, before costs."
    ]
    if same is not None and new is not None:
        parts.append(
            f"The ranks of a session are correlated by {round(same, 2) + 0.0:.2f} with those of the session before "
            f"(tickers without news are neutral); {percent(new)} of the top fifth were not in it the last time."
        )
    return " ".join(parts)


def _events(events: pd.DataFrame, entry: str) -> str:
    """What moved up to the entry, which nobody could earn, and after it."""
    early, late = (", too early to trade,", "") if entry == "open" else ("", ", both before the entry at its close")
    rows = {(row["news"], row["day"], row["part"]): row for row in events.to_dict("records")}
    sentences = []
    for news in ("good", "neutral", "bad"):
        before, gap, within, end = (
            rows.get((news, *at)) for at in ((-1, "intraday"), (0, "overnight"), (0, "intraday"), (10, "intraday"))
        )
        if before and gap and within and end:
            entered = gap if entry == "open" else within
            sentences.append(
                f"On {news} news ({gap['events']} ticker-sessions) the stock moves {_moved(gap)} basis points in the "
                f"gap before the session{early} and {_moved(within)} within it{late}. In the five sessions before it "
                f"moved {signed(before['so_far_bps'], 1)}, from the entry to the end of the tenth session after "
                f"{signed(end['so_far_bps'] - entered['so_far_bps'], 1)}."
            )
    return " ".join(sentences) or "There is too little news for what the price does around it."


def _moved(row: dict[str, Any]) -> str:
    """A mean with its interval, which needs events of two sessions."""
    if pd.isna(row["low"]):
        return f"{signed(row['mean_bps'], 1)} (of one session)"
    return _interval({**row, "mean": row["mean_bps"]}, 1)


def _coverage(profile: dict[str, Any], coverage: pd.DataFrame) -> str:
    rare = int((coverage["covered"] < 0.1).sum())
    return (
        f"{percent(profile['top_five'])} of the headlines are on the {min(5, len(coverage))} tickers with most; {rare} "
        f"of {len(coverage)} tickers have news in fewer than one session of ten."
    )
