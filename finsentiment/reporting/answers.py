"""The answers in sentences, made from the figures."""

from __future__ import annotations

from typing import Any

from finsentiment.arms import ATTENTION, BASE, PRICE, TESTED
from finsentiment.reporting.words import confidence


def answers_in_words(metrics: dict[str, Any], cost_bps: float) -> str:
    """The three answers, one line each: the verdict first, then whether sentiment is informative, and whether it pays.

    Parameters
    ----------
    metrics : as in `finsentiment.backtest.run.run_backtest`
    cost_bps : the cost at which *pays* was judged
    """
    interval = f"{confidence(metrics['interval'])} interval"
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
        _beside("improves", metrics),
    ]
    tells = [
        f"Informative: {answer_in_words('informative', informative)}.",
        "Partial rank IC of the signal, after removing what prices and the amount of news explain:",
        f"{_with_interval(informative, interval)}.",
        _beside("informative", metrics),
    ]
    earns = [
        f"Pays: {answer_in_words('pays', pays)}.",
        f"With sentiment the long-short portfolio earns {abs(pays['mean']):.1f} basis points a session",
        f"{'less' if pays['mean'] < 0 else 'more'}, after costs of {cost_bps:g} per unit of turnover",
        f"({interval} of the difference: {_plain(pays['low'], 1)} to {_plain(pays['high'], 1)}).",
        _beside("pays", metrics),
        f"Sharpe ratio a year: {_plain(ratios[0], 2)} with sentiment, {_plain(ratios[1], 2)} without."
        + " Both lose." * (max(ratios) < 0),
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
        return "No effect could have been found: there are too few values, or all are the same."
    size = f"difference of {smallest:.1f}"
    if bps is not None:
        size = f"partial rank IC of {_three(smallest)} (about {bps:.1f} basis points a session before costs)"
    return f"A {size} would have been found with {100 * power:g} % probability."


def no_evidence_in_words(name: str, found: dict[str, Any]) -> str:
    """What would have been found of the question `name`; where the interval excludes 0, first what speaks against it.

    `found` are the metrics of the backtest.
    """
    question = found["questions"][name]
    smallest = detectable_in_words(question, found["power"])
    side = (question["low"] > 0) - (question["high"] < 0)
    if not side:
        return smallest
    shuffled, shifted = question["shuffled"], question["shifted"]
    p, rare = "p" if side > 0 else "p_hurts", (1 - found["interval"]) / 2
    if name == "improves" and found["gain"][TESTED]["mean"] * side <= 0:
        against = "the gain in mean rank IC has not the same sign"
    elif any(placebo[p] > max(rare, 1 / (1 + placebo["count"])) for placebo in (shuffled, shifted)):
        as_far = [kind["count"] - kind["beaten"] if side > 0 else kind["beaten"] for kind in (shuffled, shifted)]
        against = (
            f"the figure is as {'high' if side > 0 else 'low'} in {as_far[0]} of {shuffled['count']} shuffles among "
            f"similar tickers and {as_far[1]} of {shifted['count']} shifts in time"
        )
    else:
        against = f"the HAC t of {question['hac_t']:.2f} is too small"
    return f"The interval excludes 0, but {against}. Otherwise {smallest[0].lower()}{smallest[1:]}"


def _beside(name: str, found: dict[str, Any]) -> str:
    """How the figure stands beside its placebos; where there is no evidence, why or what would have been found."""
    question = found["questions"][name]
    if question["answer"] == "no evidence":
        return no_evidence_in_words(name, found)
    if not question["shuffled"]["count"]:
        return "No placebos were drawn."
    side = "lower" if question["answer"] == "hurts" else "higher"
    shuffles = _share_beaten(question["shuffled"], side, "shuffles among similar tickers")
    return f"It is {side} than in {shuffles} and in {_share_beaten(question['shifted'], side, 'shifts in time')}."


def _with_interval(figures: dict[str, Any], name: str = "") -> str:
    return f"{_three(figures['mean'])} ({name}{' ' * bool(name)}{_three(figures['low'])} to {_three(figures['high'])})"


def _three(value: float) -> str:
    return _plain(value, 3)


def _plain(value: float, digits: int) -> str:
    """A number without a sign before a zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def _share_beaten(placebo: dict[str, Any], side: str, name: str) -> str:
    count = placebo["count"]
    beaten = placebo["beaten"] if side == "higher" else count - placebo["beaten"]
    if beaten in (0, count) and count > 1:
        return f"{'all' if beaten else 'none of'} {count} {name}"
    return f"{beaten} of {count} {name}"
