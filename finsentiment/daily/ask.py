"""What a source is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import requests


def readable(text: object) -> str:
    """A text as a server wrote it; half of a character, which no file can hold, is a question mark."""
    return str(text).encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class Ask:
    """What a source is asked.

    tickers : the companies
    moment : when the run began, UTC; not before an earlier run
    known : `source_id` and ticker of its news in the store
    asked_before : when it was last asked for news of each ticker, and answered
    priced_until : last session in the store of its prices, by ticker
    cursor : what its last answer left for the next
    session : of requests; None: the source makes its own
    """

    tickers: list[str]
    moment: pd.Timestamp
    known: frozenset[tuple[str, str]] = frozenset()
    asked_before: Mapping[str, pd.Timestamp] = field(default_factory=dict)
    priced_until: Mapping[str, pd.Timestamp] = field(default_factory=dict)
    cursor: Mapping[str, Any] = field(default_factory=dict)
    session: requests.Session | None = None
