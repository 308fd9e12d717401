"""The sources of news and prices, and the checks that all of them pass."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finsentiment import params
from finsentiment.errors import InputError
from finsentiment.features.build import build_features
from finsentiment.features.panel import cells, to_panel
from finsentiment.market.load import load_market
from finsentiment.market.sessions import next_open
from finsentiment.market.simulate import KINDS, STEMS, simulate_market
from finsentiment.market.sources.simulated import read_headlines
from finsentiment.market.sources.stocknet import clean_tweet
from tests.markets import SIMULATED, market

ROOT = Path(__file__).parents[1]
ARCHIVE = ROOT.parent / "shared" / "data" / "stocknet-dataset-330708b.tar.xz"


@pytest.fixture(scope="module")
def headlines():
    return read_headlines(ROOT / "data/sample/headlines.csv")


def daily_rank_ic(frame: pd.DataFrame, feature: str) -> pd.Series:
    known = frame.dropna(subset=["forward_return", feature])
    ranks = known.groupby("session")[[feature, "forward_return"]].rank()
    ranks -= ranks.groupby(known["session"]).transform("mean")
    product = (ranks[feature] * ranks["forward_return"]).groupby(known["session"]).sum()
    squares = (ranks**2).groupby(known["session"]).sum()
    return (product / np.sqrt(squares[feature] * squares["forward_return"])).dropna()


def t_value(ic: pd.Series) -> float:
    return ic.mean() / (ic.std() / np.sqrt(len(ic)))


def with_true_tone(simulation) -> pd.DataFrame:
    scores = simulation.truth.rename(columns={"truth": "fine_tuned"})
    settings = params.Features(
        horizon=1, entry="open", latency=0, delisting_return=-0.3, window=21, half_life=2.0, surprise_window=63
    )
    return build_features(simulation.prices, simulation.news, scores, settings, "XNYS")[0]


# The simulated market


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_without_drift_the_true_tone_of_past_news_forecasts_nothing_but_a_peek_does(headlines, seed):
    frame = with_true_tone(simulate_market(SIMULATED.model_copy(update={"drift": 0.0}), "XNYS", headlines, seed))
    for feature in ("fine_tuned_decayed", "fine_tuned_level", "fine_tuned_surprise"):
        assert abs(t_value(daily_rank_ic(frame, feature))) < 3
    frame["peek"] = frame.groupby("ticker")["fine_tuned_level"].shift(-1)
    assert t_value(daily_rank_ic(frame, "peek")) > 5


def test_with_drift_past_news_forecasts_returns(headlines):
    frame = with_true_tone(simulate_market(SIMULATED, "XNYS", headlines, 1))
    assert t_value(daily_rank_ic(frame, "fine_tuned_decayed")) > 6


def test_drift_is_earned_from_the_entry_open_on_and_reaction_is_over_by_then(headlines):
    quiet = SIMULATED.model_copy(update={"reaction": 0.0, "drift": 0.0, "news_per_session": 0.02, "follow": 0.0})
    loud = quiet.model_copy(update={"reaction": 0.05, "drift": 0.03})
    base, moved = (simulate_market(section, "XNYS", headlines, 5) for section in (quiet, loud))
    before, after = (to_panel(s.prices, "XNYS") for s in (base, moved))
    extra = {name: np.log(after.fields[name] / before.fields[name]) for name in ("open", "close")}
    entry = next_open(base.news["published_at"], "XNYS")
    cell = cells(entry, base.news["ticker"], before)
    days, tickers = before.listed.shape
    alone = 0
    for at, tone in zip(cell, base.truth["truth"], strict=True):
        day, ticker = divmod(at, tickers)
        mine = cell[cell % tickers == ticker] // tickers
        if at < 0 or not 2 <= day < days - 5 or (np.abs(mine - day) <= 4).sum() > 1:
            continue
        alone += 1
        column = extra["open"][:, ticker]
        assert column[day] - column[day - 1] == pytest.approx(0.05 * tone)
        assert np.diff(column[day : day + 5]) == pytest.approx([0.01 * tone] * 3 + [0.0])
        closes = extra["close"][:, ticker]
        assert closes[day - 2] == pytest.approx(column[day - 1])
        assert closes[day] - column[day] == pytest.approx(0.01 * tone)
    assert alone > 50


def test_reports_follow_the_moves_of_the_session_before_and_move_nothing(headlines):
    only = SIMULATED.model_copy(update={"follow": 0.99, "reaction": 0.0, "drift": 0.0})
    base, moved = (simulate_market(s, "XNYS", headlines, 5) for s in (only, only.model_copy(update={"reaction": 0.03})))
    panel = to_panel(base.prices, "XNYS")
    entry = next_open(base.news["published_at"], "XNYS")
    cell = cells(entry, base.news["ticker"], panel)
    day, ticker = np.divmod(cell[cell > 50], len(panel.tickers))
    log_close = np.log(panel.fields["close"])
    before = (log_close[day - 1] - log_close[day - 2])[np.arange(len(day)), ticker]
    tone = base.truth["truth"].to_numpy()[cell > 50]
    assert np.corrcoef(before, tone)[0, 1] > 0.3
    changed = ~np.isclose(moved.prices["close"], base.prices["close"])
    assert 0 < changed.mean() < 1  # by the few that are no reports alone


def test_a_seed_gives_one_market_and_another_seed_another(headlines):
    first, again, other = (simulate_market(SIMULATED, "XNYS", headlines, seed) for seed in (17, 17, 18))
    pd.testing.assert_frame_equal(first.news, again.news)
    pd.testing.assert_frame_equal(first.prices, again.prices)
    assert set(first.news["headline"]) != set(other.news["headline"])
    assert not np.allclose(first.prices["close"], other.prices["close"])


def test_the_news_does_not_depend_on_drift_or_reaction(headlines):
    other = SIMULATED.model_copy(update={"drift": 0.0, "reaction": 0.03, "volatility": 0.03})
    pd.testing.assert_frame_equal(
        simulate_market(SIMULATED, "XNYS", headlines, 17).news, simulate_market(other, "XNYS", headlines, 17).news
    )


def test_simulated_returns_have_fat_tails_and_volatility_clusters(headlines):
    long = SIMULATED.model_copy(update={"sessions": 2000, "start": "2012-01-03"})
    prices = simulate_market(long, "XNYS", headlines, 1).prices
    returns = np.log(prices.pivot(index="session", columns="ticker", values="close")).diff().dropna()
    assert returns.kurt().median() > 1
    size = returns.abs()
    assert size.corrwith(size.shift(1)).median() > 0.03
    assert np.corrcoef(returns.iloc[:, :2].T)[0, 1] > 0.05
    assert abs(returns.corrwith(returns.shift(1)).mean()) < 0.05


def test_simulated_news_comes_at_all_hours_and_unevenly(headlines):
    data = load_market(market("simulated", ROOT / "data/sample/headlines.csv"), 17)
    local = data.news["published_at"].dt.tz_convert("America/New_York")
    assert local.dt.hour.nunique() == 24
    assert 0.02 < (local.dt.day_of_week >= 5).mean() < 0.25
    assert (local.dt.strftime("%m-%d") == "07-04").any()
    per_ticker = data.news["ticker"].value_counts()
    assert per_ticker.max() > 2 * per_ticker.min()
    assert 3000 < len(data.news) < 4000
    assert data.facts["news_in"] == data.facts["news_out"] == len(data.truth)
    assert data.facts["unique_headlines"] == len(data.news)
    assert not data.news["headline"].str.contains("{company}", regex=False).any()
    assert "tone" not in data.news and "tone" not in data.prices


def test_500_companies_have_500_names_and_tickers(headlines):
    many = SIMULATED.model_copy(update={"tickers": 500, "sessions": 60})
    simulation = simulate_market(many, "XNYS", headlines, 1)
    assert simulation.prices["ticker"].nunique() == 500
    assert len({stem[:3] for stem in STEMS}) == len(STEMS) and len({kind[0] for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize(
    ("row", "message"), [("No company here,1", "exactly once"), ("{company} rises,good", "tone = 'good': expected -1")]
)
def test_a_bad_headline_is_named(tmp_path, row, message):
    file = tmp_path / "headlines.csv"
    file.write_text("headline,tone\n{company} waits,0\n" + row)
    with pytest.raises(InputError, match=f"headlines.csv, line 3: .*{message}"):
        load_market(market("simulated", file), 1)


def test_a_simulation_beyond_the_calendar_is_an_error(headlines):
    with pytest.raises(InputError, match="5000 sessions from 2020-01-02 are not all known; the calendar of XSHG"):
        simulate_market(SIMULATED.model_copy(update={"sessions": 5000, "start": "2020-01-02"}), "XSHG", headlines, 1)


# StockNet

PRICE_HEADER = "Date,Open,High,Low,Close,Adj Close,Volume\n"


def tweet(number: int, when: str, text: str) -> str:
    return json.dumps({"created_at": when, "id_str": str(number), "text": text}, ensure_ascii=False) + "\n"


def stocknet_files() -> dict[str, str]:
    same = tweet(1, "Thu Jan 02 15:45:02 +0000 2014", "RT @desk: Apple &amp; co  up\n http://t.co/a $AAPL")
    return {
        "tweet/raw/AAPL/2014-01-02": same
        + same
        + tweet(2, "Thu Jan 02 22:00:00 +0000 2014", "Apple & co up https://t.co/b $AAPL")
        + tweet(3, "Tue Dec 31 23:59:59 +0000 2013", "the year before"),
        "tweet/raw/AAPL/2015-12-31": tweet(4, "Fri Jan 01 00:00:00 +0000 2016", "the year after")
        + tweet(5, "Thu Dec 31 23:59:59 +0000 2015", "the last\u2028second"),
        "tweet/raw/MSFT/2014-01-02": tweet(1, "Thu Jan 02 15:45:02 +0000 2014", "Apple & co up $AAPL")
        + tweet(6, "Thu Jan 02 15:45:02 +0000 2014", "http://t.co/only"),
        "tweet/raw/GMRE/2014-01-02": tweet(7, "Thu Jan 02 15:45:02 +0000 2014", "no price yet"),
        "tweet/preprocessed/AAPL/2014-01-02": "not read",
        "price/raw/AAPL.csv": PRICE_HEADER
        + "2013-06-28,10,10,10,10,10,5\n2014-01-02,100,110,90,105,52.5,1000\n2014-01-03,104,112,100,110,110,2000\n",
        "price/raw/MSFT.csv": PRICE_HEADER + "2014-01-02,10,11,9,10,10,10\n2014-01-06,10,11,9,10,10,10\n",
        "price/raw/GMRE.csv": PRICE_HEADER + "2016-06-30,10,11,9,10,10,10\n",
    }


def as_folder(path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(text.encode())
    return path


def as_tar(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path / "stocknet.tar.xz", "w:xz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(f"stocknet-dataset-1/{name}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return path / "stocknet.tar.xz"


def as_zip(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path / "stocknet.zip", "w") as archive:
        for name, text in files.items():
            archive.writestr(f"stocknet-dataset-1/{name}", text)
    return path / "stocknet.zip"


@pytest.mark.parametrize("form", [as_folder, as_tar, as_zip])
def test_stocknet_is_read_from_a_clone_and_from_archives(tmp_path, form):
    data = load_market(market("stocknet", form(tmp_path, stocknet_files())), 1)
    assert data.news["news_id"].tolist() == ["1-AAPL", "1-MSFT", "2-AAPL", "5-AAPL"]
    assert data.news["headline"].tolist() == ["Apple & co up $AAPL"] * 3 + ["the last second"]
    assert data.facts["unique_headlines"] == 2
    assert str(data.news["published_at"][0]) == "2014-01-02 15:45:02+00:00"
    assert data.refused == {
        "news_outside_period": 2,
        "prices_outside_period": 2,
        "news_without_ticker": 0,
        "news_ticker_without_prices": 1,
        "news_without_text": 1,
        "news_duplicate": 1,
        "prices_empty": 0,
        "prices_duplicate": 0,
    }
    assert data.facts["news_in"] == 9 == data.facts["news_out"] + 5
    assert data.facts["prices_in"] == 6 == data.facts["prices_out"] + 2
    assert data.facts["price_gaps"] == 1  # MSFT on 2014-01-03
    apple = data.prices.iloc[0]
    assert apple[["open", "high", "low", "close", "volume"]].tolist() == [50, 55, 45, 52.5, 1000]


def test_tweets_that_repeat_one_another_become_equal_texts():
    assert clean_tweet("RT @a_1: RT @b:  $F up &gt;5% http://t.co/xyz now") == "$F up >5% now"
    assert clean_tweet("http://t.co/abc") == ""


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("tweet/raw/AAPL/2014-01-03", "{broken", "AAPL/2014-01-03, line 1: .*expected a tweet as JSON"),
        ("tweet/raw/AAPL/2014-01-03", '\n{"id_str": "1", "text": "x"}', "line 2: KeyError: 'created_at'"),
        ("price/raw/AAPL.csv", "Date,Open\n2014-01-02,1\n", "AAPL.csv: .*expected columns Date"),
        ("price/raw/AAPL.csv", PRICE_HEADER + "2014-01-02,1,2,3,2,2,1\n", r"row 1 \(AAPL, 2014-01-02\): high = 2"),
    ],
)
def test_a_broken_stocknet_file_is_named(tmp_path, name, text, message):
    with pytest.raises(InputError, match=message):
        load_market(market("stocknet", as_folder(tmp_path, stocknet_files() | {name: text})), 1)


def test_a_missing_cut_or_foreign_archive_is_an_error(tmp_path):
    with pytest.raises(InputError, match="does not exist; give a clone or an archive of .*yumoxu/stocknet-dataset"):
        load_market(market("stocknet", tmp_path / "none.tar.xz"), 1)
    archive = as_tar(tmp_path, stocknet_files())
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(InputError, match="cannot be read as .tar.xz"):
        load_market(market("stocknet", archive), 1)
    with pytest.raises(InputError, match="no tweets below tweet/raw"):
        load_market(market("stocknet", as_folder(tmp_path / "other", {"README.md": "x"})), 1)


@pytest.mark.skipif(not ARCHIVE.is_file(), reason=f"{ARCHIVE} is not here")
def test_the_real_archive_keeps_its_two_years(tmp_path):
    # A few of its tickers, so that the test is quick; the archive lists prices before tweets.
    with tarfile.open(ARCHIVE) as whole:
        wanted = ("/price/raw/AAPL.csv", "/price/raw/BABA.csv", "/price/raw/ABB.csv")
        for item in whole:
            inside = item.name.partition("/")[2]
            if item.isfile() and (item.name.endswith(wanted) or inside.startswith("tweet/raw/ABB/")):
                whole.extract(item, tmp_path, filter="data")
            if inside.startswith("tweet/raw/ABBV/"):
                break
    data = load_market(market("stocknet", next(tmp_path.iterdir())), 1)
    assert data.prices.groupby("ticker").size().to_dict() == {"AAPL": 693, "ABB": 693, "BABA": 385}
    assert data.facts["price_gaps"] == 0 and data.facts["tickers_with_news"] == 1
    assert data.news["published_at"].dt.year.isin([2014, 2015]).all()
    assert data.facts["news_in"] == len(data.news) + sum(n for r, n in data.refused.items() if r.startswith("news"))
