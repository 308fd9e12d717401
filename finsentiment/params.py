"""Every parameter of the pipeline, typed, with its unit and bounds."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from finsentiment.errors import InputError

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Path = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    """A part of params.yaml. No leaf has a default: what is not in the file is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Corpus(Section):
    """Where the labelled sentences come from."""

    source: Literal["sample", "phrasebank", "csv"]
    path: Path
    agreement: Literal[50, 66, 75, 100]


class Simulated(Section):
    """The market with known truth. Returns are fractions of the price (0.01 = 1 %)."""

    tickers: Annotated[int, Field(ge=2, le=500)]
    sessions: Annotated[int, Field(ge=60, le=5000)]
    start: str
    news_per_session: Annotated[float, Field(gt=0, le=20)]
    follow: Annotated[float, Field(ge=0, lt=1)]
    volatility: Annotated[float, Field(gt=0, lt=0.2)]
    reaction: Annotated[float, Field(ge=0, lt=0.2)]
    drift: Annotated[float, Field(gt=-0.2, lt=0.2)]
    drift_sessions: Annotated[int, Field(ge=1, le=63)]

    @field_validator("start")
    @classmethod
    def _is_a_date(cls, value: str) -> str:
        if not 1970 <= datetime.date.fromisoformat(value).year < 2050:
            raise ValueError("must lie between 1970 and 2049")
        return value


class Market(Section):
    """Where news and prices come from."""

    source: Literal["simulated", "stocknet", "tables"]
    path: Path
    exchange: str
    simulated: Simulated


class Split(Section):
    """Shares are of all sentences; the rest trains."""

    test_share: Share
    validation_share: Share
    twin_threshold: Annotated[float, Field(ge=0.3, le=1)]
    test_file: Path

    @model_validator(mode="after")
    def _leaves_some_to_train_on(self) -> Split:
        if self.test_share + self.validation_share >= 1:
            raise ValueError("test_share and validation_share must sum to less than 1")
        return self


class Model(Section):
    """The base model."""

    spec: Annotated[str, Field(pattern=r"^(wheel:[\w.-]+==[\w.]+|hub:[\w.-]+/[\w.-]+@\w+|path:.+)$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None


class Prompt(Section):
    """A question to the base model; `answers` stand for negative, neutral and positive, in this order."""

    template: str
    answers: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=3, max_length=3)]

    @field_validator("template")
    @classmethod
    def _has_one_place_for_the_text(cls, value: str) -> str:
        if value.count("{text}") != 1 or not value.split("{text}")[0].strip():
            raise ValueError("must hold {text} exactly once, with words before it")
        return value


class Baseline(Section):
    """The zero-shot reading: every prompt is tried with every number of shots, on validation sentences."""

    prompts: Annotated[list[Prompt], Field(min_length=1)]
    shots: Annotated[list[Annotated[int, Field(ge=0, le=64)]], Field(min_length=1)]
    choice_sentences: Count


class Lora(Section):
    """The adapter. `layers` counts from the top of the layers in use."""

    r: Annotated[int, Field(ge=1, le=512)]
    alpha: Annotated[int, Field(ge=1)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    layers: Count


class Finetune(Section):
    """The fine-tuning recipe. `depth` counts layers of the base model from the bottom; None takes all."""

    depth: Count | None
    echo: bool
    lora: Lora
    quantization: Literal["none", "int8", "nf4"]
    learning_rate: Positive
    head_learning_rate: Positive
    epochs: Count
    batch_size: Count
    gradient_accumulation: Count
    warmup_share: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: NonNegative
    average: Annotated[float, Field(ge=0, lt=1)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    max_tokens: Annotated[int, Field(ge=8)]
    patience: Count


class Evaluate(Section):
    """The evaluation on the test sentences."""

    target_accuracy: Share
    bootstrap_samples: Annotated[int, Field(ge=100)]
    calibration_bins: Annotated[int, Field(ge=2, le=100)]
    worst_errors: Annotated[int, Field(ge=0)]
    transfer_file: Path


class ScoreNews(Section):
    """The scoring of news, by the fine-tuned model and by `readers`; `names` lists companies for `masked`."""

    batch_tokens: Annotated[int, Field(ge=64)]
    readers: list[Literal["lexicon", "zero_shot", "masked"]]
    names: Path


class Features(Section):
    """The features; every length is in exchange sessions."""

    horizon: Annotated[int, Field(ge=1, le=63)]
    window: Annotated[int, Field(ge=5, le=252)]
    half_life: Positive
    surprise_window: Annotated[int, Field(ge=5, le=504)]


class LightGBM(Section):
    """LightGBM's own settings."""

    trees: Count
    learning_rate: Positive
    leaves: Annotated[int, Field(ge=2)]
    min_leaf: Annotated[float, Field(gt=0, lt=0.5)]
    column_share: Annotated[float, Field(gt=0, le=1)]
    row_share: Annotated[float, Field(gt=0, le=1)]
    bins: Annotated[int, Field(ge=2, le=255)]


class Backtest(Section):
    """The walk-forward and the verdict."""

    train_sessions: Annotated[int, Field(ge=20)]
    test_sessions: Count
    embargo: Annotated[int, Field(ge=0)]
    seeds: Count
    min_tickers: Annotated[int, Field(ge=2)]
    cost_bps: NonNegative
    other_costs_bps: list[NonNegative]
    trials_before: Annotated[int, Field(ge=0)]
    bootstrap_samples: Annotated[int, Field(ge=100)]
    placebos: Annotated[int, Field(ge=0)]
    significance: Annotated[float, Field(gt=0, lt=0.5)]
    lightgbm: LightGBM


class Params(Section):
    """The whole of params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]
    threads: Annotated[int, Field(ge=1, le=256)]
    corpus: Corpus
    market: Market
    split: Split
    model: Model
    baseline: Baseline
    finetune: Finetune
    evaluate: Evaluate
    score_news: ScoreNews
    features: Features
    backtest: Backtest


def validate(tree: dict[str, Any]) -> Params:
    """Check a whole parameter tree.

    Raises InputError naming every bad parameter, its value and what was expected.
    """
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc']))}{_got(e)}: {_expected(e)}" for e in error.errors()]
        raise InputError(f"params.yaml: {'; '.join(faults)}") from None


def _got(error: dict[str, Any]) -> str:
    return "" if error["type"] in ("missing", "extra_forbidden") else f" = {error['input']!r}"


def _expected(error: dict[str, Any]) -> str:
    known = {"extra_forbidden": "unknown parameter, take it out or correct its name", "missing": "missing, put it back"}
    return known.get(error["type"]) or error["msg"][:1].lower() + error["msg"][1:]


def prune(params: Section, declared: dict[str, Any]) -> Any:
    """`params` with only the leaves of the nested dict `declared`; the others are absent, not None."""
    kept = {}
    for name, value in declared.items():
        whole = getattr(params, name)
        kept[name] = prune(whole, value) if isinstance(whole, Section) else whole
    return type(params).model_construct(**kept)
