"""The split: stratified, twins on one side, a fixed test list, and no leak."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from finsentiment.corpus import cleaning, twins
from finsentiment.corpus.sources.csv_file import read_sentences
from finsentiment.corpus.sources.phrasebank import read_phrasebank
from finsentiment.corpus.split import SIDES, draw_groups, ids_across, split_corpus
from finsentiment.errors import InputError
from finsentiment.labels import LABELS
from finsentiment.params import Split, check_params

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared/data"
NONE = pd.DataFrame({"text": pd.Series(dtype="str")})
SETTINGS = Split(test_share=0.2, validation_share=0.15, twin_threshold=0.8, test_file="list.csv")

NAMES = "Arvo Bexa Celt Dorn Elka Fjord Gano Hilt Ivar Juno Kelp Lumo Mira Nord Olsa Pryl Quor Rusk Sava Tolk".split()
STORIES = {
    "negative": "{} warned that the strike at its mill would cost it {} million this spring",
    "neutral": "Shareholders of {} elected {} directors at yesterday's meeting in Turku",
    "positive": "Orders at {} climbed {} percent as shipyards restocked valves",
}


def corpus(copies: int = 2) -> pd.DataFrame:
    """Sixty stories about as many firms, each told `copies` times with other numbers."""
    rows = [
        (story.format(f"{name} {name}bank {name}oil {name}shop", number), label)
        for label, story in STORIES.items()
        for name in NAMES
        for number in range(copies)
    ]
    table, _ = cleaning.clean_corpus(pd.DataFrame(rows, columns=["text", "label"]), "csv", "mine.csv")
    return table.assign(twin_group="")


def listed(*rows: tuple[str, ...]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["text", "label"][: len(rows[0])], dtype="str")
    return table.set_axis(range(2, len(rows) + 2))


def test_shares_are_of_all_sentences_and_classes_are_stratified():
    sides, metrics = split_corpus(corpus(), NONE, SETTINGS, 1)
    assert {name: len(side) for name, side in sides.items()} == {"train": 78, "validation": 18, "test": 24}
    for name, each in (("train", 26), ("validation", 6), ("test", 8)):
        assert metrics["sides"][name]["classes"] == dict.fromkeys(LABELS, each)


def test_every_sentence_is_on_one_side_and_twins_are_together():
    table = corpus()
    sides, metrics = split_corpus(table, NONE, SETTINGS, 1)
    everything = pd.concat(sides, names=["side"]).reset_index("side")
    assert sorted(everything["sentence_id"]) == table["sentence_id"].tolist()
    assert everything.groupby("twin_group")["side"].nunique().max() == 1
    assert metrics["twins_across_sides"] == 0 and metrics["twin_groups"] == 60
    assert metrics["rows_in"] == metrics["rows_out"] == 120


def test_the_sides_keep_the_schema_and_are_sorted_by_key():
    for side in split_corpus(corpus(), NONE, SETTINGS, 1)[0].values():
        cleaning.SENTENCES.validate(side)
        assert side["sentence_id"].is_monotonic_increasing


def test_the_seed_decides_alone():
    def test_ids(seed):
        return split_corpus(corpus(), NONE, SETTINGS, seed)[0]["test"]["sentence_id"].tolist()

    assert test_ids(1) == test_ids(1) != test_ids(2)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from(LABELS)), min_size=1, max_size=60),
    st.floats(0, 1),
    st.integers(0, 9),
)
def test_a_draw_takes_whole_groups_and_never_more_of_a_class_than_its_part(members, share, seed):
    table = pd.DataFrame(members, columns=["twin_group", "label"])
    taken = draw_groups(table, share * len(table), np.random.default_rng(seed))
    assert taken.groupby(table["twin_group"]).nunique().max() == 1
    for label, of_class in taken.groupby(table["label"]):
        assert of_class.sum() <= np.rint(share * len(of_class)), label


def test_the_count_across_sides_does_not_trust_the_grouping():
    table = corpus()
    sides = {name: table.iloc[i::3].reset_index(drop=True) for i, name in enumerate(SIDES)}
    side = {i: name for name, members in sides.items() for i in members["sentence_id"]}
    expected = {
        frozenset((table["sentence_id"][i], table["sentence_id"][j]))
        for i, j in twins.twin_pairs(table["text"].tolist(), 0.8)
        if side[table["sentence_id"][i]] != side[table["sentence_id"][j]]
    }
    found = ids_across(sides, 0.8)
    assert len(found) > 20 and {frozenset(pair) for pair in found} == expected


def test_twins_that_the_search_missed_stop_the_split(monkeypatch):
    # no search at all in place of a search that misses
    monkeypatch.setattr("finsentiment.corpus.split.twin_groups", lambda table, threshold: table["sentence_id"])
    with pytest.raises(InputError, match="pairs of twins lie across the sides"):
        split_corpus(corpus(), NONE, SETTINGS, 1)


# --- a fixed test


def one_of_each(table: pd.DataFrame, position: int) -> pd.DataFrame:
    picked = table.groupby("label").nth(position)
    return listed(*zip(picked["text"], picked["label"], strict=True))


def test_the_listed_sentences_are_the_test_and_their_twins_leave_the_data():
    table = corpus()
    sides, metrics = split_corpus(table, one_of_each(table, 0)[["text"]], SETTINGS, 1)
    assert sorted(sides["test"]["text"]) == sorted(one_of_each(table, 0)["text"])
    assert metrics["refused"] == {"twin_of_test": 3} and metrics["twins_across_sides"] == 0
    assert metrics["rows_in"] + metrics["rows_added"] == metrics["rows_out"] + 3
    assert metrics["test_file"] == {"rows": 3, "exact_duplicates": 0, "labels_changed": 0, "added": 0}
    # 117 sentences left, 15 % of them in pairs, the classes of the other 114 alike
    assert len(sides["validation"]) == 18


def test_the_list_is_right_about_labels_and_brings_what_the_corpus_lacks():
    table = corpus().assign(agreement=1.0)
    fixed = pd.concat([one_of_each(table, 0), one_of_each(table, 9)], ignore_index=True)
    line = fixed.index[fixed["label"] == "neutral"][0]
    fixed.loc[line, "label"], moved = "positive", fixed.loc[line, "text"]
    new = ("Orders at Arvo Arvobank Arvooil Arvoshop climbed 77 percent as shipyards restocked valves", "negative")
    fixed = pd.concat([fixed, listed(new, new)], ignore_index=True)
    sides, metrics = split_corpus(table, fixed, SETTINGS, 1)
    test = sides["test"].set_index("text")
    assert metrics["test_file"] == {"rows": 8, "exact_duplicates": 1, "labels_changed": 1, "added": 1}
    assert test["label"][moved] == "positive" and np.isnan(test["agreement"][moved])
    assert test["label"][new[0]] == "negative" and test["source"][new[0]] == "test_file"
    # the twins of the new sentence left too
    left = pd.concat([sides["train"], sides["validation"]])["text"]
    assert not left.str.contains("Orders at Arvo").any()
    assert metrics["rows_in"] + metrics["rows_added"] == metrics["rows_out"] + metrics["refused"]["twin_of_test"]
    cleaning.SENTENCES.validate(sides["test"])


def test_an_unknown_sentence_without_a_label_is_named():
    with pytest.raises(InputError, match=r"list.csv, line 3: the sentence 'Nobody wrote this' is not in the corpus"):
        split_corpus(corpus(), listed((corpus()["text"][0],), ("Nobody wrote this",)), SETTINGS, 1)


def test_a_list_that_contradicts_itself_is_named():
    with pytest.raises(InputError, match=r"list.csv, lines 2 and 4: one sentence, labelled neutral and positive"):
        split_corpus(corpus(), listed(("A", "neutral"), ("B", "neutral"), ("A", "positive")), SETTINGS, 1)


def test_a_side_without_one_of_the_classes_is_refused():
    with pytest.raises(InputError, match="the test side of the split has no neutral sentence"):
        split_corpus(corpus(), listed(("It lost", "negative"), ("It won", "positive")), SETTINGS, 1)
    with pytest.raises(InputError, match="the train side of the split has no negative sentence"):
        table = corpus()
        split_corpus(table, listed(*zip(table["text"], table["label"], strict=True)), SETTINGS, 1)


def test_an_empty_list_draws_a_share():
    rows = read_sentences(str(ROOT / "data/sources/no_sentences.csv"), ("text",)).rows
    assert len(rows) == 0 and len(split_corpus(corpus(), rows, SETTINGS, 1)[0]["test"]) == 24


def test_shares_that_leave_nothing_to_train_on_are_refused():
    tree = {"split": SETTINGS.model_dump() | {"test_share": 0.6, "validation_share": 0.4}}
    with pytest.raises(InputError, match="must sum to less than 1"):
        check_params(tree)


@pytest.mark.skipif(not (SHARED / "phrasebank-benchmark-test.csv").exists(), reason=f"{SHARED} is not here")
def test_the_phrasebank_benchmark_is_tested_on_as_others_do_without_a_twin_in_training():
    rows = read_phrasebank(str(SHARED / "FinancialPhraseBank-v1.0.zip"), 50).rows
    table, _ = cleaning.clean_corpus(rows, "phrasebank", "")
    benchmark = read_sentences(str(SHARED / "phrasebank-benchmark-test.csv"), ("text",)).rows
    sides, metrics = split_corpus(table.assign(twin_group=""), benchmark, SETTINGS, 17)
    # two sentences have two labels in PhraseBank; the benchmark has each with one of them, so they come from it
    assert metrics["test_file"] == {"rows": 1212, "exact_duplicates": 2, "labels_changed": 0, "added": 2}
    assert metrics["sides"]["test"]["classes"] == {"negative": 145, "neutral": 727, "positive": 338}
    assert set(sides["test"]["text"]) == set(benchmark["text"])
    # tokens counted in another way than the split's own find no twin either
    vectorizer = CountVectorizer(analyzer=lambda text: text.lower().split(), binary=True)
    train, test = (vectorizer.fit(rows["text"]).transform(sides[name]["text"]) for name in ("train", "test"))
    common = (test @ train.T).toarray()
    assert (common / (test.sum(axis=1).reshape(-1, 1) + train.sum(axis=1).reshape(1, -1) - common)).max() < 0.8
