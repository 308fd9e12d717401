"""Pictures of an evaluation, as PNG bytes that are the same every time."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from finsentiment.labels import LABELS

# Okabe and Ito's colours, which colour-blind readers can tell apart.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#8C8C8C"
COLOURS = (GREY, "#56B4E9", BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#000000")


def png(figure: Figure) -> bytes:
    """A figure as PNG, without the name of the software that drew it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()


def confusion_picture(counts: np.ndarray, title: str) -> bytes:
    """A confusion table (3, 3), true classes in rows: each cell with its count and its share of the row."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(4.8, 4.8), layout="constrained")
    axes = figure.add_subplot(xlabel="predicted", ylabel="actual")
    axes.set_title(f"{title}\n(count, and share of the actual class)")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        ink = "white" if share > 0.5 else "black"
        axes.text(column, row, f"{count}\n{share:.0%}", ha="center", va="center", color=ink, fontsize=12)
    axes.set_xticks(range(len(LABELS)), LABELS)
    axes.set_yticks(range(len(LABELS)), LABELS)
    return png(figure)


def reliability_picture(before: pd.DataFrame, after: pd.DataFrame, errors: tuple[float, float]) -> bytes:
    """Confidence against accuracy, before and after temperature scaling, over the number of sentences.

    Parameters
    ----------
    before, after
        Tables of `finsentiment.evaluation.reliability_table`.
    errors
        The expected calibration error of each.
    """
    figure = Figure(figsize=(5, 5.6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    top.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfect")
    styles = (("before scaling", before, errors[0], ORANGE, "s"), ("after scaling", after, errors[1], BLUE, "o"))
    for name, table, error, colour, marker in styles:
        label = f"{name} (calibration error {error:.3f})"
        top.plot(table["confidence"], table["accuracy"], color=colour, marker=marker, label=label)
        bottom.plot(table["confidence"], table["count"], color=colour, marker=marker)
    top.set(title="Is a confidence of 0.8 right 8 times in 10?", ylabel="accuracy", xlim=(0.3, 1.02), ylim=(0, 1.02))
    top.legend(loc="lower right", fontsize=9)
    bottom.set(xlabel="confidence", ylabel="sentences", ylim=(0, None))
    return png(figure)


def curve_picture(curves: dict[str, pd.DataFrame]) -> bytes:
    """Training curves by name: losses, and validation accuracy, by epoch.

    Each has `epoch`, `train_loss`, `validation_loss` and `accuracy`, as `finsentiment.llm.training` writes them.
    """
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for place, (name, curve) in enumerate(curves.items()):
        style = {"linestyle": ("-", "--", ":", "-.")[place % 4], "marker": "o", "markersize": 4}
        left.plot(curve["epoch"], curve["train_loss"], color=ORANGE, label=f"training, {name}", **style)
        left.plot(curve["epoch"], curve["validation_loss"], color=BLUE, label=f"validation, {name}", **style)
        right.plot(curve["epoch"], curve["accuracy"], color=BLUE, label=name, **style)
    left.set(title="Loss", xlabel="epoch", ylim=(0, None))
    right.set(title="Accuracy on the validation sentences", xlabel="epoch")
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize=7)
    return png(figure)


def agreement_picture(by_level: dict[str, tuple[float, float, float, int]]) -> bytes:
    """Accuracy by how many annotators agreed: name of the level to mean, lowest and highest run, and sentences."""
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    axes = figure.add_subplot(ylabel="accuracy", xlabel="annotators who agree (sentences)")
    axes.set_title("The less the annotators agree, the less there is to learn", fontsize=11)
    means = [mean for mean, *_ in by_level.values()]
    spread = [[mean - low, high - mean] for mean, low, high, _ in by_level.values()]
    names = [f"{name}\n({sentences})" for name, (*_, sentences) in by_level.items()]
    axes.bar(names, means, color=BLUE, width=0.6, yerr=np.transpose(spread), capsize=4)
    for place, mean in enumerate(means):
        axes.text(place, 0.03, f"{mean:.3f}", ha="center", color="white")
    axes.set_ylim(0, 1)
    return png(figure)


def shares_by_size_picture(lines: dict[str, list[tuple[float, float, float, float]]]) -> bytes:
    """How often each answer was yes, by planted rank IC: a line of points (size, share, low, high) for each answer."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="planted rank IC as read (0: nothing to find)", ylabel="share of markets")
    axes.set(title="How often the answer was yes, beside a reversal of 0.06", ylim=(0, 1.02))
    for (name, points), colour, marker in zip(lines.items(), (BLUE, ORANGE, GREY), "osv", strict=True):
        size, share, low, high = np.transpose(points)
        axes.errorbar(size, share, [share - low, high - share], color=colour, marker=marker, capsize=3, label=name)
    axes.axhline(0.05, color="black", linewidth=0.8, linestyle=":", label="5 %")
    axes.axhline(0.8, color="black", linewidth=0.8, linestyle="--", label="80 %")
    axes.legend(fontsize=8)
    return png(figure)


def through_time_picture(table: pd.DataFrame, title: str, ylabel: str) -> bytes:
    """Lines by session: `session` as text and a column for each line, under its label."""
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot(title=title, ylabel=ylabel)
    sessions = pd.to_datetime(table["session"])
    colours: dict[str, str] = {}
    for name in table.columns.drop("session"):
        arm = name.removesuffix(", long only")  # another portfolio of the same arm
        colours.setdefault(arm, COLOURS[len(colours) % len(COLOURS)])
        style = "-" if name == arm else "--"
        axes.plot(sessions, table[name], style, color=colours[arm], label=name, linewidth=1.4)
    axes.tick_params(axis="x", labelrotation=30, labelsize=8)
    axes.legend(fontsize=8)
    return png(figure)


def placebo_picture(placebos: pd.DataFrame, observed: float) -> bytes:
    """Histograms of the partial rank IC of the placebos, by `kind`, and where the real sentiment stands."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    figure.suptitle("The same scores elsewhere")
    titles = {"shuffled": "shuffled across similar tickers", "shifted": "shifted in time"}
    for axes, (kind, title) in zip(figure.subplots(1, 2, sharey=True), titles.items(), strict=True):
        axes.hist(placebos.loc[placebos["kind"] == kind, "drawn"], bins=20, color=GREY)
        axes.axvline(observed, color=ORANGE, linewidth=2, label="real sentiment")
        axes.set(title=title, xlabel="mean partial rank IC")
        axes.locator_params(axis="x", nbins=5)  # more would run into each other
        axes.legend(fontsize=8)
    return png(figure)


def intervals_picture(values: dict[str, dict[str, float]], title: str, xlabel: str) -> bytes:
    """Means with their intervals, one below the other: name to `mean`, `low` and `high`."""
    figure = Figure(figsize=(7, 0.9 + 0.42 * len(values)), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel=xlabel)
    for place, found in enumerate(values.values()):
        around = [[found["mean"] - found["low"]], [found["high"] - found["mean"]]]
        axes.errorbar(found["mean"], -place, xerr=around, color=BLUE, marker="o", capsize=4)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks([-place for place in range(len(values))], list(values))
    return png(figure)


def shares_picture(names: list[str], shares: dict[str, list[float]], title: str) -> bytes:
    """Horizontal bars of shares, a group of bars for each name."""
    figure = Figure(figsize=(7, 0.9 + 0.4 * len(names)), layout="constrained")
    figure.suptitle(title)  # of the whole figure: long names leave the axes little room
    axes = figure.add_subplot(xlabel="share")
    height = 0.8 / len(shares)
    for place, (name, values) in enumerate(shares.items()):
        at = [-row - place * height for row in range(len(names))]
        axes.barh(at, values, height, color=(BLUE, ORANGE)[place % 2], label=name)
    axes.set_yticks([-row for row in range(len(names))], names)
    axes.legend(fontsize=8)
    return png(figure)


def line_picture(table: pd.DataFrame, title: str, xlabel: str, ylabel: str) -> bytes:
    """Means with their intervals by `x`: columns `x`, `mean`, `low`, `high`; there may be no rows."""
    table = table.astype(float)
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.fill_between(table["x"], table["low"], table["high"], color=BLUE, alpha=0.2)
    axes.plot(table["x"], table["mean"], color=BLUE, marker="o", markersize=4)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return png(figure)


def bars_picture(table: pd.DataFrame, title: str, xlabel: str, ylabel: str) -> bytes:
    """Bars with their intervals: columns `x`, `mean_bps`, `low`, `high`."""
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel=xlabel, ylabel=ylabel)
    error = [table["mean_bps"] - table["low"], table["high"] - table["mean_bps"]]
    axes.bar(table["x"], table["mean_bps"], color=BLUE, width=0.6, yerr=np.nan_to_num(error), capsize=4)
    axes.axhline(0, color="black", linewidth=0.8)
    return png(figure)


def events_picture(events: pd.DataFrame, entry: str) -> bytes:
    """Abnormal return so far around news, with its interval, through the overnight and the intraday part of each day.

    `entry`: `open` or `close` of the session that the news counts for.
    """
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot(title="What the price does around news", ylabel="abnormal return so far, basis points")
    for news, colour in (("good", BLUE), ("neutral", GREY), ("bad", ORANGE)):
        mine = events[events["news"] == news]
        place = mine["day"] + np.where(mine["part"] == "intraday", 0.5, 0.0)
        axes.fill_between(place, mine["so_far_low"], mine["so_far_high"], color=colour, alpha=0.15, linewidth=0)
        axes.plot(place, mine["so_far_bps"], color=colour, label=news)
    first = 0.25 if entry == "open" else 0.75
    axes.axvline(first, color="black", linewidth=0.8, linestyle="--", label="the first entry after the news")
    axes.set_xlabel("sessions from the one that the news counts for; the gap comes before the session")
    axes.legend(fontsize=8)
    return png(figure)
