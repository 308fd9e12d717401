"""The measurement of how often the verdict errs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from finsentiment.errors import InputError
from finsentiment.market.sources.simulated import read_headlines
from finsentiment.params import Params, check_params
from scripts import calibrate

ROOT = Path(__file__).parents[1]
HEADLINES = str(ROOT / "data/sample/headlines.csv")


@pytest.fixture
def params(monkeypatch: pytest.MonkeyPatch) -> Params:
    """The project's parameters, and markets small enough to judge in a second."""
    small = {"tickers": 25, "sessions": 240, "start": "2014-01-02", "news_per_session": 1.0, "reaction": 0.003}
    monkeypatch.setattr(calibrate, "STOCKNET", small)
    monkeypatch.setattr(calibrate, "PILOT", {"drift": 0.005, "markets": 2})
    params = check_params(yaml.safe_load((ROOT / "params.yaml").read_text()))
    quick = params.backtest.model_copy(
        update={"train_sessions": 100, "seeds": 1, "placebos": 20, "bootstrap_samples": 200}
    )
    return params.model_copy(update={"backtest": quick})


def test_tones_are_read_with_the_errors_of_the_confusion_matrix(tmp_path):
    file = tmp_path / "confusion.csv"
    rows = ["negative,negative"] * 3 + ["negative,positive"] + ["neutral,neutral"] * 2 + ["positive,neutral"]
    file.write_text("actual,predicted\n" + "\n".join(rows) + "\n")
    shares = calibrate.confusion_shares(str(file))
    np.testing.assert_allclose(shares, [[0.75, 0, 0.25], [0, 1, 0], [0, 1, 0]])
    read = calibrate.as_read(np.repeat([-1.0, 0.0, 1.0], 4000), shares, np.random.default_rng(1))
    assert np.mean(read[:4000] == -1) == pytest.approx(0.75, abs=0.03) and set(read[:4000]) == {-1, 1}
    assert (read[4000:] == 0).all()
    with pytest.raises(InputError, match="run `dvc repro evaluate` first"):
        calibrate.confusion_shares(str(tmp_path / "none.csv"))


def test_the_planted_rank_ic_is_there_and_without_drift_there_is_none(params):
    headlines = read_headlines(HEADLINES)
    per = calibrate.drift_per_ic(params, headlines)
    section, exchange = params.market.simulated, params.market.exchange

    def found(level: float) -> float:
        markets = [calibrate.stocknet_sized(section, exchange, headlines, level * per, seed) for seed in range(3)]
        return float(np.mean([calibrate.decayed_ic(m, m.truth["truth"].to_numpy(), params)[0] for m in markets]))

    nothing = found(0.0)
    assert abs(nothing) < 0.025  # its standard error is 0.2 / sqrt(3 x 240)
    assert found(0.1) - nothing == pytest.approx(0.1, rel=0.3)


def test_a_large_effect_improves_and_its_mirror_is_found_too(params):
    headlines = read_headlines(HEADLINES)
    per = calibrate.drift_per_ic(params, headlines)
    perfect = np.eye(3)
    found = calibrate.judge_market(params, 0.15, 0.0, 0.15 * per, 3, headlines, perfect)
    assert found["verdict"] == "improves" and found["gain"] > 0.03
    # The model learns that the drift goes against the tone, so that sentiment helps as much.
    assert found["ic_as_read"] > 0.1
    assert calibrate.judge_market(params, -0.15, 0.0, -0.15 * per, 3, headlines, perfect)["verdict"] == "improves"


def test_the_table_counts_verdicts_with_wilsons_interval():
    verdicts = ["improves"] + ["no evidence"] * 9
    done = pd.DataFrame({"level": 0.0, "other": 0.0, "verdict": verdicts, "gain": 0.001, "ic_as_read": 0.02})
    row = calibrate.verdict_shares(done).iloc[0]
    assert row["improves"] == 0.1 and row["hurts"] == 0
    assert (row["improves_low"], row["improves_high"]) == pytest.approx((0.0179, 0.4042), abs=1e-3)
    assert "| 0 | 0.0200 | 10 | +0.0010 | 10.0% (1.8% to 40.4%) |" in calibrate.calibration_page(
        calibrate.verdict_shares(done), "key"
    )


def test_a_market_that_prices_and_attention_forecast_says_nothing_more_of_tone(params):
    rng = np.random.default_rng(0)
    session = np.repeat(np.arange(400), 30)
    names = ("price_return_1", "attention_count", "sentiment_level", "forward_return")
    table = pd.DataFrame({"session": session, **{name: rng.normal(size=len(session)) for name in names}})
    moved = calibrate.with_other_effects(table, 0.1)["forward_return"]
    found = [np.corrcoef(moved, table[name])[0, 1] for name in names]
    assert found[:3] == pytest.approx([-0.1, 0.1, 0.0], abs=0.03) and found[3] > 0.98
