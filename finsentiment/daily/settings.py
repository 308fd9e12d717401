"""What `daily.yaml` says: which companies, which sources, and where things are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError

from finsentiment.errors import InputError
from finsentiment.intake.settings import TimeZone
from finsentiment.market.sessions import calendar
from finsentiment.params import Features, FilePath, Section, faults_of

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


def _is_your_own(contact: str) -> str:
    if contact.startswith("YOUR NAME"):
        raise ValueError("expected your own name and mail address")
    return contact


class Yahoo(Section):
    """Prices with splits and dividends, and news, through yfinance. For personal use."""

    kind: Literal["yahoo"]
    name: Name = "yahoo"
    news: bool = Field(description="whether news is fetched")
    prices: bool = Field(description="whether prices are fetched")
    history: Annotated[int, Field(ge=1, le=30)] = Field(description="years of prices at the first time")
    pause: Annotated[float, Field(ge=0)] = Field(default=0.5, description="seconds between two requests, at least")


class Edgar(Section):
    """Filings with the SEC as news, by the second at which the SEC accepted them."""

    kind: Literal["edgar"]
    name: Name = "edgar"
    contact: Annotated[str, Field(pattern=r"^.+@.+\..+$"), AfterValidator(_is_your_own)] = Field(
        description="your name and mail address: the SEC refuses who does not say who asks"
    )
    forms: Annotated[list[str], Field(min_length=1)] = Field(description="kinds of filings, such as 8-K")
    pause: Annotated[float, Field(ge=0.1)] = Field(
        default=0.15, description="seconds between two requests: the SEC allows 10 a second"
    )
    www: str = Field(default="https://www.sec.gov", description="where the tickers and filings are, or a mirror")
    data: str = Field(default="https://data.sec.gov", description="where the lists of filings are, or a mirror")


class Feed(Section):
    """A feed in RSS or Atom."""

    kind: Literal["feed"]
    name: Name
    url: Annotated[str, Field(pattern=r"^https?://")] = Field(description="where the feed is")
    time_zone: TimeZone = Field(default=None, description="of times that are written without one")
    ticker: str | None = Field(default=None, description="of all its entries; null: by the names in their titles")
    names: FilePath | None = Field(
        default=None, description="CSV ticker,name: a title with the name is about the ticker"
    )


class Files(Section):
    """A folder that something else drops tables of news and prices into."""

    kind: Literal["files"]
    name: Name = "files"
    folder: FilePath = Field(description="with files news*.csv, prices*.csv, actions*.csv, or JSON lines, or Parquet")
    time_zone: TimeZone = Field(default=None, description="of times of news that are written without one")


Source = Annotated[Yahoo | Edgar | Feed | Files, Field(discriminator="kind")]


class Daily(Section):
    """The whole of daily.yaml."""

    tickers: list[str] | str = Field(description="the companies, or a CSV with a column `ticker`")
    exchange: str = Field(description="calendar code of exchange_calendars, such as XNYS")
    store: FilePath = Field(description="folder of the store")
    features_file: FilePath = Field(description="where the features go, a Parquet file")
    export: FilePath = Field(description="folder of the exported files")
    adapter: FilePath = Field(description="folder of the fine-tuned model")
    threads: Annotated[int, Field(ge=1, le=256)] = Field(description="CPU threads of the model")
    batch_tokens: Annotated[int, Field(ge=64)] = Field(description="padded tokens per forward pass of the model")
    backfill: bool = Field(
        description="whether news that was there before it was first seen counts, from when it was seen"
    )
    stale_after: Annotated[int, Field(ge=1)] = Field(description="hours without any new news after which that is said")
    verdict_sessions: Annotated[int, Field(ge=20)] = Field(
        description="sessions before the first test fold, as backtest.train_sessions: fewer give no verdict"
    )
    features: Features = Field(description="as in params.yaml")
    sources: Annotated[list[Source], Field(min_length=1)] = Field(description="where news and prices come from")


def read_settings(path: str | Path) -> Daily:
    """The settings of a file.

    Raises InputError where it can't be read, naming every bad setting, its value and what was expected.
    """
    try:
        tree: Any = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:150]
        raise InputError(f"{path}: cannot be read as YAML ({reason})") from None
    if not isinstance(tree, dict):
        raise InputError(f"{path}: expected settings, such as `exchange: XNYS`; see daily.yaml of the repository")
    try:
        found = Daily.model_validate(tree)
    except ValidationError as error:
        raise InputError(f"{path}: {faults_of(error)}") from None
    try:
        calendar(found.exchange)
    except InputError as error:
        raise InputError(f"{path}: {str(error).replace('market.exchange', 'exchange')}") from None
    folders = [Path(found.store), Path(found.features_file).parent, Path(found.export)]
    for one in folders:
        if one == Path() or any(one in other.parents or (one == other and one is not other) for other in folders):
            raise InputError(
                f"{path}: store, features_file and export need a folder each, none inside another: {one} is shared"
            )
    names = [source.name for source in found.sources]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"{path}: two sources are named {sorted(twice)[0]}; give each a `name` of its own")
    priced = [source.name for source in found.sources if source.kind == "files" or getattr(source, "prices", False)]
    if not priced:
        raise InputError(f"{path}: no source has prices; give one: yahoo with prices: true, or files")
    return found
