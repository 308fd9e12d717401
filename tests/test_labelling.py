"""Labels of all kinds become ours, by the parameter where they are not our words, and none is guessed in silence."""

from __future__ import annotations

import pandas as pd
import pytest

from finsentiment.corpus.labelling import our_labels
from finsentiment.errors import InputError


def labels(*values: object, **mapping: str | None) -> tuple[list[str], dict[str, int]]:
    series = pd.Series(list(values), index=pd.RangeIndex(2, len(values) + 2, name="line"))
    found, refused = our_labels(series, mapping, "mine.csv", "corpus.labels")
    return found.tolist(), refused


def test_our_own_words_are_taken_in_any_case() -> None:
    assert labels("Positive", " NEUTRAL ", "negative") == (["positive", "neutral", "negative"], {})


def test_other_words_and_numbers_are_what_the_parameter_says() -> None:
    mapping = {"Bullish": "positive", "0": "negative", "1": "neutral", "mixed": None}
    assert labels("bullish", "0", 1, 1.0, "Mixed", **mapping) == (
        ["positive", "negative", "neutral", "neutral"],
        {"label_left_out": 1},
    )


def test_a_label_for_each_company_counts_where_all_have_the_same() -> None:
    one, same, differ = '{"ACME": "neutral"}', "{'A': 'positive', 'B': 'positive'}", '["positive", "negative"]'
    assert labels(one, same, differ) == (["neutral", "positive"], {"several_labels": 1})


@pytest.mark.parametrize(
    ("values", "said", "remedy"),
    [
        (
            ["Bullish", "Bearish", "Bullish", "Neutral"],
            "line 2: label = 'Bullish', expected negative, neutral, positive (3 such rows); the file has 'Bullish' (2)"
            ", 'Bearish' (1): say what each is, as in corpus.labels={Bullish: positive, Bearish: negative}",
            {"corpus.labels": {"Bullish": "positive", "Bearish": "negative"}},
        ),
        (
            [0, 1, 2, 2],
            "line 2: label = '0', expected negative, neutral, positive (4 such rows); the file has '2' (2), '0' (1), "
            "'1' (1): say what each is, as in corpus.labels={2: negative|neutral|positive, 0: negative|",
            {"corpus.labels": {"2": None, "0": None, "1": None}},
        ),
        (["neutral", ""], "line 3: label = ''", {}),
        (["neutral", None], "line 3: label = '', expected negative, neutral, positive; give a label", {}),
        ([f"{n}.5" for n in range(9)], "and 1 others: is this the column of labels? if not, set corpus.columns", {}),
        (["A whole sentence that is no label at all."], "is this the column of labels?", {}),
    ],
)
def test_the_message_that_refuses_labels_shows_the_mapping_to_write(values: list, said: str, remedy: dict) -> None:
    with pytest.raises(InputError) as error:
        labels(*values)
    assert said in str(error.value) and error.value.remedy == remedy
