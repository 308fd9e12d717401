"""The answers in sentences, made from the figures."""

from __future__ import annotations

from typing import Any

from finsentiment.arms import ATTENTION, BASE, PRICE, TESTED


def answers_in_words(metrics: dict[str, Any], cost_bps: float) -> str:
    """The three answers, one line each: the verdict first, then whether sentiment is informative, and whether it pays.

    Parameters
    ----------
    metrics : as in `finsentiment.backtest.run.run_backtest`
    cost_bps : the cost at which *pays* was judged
    """
    interval, power = f"{100 * metrics['interval']:g} % interval", metrics["power"]
    questions = metrics["questions"]
    improves, informative, pays = (questions[name] for name in ("improves", "informative", "pays"))
    with_it, without, over = metrics["ic"][TESTED]["mean"], metrics["ic"][BASE]["mean"], metrics["gain_over"][TESTED]
    base = metrics["base"]
    prices = sum(folds for name, folds in base.items() if name.startswith(f"{PRICE},"))
    ratios = [metrics["portfolio"][arm]["long_short"]["costs"][f"{cost_bps:g}"]["sharpe"] for arm in (TESTED, BASE)]
    verdict = [
        VERDICT_OPENINGS[improves["answer"]],
        f"Mean daily rank IC: {_three(with_it)} with sentiment, {_three(without)} without.",
        f"The gain is {_with_interval(metrics['gain'][TESTED], interval)} over the base,",
        f"{_with_interval(over[PRICE])} over prices alone,",
        f"{_with_interval(over[ATTENTION])} over prices with the amount of news.",
        f"The base was prices alone in {prices} of {sum(base.values())} folds.",
        f"Partial rank IC of what sentiment adds: {_with_interval(improves, interval)}.",
        _beside(improves, power),
    ]
    tells = [
        f"Informative: {answer_in_words('informative', informative)}.",
        "Partial rank IC of the signal, after removing what prices and the amount of news explain:",
        f"{_with_interval(informative, interval)}.",
        _beside(informative, power),
    ]
    earns = [
        f"Pays: {answer_in_words('pays', pays)}.",
        f"With sentiment the long-short portfolio earns {abs(pays['mean']):.1f} basis points a session",
        f"{'less' if pays['mean'] < 0 else 'more'}, after costs of {cost_bps:g} per unit of turnover",
        f"({interval} of the difference: {pays['low']:.1f} to {pays['high']:.1f}).",
        _beside(pays, power),
        f"Sharpe ratio a year: {ratios[0]:.2f} with sentiment, {ratios[1]:.2f} without.",
    ]
    return "\n".join(" ".join(parts) for parts in (verdict, tells, earns))


VERDICT_OPENINGS = {
    "improves": "Sentiment improves the forecast.",
    "hurts": "Sentiment hurts the forecast.",
    "no evidence": "There is no evidence that sentiment changes the forecast.",
}
AGAINST = {"improves": "it hurts", "informative": "the signal goes against returns", "pays": "it costs"}
"""What `hurts` means as an answer to each question."""


def answer_in_words(name: str, question: dict[str, Any]) -> str:
    """An answer to the question `name`: itself, but for `hurts`, which means another thing in each."""
    return AGAINST[name] if question["answer"] == "hurts" else question["answer"]


def detectable_in_words(question: dict[str, Any], power: float) -> str:
    """What would have been found with a probability of `power`, had it been there."""
    smallest, bps = question["detectable"], question.get("detectable_bps")
    if smallest is None:
        return "There are too few values to find any."
    size = f"difference of {smallest:.1f}"
    if bps is not None:
        size = f"partial rank IC of {_three(smallest)} (about {bps:.1f} basis points a session before costs)"
    return f"A {size} would have been found with {100 * power:g} % probability."


def _beside(question: dict[str, Any], power: float) -> str:
    """How the figure stands beside its placebos; where there is no evidence, what would have been found."""
    if question["answer"] == "no evidence":
        smallest = question["detectable"]
        if smallest is not None and abs(question["mean"]) >= smallest:  # all points of the rule hold but the gain
            return "It is beyond chance, but the gain in mean rank IC has not the same sign."
        return detectable_in_words(question, power)
    if not question["shuffled"]["count"]:
        return "No placebos were drawn."
    side = "lower" if question["answer"] == "hurts" else "higher"
    shuffles = _share_beaten(question["shuffled"], side, "shuffles among similar tickers")
    return f"It is {side} than in {shuffles} and in {_share_beaten(question['shifted'], side, 'shifts in time')}."


def _with_interval(figures: dict[str, Any], name: str = "") -> str:
    return f"{_three(figures['mean'])} ({name}{' ' * bool(name)}{_three(figures['low'])} to {_three(figures['high'])})"


def _three(value: float) -> str:
    """Three digits after the point, and no sign before a zero."""
    return f"{round(value, 3) + 0.0:.3f}"


def _share_beaten(placebo: dict[str, Any], side: str, name: str) -> str:
    count = placebo["count"]
    beaten = placebo["beaten"] if side == "higher" else count - placebo["beaten"]
    if beaten in (0, count):
        return f"{'all' if beaten else 'none of'} {count} {name}"
    return f"{beaten} of {count} {name}"
