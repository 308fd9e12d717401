"""What a path holds: a corpus, PhraseBank, news and prices, or StockNet."""

from __future__ import annotations

import tarfile
import tempfile
import zipfile
from pathlib import Path

from finsentiment.check.corpus import check_corpus
from finsentiment.check.market import check_market_folder
from finsentiment.check.report import Report
from finsentiment.errors import InputError


def look_at(path: str) -> Report:
    """Look at a file of labelled sentences or a folder of news and prices; nothing is changed.

    Raises InputError where the path does not exist or holds neither.
    """
    place = Path(path)
    try:
        path.encode()
        there = place.exists()
    except (OSError, ValueError):
        there = False
    if not there:
        raise InputError(
            f"{path[:200]!r} does not exist; give a file of labelled sentences or a folder of news and prices"
        )
    with tempfile.TemporaryDirectory() as scratch:
        empty = Path(scratch) / "tickers.csv"
        empty.write_text("from,to\n", encoding="utf-8")
        if place.is_dir():
            stocknet = (place / "tweet" / "raw").is_dir()
            return check_market_folder(path, "stocknet" if stocknet else "tables", str(empty))
        if _is_phrasebank(place):
            return check_corpus(path, "phrasebank")
        if _is_archive(place):
            return check_market_folder(path, "stocknet", str(empty))
        names = {file.name.split(".")[0] for file in place.parent.iterdir()}
        if {"news", "prices"} <= names and place.name.split(".")[0] in ("news", "prices"):
            return check_market_folder(str(place.parent), "tables", str(empty))
        return check_corpus(path)


def _is_phrasebank(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(name.startswith("FinancialPhraseBank") for name in archive.namelist())


def _is_archive(file: Path) -> bool:
    return tarfile.is_tarfile(file) or (zipfile.is_zipfile(file) and not file.name.endswith((".xlsx", ".xlsm")))
