"""The page and the picture of a calibration."""

from __future__ import annotations

import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from finsentiment.labels import LABELS
from finsentiment.params import Params
from finsentiment.reporting.pictures import shares_by_size_picture
from finsentiment.reporting.words import percent
from scripts.calibration.grid import CONFIRMED_FROM, LARGE, NULLS, OTHER
from scripts.calibration.markets import AFTER
from scripts.calibration.shape import Shape

QUESTIONS = {"verdict": "improves", "informative": "yes", "pays": "yes"}
"""The columns of markets.csv that hold answers, and what each says where sentiment is of use."""
NAMES = {"verdict": "improves", "informative": "informative", "pays": "pays"}
SIDE = 0.05
"""The share of wrong answers that each side may have."""
EARNED = [kind.name for kind in NULLS if kind.other in ("gap", "gap_extreme")]
"""Kinds in which sentiment may truly pay: it stands for the gap, which a trader at the open doesn't know."""
ALL = "all kinds"
BY = ["kind", "other", "planted", "reading"]


def rate(said: pd.Series) -> tuple[float, float, float]:
    """A share with its 95 % interval (Wilson 1927)."""
    low, high = proportion_confint(int(said.sum()), len(said), method="wilson")
    return float(said.mean()), float(low), float(high)


def false_answers(done: pd.DataFrame) -> pd.DataFrame:
    """How often each answer was wrong where the tone says nothing: a row per kind and size of the other effect.

    `barred`: whether the bar applies: to all kinds together and to each, the sizes of `OTHER` or none together. What
    may be true, *pays: yes* of the kinds `EARNED`, is left out of all kinds together.
    """
    nulls = done[done["planted"] == 0]
    rows = []
    parts = [(ALL, "0 to 0.06", nulls[nulls["other"] < LARGE], True)]
    parts += [(kind, "0 to 0.06", group[group["other"] < LARGE], True) for kind, group in nulls.groupby("kind")]
    parts += [
        (kind, f"{other:g}", group, False)
        for (kind, other), group in nulls.groupby(["kind", "other"])
        if other in (*OTHER, LARGE)
    ]
    for kind, other, group, barred in parts:
        row = {"kind": kind, "other": other, "markets": len(group), "barred": barred}
        for question, useful in QUESTIONS.items():
            for answer in (useful, "hurts"):
                name = f"{question} {'+' if answer == useful else '-'}"
                judged = group[~group["kind"].isin(EARNED)] if (kind, name) == (ALL, "pays +") else group
                share, low, high = rate(judged[question] == answer)
                row |= {name: share, f"{name} low": low, f"{name} high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def misses(false: pd.DataFrame) -> list[str]:
    """Where the bar is missed: all kinds together are wrong too often, or a kind's whole interval lies above it."""
    found = []
    for row in false[false["barred"]].to_dict("records"):
        for question in QUESTIONS:
            for side, word in (("+", "yes"), ("-", "hurts")):
                name = f"{question} {side}"
                may_be_true = name == "pays +" and row["kind"] in EARNED
                too_often = row[name] if row["kind"] == ALL else row[f"{name} low"]
                if too_often > SIDE and not may_be_true:
                    said = _share(*(row[f"{name}{part}"] for part in ("", " low", " high")))
                    found.append(f"{row['kind']}, {NAMES[question]}: {word} in {said} %")
    return found


def found_answers(done: pd.DataFrame) -> pd.DataFrame:
    """How often a planted effect was found: a row per kind, size of the other effect, planted rank IC and reading."""
    rows = []
    for key, group in done[done["planted"] > 0].groupby(BY):
        row = dict(zip(BY, key, strict=True)) | {"markets": len(group), "detectable": group["detectable"].mean()}
        row |= {"partial": group["informative_mean"].mean(), "gain": group["gain"].mean()}
        for question, useful in QUESTIONS.items():
            share, low, high = rate(group[question] == useful)
            row |= {question: share, f"{question}_low": low, f"{question}_high": high}
        row["hurts"] = float((group[list(QUESTIONS)] == "hurts").any(axis=1).mean())
        rows.append(row)
    return pd.DataFrame(rows)


def calibration_picture(done: pd.DataFrame) -> bytes:
    """How often each question was answered with yes, by planted rank IC beside a reversal of 0.06."""
    part = done[(done["kind"] == "drift_3") & (done["other"] == OTHER[-1]) & (done["reading"] == done["reading"].min())]
    none = done[(done["kind"] == "null_reversal") & (done["other"] == OTHER[-1])]
    lines = {}
    for question, useful in QUESTIONS.items():
        groups = [(0.0, none), *((float(size), group) for size, group in part.groupby("planted"))]
        lines[question] = [(size, *rate(group[question] == useful)) for size, group in groups if len(group)]
    return shares_by_size_picture({NAMES[question]: points for question, points in lines.items()})


def _share(value: float, low: float, high: float) -> str:
    """In percent, with its interval."""
    return f"{100 * value:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]


def calibration_page(done: pd.DataFrame, shape: Shape, reading: pd.DataFrame, first: int, params: Params) -> str:
    """The page in Markdown."""
    false, found = false_answers(done), found_answers(done)
    names = [f"{question} {side}" for question in QUESTIONS for side in "+-"]
    head = ["kind of market", "other effect", "markets"]
    head += [f"{NAMES[question]}: {word}" for question in QUESTIONS for word in ("yes", "hurts")]
    rows = [
        [row["kind"], row["other"], str(row["markets"])]
        + [_share(row[name], row[f"{name} low"], row[f"{name} high"]) for name in names]
        for row in false.to_dict("records")
    ]
    missed = misses(false)
    power_head = ["drift over", "other effect", "planted", "read right", "markets", "improves", "informative", "pays"]
    power_head += ["any: hurts", "partial rank IC", "detectable", "gain"]
    power = [
        [row["kind"].removeprefix("drift_"), f"{row['other']:g}", f"{row['planted']:g}", f"{row['reading']:g}"]
        + [str(row["markets"])]
        + [_share(row[q], row[f"{q}_low"], row[f"{q}_high"]) for q in QUESTIONS]
        + [f"{100 * row['hurts']:.1f}", f"{row['partial']:.4f}", f"{row['detectable']:.4f}", f"{row['gain']:+.4f}"]
        for row in found.to_dict("records")
    ]
    mute = [kind for kind, group in done.groupby("kind") if (group["pays_hac_t"] == 0).all()]
    facts = shape.facts()
    short = f"{300 + AFTER} sessions: 300, and {AFTER} that in other kinds only end the last returns"
    counts = reading[list(LABELS)].to_numpy()
    small = done[(done["planted"] == 0) & (done["other"] < LARGE)]
    with_gaps = percent(float((small["pays"] == "yes").mean()), 1)
    seeds = "the confirmation's" if first == CONFIRMED_FROM else "for development"
    keys = ", ".join(sorted(done["key"].unique()))
    return "\n".join(
        [
            "# How often the three answers are wrong, and how often they find what is there",
            "",
            f"{len(done)} markets, seeds from {first} on ({seeds}). How they are made: "
            "[`scripts/calibration/markets.py`](../../scripts/calibration/markets.py); which: "
            "[`grid.py`](../../scripts/calibration/grid.py). Each row of [markets.csv](markets.csv) is one market. "
            f"Shape ([shape.json](shape.json)): {facts['tickers']} tickers, {facts['sessions']} sessions, "
            f"{facts['news_per_session']:.2f} headlines per ticker and session, {facts['coverage']:.0%} of the "
            f"ticker-sessions covered, {facts['top_five']:.0%} of the news on five tickers, {facts['repeats']:.0%} "
            f"repeated. Errors of reading ([reading.csv](reading.csv)): measured on {counts.sum()} distinct headlines, "
            f"of which {counts.diagonal().sum() / counts.sum():.0%} are read right; for larger shares a part of these "
            "errors is left out.",
            "",
            "## Where the tone says nothing",
            "",
            f"**{'Not passed' if missed else 'Passed'}.** The bar: of all kinds together, at most {percent(SIDE)} of "
            "the markets get a wrong answer on either side of each question; and no kind has a 95 % interval (Wilson "
            f"1927) wholly above {percent(SIDE)}. Other effects of {LARGE:g} are not judged. Where gaps turn back, "
            "*pays: yes* may be true, since only the other two questions take out the gap; there it is not judged, and "
            f"left out of all kinds together ({with_gaps} with them)."
            + "".join(f" Missed: {miss}." for miss in missed),
            "",
            "Percent of the markets with each answer, with its 95 % interval. Other effect: its rank IC."
            + (f" Too few holding periods for *pays*: {', '.join(mute)}." if mute else "")
            + (f" `null_300_sessions` judges {short}." if facts["sessions"] >= 300 + AFTER else ""),
            "",
            *_table(head, rows),
            "",
            "## Where the tone moves prices",
            "",
            "Percent of the markets in which each answer is yes. Drift over: sessions over which the effect is spread. "
            "Read right: share of the headlines that are read with their true tone. Planted: mean daily rank IC of the "
            "signal as read with the next session's return, before the other effect (a reversal) is added. Any: hurts: "
            "percent in which at least one answer is hurts. Partial rank IC: mean of that of the signal. Detectable: "
            "mean of the one that *informative* would have found with 80 % probability, without its placebos, which "
            "may ask for more. Gain: mean, in rank IC of the forecast over the base.",
            "",
            *_table(power_head, power),
            "",
            "![share of markets by planted rank IC](answers.png)",
            "",
            f"Level of each answer: {params.backtest.significance:g} (two-sided); placebos of each kind: "
            f"{params.backtest.placebos}. Settings and code: {keys}.",
            "",
        ]
    )
