"""The documents: links lead somewhere, figures are those of metrics/, and what there is to choose from is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from finsentiment.arms import OTHER_READERS
from finsentiment.corpus import load as corpus_load
from finsentiment.llm.families import TESTED_DECODERS, TESTED_ENCODERS
from finsentiment.market import load as market_load
from scripts.summary import summary

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("results/*.md"), ROOT / "models/README.md"]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_readme_fits_150_lines_of_120() -> None:
    lines = text_of("README.md").splitlines()
    assert len(lines) <= 150 and not [line for line in lines if len(line) > 120]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_line_of_prose_has_more_than_120_characters(page: Path) -> None:
    prose = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert not [line for line in prose.splitlines() if len(line) > 120 and not line.startswith("|")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert not [target for target in targets if not (page.parent / target).exists()]


def test_the_readme_shows_what_the_run_of_metrics_prints() -> None:
    shown = re.search(r"```\n(Data: .*?)```", text_of("README.md"), re.DOTALL)[1]
    assert summary(ROOT / "metrics", "sample", "simulated").startswith(shown.rstrip())


@pytest.mark.parametrize("page", ["docs/method.md", "results/default.md"])
def test_the_verdict_on_a_page_is_that_of_metrics(page: str) -> None:
    shown = re.sub(r"\s*\n>?\s*", " ", text_of(page))
    assert all(line in shown for line in text_of("metrics/backtest/verdict.txt").splitlines())


def test_what_there_is_to_choose_from_is_named_where_users_look() -> None:
    for source in (*corpus_load.SOURCES, *market_load.SOURCES):
        assert source in text_of("docs/data.md") and source in text_of("params.yaml")
    assert not [
        family for family in (*TESTED_DECODERS, *TESTED_ENCODERS) if f"`{family}`" not in text_of("docs/models.md")
    ]
    assert not [reader for reader in OTHER_READERS if reader not in text_of("docs/method.md")]
