"""StockNet (Xu and Cohen 2018): tweets on 88 stocks and their prices, from a clone or an archive of its repository.

Layout: `tweet/raw/TICKER/DATE` holds one tweet as JSON per line, `price/raw/TICKER.csv` the daily prices. Tweets
count by their own `created_at` (UTC), since thousands lie in files of another day. The stocks were chosen with
hindsight (the largest of each sector in 2017), so their prices say little about the stocks of the time as a whole.
"""

from __future__ import annotations

import html
import io
import json
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from finsentiment.errors import InputError
from finsentiment.market.checks import OPEN, Entry, RawMarket
from finsentiment.params import Market

# The two years that the dataset is made for; the repository holds some tweets of the days around them.
PERIOD = (pd.Timestamp("2014-01-01", tz="UTC"), pd.Timestamp("2016-01-01", tz="UTC"))  # the end is not part of it
# Prices from half a year before, for features with a memory, to a quarter after, for the last forward returns.
PRICES = (pd.Timestamp("2013-07-01"), pd.Timestamp("2016-03-31"))
REPOSITORY = "the GitHub repository yumoxu/stocknet-dataset"

_MEMBER = re.compile(r"(?:^|/)(?:tweet/raw/(?P<tweets>[^/]+)/[^/.][^/]*|price/raw/(?P<prices>[^/]+)\.csv)$")
_RETWEET = re.compile(r"^(?:RT\s+@\w+:?\s*)+")
_LINK = re.compile(r"https?:\S*")
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError)


def read_stocknet_market(market: Market, seed: int, entry: Entry = OPEN) -> RawMarket:
    """Read the dataset at `market.path`; neither `seed` nor `entry` is needed.

    Raises InputError where the path is missing or not StockNet, or a file in it is broken.
    """
    return RawMarket(*read_stocknet(market.path), (f"{market.path}: tweets", f"{market.path}: price/raw"))


def read_stocknet(path: str | Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """Read tweets and prices.

    An archive (.tar.xz, .tar.gz, .zip) is read in memory; nothing is written to disk.

    Returns
    -------
    news, prices : tables in the pipeline's columns; prices are adjusted for splits and dividends
    refused : tweets and prices left out because they lie outside the period, by reason

    Raises
    ------
    InputError
        Where `path` is missing or not StockNet, or a file in it is broken.
    """
    tweets: list[tuple[str, pd.Timestamp, str, str]] = []
    prices = []
    for name, content in _files(Path(path)):
        member: Any = _MEMBER.search(name)  # `_files` gives no other names
        if member["tweets"]:
            tweets.extend(_tweets(f"{path}: {name}", content, member["tweets"]))
        else:
            prices.append(_prices(f"{path}: {name}", content, member["prices"]))
    if not tweets or not prices:
        raise InputError(f"{path}: no tweets below tweet/raw or no prices below price/raw; expected {REPOSITORY}")

    news = pd.DataFrame(tweets, columns=["id", "published_at", "ticker", "headline"])
    news["published_at"] = news["published_at"].astype("datetime64[us, UTC]")
    news.insert(0, "news_id", news["id"] + "-" + news["ticker"])
    news = news.drop(columns="id").assign(source="twitter")
    price = pd.concat(prices)
    inside = (news["published_at"] >= PERIOD[0]) & (news["published_at"] < PERIOD[1])
    kept = price["session"].between(*PRICES)
    refused = {"news_outside_period": int((~inside).sum()), "prices_outside_period": int((~kept).sum())}
    return news[inside], price[kept], refused


def clean_tweet(text: str) -> str:
    """A tweet as it is to be scored: no HTML entities, links or leading `RT @user:`, white space folded.

    Tweets that repeat one another with another link become equal, and are scored once.
    """
    return _RETWEET.sub("", " ".join(_LINK.sub(" ", html.unescape(text)).split()))


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file of tweets or prices."""
    try:
        if path.is_dir():
            for file in sorted(file for kind in ("tweet", "price") for file in path.glob(f"{kind}/raw/**/*")):
                name = file.relative_to(path).as_posix()
                if file.is_file() and _MEMBER.search(name):
                    yield name, file.read_bytes()
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in filter(_MEMBER.search, archive.namelist()):
                    yield name, archive.read(name)
        else:
            with tarfile.open(path, "r:*") as archive:
                for item in archive:
                    if item.isfile() and _MEMBER.search(item.name) and (stream := archive.extractfile(item)):
                        yield item.name, stream.read()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"market.path = {str(path)!r} does not exist; give a clone or an archive of {REPOSITORY}"
        ) from None
    except _BROKEN as error:
        raise InputError(
            f"{path}: cannot be read as .tar.xz, .tar.gz or .zip ({' '.join(str(error).split())}); "
            f"give a whole archive of {REPOSITORY}"
        ) from None


def _tweets(where: str, content: bytes, ticker: str) -> Iterator[tuple[str, pd.Timestamp, str, str]]:
    # Not splitlines(): a tweet may hold a line separator of Unicode, which JSON leaves as it is.
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            try:
                tweet = json.loads(line)
                yield str(tweet["id_str"]), _moment(tweet["created_at"]), ticker, clean_tweet(tweet["text"])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise InputError(
                    f"{where}, line {number}: {type(error).__name__}: {error}; expected a tweet as JSON with "
                    "created_at, id_str and text; take the file from the repository again"
                ) from None


_MONTHS = {name: f"{n:02d}" for n, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}


def _moment(created_at: str) -> pd.Timestamp:
    """`Thu Jan 02 15:45:02 +0000 2014` as a time, whatever the machine's language (strptime's %b is local)."""
    _, month, day, time, offset, year = created_at.split()
    return pd.Timestamp(f"{year}-{_MONTHS[month]}-{day}T{time}{offset}")


def _prices(where: str, content: bytes, ticker: str) -> pd.DataFrame:
    """One ticker's prices, all four adjusted by Adj Close / Close, as Yahoo adjusts the close alone."""
    try:
        raw = pd.read_csv(io.BytesIO(content), parse_dates=["Date"], date_format="%Y-%m-%d")
        factor = raw["Adj Close"] / raw["Close"]
        four = {name: raw[name.title()] * factor for name in ("open", "high", "low", "close")}
        session = raw["Date"].astype("datetime64[us]")
        volume = raw["Volume"].astype(float)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{where}: {' '.join(str(error).split())}; expected columns Date, Open, High, Low, Close, Adj Close, "
            "Volume of numbers; take the file from the repository again"
        ) from None
    rows = pd.RangeIndex(1, len(raw) + 1)
    return pd.DataFrame({"ticker": ticker, "session": session, **four, "volume": volume}).set_index(rows)
