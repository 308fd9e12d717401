"""Tables, JSON and text to and from disk: whole or not at all, and the same bytes every time."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import platformdirs
import pyarrow as pa
import pyarrow.parquet as pq

from finsentiment.errors import InputError


@contextlib.contextmanager
def report_full_disk(path: Path) -> Iterator[None]:
    """Turn what libraries raise when they find no room to write `path` into an OSError that says so.

    Safetensors, PyTorch and SQLite have errors of their own for a full disk.
    """
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise
    except Exception as error:
        if shutil.disk_usage(path.parent).free < 2**20 or "No space left" in str(error):
            raise OSError(errno.ENOSPC, "the disk is full", str(path)) from error
        raise


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place only if the block ends without error.

    At the temporary path a file or a folder may be made. After an error nothing is left of it, and an
    older `path` is untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        scratch = Path(folder) / path.name
        with report_full_disk(path):
            yield scratch
        if scratch.is_dir() and path.is_dir():
            os.replace(path, Path(folder) / "old")
        os.replace(scratch, path)


def read_input(path: str | Path) -> bytes:
    """The content of a file that a parameter names; InputError when it can't be read."""
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{str(path)[:200]}: cannot be read ({reason}); correct the path") from None


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with atomic_path(path) as scratch:
        scratch.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path` as UTF-8 with Unix line ends."""
    write_bytes(path, text.encode("utf-8"))


def round_figures(value: Any, digits: int = 6) -> Any:
    """`value` with every float in it rounded to `digits` significant digits, NaN and infinity as None."""
    if isinstance(value, dict):
        return {str(key): round_figures(item, digits) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [round_figures(item, digits) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return value


def write_json(path: str | Path, value: dict[str, Any]) -> None:
    """Write a metrics tree as JSON: sorted keys, floats to six significant digits."""
    write_text(path, json.dumps(round_figures(value), indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON file that the pipeline wrote. Raises InputError where it is missing or broken."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(path) from None
    except ValueError as error:
        raise _broken(path, error) from None


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    """Write a small table (a plot's data) as CSV, floats to six significant digits."""
    buffer = io.StringIO()
    table.to_csv(buffer, index=False, float_format="%.6g", lineterminator="\n")
    write_text(path, buffer.getvalue())


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table as Parquet without pandas metadata, so that equal tables are equal bytes."""
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    with atomic_path(path) as scratch:
        pq.write_table(arrow, scratch, compression="zstd")


def read_table(path: str | Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a Parquet table that the pipeline wrote. Raises InputError where it is missing or broken."""
    try:
        return pq.read_table(path, columns=columns).to_pandas()
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(path) from None
    except pa.ArrowInvalid as error:
        raise _broken(path, error) from None


def _missing(path: str | Path) -> InputError:
    return InputError(f"{path} is missing; run `dvc repro`, or first the stage that writes it")


def _broken(path: str | Path, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:150]
    return InputError(f"{path}: not what the pipeline wrote ({reason}); delete it and run `dvc repro`")


def without_folders(text: str) -> str:
    """Parameters or a lock file as text, of each file outside the repository only the name.

    Its folder tells of a machine, not of the run.
    """
    return re.sub(r": /\S*/", ": ", text)


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_folder(path: str | Path) -> str:
    """SHA-256 over the sorted names and contents of the files below a folder, hidden ones left out."""
    digest = hashlib.sha256()
    for file in sorted(p for p in Path(path).rglob("*") if p.is_file()):
        name = file.relative_to(path).as_posix()
        if not any(part.startswith(".") for part in name.split("/")):
            digest.update(f"{name}\0{sha256_file(file)}\n".encode())
    return digest.hexdigest()


def cache_folder(*parts: str) -> Path:
    """Folder `parts` below this project's cache: FINSENTIMENT_CACHE, or `finsentiment` in the user's cache.

    It lies outside the repository so that experiments in other work trees find what one run fetched.
    """
    folder = Path(os.environ.get("FINSENTIMENT_CACHE") or platformdirs.user_cache_dir("finsentiment"), *parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise InputError(
            f"the cache folder {folder} cannot be made ({error.strerror}); "
            "set FINSENTIMENT_CACHE to a folder that can be written"
        ) from None
    return folder
