"""What became of the rows of each table, in words: in, out, refused, read otherwise, and what is doubtful."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finsentiment.reporting.words import joined

REFUSED = {
    "exact_duplicate": "exact duplicates",
    "conflicting_labels": "texts with two labels",
    "several_labels": "labelled otherwise for each company",
    "label_left_out": "with a label that corpus.labels leaves out",
    "news_ticker_without_prices": "on tickers without prices",
    "news_without_ticker": "without a ticker",
    "news_without_text": "without text",
    "news_duplicate": "duplicates",
    "news_outside_period": "outside the period",
    "prices_empty": "without any number",
    "prices_duplicate": "duplicates",
    "prices_outside_period": "outside the period",
}
"""Every reason for which a row is left out, in words."""

CONVERTED = {
    "html": "texts without their HTML",
    "characters": "texts with plain characters",
    "labels_renamed": "labels in our words",
    "agreement_from_percent": "agreements from percent",
    "surplus_empty_values": "rows without their empty last values",
    "rows_over_lines": "rows over several lines",
    "wide_empty_tickers": "tickers without any price",
    "tickers_renamed": "tickers as the prices write them",
    "adjusted": "rows adjusted by their adjusted close",
    "high_low_rounding": "rows with high or low put right by rounding",
    "thousands": "numbers without thousands separators",
    "decimal_comma": "numbers with a decimal comma",
    "suffix": "numbers with K, M or B",
    "currency": "numbers without their currency",
    "date_form": "dates in another form",
    "date_format": "dates by market.date_format",
    "date_with_time": "dates from times",
    "time_rfc822": "times in RFC 822",
    "time_ctime": "times as Twitter writes them",
    "time_compact": "times without marks",
    "time_slashes": "times with slashes",
    "time_format": "times by market.time_format",
    "midnight_without_zone": "days from midnights without a zone",
    "epoch_seconds": "times from seconds since 1970",
    "epoch_milliseconds": "times from milliseconds since 1970",
    "epoch_microseconds": "times from microseconds since 1970",
    "epoch_nanoseconds": "times from nanoseconds since 1970",
    "column_names": "columns by names that differ in case or marks",
    "wide_columns": "columns spread to rows",
    "gzip": "files of gzip",
    "delimiter_comma": "files with commas between values",
    "delimiter_semicolon": "files with semicolons between values",
    "delimiter_tab": "files with tabs between values",
    "delimiter_bar": "files with bars between values",
    "delimiter_other": "files with the delimiter of the parameters",
}
"""Everything that is done to rows, in words that begin with what is counted; encodings come by their own names."""


def row_line(name: str, found: Mapping[str, Any]) -> str:
    """One line on a table: `news: 546 rows in, 474 out, 72 on tickers without prices; read: 546 times in RFC 822`.

    Parameters
    ----------
    name : of the table
    found : `rows_in`, `rows_out`, and by reason `refused` and `converted`
    """
    parts = [f"{found['rows_in']} rows in, {found['rows_out']} out"]
    parts += [f"{count} {REFUSED[reason]}" for reason, count in found["refused"].items() if count]
    line = f"{name}: {', '.join(parts)}"
    done = [_in_words(what.removeprefix(f"{name}_"), count) for what, count in found["converted"].items() if count]
    return f"{line}; read: {', '.join(done)}" if done else line


def _in_words(what: str, count: int) -> str:
    encoding = what.removeprefix("encoding_")
    said = CONVERTED[what] if encoding == what else f"files in {encoding.replace('_', '-')}"
    thing, _, rest = said.partition(" ")
    return f"{count} {thing if count != 1 else thing.removesuffix('s')} {rest}"


def table_counts(market: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The counts of news and of prices from the metrics of a market."""
    return {
        name: {
            "rows_in": market[f"{name}_in"],
            "rows_out": market[f"{name}_out"],
            **{
                kind: {reason: n for reason, n in market[kind].items() if reason.startswith(f"{name}_")}
                for kind in ("refused", "converted")
            },
        }
        for name in ("news", "prices")
    }


def used_in_words(sentences: Mapping[str, Any], market: Mapping[str, Any]) -> str:
    """How many of the rows that were given are used, of each table."""
    tables = {"sentences": sentences, **table_counts(market)}
    named = {"sentences": "sentences", "news": "headlines", "prices": "prices"}
    parts = [f"{found['rows_out']} of {found['rows_in']} {named[name]}" for name, found in tables.items()]
    return joined(parts)


def doubts(market: Mapping[str, Any]) -> list[str]:
    """What a reader should know of news and prices before the result: sentences, none where there is no doubt."""
    found = []
    undated, rows = market["undated_news"], market["news_out"]
    if undated:
        done = {
            "trust": "is trusted (market.undated_news), so that it may look ahead",
            "next_session": "counts for the session after its day (market.undated_news)",
        }[market["undated_rule"]]
        found.append(f"{undated} of {rows} headlines have lost their time of day; such news {done}.")
    missing = market["tickers_without_prices"]
    if missing:
        count = market["refused"]["news_ticker_without_prices"]
        shown = ", ".join(f"{m['ticker']} ({m['rows']})" for m in missing)
        alike = [f"{m['nearest']} for {m['ticker']}" for m in missing if m["nearest"]]
        hint = " Map them with market.tickers if the prices call them otherwise."
        if any("," in m["ticker"] or ";" in m["ticker"] for m in missing):
            hint = " A story on several tickers is one row per ticker."
        if alike:
            hint = f" The prices have {', '.join(alike)}: set market.ticker_rule=plain."
        found.append(f"{count} of {market['news_in']} headlines are on tickers without prices: {shown}.{hint}")
    splits = market["tickers_like_split"]
    if splits:
        have = "has" if splits == 1 else "have"
        found.append(
            f"{splits} of {market['tickers']} tickers {have} an overnight move that looks like a split that the prices "
            f"are not adjusted for, first {market['first_like_split']}; adjust them, or take such tickers out."
        )
    return found
