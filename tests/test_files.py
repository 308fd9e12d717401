"""Files are whole or not there, repeat to the byte, and a user's mistake is one line."""

from __future__ import annotations

import errno
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from finsentiment.errors import InputError, run_main
from finsentiment.files import (
    atomic_path,
    cache_folder,
    read_json,
    read_table,
    sha256_folder,
    write_json,
    write_table,
    write_text,
)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    write_text(target, "old\n")
    with pytest.raises(OSError, match="No space") as caught, atomic_path(target) as scratch:
        scratch.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(target)
    assert target.read_text() == "old\n" and [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_a_folder_takes_the_place_of_an_older_one_whole(tmp_path: Path) -> None:
    for content in ("a", "b"):
        with atomic_path(tmp_path / "adapter") as scratch:
            scratch.mkdir()
            (scratch / content).write_text(content)
    assert [p.name for p in (tmp_path / "adapter").iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["adapter"]


def test_equal_tables_are_equal_bytes_and_come_back_as_they_were(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"text": ["Umsätze", None], "value": [1.5, math.nan], "when": pd.to_datetime(["2024-01-02"] * 2)}
    )
    for name in ("one", "two"):
        write_table(tmp_path / name, table.copy())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    pd.testing.assert_frame_equal(read_table(tmp_path / "one"), table, check_dtype=False)


def test_json_is_sorted_rounded_and_has_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "m.json", {"b": 1 / 3, "a": math.nan, "c": [1, 2.0]})
    assert (tmp_path / "m.json").read_text() == '{\n  "a": null,\n  "b": 0.333333,\n  "c": [\n    1,\n    2.0\n  ]\n}\n'
    assert read_json(tmp_path / "m.json")["b"] == 0.333333


def test_the_hash_of_a_folder_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = sha256_folder(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    second = sha256_folder(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({first, second, sha256_folder(tmp_path)}) == 3


def test_a_cache_that_cannot_be_made_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FINSENTIMENT_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="set FINSENTIMENT_CACHE to a folder that can be written"):
        cache_folder("models")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("prices.csv, row 3: what"), "error: prices.csv, row 3: what"),
        (
            OSError(errno.ENOSPC, "No space left", "data/x.parquet"),
            "error: the disk is full while writing data/x.parquet",
        ),
    ],
)
def test_what_a_user_can_mend_is_one_line(error: Exception, line: str) -> None:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        run_main(main)
    assert str(caught.value).startswith(line) and "\n" not in str(caught.value)


def test_a_defect_of_the_project_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_main(lambda: 1 / 0)


def test_ctrl_c_is_one_line_and_leaves_no_half_file(tmp_path: Path) -> None:
    code = (
        "import time; from finsentiment.errors import run_main; from finsentiment.files import atomic_path\n"
        "def main():\n"
        f"    with atomic_path({str(tmp_path / 'out.csv')!r}) as scratch:\n"
        "        scratch.write_text('half'); print('writing', flush=True); time.sleep(30)\n"
        "run_main(main)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # A shell's background job ignores Ctrl-C, and so would all that the tests start from there.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout.readline() == "writing\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors == "error: interrupted; the next run goes on from what is complete\n"
    assert not list(tmp_path.iterdir())
