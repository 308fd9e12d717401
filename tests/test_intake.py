"""Tables of every kind are read as they stand or refused in one line that says what to do."""

from __future__ import annotations

import gzip
import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finsentiment.errors import InputError
from finsentiment.intake.columns import Columns
from finsentiment.intake.numbers import parse_numbers
from finsentiment.intake.tables import Layout, UserTable, read_user_table
from finsentiment.intake.times import parse_days, parse_times

WANTED = Columns(("text", "label"), ("agreement",), {}, "corpus.columns")
TABLE = pd.DataFrame(
    {"text": ["Café rose", "It fell; sharply", "It met"], "label": ["positive", "negative", "neutral"]}
)


def read(folder: Path, content: bytes | str, wanted: Columns = WANTED, **layout: str) -> UserTable:
    path = folder / "mine.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_user_table(path, wanted, Layout(**layout, parameter="corpus"))


def refused(folder: Path, content: bytes | str, wanted: Columns = WANTED) -> InputError:
    with pytest.raises(InputError) as error:
        read(folder, content, wanted)
    assert "mine.csv" in str(error.value) and "\n" not in str(error.value)
    return error.value


def parquet(table: pd.DataFrame, **options: object) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, **options)
    return buffer.getvalue()


CSV = TABLE.to_csv(index=False)


@pytest.mark.parametrize(
    ("content", "converted"),
    [
        (CSV.encode(), {}),
        (CSV.encode("utf-8-sig"), {}),
        (CSV.replace("\n", "\r\n").encode(), {}),
        (CSV.replace("\n", "\r").encode(), {}),
        (CSV.encode("utf-16"), {"encoding_utf_16": 1}),
        (gzip.compress(CSV.encode(), mtime=0), {"gzip": 1}),
        (TABLE.to_csv(index=False, sep=";").encode(), {"delimiter_semicolon": 1}),
        (TABLE.to_csv(index=False, sep="\t").encode(), {"delimiter_tab": 1}),
        (TABLE.to_csv(index=False, sep="|").encode(), {"delimiter_bar": 1}),
        (TABLE.to_csv(index=True).encode(), {}),
        (CSV.replace("text,label", "Text, LABEL").encode(), {"column_names": 2}),
        (CSV.replace("\n", ",,\n").encode(), {}),
        (CSV.replace("ve\n", "ve,,\n").encode(), {"surplus_empty_values": 2}),
        (TABLE.to_json(orient="records", lines=True).encode(), {}),
        (TABLE.to_json(orient="records").encode(), {}),
        (parquet(TABLE), {}),
        (parquet(TABLE.set_index("text")), {}),
        (gzip.compress(parquet(TABLE), mtime=0), {"gzip": 1}),
    ],
)
def test_one_table_is_the_same_in_every_kind_of_file(tmp_path: Path, content: bytes, converted: dict) -> None:
    found = read(tmp_path, content)
    assert found.rows["text"].tolist() == TABLE["text"].tolist()
    assert found.rows["label"].tolist() == TABLE["label"].tolist()
    assert found.converted == converted


def test_columns_are_named_by_the_parameter_or_numbered_in_a_file_without_names(tmp_path: Path) -> None:
    mapped = Columns(("text", "label"), (), {"text": "Sentence", "label": "Class"}, "corpus.columns")
    assert read(tmp_path, "Sentence,text,Class\nA,other,neutral\n", mapped).rows["text"].tolist() == ["A"]
    numbered = Columns(("text", "label"), (), {"text": 2, "label": 1}, "corpus.columns")
    found = read(tmp_path, "neutral,A\npositive,B\n", numbered).rows
    assert found["text"].tolist() == ["A", "B"] and found.index.tolist() == [1, 2]
    kaggle = 'neutral,"Café, opened"\n'.encode("latin-1")
    assert read(tmp_path, kaggle, numbered, encoding="latin-1").rows["text"].tolist() == ["Café, opened"]


def test_rows_keep_the_line_that_an_editor_shows(tmp_path: Path) -> None:
    found = read(tmp_path, 'text,label\n\n"two\nlines",neutral\nB,neutral\n').rows
    assert found.index.tolist() == [3, 5] and found.index.name == "line"
    assert read(tmp_path, parquet(TABLE)).rows.index.name == "row"


def test_a_cell_may_be_longer_than_the_limit_of_pythons_csv(tmp_path: Path) -> None:
    long = "x" * 300_000
    assert read(tmp_path, f"text,body,label\nA,{long},neutral\n").rows["text"].tolist() == ["A"]
    assert read(tmp_path, f"text,label\n{long},neutral\n").rows["text"].str.len().tolist() == [300_000]


@pytest.mark.parametrize(
    ("content", "said", "remedy"),
    [
        (b"", "the file is empty", {}),
        (b"PK\x03\x04xl/workbook.xml", "this is an Excel workbook; save the sheet as CSV UTF-8", {}),
        (b"PK\x03\x04other", "this is a zip archive; unpack it", {}),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS and not the file itself", {}),
        (b"\n<!DOCTYPE html><html>", "this is a web page, probably one that asks to log in", {}),
        (b"\x80\x04\x95", "this is a pickle", {}),
        (gzip.compress(b"text,label\n" * 99, mtime=0)[:-9], "a gzip file that can't be unpacked", {}),
        (b"\xff\xfe", "the file is empty", {}),
        (
            "text,label\nA,neutral\n".encode("utf-16-be"),
            "is UTF-16-BE without its mark",
            {"corpus.encoding": "utf-16-be"},
        ),
        ("text,label\nПрибыль выросла,positive\n".encode("cp1251"), "say which encoding it is in, such as cp1251", {}),
        ("text,label\nfür,a\n".encode() + "für,b\n".encode("cp1252"), "line 3: .* mixture of encodings", {}),
        (b'{"text": "A", "text": "B"}\n', "line 1: not JSON lines (a name is there twice in one object)", {}),
        (b'[{"text": ["A"], "label": "neutral"}]', "row 1: text is a list or an object, expected a text", {}),
        (b'[{"text":' * 20000, "not JSON lines", {}),
        (bytes(range(32)) * 9, "this is no text and of no kind that is known", {}),
        (parquet(TABLE, compression="none").replace("é".encode(), b"\xe9\xe9"), "cannot be read as Parquet", {}),
        (b"PAR1" + b"\0" * 40, "cannot be read as Parquet", {}),
        (b'{"text": "A"}\n{"text": \n', "line 2: not JSON", {}),
        (b'{"text": "A"}\n[1]\n', "line 2: expected an object such as", {}),
        (
            "text,label\nCafé,neutral\n".encode("cp1252"),
            "line 2: byte 0xe9 at offset 14 is not UTF-8; as cp1252 the word there reads 'Café,neutral'; set",
            {"corpus.encoding": "cp1252"},
        ),
        (
            "Sentence,Sentiment\nA,neutral\n",
            "no column 'text' (the header is 'Sentence,Sentiment'); set corpus.columns={text: Sentence, label: Sentim",
            {"corpus.columns": {"text": "Sentence", "label": "Sentiment"}},
        ),
        (
            "It rose,positive\nIt fell,negative\n",
            "the first line looks like a row and not like names: set corpus.columns={text: 1, label: 2}",
            {"corpus.columns": {"text": 1, "label": 2}},
        ),
        ("a,b\n1,2\n", "say which column is which: corpus.columns={text: NAME, label: NAME}, with numbers from 1", {}),
        ("text,label\nA,b,c\nA,b,c\n", "line 2: 3 values, expected 2 (text,label) (2 such rows); put a text that", {}),
        ("text,label\nA\nb,neutral\n", "line 2: 1 values, expected 2 (text,label); is there a line break within", {}),
        ('text,label\n"The \\"A\\" note",neutral\n', 'quotes within a text are written \\" there, expected ""', {}),
        ('text,label\nA,neutral\n"B,neutral\n', "line 3: not CSV (unexpected end of data); close every", {}),
    ],
)
def test_what_is_no_table_of_ours_is_called_by_its_name(
    tmp_path: Path, content: bytes | str, said: str, remedy: dict
) -> None:
    error = refused(tmp_path, content)
    assert said in str(error) or re.search(said, str(error)), str(error)
    assert error.remedy == remedy


def test_json_lines_keep_their_separators_and_lose_half_characters(tmp_path: Path) -> None:
    lines = [json.dumps({"text": "a\u2028b", "label": 1}, ensure_ascii=False), '{"text": "\\ud83d", "label": null}']
    found = read(tmp_path, "\n".join(lines)).rows
    assert found["text"].tolist() == ["a\u2028b", ""] and found["label"].tolist() == ["1", ""]


# --- times


class Refused(Exception):
    pass


def fail(bad: pd.Series, expected: str, remedy: dict | None = None) -> None:
    if bad.any():
        raise Refused(f"{bad.idxmax()}: {expected} {remedy}")


def times(*values: object, zone: str | None = None, form: str | None = None) -> list[str]:
    found = parse_times(pd.Series(list(values)), zone, form, fail)
    return found.moment.dt.strftime("%Y-%m-%dT%H:%M:%S").tolist()


SAME = "2023-01-06T02:09:13"


@pytest.mark.parametrize(
    "value",
    [
        "2023-01-06T02:09:13Z",
        "2023-01-05T21:09:13-05:00",
        "2023-01-05 21:09:13-0500",
        "2023-01-05 21:09:13-05",
        "2023-01-06 02:09:13+00",
        "2023-01-06 02:09:13 UTC",
        "2023-01-06 2:09:13 GMT",
        "2023-01-06T07:39:13.987654321+05:30",
        "2023-01-05 21:09:13 America/New_York",
        "2023-01-05 21:09:13 EST",
        "20230106T020913Z",
        "Thu, 05 Jan 2023 21:09:13 -0500",
        "06 Jan 2023 02:09:13 GMT",
        "Fri Jan 06 02:09:13 +0000 2023",
        "2023/01/06 02:09:13Z",
        "1672970953",
        "1672970953.7",
        "1672970953000",
        "1672970953000000",
        "1672970953000000000",
        1672970953000,
        1672970953.0,
        pd.Timestamp("2023-01-05 21:09:13", tz="America/New_York"),
    ],
)
def test_one_moment_is_the_same_in_every_format(value: object) -> None:
    assert times(value) == [SAME]


@pytest.mark.parametrize("value", ["2023-01-05 21:09:13", "20230105T210913", pd.Timestamp("2023-01-05 21:09:13")])
def test_times_without_a_zone_need_the_parameter(value: object) -> None:
    with pytest.raises(Refused, match=r"say with market.time_zone which zone.*\{'market.time_zone': None\}"):
        times(value)
    assert times(value, zone="America/New_York") == [SAME]


def test_an_hour_that_clocks_show_twice_is_the_later_one_and_one_that_they_skip_comes_after_the_gap() -> None:
    assert times("2023-11-05 01:30:00", zone="America/New_York") == ["2023-11-05T06:30:00"]
    assert times("2023-03-12 02:30:00", zone="America/New_York") == ["2023-03-12T07:00:00"]


def test_days_alone_say_so_and_midnights_without_a_zone_are_days() -> None:
    found = parse_times(pd.Series(["2023-01-06", "2023-01-06T00:00:00Z", "20230106"]), None, None, fail)
    assert found.only_day.tolist() == [True, False, True]
    naive = parse_times(pd.Series(["2023-01-06 00:00:00", "2023-01-07 00:00"]), None, None, fail)
    assert naive.only_day.all() and naive.converted == {"midnight_without_zone": 2}
    with pytest.raises(Refused, match="with its zone"):
        times("2023-01-06 00:00:00", "2023-01-07 00:01:00")


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (["01/05/2023 09:09 PM", "01/25/2023 09:09 PM"], "%m/%d/%Y %I:%M %p"),
        (["25.01.2023 21:09:13"], "%d.%m.%Y %H:%M:%S"),
        (["2023-01-05 09:09:13 PM"], "%Y-%m-%d %I:%M:%S %p"),
        (["01/05/23"], "%m/%d/%y"),
        (["Jan 05, 2023 9:09 PM", "Feb 01, 2023 10:00 AM"], "%b %d, %Y %I:%M %p"),
    ],
)
def test_a_format_that_may_be_misread_is_refused_with_the_likely_one(values: list[str], form: str) -> None:
    with pytest.raises(Refused) as error:
        times(*values)
    assert f"{{'market.time_format': {form!r}}}" in str(error.value)
    assert times(*values, form=form, zone="UTC")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "2023-02-30T02:30:00Z",
        "2023-01-01T25:00:00Z",
        "2023-01-06 02:09 IST",
        "2023-01-06T02:09+25:00",
        "2024030114",
        "2024030114351000",
        "0001709303710",
        "24-03-01 14:35:10",
        "01 Marvellous 2024 10:00 UTC",
    ],
)
def test_what_is_no_time_is_refused(value: str) -> None:
    with pytest.raises(Refused):
        times(value)


MOMENTS = st.datetimes(pd.Timestamp("1971-01-01"), pd.Timestamp("2049-12-31"))


@settings(deadline=None, max_examples=60)
@given(st.lists(MOMENTS, min_size=1, max_size=5), st.integers(-14 * 4, 14 * 4))
def test_any_moment_comes_back_from_any_offset(moments: list, quarters: int) -> None:
    offset = pd.Timedelta(minutes=15 * quarters)
    sign, minutes = "-" if quarters < 0 else "+", abs(15 * quarters)
    zone = f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
    written = [(pd.Timestamp(m) + offset).strftime("%Y-%m-%dT%H:%M:%S") + zone for m in moments]
    assert times(*written) == [pd.Timestamp(m).strftime("%Y-%m-%dT%H:%M:%S") for m in moments]


def days(*values: object, form: str | None = None) -> list[str]:
    return parse_days(pd.Series(list(values)), form, fail)[0].dt.strftime("%Y-%m-%d").tolist()


@pytest.mark.parametrize(
    "value",
    [
        "2023-01-03",
        "2023-01-03T00:00:00",
        "2023-01-03 00:00:00-05:00",
        "20230103",
        20230103,
        "2023/01/03",
        pd.Timestamp("2023-01-03"),
        pd.Timestamp("2023-01-03", tz="America/New_York"),
        pd.Timestamp("2023-01-03").date(),
        1672704000000,
    ],
)
def test_one_day_is_the_same_in_every_form(value: object) -> None:
    assert days(value) == ["2023-01-03"]


def test_days_that_may_be_misread_or_have_a_time_are_refused() -> None:
    with pytest.raises(Refused, match=r"the day may come first.*\{'market.date_format': '%m/%d/%Y'\}"):
        days("01/03/2023")
    with pytest.raises(Refused, match=r"\{'market.date_format': '%d.%m.%Y'\}"):
        days("01.03.2023")
    with pytest.raises(Refused, match=r"\{'market.date_format': '%d/%m/%Y'\}"):
        days("04/03/2024", "05/03/2024", "06/03/2024")  # nearer together than three months' fourths
    with pytest.raises(Refused, match="one row per ticker and session"):
        days("01/03/2023 16:00", form="%d/%m/%Y %H:%M")
    assert days("01/03/2023", form="%m/%d/%Y") == ["2023-01-03"]
    with pytest.raises(Refused, match=r"\{'market.date_format': '%b %d, %Y'\}"):
        days("Jan 03, 2023", "Mar 01, 2023")
    with pytest.raises(Refused, match="one row per ticker and session"):
        days("2023-01-03 16:00:00")


# --- numbers


def numbers(close: list, volume: list | None = None) -> tuple[list[float], dict[str, int]]:
    table = pd.DataFrame({"close": close, "volume": volume or ["1"] * len(close)})
    found, converted, unclear = parse_numbers(table)
    assert not unclear.to_numpy().any()
    return found["close"].tolist(), converted


@pytest.mark.parametrize(
    ("written", "expected", "converted"),
    [
        (["49.8278", "1e3"], [49.8278, 1000], {}),
        (["1,234.50", "0.5"], [1234.5, 0.5], {"thousands": 1}),
        (["$50.25", "$ 3.1"], [50.25, 3.1], {"currency": 2}),
        (["0.70M", "1.2K", "3b"], [700_000, 1200, 3e9], {"suffix": 3}),
        (["49,82", "50,1"], [49.82, 50.1], {"decimal_comma": 2}),
        (["1.234,56", "50,12", "1.234"], [1234.56, 50.12, 1234], {"decimal_comma": 2, "thousands": 2}),
        (["1 234,5", "1\u00a0234,56"], [1234.5, 1234.56], {"decimal_comma": 2, "thousands": 2}),
    ],
)
def test_numbers_are_read_as_they_are_meant_and_counted(written: list, expected: list, converted: dict) -> None:
    found, done = numbers(written)
    assert found == pytest.approx(expected) and done == converted


@pytest.mark.parametrize(
    ("close", "volume"),
    [
        (["49,828", "50,123"], ["1", "2"]),
        (["12,500", "13,100"], ["100.0", "1"]),
        (["12,500", "12.5"], ["1", "1"]),
        (["12,50", "1.5"], ["1", "1"]),
        (["12,50", "1,5"], ["1,000", "1"]),
        (["$12.5", "€12.1"], ["1", "1"]),
    ],
)
def test_numbers_that_can_be_read_in_two_ways_are_unclear(close: list[str], volume: list[str]) -> None:
    assert parse_numbers(pd.DataFrame({"close": close, "volume": volume}))[2].to_numpy().any()


def test_volumes_take_their_marks_from_the_prices() -> None:
    table = pd.DataFrame({"close": ["12,50", "13,1"], "volume": ["1.000.000", "182.000"]})
    assert parse_numbers(table)[0]["volume"].tolist() == [1_000_000, 182_000]
    for odd in ("12 5", "1,2,3", "1" + " " * 3000 + "1"):
        assert parse_numbers(pd.DataFrame({"close": [odd], "volume": ["1"]}))[0]["close"].isna().all()


def test_volumes_in_thousands_don_t_make_prices_unclear_and_prices_that_are_unclear_are_refused() -> None:
    assert numbers(["49.5"], ["697,293"])[1] == {"thousands": 1}
    assert numbers(["49"], ["697,293"])[1] == {"thousands": 1}
    assert parse_numbers(pd.DataFrame({"close": ["49,828", "50,123"], "volume": ["1", "2"]}))[2]["close"].all()
    assert parse_numbers(pd.DataFrame({"close": ["x", "", "1,23.4"], "volume": ["1"] * 3}))[0]["close"].isna().all()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=5))
def test_any_number_survives_its_separators(values: list[int]) -> None:
    cents = [value / 100 for value in values]
    assert numbers([f"{value:,.2f}" for value in cents] + ["0.5"])[0][:-1] == pytest.approx(cents)
    german = [f"{value:,.2f}".translate(str.maketrans(",.", ".,")) for value in cents]
    assert numbers(german)[0] == pytest.approx(cents)
