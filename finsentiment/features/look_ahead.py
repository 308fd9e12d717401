"""The check that no feature looks ahead."""

from __future__ import annotations

import numpy as np
import pandas as pd

from finsentiment import params
from finsentiment.arms import READERS, arm_of
from finsentiment.errors import InputError
from finsentiment.features.build import EntryRule, build_features
from finsentiment.features.panel import PRICE_FIELDS
from finsentiment.market.sessions import calendar


class LookAhead(InputError):
    """A feature knows what was not known then: a defect of the code that builds it."""


def check_no_look_ahead(
    table: pd.DataFrame,
    prices: pd.DataFrame,
    news: pd.DataFrame,
    scores: pd.DataFrame,
    features: params.Features,
    exchange: str,
    sessions: int,
    entry_rule: EntryRule | None = None,
) -> None:
    """Change everything that comes after an entry, build again, and see that no feature of that session moved.

    Prices from the session on are disturbed; of the news published at its entry or later, or within the latency before
    it, the tickers change and the scores turn round. What came too late is told by the exchange's opens and closes
    themselves, not by the entry rule that is checked. Tried at `sessions` sessions of `table`, spread evenly.

    Raises
    ------
    LookAhead
        Naming the feature, session and ticker.
    """
    days = pd.DatetimeIndex(table["session"].unique())
    names = [name for name in table if arm_of(name)]
    fields, rng = list(PRICE_FIELDS), np.random.default_rng(0)
    for day in days[np.linspace(1, len(days) - 1, sessions + 2).astype(int)[1:-1]]:
        later = (prices["session"] >= day).to_numpy()
        moved = prices.copy()
        factor = np.exp(rng.normal(0, 0.2, len(prices)))
        moved[fields] = np.where(later[:, None], prices[fields].mul(factor, axis=0), prices[fields])
        known = calendar(exchange)
        entry = known.session_open(day) if features.entry == "open" else known.session_close(day)
        after = (news["published_at"] >= entry - pd.Timedelta(minutes=features.latency)).to_numpy()
        other = news.assign(ticker=news["ticker"].where(~after, rng.permutation(news["ticker"])))
        turned = scores.copy()
        read = scores["news_id"].isin(news["news_id"][~after]).to_numpy()
        for name in (reader for reader in READERS if reader in scores):
            turned[name] = np.where(read, scores[name], -scores[name] - 0.1)
        again, _ = build_features(moved, other, turned, features, exchange, entry_rule)
        before, now = (t[t["session"] == day].set_index("ticker")[names] for t in (table, again))
        differs = ~np.isclose(now.reindex(before.index), before, rtol=1e-9, atol=1e-12, equal_nan=True)
        if differs.any():
            row, column = np.argwhere(differs)[0]
            raise LookAhead(
                f"look-ahead: {names[column]} of {before.index[row]} at session {day.date()} moves when what comes "
                "after that session's entry is changed; no result that rests on it can be trusted"
            )
