"""The arms of the backtest, and with them the readers of the news: every name stands here once.

An arm is a set of feature columns that a forecast may use. Prices, and prices with the amount of news, are each a
forecast of their own. The better of the two so far is the base of a fold, and each reader of the news adds to that.
"""

from typing import NamedTuple


class Arm(NamedTuple):
    """One arm.

    name : in parameters, metrics and tables. A reader's scores are a column of this name, and the features of every
        arm begin with it and `_`
    label : in reports; `attention` forecasts with the prices too
    reads_news : whether it reads what the news says, and adds to the base
    """

    name: str
    label: str
    reads_news: bool

    @property
    def prefix(self) -> str:
        """What the names of its features begin with."""
        return f"{self.name}_"


PRICE, ATTENTION, FINE_TUNED, TRUTH = "price", "attention", "fine_tuned", "truth"

ARMS = {
    arm.name: arm
    for arm in (
        Arm(PRICE, "prices", False),
        Arm(ATTENTION, "amount of news", False),
        Arm("lexicon", "finance lexicon", True),
        Arm("zero_shot", "base model, zero-shot", True),
        Arm(FINE_TUNED, "fine-tuned model", True),
        Arm("masked", "fine-tuned model, names hidden", True),
        Arm(TRUTH, "true tone", True),
    )
}
"""Every arm by name, in the order of all tables and pictures."""

READERS = tuple(arm.name for arm in ARMS.values() if arm.reads_news)
"""Arms that read the news: each has a column of scores. `truth` is known of a simulated market only."""

OTHER_READERS = tuple(name for name in READERS if name not in (FINE_TUNED, TRUTH))
"""Readers that the fine-tuned model is compared with; `score_news.readers` chooses among them."""

TESTED = FINE_TUNED
"""The verdict is about what this arm adds to the base. Named here, before any figure is known."""

BASE = "base"
"""The forecast without sentiment: in each fold that of `price` or `attention`, whichever was better before."""

SIGNAL = f"{TESTED}_level"
"""The feature that is asked whether sentiment is informative, and expected to go with returns, not against them."""


def arm_of(feature: str) -> str | None:
    """Name of the arm that a column of features belongs to, None where no arm has its prefix."""
    return next((arm.name for arm in ARMS.values() if feature.startswith(arm.prefix)), None)


def describe_feature(feature: str, arm: str | None = None) -> str:
    """A feature in words, `fine-tuned model: decayed`; with `arm`, where the feature of another arm is used in it."""
    own = arm_of(feature)
    if own is None:
        raise KeyError(feature)
    words = f"{ARMS[own].label}: {feature.removeprefix(ARMS[own].prefix).replace('_', ' ')}"
    return words if arm in (None, own) else f"{words}, in {ARMS[arm].label}"
