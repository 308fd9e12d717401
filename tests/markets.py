"""The section market of the parameters for tests: that of params.yaml, but for what a test says."""

from __future__ import annotations

from pathlib import Path

import yaml

from finsentiment import params

ROOT = Path(__file__).parents[1]
SIMULATED = params.Simulated(
    tickers=25,
    sessions=500,
    start="2022-01-03",
    news_per_session=0.3,
    follow=0.3,
    volatility=0.015,
    reaction=0.005,
    drift=0.015,
    drift_sessions=3,
)


def market(source: str, path: object, simulated: dict | None = None, **leaves: object) -> params.Market:
    """A market of `source` at `path`; `news` and `prices` are `market.columns`."""
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())["market"]
    columns = {name: leaves.pop(name, {}) for name in ("news", "prices")}
    section = SIMULATED.model_copy(update=simulated or {})
    given = {"source": source, "path": str(path), "columns": columns, "tickers": str(ROOT / tree["tickers"])}
    return params.Market(**tree | given | leaves | {"simulated": section})
