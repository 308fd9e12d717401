"""The answers in sentences, made from the figures."""

from __future__ import annotations

from typing import Any

from finsentiment.arms import ATTENTION, BASE, PRICE, TESTED


def answers_in_words(metrics: dict[str, Any]) -> str:
    """The three answers, one line each: the verdict first, then whether sentiment is informative, and whether it pays.

    `metrics` as in `finsentiment.backtest.run.run_backtest`.
    """
    questions, interval = metrics["questions"], f"{100 * metrics['interval']:g} % interval"
    power = metrics["power"]
    improves, informative, pays = (questions[name] for name in ("improves", "informative", "pays"))
    with_it, without, over = metrics["ic"][TESTED]["mean"], metrics["ic"][BASE]["mean"], metrics["gain_over"][TESTED]
    gain = metrics["gain"][TESTED]
    lines = [
        f"{VERDICT_OPENINGS[improves['answer']]} Mean daily rank IC: {_three(with_it)} with sentiment, "
        f"{_three(without)} without. The gain over the base is {_with_interval(gain, interval)}, over "
        f"prices alone {_with_interval(over[PRICE])}, over prices with the amount of news "
        f"{_with_interval(over[ATTENTION])}. Partial rank IC of what sentiment adds: "
        f"{_partial(improves, interval, power)}",
        f"Informative: {answer_in_words(informative)}. Partial rank IC of the signal, prices and the amount of "
        f"news taken out: {_partial(informative, interval, power)}",
        f"Pays: {answer_in_words(pays)}. Long-short after costs, with sentiment less without: {pays['mean']:.1f} basis "
        f"points a session ({interval} {pays['low']:.1f} to {pays['high']:.1f})."
        + (f" {detectable_in_words(pays, power)}" if pays["answer"] == "no evidence" else ""),
    ]
    return "\n".join(lines)


VERDICT_OPENINGS = {
    "improves": "Sentiment improves the forecast.",
    "hurts": "Sentiment hurts the forecast.",
    "no evidence": "There is no evidence that sentiment changes the forecast.",
}


def answer_in_words(question: dict[str, Any]) -> str:
    """An answer as a word: `yes`, `no evidence`, or `it hurts`."""
    return "it hurts" if question["answer"] == "hurts" else question["answer"]


def detectable_in_words(question: dict[str, Any], power: float) -> str:
    """What would have been found with a probability of `power`, had it been there."""
    smallest, bps = question["detectable"], question.get("detectable_bps")
    if smallest is None:
        return "There are too few values to find any."
    size = f"{smallest:.1f}" if bps is None else f"{_three(smallest)}, about {bps:.1f} basis points a session,"
    return f"One of {size} would have been found with {100 * power:g} % probability."


def _partial(question: dict[str, Any], interval: str, power: float) -> str:
    """A partial rank IC with its interval and placebos; where there is no evidence, what would have been found."""
    said = f"{_with_interval(question, interval)}."
    if question["answer"] == "no evidence":
        return f"{said} {detectable_in_words(question, power)}"
    if not question["shuffled"]["count"]:
        return said
    shuffles = _share_beaten(question["shuffled"], "shuffles across alike tickers")
    return f"{said} It beats {shuffles} and {_share_beaten(question['shifted'], 'shifts in time')}."


def _with_interval(figures: dict[str, Any], name: str = "") -> str:
    return f"{_three(figures['mean'])} ({name}{' ' * bool(name)}{_three(figures['low'])} to {_three(figures['high'])})"


def _three(value: float) -> str:
    """Three digits after the point, and no sign before a zero."""
    return f"{round(value, 3) + 0.0:.3f}"


def _share_beaten(placebo: dict[str, Any], name: str) -> str:
    beaten, count = placebo["beaten"], placebo["count"]
    if beaten in (0, count):
        return f"{'all' if beaten else 'none of'} {count} {name}"
    return f"{beaten} of {count} {name}"
