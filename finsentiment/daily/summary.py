"""What there is to say of a day, in Markdown: what came, what is covered, the strongest scores, and what is odd."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from finsentiment.market.store import Store

STRONGEST = 5
PAST_DAYS = 60


def sources_table(run: dict[str, Any]) -> list[str]:
    """A line for each source: what is new, what was left out, what failed."""
    lines = ["| source | new stories | new prices | left out | failed |", "|---|---|---|---|---|"]
    for name, told in run["sources"].items():
        new, refused, failed = told["new"], sum(told["refused"].values()), told["failed"]
        why = "; ".join(f"{what}: {reason}" for what, reason in list(failed.items())[:3])
        more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
        lines.append(f"| {name} | {new.get('news', 0)} | {new.get('prices', 0)} | {refused} | {why}{more} |")
    return lines


def hours_since_news(store: Store, moment: pd.Timestamp) -> float | None:
    """Hours from the publication of the newest story of the store to a moment; None where there is none."""
    news = store.read("news")
    return None if news.empty else float((moment - news["published_at"].max()).total_seconds() / 3600)


def day_lines(features: pd.DataFrame, coming: pd.Timestamp) -> list[str]:
    """The coming session: coverage, the strongest scores, and how they compare with the days before."""
    level = "fine_tuned_level"
    day = features[features["session"] == coming]
    told = day[day["attention_covered"] == 1]
    lines = [f"Session {coming.date()}: {len(told)} of {len(day)} tickers have news."]
    if len(told):
        order = told.reindex(told[level].abs().sort_values(ascending=False, kind="stable").index)[:STRONGEST]
        strongest = ", ".join(f"{row.ticker} {getattr(row, level):+.2f}" for row in order.itertuples())
        lines.append(f"Strongest: {strongest}.")
    sessions = np.sort(features["session"].unique())
    before = features[features["session"].isin(sessions[sessions < coming][-PAST_DAYS:])]
    past = before[before["attention_covered"] == 1].groupby("session")[level].mean()
    if len(told) and len(past) >= 5:
        mean, usual, spread = told[level].mean(), past.mean(), past.std()
        apart = f", {abs(mean - usual) / spread:.1f} standard deviations from it" if spread > 0 else ""
        lines.append(f"Mean score {mean:+.2f}; over the last {len(past)} sessions {usual:+.2f}{apart}.")
    return lines
