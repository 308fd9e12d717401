"""The console command, run as a user runs it: in a process of its own, outside the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from finsentiment import load_reader

COMMAND = [str(Path(sys.executable).with_name("finsentiment"))]


def run(*arguments: object, cwd: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command in `cwd` with `given` on standard input."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, input=given, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_what_needs_no_model_answers_in_under_a_second(option: str, tmp_path: Path) -> None:
    start = time.perf_counter()
    done = run(option, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.startswith({"--help": "usage:", "--version": "finsentiment "}[option])
    assert time.perf_counter() - start < 1
    assert option == "--version" or 'finsentiment score "Profit rose by 12 %."' in done.stdout


@pytest.mark.parametrize("what", [["Profit rose."], ["-"], ["news.csv", "-o", "out.csv"]])
def test_without_an_adapter_one_line_says_how_to_get_one(what: list[str], tmp_path: Path) -> None:
    (tmp_path / "news.csv").write_text("headline\nProfit rose.\n")
    start = time.perf_counter()
    done = run("score", *what, cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert time.perf_counter() - start < 5, "PyTorch was imported first"
    assert done.stderr.startswith("error: models/adapter: no fine-tuned model there") and "make repro" in done.stderr


def test_a_sentence_a_line_and_a_file_get_the_same_scores(tiny_adapter: Path, tmp_path: Path) -> None:
    texts = ["profit rose", "the loss widened", "profit rose"]
    options = ("--adapter", tiny_adapter, "--threads", "1", "--device", "cpu")
    expected = load_reader(tiny_adapter, "cpu", 1).read(texts)

    one = run("score", texts[1], *options, cwd=tmp_path)
    label, score = expected.loc[1, ["label", "score"]]
    assert one.stdout.startswith(f"{label}  {score:+.3f}  (negative 0."), one.stderr

    lines = run("score", "-", *options, cwd=tmp_path, given="\n".join([*texts, ""]) + "\n")
    rows = [json.loads(line) for line in lines.stdout.splitlines()]
    assert [row["text"] for row in rows] == [*texts, ""] and rows[3]["label"] is None
    read = pd.DataFrame(rows[:3]).drop(columns="text")
    pd.testing.assert_frame_equal(read, expected, check_exact=True)

    pd.DataFrame({"id": [7, 8, 9], "headline": texts}).to_csv(tmp_path / "news.csv", index=False)
    for name in ("scored.parquet", "scored.csv"):
        done = run("score", "news.csv", "-o", name, *options, cwd=tmp_path)
        assert done.returncode == 0 and done.stderr.endswith(f"{name}: 3 rows\n"), done.stderr
    scored = pd.read_parquet(tmp_path / "scored.parquet")
    assert scored["id"].tolist() == ["7", "8", "9"] and scored["headline"].tolist() == texts
    pd.testing.assert_frame_equal(scored[list(expected)], expected, check_exact=True)
    assert pd.read_csv(tmp_path / "scored.csv")["label"].tolist() == expected["label"].tolist()

    again = run("score", "scored.parquet", "-o", "twice.csv", *options, cwd=tmp_path)
    assert (
        again.stderr
        == "error: scored.parquet has a column label already, where the result would go; give it another name\n"
    )


def test_a_line_that_is_not_utf8_is_named_and_the_lines_before_it_are_scored(
    tiny_adapter: Path, tmp_path: Path
) -> None:
    command = [*COMMAND, "score", "-", "--adapter", str(tiny_adapter), "--threads", "1", "--device", "cpu"]
    given = "profit rose\nBénéfice\n".encode("cp1252")
    done = subprocess.run(command, cwd=tmp_path, input=given, capture_output=True, timeout=120)
    said = done.stderr.decode()
    assert done.returncode == 1 and said.count("\n") == 1 and "line 2" in said and "UTF-8" in said, said
    assert json.loads(done.stdout)["text"] == "profit rose"


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        ("headline\nProfit rose.\n", ["news.csv"], "news.csv is a file: say with -o where its scores go"),
        ("headline\nProfit rose.\n", ["news.csv", "-o", "out.xlsx"], "expected a name that ends in .csv or .parquet"),
        (
            "title\nProfit rose.\n",
            ["news.csv", "-o", "out.csv"],
            "no column 'headline' (the header is 'title'); name the column with --column",
        ),
        (
            "headline,n\nProfit rose.,1\n,2\n",
            ["news.csv", "-o", "o.csv"],
            "news.csv, line 3: headline is empty; take such rows out",
        ),
        ("", ["none.csv", "-o", "out.csv"], "none.csv: cannot be read"),
        ("headline\nProfit rose.\n", ["news.csv", "-o", "."], "expected a name that ends in .csv or .parquet"),
        ("headline\nProfit rose.\n", ["news.csv", "-o", "folder.csv"], "folder.csv: this is a folder"),
        ("", ["A sentence that is too long for the name of a file. " * 9], "no fine-tuned model there"),
    ],
)
def test_bad_input_is_one_line(content: str, arguments: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "news.csv").write_text(content)
    (tmp_path / "folder.csv").mkdir()
    done = run("score", *arguments, cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and said in done.stderr, done.stderr
    assert not list(tmp_path.glob("o*.csv")) and not list((tmp_path / "folder.csv").iterdir())
