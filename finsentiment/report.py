"""One page of HTML that holds all it shows: the question and the verdict first, then the evidence.

It is a function of what the stages found, so that it is the same bytes for the same run: no time, no host, no path.
"""

from __future__ import annotations

import base64
import html
from typing import Any

import pandas as pd

from finsentiment.pictures import intervals_picture, placebo_picture, shares_picture, through_time_picture

STYLE = """
body { font: 16px/1.5 Georgia, serif; color: #222; max-width: 46rem; margin: 0 auto; padding: 1rem; }
h1, h2 { font-family: Helvetica, Arial, sans-serif; line-height: 1.2; }
h2 { margin-top: 2.2rem; border-bottom: 1px solid #ccc; }
.verdict { font: bold 1.6rem Helvetica, Arial, sans-serif; padding: .6rem 1rem; background: #eef4f9;
  border-left: .5rem solid #0072B2; }
figure { margin: 1.2rem 0; break-inside: avoid; }
img { max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font: .85rem Helvetica, Arial, sans-serif; }
th, td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
pre { font-size: .75rem; overflow-x: auto; background: #f6f6f6; padding: .6rem; }
@media print {
  body { max-width: none; font-size: 11pt; }
  h2 { break-after: avoid; }
  pre { white-space: pre-wrap; }
  .wide { overflow: visible; }
  table { font-size: .55rem; }
  th, td { padding: .1rem .3rem; }
}
"""
QUESTION = "Does the sentiment of company news improve a forecast of stock returns?"
TRUTH = "A simulated market shows that the method works, not that real returns can be forecast."
LIMITS = (
    "The rule errs: results/calibration/README.md says how often, measured on simulated markets.",
    "One data set is one draw: another period or other companies may say otherwise.",
    "The language model was trained on texts that may be younger than the news it reads, and may remember what became "
    "of the companies; an arm with names masked (score_news.readers) shows how much that matters.",
    "Trades are at the open, at a cost per unit of turnover; impact, borrowing and taxes are left out.",
    "What was tried before this run and is not shown is only counted where backtest.trials_before says so.",
)


def page(
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
    tables : of the backtest, by name: ic, equity, placebo, importance
    pictures : of the evaluation, as PNG: curve, confusion, reliability
    words : the verdict as a sentence
    parameters : the text of params.yaml
    hashes : what the run rests on, by name
    simulated : whether the market is
    """
    found, ours, features = (metrics[stage] for stage in ("backtest", "evaluate", "build_features"))
    within = f"with its {100 * found['interval']:g} % interval"
    chance = "below 0.001" if found["spa_p"] < 0.001 else f"{found['spa_p']:.3f}"
    known_years = {name: value for name, value in found["ic_by"]["year"].items() if value}
    horizons = sorted(found["ic_by"]["horizon"].items(), key=lambda item: int(item[0]))
    slices = {f"{h} session{'s' * (h != '1')} ahead": value for h, value in horizons if value}
    slices |= {name: value for name, value in found["ic_by"]["news"].items() if value} | known_years
    importance = tables["importance"].sort_values("shap_share", ascending=False, kind="stable").head(12)
    parts = [
        f"<h1>{QUESTION}</h1>",
        f"<p class=verdict>{html.escape(found['verdict'].capitalize())}</p>",
        _p(words, *([TRUTH] if simulated else [])),
        "<h2>The evidence</h2>",
        _figure(
            intervals_picture(found["gain"], "What each arm adds", f"gain in mean daily rank IC, {within}"),
            "Attention adds to prices, every reader of the news to attention; an interval across 0 is no evidence. "
            f"Over all readers at once the chance of so good a best one without merit is {chance} "
            "(Hansen's test for superior predictive ability).",
        ),
        _figure(
            placebo_picture(tables["placebo"], found["placebo"]["shuffled"]["observed"]),
            "If sentiment says something, the real scores stand to the right of scores that were given to other "
            "tickers or moved to other times.",
        ),
        _figure(
            through_time_picture(tables["ic"], "Cumulative daily rank IC", "sum of rank ICs"),
            "A steady climb is an effect that lasts; a single jump is luck.",
        ),
        _figure(
            intervals_picture(slices, "Where the forecast is any good", f"mean daily rank IC, {within}"),
            "The same forecast, by how far ahead it is judged, by how much news there was, and by year.",
        ),
        _figure(
            shares_picture(
                [f"{arm}: {name}" for arm, name in zip(importance["arm"], importance["feature"], strict=True)],
                {"Shapley values": importance["shap_share"].tolist(), "gain": importance["gain_share"].tolist()},
                "What the forecasts are made of",
            ),
            "Shares within what each arm adds.",
        ),
        "<h2>Money</h2>",
        _figure(
            through_time_picture(tables["equity"], "Capital of the portfolios after costs", "capital, from 1"),
            f"Top and bottom fifth by forecast, traded at the open. Deflated Sharpe ratio of the fine-tuned arm: "
            f"{found['deflated_sharpe']:.2f}, the chance that it is better than the best of {found['trials']} "
            "strategies without merit.",
        ),
        _money(found["portfolio"]),
        "<h2>How well the model reads</h2>",
        _p(
            f"{ours['accuracy']:.1%} of {ours['sentences']} test sentences right "
            f"({ours['accuracy_low']:.1%} to {ours['accuracy_high']:.1%}), macro F1 {ours['macro_f1']:.3f}, expected "
            f"calibration error {ours['ece']:.3f}; the base model without fine-tuning, calibrated: "
            f"{metrics['baseline']['zero_shot_calibrated']['accuracy']:.1%}, TF-IDF and logistic regression: "
            f"{metrics['baseline']['tfidf']['accuracy']:.1%}."
        ),
        _figure(pictures["curve"], "Training: the epoch is chosen on validation sentences."),
        _figure(pictures["confusion"], "What is taken for what."),
        _figure(pictures["reliability"], "How far its confidence can be believed."),
        "<h2>The data</h2>",
        _p(
            f"{metrics['prepare']['sentences']['rows_out']} labelled sentences; {features['news_used']} of "
            f"{features['news_in']} headlines on {features['tickers']} tickers over {features['sessions']} sessions, "
            f"{features['coverage']:.0%} of the ticker-sessions with news; "
            f"{found['counts']['sessions_with_ic']} sessions were forecast."
        ),
        "<h2>Limits</h2>",
        "<ul>" + "".join(f"<li>{html.escape(limit)}</li>" for limit in LIMITS) + "</ul>",
        "<h2>Parameters</h2>",
        f"<pre>{html.escape(parameters)}</pre>",
        "<h2>Hashes (SHA-256)</h2>",
        "<pre>" + html.escape("\n".join(f"{value}  {name}" for name, value in hashes.items())) + "</pre>",
    ]
    head = f"<meta charset=utf-8><meta name=viewport content='width=device-width'><title>{QUESTION}</title>"
    return (
        f"<!doctype html><html lang=en><head>{head}<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _p(*sentences: str) -> str:
    return f"<p>{html.escape(' '.join(sentences))}</p>"


def _figure(picture: bytes, sentence: str) -> str:
    source = base64.b64encode(picture).decode()
    text = html.escape(sentence)
    return f"<figure><img alt='' src='data:image/png;base64,{source}'><figcaption>{text}</figcaption></figure>"


def _money(portfolios: dict[str, Any]) -> str:
    """Sharpe ratios by arm and cost, and the cost at which nothing is left."""
    costs = sorted(next(iter(portfolios.values()))["long_short"]["costs"], key=float)
    head = ["Sharpe ratio (interval)", *(f"{cost} bps" for cost in costs), "turnover", "break-even, bps"]
    rows = []
    for arm, kinds in portfolios.items():
        for kind, figures in kinds.items():
            cells = [
                f"{at['sharpe']:.2f} ({at['sharpe_low']:.2f} to {at['sharpe_high']:.2f})"
                for at in (figures["costs"][cost] for cost in costs)
            ]
            even = figures["break_even_bps"]
            more = [f"{figures['turnover']:.2f}", "none" if even is None else f"{even:.1f}"]
            rows.append([f"{arm.replace('_', ' ')}, {kind.replace('_', '-')}", *cells, *more])
    cells = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div class=wide><table><tr>{''.join(f'<th>{name}</th>' for name in head)}</tr>{cells}</table></div>"
