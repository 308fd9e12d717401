"""What there is to say of a day, in Markdown: what came, what is covered, the strongest scores, and what is odd."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from finsentiment.daily.run import Built
from finsentiment.market.store import Store

STRONGEST = 5
PAST_DAYS = 60


def sources_table(run: dict[str, Any]) -> list[str]:
    """A line for each source: what is new, what was left out, what failed."""
    lines = ["| source | new stories | new prices | left out | failed |", "|---|---|---|---|---|"]
    for name, told in run["sources"].items():
        new, failed = told["new"], told["failed"]
        out = "; ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in told["refused"].items() if count)
        why = "; ".join(f"{what}: {reason}" for what, reason in list(failed.items())[:3])
        more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
        lines.append(f"| {name} | {new.get('news', 0)} | {new.get('prices', 0)} | {out} | {why}{more} |")
    return lines


def news_age(store: Store, moment: pd.Timestamp) -> float | None:
    """Hours from the newest story of the store, published and seen, to a moment; None where there is none."""
    news = store.read("news")
    newest = news[["published_at", "first_seen_at"]].min(axis=1).max()
    return None if news.empty else float((moment - newest).total_seconds() / 3600)


def day_lines(built: Built, backfill: bool) -> list[str]:
    """The last session of the features: coverage, the strongest scores, and how they compare with those before."""
    level, known = "fine_tuned_level", built.known
    features = built.features[built.features["ranked"]]
    day = features[features["session"] == known.reach]
    told = day[day["attention_covered"] == 1]
    lines = [f"Session {known.reach.date()}: {len(told)} of {len(day)} tickers have news."]
    if known.reach != known.coming:
        lines.append(f"It has begun: rows for {known.coming.date()} come once its prices are final.")
    if len(told):
        order = told.reindex(told[level].abs().sort_values(ascending=False, kind="stable").index)[:STRONGEST]
        strongest = ", ".join(f"{row.ticker} {getattr(row, level):+.2f}" for row in order.itertuples())
        lines.append(f"Strongest: {strongest}.")
    sessions = np.sort(features["session"].unique())
    before = features[features["session"].isin(sessions[sessions < known.reach][-PAST_DAYS:])]
    past = before[before["attention_covered"] == 1].groupby("session")[level].mean()
    if len(told) and len(past) >= 5:
        mean, usual, spread = told[level].mean(), past.mean(), past.std()
        apart = f", {(mean - usual) / spread:+.1f} standard deviations from it" if spread > 0 else ""
        lines.append(f"Mean score {mean:+.2f}; over the last {len(past)} sessions {usual:+.2f}{apart}.")
    if known.facts["news_backfill"] and not backfill:
        lines.append(f"{known.facts['news_backfill']} stories do not count: they were there before they could be seen.")
    return lines
