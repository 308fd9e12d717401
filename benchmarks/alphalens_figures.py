"""The figures of alphalens that tests/test_profile.py compares ours with: `python -m benchmarks.alphalens_figures`.

alphalens brings many packages that the project does not need otherwise, so it is installed apart:

    python -m venv /tmp/alphalens && /tmp/alphalens/bin/pip install "alphalens-reloaded==0.5.1" "pandas>=3"
    /tmp/alphalens/bin/python benchmarks/alphalens_figures.py > tests/data/alphalens.json
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd

SEED = 11


def main() -> None:
    """Print the figures as JSON."""
    from alphalens import performance, utils

    rng = np.random.default_rng(SEED)
    signal = rng.normal(size=(40, 23)).cumsum(axis=0)
    returns = 0.01 * rng.normal(size=signal.shape) + 0.001 * np.sign(signal)
    dates = pd.bdate_range("2024-01-01", periods=40, name="date")
    index = pd.MultiIndex.from_product([dates, [f"T{n:02d}" for n in range(23)]], names=["date", "asset"])
    data = pd.DataFrame({"1D": returns.ravel(), "factor": signal.ravel()}, index=index)
    data["factor_quantile"] = utils.quantize_factor(data, quantiles=5)
    means, _ = performance.mean_return_by_quantile(data, demeaned=True)
    by_date, _ = performance.mean_return_by_quantile(data, by_date=True, demeaned=True)
    spread, _ = performance.compute_mean_returns_spread(by_date, 5, 1)
    figures = {
        "alphalens": version("alphalens-reloaded"),
        "seed": SEED,
        "quantiles": data["factor_quantile"].astype(int).tolist(),
        "mean_return": means["1D"].tolist(),
        "spread": float(spread["1D"].mean()),
        "rank_autocorrelation": float(performance.factor_rank_autocorrelation(data, 1).mean()),
        "top_turnover": float(performance.quantile_turnover(data["factor_quantile"], 5, 1).mean()),
    }
    json.dump(figures, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
