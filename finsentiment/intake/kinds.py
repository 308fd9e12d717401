"""What a file is, seen from its first bytes and not from its name, and its text."""

from __future__ import annotations

import codecs
import gzip
import json
import re
import zlib
from pathlib import Path

from finsentiment.errors import InputError
from finsentiment.files import read_input

EXCEL = "an Excel workbook; save the sheet as CSV UTF-8 (File, Save As) and give that file"
_FOREIGN = (
    (b"\xd0\xcf\x11\xe0", EXCEL),
    (b"PK\x03\x04", "a zip archive; unpack it and give the file in it"),
    (
        b"version https://git-lfs",
        "a pointer of Git LFS and not the file itself; run `git lfs pull` where it comes from",
    ),
    (b"ARROW1", "a Feather file; save the table as Parquet (pandas: to_parquet)"),
    (b"\x89HDF", "an HDF5 file; save the table as Parquet (pandas: to_parquet)"),
    (b"SQLite format 3", "an SQLite database; export the table as CSV"),
    (b"\x93NUMPY", "a NumPy array; save the table as CSV or Parquet"),
    (b"\x80\x03", "a pickle, which isn't read since it may run code; save the table as Parquet"),
    (b"\x80\x04", "a pickle, which isn't read since it may run code; save the table as Parquet"),
    (b"\x80\x05", "a pickle, which isn't read since it may run code; save the table as Parquet"),
    (b"BZh", "a bzip2 archive; unpack it (bunzip2) and give the file in it"),
    (b"\xfd7zXZ", "an xz archive; unpack it (unxz) and give the file in it"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive; unpack it (unzstd) and give the file in it"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it and give the file in it"),
    (b"%PDF", "a PDF; give the table as CSV"),
    (b"ORC", "an ORC file; save the table as Parquet"),
    (b"Obj\x01", "an Avro file; save the table as Parquet"),
    (b"<?xml", "XML; save the table as CSV"),
    (b"<!doctype html", "a web page, probably one that asks to log in; download the file itself"),
    (b"<html", "a web page, probably one that asks to log in; download the file itself"),
)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_user_bytes(path: str | Path) -> tuple[bytes, str, bool]:
    """The content of a user's file, unpacked where it is gzip.

    Returns
    -------
    content, kind (`parquet`, `json lines`, `json` or `csv`), whether it was gzip

    Raises
    ------
    InputError
        The file can't be read, is empty, or is of a kind that isn't taken; the message says what it is.
    """
    content = read_input(path)
    packed = content.startswith(b"\x1f\x8b")
    if packed:
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}: a gzip file that can't be unpacked ({error}); copy it again") from None
    if not content.strip():
        raise InputError(f"{path}: the file is empty; expected a table with a first line of column names")
    start = content[:4096].lstrip().lower()
    for mark, what in _FOREIGN:
        if content.startswith(mark) or (mark[:1] == b"<" and start.startswith(mark)):
            workbook = mark == b"PK\x03\x04" and (b"xl/" in content or str(path).lower().endswith((".xlsx", ".xlsm")))
            raise InputError(f"{path}: this is {EXCEL if workbook else what}; expected CSV, JSON lines or Parquet")
    return content, _kind(content), packed


def _kind(content: bytes) -> str:
    if content.startswith(b"PAR1"):
        return "parquet"
    first = content.removeprefix(codecs.BOM_UTF8).lstrip()
    if first.startswith(b"{") and _is_object(first.split(b"\n", 1)[0]):
        return "json lines"
    if first.startswith(b"[") and first[1:].lstrip()[:1] in (b"{", b"]"):
        return "json"
    return "csv"


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        # A pretty-printed object, or a line that is broken: in a CSV a first cell `{"` is as good as unknown.
        return line.strip() == b"{" or line.startswith(b'{"')


def decode(content: bytes, path: str | Path, encoding: str | None, parameter: str | None) -> tuple[str, str]:
    """The text of a file, and the encoding that it was in.

    A byte order mark says the encoding; else it is `encoding`, or UTF-8 where that is None. InputError names the line
    of a byte that does not fit, an encoding that would, and `parameter`, which sets it (None: the file must be UTF-8).
    """
    for mark, name in _MARKS:
        if content.startswith(mark):
            encoding = name
            break
    name = encoding or "utf-8"
    try:
        return content.decode(name), name
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{content[error.start]:02x} at offset {error.start}"
        fit = _fitting(content, error.start)
        mend = f"set {parameter}={fit[0]}" if parameter else "save the file as UTF-8"
        message = f"{path}, line {line}: {byte} is not {name.upper()}; {fit[1]}; {mend}"
        raise InputError(message, {parameter: fit[0]} if parameter else None) from None


def _fitting(content: bytes, at: int) -> tuple[str, str]:
    """An encoding that the bytes fit, and how the word at `at` reads in it."""
    if content[:4096].count(0) > len(content[:4096]) / 4:
        return "utf-16-le", "every second byte is 0, so it is UTF-16 without its mark"
    for name in ("cp1252", "latin-1"):
        try:
            text = content.decode(name)
        except UnicodeDecodeError:
            continue
        word = re.search(r"\S*$", text[:at])[0] + re.match(r"\S*", text[at:])[0]  # type: ignore[index]
        return name, f"as {name} the word there reads {word[:40]!r}"
    raise AssertionError("latin-1 fits every byte")
