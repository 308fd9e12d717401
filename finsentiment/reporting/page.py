"""One page of HTML that holds all it shows: the question and the verdict first, then the evidence.

It is a function of what the stages found, so that it is the same bytes for the same run: no time, no host, no path.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from finsentiment.reporting.evidence import answer_rows, coverage_rows, evidence_captions, portfolio_rows
from finsentiment.reporting.rows import doubts, used_in_words
from finsentiment.reporting.words import confidence, percent

TEMPLATE = "report.html"
QUESTION = "Does the sentiment of company news improve a forecast of stock returns?"
LIMITS = (
    "The rule errs. How often is measured on simulated markets of StockNet's shape, 87 tickers and 505 sessions "
    "(results/calibration/README.md); `make calibrate-mine` measures it on markets of the shape of this run.",
    "One data set is one sample: another period or other companies may say otherwise.",
    "Trades have a cost per unit of turnover. Impact, borrowing and taxes are left out.",
    "What was tried before this run and is not shown is only counted where backtest.trials_before says so.",
)
REMEMBERS = (
    "The language model was trained on texts that may be younger than the news it reads, and may remember what became "
    "of the companies. An arm with names hidden (score_news.readers) can show how much that matters."
)
"""Of real companies; those of the simulated market are invented."""


def report_page(
    metrics: dict[str, dict[str, Any]],
    tables: dict[str, pd.DataFrame],
    pictures: dict[str, bytes],
    words: str,
    cost_bps: float,
    parameters: str,
    hashes: dict[str, str],
    simulated: bool,
    tried_before: int,
) -> str:
    """The page.

    Parameters
    ----------
    metrics : by stage: prepare, baseline, finetune, evaluate, build_features, backtest
    tables : of the backtest by name, as `run_backtest` returns them; and confusion of the evaluation
    pictures : as PNG: curve, confusion and reliability of the evaluation, and `evidence_pictures`
    words : the answers in sentences, a line for each
    cost_bps : the cost at which drawdowns are shown
    parameters : the text of params.yaml
    hashes : what the run rests on, by name
    simulated : whether the market is
    tried_before : strategies tried on these data before, which made the intervals wider
    """
    found = metrics["backtest"]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    captions = evidence_captions(found, tables, cost_bps)
    captions |= _reading_captions(tables["confusion"], metrics["evaluate"])
    costs = sorted(next(iter(found["portfolio"].values()))["long_short"]["costs"], key=float)
    return environment.get_template(TEMPLATE).render(
        question=QUESTION,
        verdict=found["verdict"],
        answers=answer_rows(found),
        words=words.splitlines(),
        simulated=simulated,
        tried_before=tried_before,
        pictures={name: base64.b64encode(picture).decode() for name, picture in pictures.items()},
        captions=captions,
        covered=coverage_rows(tables["coverage"]),
        costs=costs,
        portfolios=portfolio_rows(found["portfolio"], costs, f"{cost_bps:g}"),
        shown_cost=f"{cost_bps:g}",
        interval=confidence(found["interval"]),
        reading=_reading(metrics["evaluate"], metrics["baseline"]),
        data=_data(metrics),
        doubts=doubts(metrics["prepare"]["market"]),
        limits=LIMITS if simulated else (*LIMITS, REMEMBERS),
        parameters=parameters,
        hashes=hashes,
    )


def _reading_captions(confusion: pd.DataFrame, ours: dict[str, Any]) -> dict[str, str]:
    wrong = confusion[confusion["actual"] != confusion["predicted"]]
    mistakes = "No sentence is read wrong."
    if len(wrong):
        (actual, predicted), count = next(iter(wrong.value_counts(["actual", "predicted"]).items()))
        of_class = int((confusion["actual"] == actual).sum())
        mistakes = f"The most frequent mistake: {count} of {of_class} {actual} sentences are read as {predicted}."
    return {
        "confusion": mistakes,
        "reliability": f"A temperature of {ours['temperature']:.2f} moves the log-loss from "
        f"{ours['log_loss_before']:.3f} to {ours['log_loss_after']:.3f} and the expected calibration error from "
        f"{ours['ece_before']:.3f} to {ours['ece_after']:.3f}.",
    }


def _reading(ours: dict[str, Any], baseline: dict[str, Any]) -> str:
    right, low, high = (percent(ours[name], 1) for name in ("accuracy", "accuracy_low", "accuracy_high"))
    untrained, tfidf = (percent(baseline[name]["accuracy"], 1) for name in ("zero_shot_calibrated", "tfidf"))
    return (
        f"{right} of {ours['sentences']} test sentences are read right (95 % interval {low} to {high}); macro F1 is "
        f"{ours['macro_f1']:.3f}. The base model without fine-tuning, calibrated, reads {untrained} right, TF-IDF with "
        f"logistic regression {tfidf}." + (f" {ours['seen']}." if ours.get("seen") else "")
    )


def _data(metrics: dict[str, dict[str, Any]]) -> str:
    features, prepared = metrics["build_features"], metrics["prepare"]
    return (
        f"The run uses {used_in_words(prepared['sentences'], prepared['market'])}. {features['news_used']} headlines "
        f"on {features['tickers']} tickers count for one of {features['sessions']} sessions; "
        f"{percent(features['coverage'], 1)} of the ticker-sessions have news. "
        f"{metrics['backtest']['counts']['sessions_with_ic']} sessions were forecast."
    )
