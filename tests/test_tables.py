"""One list of a kind: every source, reader and arm has one name and a row in its table, and names say what they are."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from finsentiment import arms, params
from finsentiment.backtest.table import FLAGS, OUTCOMES, PARTS, to_table
from finsentiment.corpus import load as corpus_load
from finsentiment.errors import InputError
from finsentiment.features.build import build_features
from finsentiment.llm import base_models
from finsentiment.market import load as market_load
from finsentiment.params import Section
from finsentiment.readers.read import OTHER_READER_FUNCTIONS
from finsentiment.reporting.pictures import COLOURS
from finsentiment.reporting.words import arm_label, gains_in_words
from tests.repository import SMALL

LIBRARY = Path(__file__).parents[1] / "finsentiment"


def sections(model: type[BaseModel]) -> set[type[BaseModel]]:
    """The section and all sections in it."""
    inner = [field.annotation for field in model.model_fields.values() if isinstance(field.annotation, type)]
    return {model}.union(*(sections(section) for section in inner if issubclass(section, Section)))


def test_every_source_has_a_row_and_every_row_a_name() -> None:
    for section, table in ((params.Corpus, corpus_load.SOURCES), (params.Market, market_load.SOURCES)):
        assert set(get_args(section.model_fields["source"].annotation)) == set(table)


def test_every_reader_has_a_function() -> None:
    assert set(OTHER_READER_FUNCTIONS) == set(arms.OTHER_READERS)


def test_the_tiny_pipeline_of_the_tests_runs_every_reader_and_every_arm_has_a_colour() -> None:
    assert set(SMALL["score_news.readers"]) == set(arms.OTHER_READERS)
    assert len(COLOURS) >= len(arms.ARMS)


def test_every_form_of_a_model_spec_has_a_loader() -> None:
    pattern = params.Model.model_fields["spec"].metadata[0].pattern
    for kind, spec in {"wheel": "wheel:a==1", "hub": "hub:a/b@c", "path": "path:a"}.items():
        assert re.fullmatch(pattern, spec) and f"{kind}:" in params.Model.model_fields["spec"].description
    assert set(re.findall(r"(\w+):", pattern.replace("|", " "))) == set(base_models.FORMS)


def test_every_arm_stands_under_its_name_and_no_prefix_is_part_of_another() -> None:
    assert all(arm.name == name for name, arm in arms.ARMS.items()) and arms.BASE not in arms.ARMS
    prefixes = [arm.prefix for arm in arms.ARMS.values()]
    assert not [(a, b) for a in prefixes for b in prefixes if a != b and a.startswith(b)]


def test_the_file_of_arms_imports_nothing_of_the_project() -> None:
    tree = ast.parse((LIBRARY / "arms.py").read_text())
    assert {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} == {"typing"}


def test_every_parameter_says_what_it_means() -> None:
    for section in sections(params.Params) | {params.Prompt}:
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name} has no description in finsentiment/params.py"


def test_scores_of_a_reader_that_no_list_knows_are_refused() -> None:
    news = pd.DataFrame({"news_id": ["a"]})
    scores = pd.DataFrame({"news_id": ["a"], "fine_tuned": [0.1], "finetuned": [0.2]})
    with pytest.raises(InputError, match=r"columns finetuned, which no reader has; expected some of lexicon, "):
        build_features(pd.DataFrame(), news, scores, None, "XNYS")


def test_features_of_an_arm_that_no_list_knows_are_refused() -> None:
    names = ["price_return_1", *PARTS, "attention_count", "fine_tuned_level", "finetuned_a"]
    rows = {name: np.zeros(1) for name in [*names, *OUTCOMES, *FLAGS]}
    table = pd.DataFrame({"session": pd.Timestamp("2024-01-02"), "ticker": "A", **rows})
    with pytest.raises(InputError, match=r"a column 'finetuned_a' that belongs to no arm: expected one of price_\*, "):
        to_table(table, None, 1, 1)


def test_no_two_public_functions_or_classes_share_a_name() -> None:
    places = defaultdict(list)
    for file in LIBRARY.rglob("*.py"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                places[node.name].append(file.relative_to(LIBRARY).as_posix())
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


@pytest.mark.parametrize("folder", [LIBRARY, LIBRARY.parent / "stages"])
def test_no_file_is_longer_than_one_sitting(folder: Path) -> None:
    most = 80 if folder.name == "stages" else 400
    assert {f.name: n for f in folder.rglob("*.py") if (n := len(f.read_text().splitlines())) > most} == {}


def test_sentences_about_gains_say_what_the_intervals_show() -> None:
    gains = {
        "attention": {"mean": -0.017, "low": -0.026, "high": -0.009},
        "lexicon": {"mean": 0.001, "low": -0.005, "high": 0.007},
        "fine_tuned": {"mean": 0.024, "low": 0.014, "high": 0.035},
    }
    assert gains_in_words(gains) == (
        "The interval of the gain lies above 0 with the fine-tuned model (+0.024). "
        "The interval of the gain lies below 0 with the amount of news (-0.017). "
        "The interval of the gain holds 0 with the finance lexicon (+0.001)."
    )
    assert gains_in_words({"lexicon": gains["lexicon"]}).startswith("The interval of the gain holds 0")


def test_arms_and_their_long_only_portfolios_have_labels() -> None:
    assert arm_label("fine_tuned") == "fine-tuned model"
    assert arm_label("fine_tuned_long_only") == "fine-tuned model, long only"
    with pytest.raises(KeyError):
        arm_label("finetuned")
