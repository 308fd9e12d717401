"""What a file is, seen from its first bytes and not from its name, and its text."""

from __future__ import annotations

import codecs
import contextlib
import gzip
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
    (b"\x80\x02", "a pickle, which isn't read since it may run code; save the table as Parquet"),
    (b"\x80\x03", "a pickle, which isn't read since it may run code; save the table as Parquet"),
    (b"\x80\x04", "a pickle, which isn't read since it may run code; save the table as Parquet"),
    (b"\x80\x05", "a pickle, which isn't read since it may run code; save the table as Parquet"),
    (b"BZh", "a bzip2 archive; unpack it (bunzip2) and give the file in it"),
    (b"\xfd7zXZ", "an xz archive; unpack it (unxz) and give the file in it"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive; unpack it (unzstd) and give the file in it"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it and give the file in it"),
    (b"PARE", "an encrypted Parquet file; write it without encryption"),
    (b"outs:\n- md5", "a pointer of DVC and not the file itself; run `dvc pull` where it comes from"),
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
    while content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}: a gzip file that can't be unpacked ({error}); copy it again") from None
    if not content.strip() or content in [mark for mark, _ in _MARKS]:
        raise InputError(f"{path}: the file is empty; expected a table with a first line of column names")
    start = content[:4096].removeprefix(codecs.BOM_UTF8).lstrip()
    for mark, what in _FOREIGN:
        if start.startswith(mark) or (mark[:1] == b"<" and start.lower().startswith(mark)):
            workbook = mark == b"PK\x03\x04" and (b"xl/" in content or str(path).lower().endswith((".xlsx", ".xlsm")))
            raise InputError(f"{path}: this is {EXCEL if workbook else what}; expected CSV, JSON lines or Parquet")
    kind = _kind(content)
    if kind != "parquet" and _is_binary(content):
        raise InputError(f"{path}: this is no text and of no kind that is known; expected CSV, JSON lines or Parquet")
    return content, kind, packed


def _is_binary(content: bytes) -> bool:
    """Whether the start holds control characters that no text has. Zeros may be UTF-16 or UTF-32."""
    start = content[:4096]
    odd = sum(byte < 9 or 13 < byte < 32 for byte in start)
    return odd - start.count(0) > len(start) / 20


def _kind(content: bytes) -> str:
    if content.startswith(b"PAR1"):
        return "parquet"
    first = content[:4096].replace(b"\0", b"")  # of UTF-16, what ASCII there is
    for mark, _ in _MARKS:
        first = first.removeprefix(mark.replace(b"\0", b""))
    first = first.lstrip()
    if re.match(rb"\{\s*(?:\"|\}|$)", first):
        return "json lines"
    return "json" if re.match(rb"\[\s*[\[{\]\"]", first) else "csv"


def decode(content: bytes, path: str | Path, encoding: str | None, parameter: str | None) -> tuple[str, str]:
    """The text of a file, and the encoding that it was in.

    A byte order mark says the encoding; else it is UTF-8, or `encoding` for a file that is not. InputError names the
    line of a byte that does not fit, an encoding that would, and `parameter`, which sets it (None: it must be UTF-8).
    """
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    name = marked or encoding or "utf-8"
    wide = _without_mark(content) if marked is None else None
    if wide and not name.startswith(("utf-16", "utf_16", "utf-32", "utf_32", "utf16", "utf32")):
        mend = f"set {parameter}={wide}" if parameter else "save the file as UTF-8"
        remedy = {parameter: wide} if parameter else None
        raise InputError(f"{path}: the file is {wide.upper()} without its mark; {mend}", remedy)
    for trial in dict.fromkeys([name] if marked or wide else ["utf-8", name]):
        with contextlib.suppress(UnicodeError):
            return content.decode(trial), trial
    try:
        content.decode(name)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{content[error.start]:02x} at offset {error.start}"
        fit, said = ("", "copy it again") if marked else _fitting(content, error.start)
        mend = "save the file as UTF-8"
        if parameter and not marked:
            mend = f"set {parameter}={fit or 'NAME'}"
        message = f"{path}, line {line}: {byte} is not {name.upper()}; {said}; {mend}"
        raise InputError(message, {parameter: fit} if parameter and fit else None) from None
    except UnicodeError as error:
        raise InputError(f"{path}: can't be read as {name} ({error}); correct {parameter}") from None
    raise AssertionError("what can't be decoded raises")


def _without_mark(content: bytes) -> str | None:
    """The name of UTF-16 or UTF-32 without a byte order mark, seen from where the zeros of ASCII stand."""
    start = content[:4096]
    zeros = [start[place::4].count(0) > len(start) / 8 for place in range(4)]
    kinds = {(False, True, True, True): "utf-32-le", (True, True, True, False): "utf-32-be"}
    kinds |= {(False, True, False, True): "utf-16-le", (True, False, True, False): "utf-16-be"}
    return kinds.get(tuple(zeros)) if start.count(0) > len(start) / 8 else None  # type: ignore[arg-type]


_UTF8_LETTER = re.compile(rb"[\xc3-\xf4][\x80-\xbf]{1,3}")
MANY = 0.15  # of the letters: more high bytes than these are no Western language


def _fitting(content: bytes, at: int) -> tuple[str, str]:
    """An encoding that the bytes fit, and how the word at `at` reads in it; "" where that can't be told."""
    high = sum(byte > 127 for byte in content[:65536])
    letters = sum(chr(byte).isalpha() or byte > 127 for byte in content[:65536])
    if _UTF8_LETTER.search(content[:at] + b" " + content[at + 1 :]):
        return "", "other letters in it are UTF-8, so it is a mixture of encodings; write it anew in one"
    if high > MANY * letters:
        return "", "say which encoding it is in, such as cp1251, cp932, gb18030 or euc_kr"
    for name in ("cp1252", "latin-1"):
        with contextlib.suppress(UnicodeDecodeError):
            text = content.decode(name)
            word = re.search(r"\S*$", text[:at])[0] + re.match(r"\S*", text[at:])[0]  # type: ignore[index]
            return name, f"as {name} the word there reads {word[:40]!r}"
    raise AssertionError("latin-1 fits every byte")
