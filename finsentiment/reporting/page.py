"""One page of HTML that holds all it shows: the question and the verdict first, then the evidence.

It is a function of what the stages found, so that it is the same bytes for the same run: no time, no host, no path.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from finsentiment.arms import AGAINST, ARMS, TESTED, describe_feature
from finsentiment.reporting.pictures import intervals_picture, placebo_picture, shares_picture, through_time_picture
from finsentiment.reporting.rows import doubts, used_in_words
from finsentiment.reporting.words import LONG_ONLY, arm_label, gains_in_words, p_in_words

TEMPLATE = "report.html"
QUESTION = "Does the sentiment of company news improve a forecast of stock returns?"
TOP_FEATURES = 12
LIMITS = (
    "The rule errs: results/calibration/README.md says how often, measured on simulated markets.",
    "One data set is one draw: another period or other companies may say otherwise.",
    "The language model was trained on texts that may be younger than the news it reads, and may remember what became "
    "of the companies. An arm with names hidden (score_news.readers) shows how much that matters.",
    "Trades are at the open, at a cost per unit of turnover. Impact, borrowing and taxes are left out.",
    "What was tried before this run and is not shown is only counted where backtest.trials_before says so.",
)


def report_page(
    metrics: dict[str, dict[str, Any]],
    tables: dict[str, pd.DataFrame],
    pictures: dict[str, bytes],
    words: str,
    parameters: str,
    hashes: dict[str, str],
    simulated: bool,
) -> str:
    """The page.

    Parameters
    ----------
    metrics : by stage: prepare, baseline, finetune, evaluate, build_features, backtest
    tables : of the backtest, by name: ic, equity, placebo, importance; and confusion of the evaluation
    pictures : as PNG: curve, confusion and reliability of the evaluation, and `evidence_pictures`
    words : the verdict in sentences
    parameters : the text of params.yaml
    hashes : what the run rests on, by name
    simulated : whether the market is
    """
    found = metrics["backtest"]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    costs = sorted(next(iter(found["portfolio"].values()))["long_short"]["costs"], key=float)
    return environment.get_template(TEMPLATE).render(
        question=QUESTION,
        verdict=found["verdict"],
        key_figures=_key_figures(found),
        words=words,
        simulated=simulated,
        pictures={name: base64.b64encode(picture).decode() for name, picture in pictures.items()},
        captions=_captions(found, tables, metrics["evaluate"]),
        costs=costs,
        portfolios=_portfolio_rows(found["portfolio"], costs),
        interval=_percent(found["interval"]),
        reading=_reading(metrics["evaluate"], metrics["baseline"]),
        data=_data(metrics),
        doubts=doubts(metrics["prepare"]["market"]),
        limits=LIMITS,
        parameters=parameters,
        hashes=hashes,
    )


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"


def _in_order(by_arm: dict[str, Any]) -> dict[str, Any]:
    """What is kept by arm, in the one order of the arms: JSON files sort their keys."""
    return {arm: by_arm[arm] for arm in ARMS if arm in by_arm}


def _key_figures(found: dict[str, Any]) -> list[tuple[str, str]]:
    gain, ic, placebo = found["gain"][TESTED], found["ic"], found["placebo"]
    figures = [
        (
            f"{gain['mean']:+.3f}",
            f"gain in mean daily rank IC ({_percent(found['interval'])} interval "
            f"{gain['low']:+.3f} to {gain['high']:+.3f})",
        ),
        (f"{ic[TESTED]['mean']:.3f} and {ic[AGAINST]['mean']:.3f}", "mean daily rank IC with and without sentiment"),
    ]
    if placebo["shuffled"]["count"]:
        chances = " and ".join(p_in_words(placebo[kind]["p"]).removeprefix("= ") for kind in ("shuffled", "shifted"))
        figures.append((chances, "chance of such a gain with the scores shuffled across tickers, and shifted in time"))
    return figures


def evidence_pictures(found: dict[str, Any], tables: dict[str, pd.DataFrame]) -> dict[str, bytes]:
    """Pictures of the backtest as PNG: gains, placebos, ic, slices, importance, equity.

    `found` are the metrics of the backtest, `tables` as in `report_page`.
    """
    within = f"with its {_percent(found['interval'])} interval"
    gains = {
        f"{ARMS[arm].label}, over {ARMS[ARMS[arm].adds_to or arm].label}": gain
        for arm, gain in _in_order(found["gain"]).items()
    }
    horizons = sorted(found["ic_by"]["horizon"].items(), key=lambda item: int(item[0]))
    slices = {f"{h} session{'s' * (h != '1')} ahead": value for h, value in horizons}
    slices |= {name: found["ic_by"]["news"][name] for name in ("no news", "one headline", "more")}
    slices |= found["ic_by"]["year"]
    top = _top_features(tables["importance"])
    return {
        "gains": intervals_picture(gains, "What each arm adds", f"gain in mean daily rank IC, {within}"),
        "placebos": placebo_picture(tables["placebo"], found["placebo"]["shuffled"]["observed"]),
        "ic": through_time_picture(_labelled(tables["ic"]), "Cumulative daily rank IC", "sum of rank ICs"),
        "slices": intervals_picture(
            {name: value for name, value in slices.items() if value},
            "The forecast with sentiment, by horizon, news and year",
            f"mean daily rank IC, {within}",
        ),
        "importance": shares_picture(
            [describe_feature(name) for name in top["feature"]],
            {"Shapley values": top["shap_share"].tolist(), "gain": top["gain_share"].tolist()},
            "What the forecasts are made of: shares within each arm",
        ),
        "equity": through_time_picture(
            _labelled(tables["equity"]), "Capital of the portfolios after costs", "capital, from 1"
        ),
    }


def _labelled(table: pd.DataFrame) -> pd.DataFrame:
    """A table with a column per arm or portfolio, in the order of the arms and under their labels."""
    names = [name for arm in ARMS for name in (arm, f"{arm}{LONG_ONLY}") if name in table]
    return table[["session", *names]].rename(columns={name: arm_label(name) for name in names})


def _top_features(importance: pd.DataFrame) -> pd.DataFrame:
    return importance.sort_values("shap_share", ascending=False, kind="stable").head(TOP_FEATURES)


def _captions(found: dict[str, Any], tables: dict[str, pd.DataFrame], ours: dict[str, Any]) -> dict[str, str]:
    last = tables["ic"].iloc[-1]
    placebo = found["placebo"]
    placebos = "No placebos were drawn."
    if placebo["shuffled"]["count"]:
        placebos = (
            f"The real scores gain {placebo['shuffled']['observed']:+.3f}. Shuffled across tickers they gain "
            f"{placebo['shuffled']['mean']:+.3f} on average, shifted in time {placebo['shifted']['mean']:+.3f}."
        )
    first = _top_features(tables["importance"]).iloc[0]
    confusion = tables["confusion"]
    wrong = confusion[confusion["actual"] != confusion["predicted"]]
    mistakes = "No sentence is read wrong."
    if len(wrong):
        (actual, predicted), count = next(iter(wrong.value_counts(["actual", "predicted"]).items()))
        of_class = int((confusion["actual"] == actual).sum())
        mistakes = f"The most frequent mistake: {count} of {of_class} {actual} sentences are read as {predicted}."
    return {
        "gains": f"{gains_in_words(_in_order(found['gain']))} Hansen's test for superior predictive ability over all "
        f"readers at once: p {p_in_words(found['spa_p'])}.",
        "placebos": placebos,
        "ic": f"A steady climb is an effect that lasts; one jump is one event. After {len(tables['ic'])} sessions the "
        f"sum is {last[TESTED]:.1f} with sentiment and {last[AGAINST]:.1f} without.",
        "slices": "How far ahead the forecast is judged, how much news there was, and the year. Slices with too few "
        "sessions are left out.",
        "importance": f"The largest share of its arm: {describe_feature(first['feature'])}, "
        f"{_percent(first['shap_share'])} by Shapley values.",
        "equity": "The top fifth of the tickers by forecast is held long and the bottom fifth short, traded at the "
        f"open. Deflated Sharpe ratio of the fine-tuned model: {found['deflated_sharpe']:.2f}, the chance that it is "
        f"better than the best of {found['trials']} strategies without merit.",
        "confusion": mistakes,
        "reliability": f"A temperature of {ours['temperature']:.2f} moves the log-loss from "
        f"{ours['log_loss_before']:.3f} to {ours['log_loss_after']:.3f} and the expected calibration error from "
        f"{ours['ece_before']:.3f} to {ours['ece_after']:.3f}.",
    }


def _portfolio_rows(portfolios: dict[str, Any], costs: list[str]) -> list[dict[str, Any]]:
    """Sharpe ratios by arm and cost, and the cost at which nothing is left."""
    rows = []
    for arm, kinds in _in_order(portfolios).items():
        for kind, words in (("long_short", "long-short"), ("long_only", "long only")):
            figures = kinds[kind]
            at = [figures["costs"][cost] for cost in costs]
            even = figures["break_even_bps"]
            rows.append(
                {
                    "name": f"{ARMS[arm].label}, {words}",
                    "sharpe": [[f"{cost[key]:.2f}" for key in ("sharpe", "sharpe_low", "sharpe_high")] for cost in at],
                    "turnover": f"{figures['turnover']:.2f}",
                    "break_even": "none" if even is None else f"{even:.1f}",
                }
            )
    return rows


def _reading(ours: dict[str, Any], baseline: dict[str, Any]) -> str:
    right, low, high = (_percent(ours[name], 1) for name in ("accuracy", "accuracy_low", "accuracy_high"))
    untrained, tfidf = (_percent(baseline[name]["accuracy"], 1) for name in ("zero_shot_calibrated", "tfidf"))
    return (
        f"{right} of {ours['sentences']} test sentences are read right (95 % interval {low} to {high}); macro F1 is "
        f"{ours['macro_f1']:.3f}. The base model without fine-tuning, calibrated, reads {untrained} right, TF-IDF with "
        f"logistic regression {tfidf}."
    )


def _data(metrics: dict[str, dict[str, Any]]) -> str:
    features, prepared = metrics["build_features"], metrics["prepare"]
    return (
        f"The run uses {used_in_words(prepared['sentences'], prepared['market'])}. {features['news_used']} headlines "
        f"on {features['tickers']} tickers count for one of {features['sessions']} sessions; "
        f"{_percent(features['coverage'])} of the ticker-sessions have news. "
        f"{metrics['backtest']['counts']['sessions_with_ic']} sessions were forecast."
    )
