"""The arms of the backtest, and with them the readers of the news: every name stands here once.

An arm is a set of feature columns that a forecast may use. Each adds its columns to those of one other arm, so that
two arms differ by what was added and by nothing else.
"""

from typing import NamedTuple


class Arm(NamedTuple):
    """One arm.

    name : in parameters, metrics and tables. A reader's scores are a column of this name, and the features of every
        arm begin with it and `_`
    label : in reports
    adds_to : the arm whose columns it adds to; None for the first
    """

    name: str
    label: str
    adds_to: str | None

    @property
    def prefix(self) -> str:
        """What the names of its features begin with."""
        return f"{self.name}_"


PRICE, ATTENTION, FINE_TUNED, TRUTH = "price", "attention", "fine_tuned", "truth"

ARMS = {
    arm.name: arm
    for arm in (
        Arm(PRICE, "prices", None),
        Arm(ATTENTION, "amount of news", PRICE),
        Arm("lexicon", "finance lexicon", ATTENTION),
        Arm("zero_shot", "base model, zero-shot", ATTENTION),
        Arm(FINE_TUNED, "fine-tuned model", ATTENTION),
        Arm("masked", "fine-tuned model, names hidden", ATTENTION),
        Arm(TRUTH, "true tone", ATTENTION),
    )
}
"""Every arm by name, in the order of all tables and pictures."""

READERS = tuple(arm.name for arm in ARMS.values() if arm.adds_to == ATTENTION)
"""Arms that read the news: each has a column of scores. `truth` is known of a simulated market only."""

OTHER_READERS = tuple(name for name in READERS if name not in (FINE_TUNED, TRUTH))
"""Readers that the fine-tuned model is compared with; `score_news.readers` chooses among them."""

TESTED, AGAINST = FINE_TUNED, ATTENTION
"""The verdict is about what the first adds to the second. Named here, before any figure is known."""


def arm_of(feature: str) -> str | None:
    """Name of the arm that a column of features belongs to, None where no arm has its prefix."""
    return next((arm.name for arm in ARMS.values() if feature.startswith(arm.prefix)), None)


def describe_feature(feature: str) -> str:
    """A feature in words: `fine-tuned model: decayed`."""
    arm = arm_of(feature)
    if arm is None:
        raise KeyError(feature)
    return f"{ARMS[arm].label}: {feature.removeprefix(ARMS[arm].prefix).replace('_', ' ')}"
