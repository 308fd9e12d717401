"""The classical baselines on the sample corpus."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finsentiment.baselines import lexicon_baseline, majority_baseline, tfidf_baseline
from finsentiment.evaluation import score_reading
from finsentiment.labels import LABELS, label_codes

SAMPLE = Path(__file__).parents[1] / "data" / "sample" / "sentences.csv"


@pytest.fixture(scope="module")
def parts():
    sentences = pd.read_csv(SAMPLE).sample(frac=1, random_state=0).reset_index(drop=True)
    return sentences[:1000], sentences[1000:1200], sentences[1200:]


@pytest.fixture(scope="module")
def systems(parts):
    train, validation, test = parts
    texts = test["text"].tolist()
    return {
        "majority": majority_baseline(train, texts),
        "lexicon": lexicon_baseline(train, texts),
        "tfidf": tfidf_baseline(train, validation, texts),
    }


def accuracy(probabilities, test):
    return (probabilities.argmax(axis=1) == label_codes(test["label"])).mean()


def test_every_system_gives_probabilities_in_label_order(systems, parts):
    for probabilities in systems.values():
        assert probabilities.shape == (len(parts[2]), len(LABELS))
        assert (probabilities >= 0).all()
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_every_system_has_the_same_metric_keys(systems, parts):
    labels = label_codes(parts[2]["label"])

    def keys(tree):
        return {name: keys(item) if isinstance(item, dict) else None for name, item in tree.items()}

    found = [keys(score_reading(p, labels, samples=100, seed=1, bins=10)) for p in systems.values()]
    assert all(one == found[0] for one in found)


def test_majority_is_the_largest_class_of_the_training_sentences(systems, parts):
    train, _, test = parts
    assert train["label"].mode().item() == "neutral"
    assert set(systems["majority"].argmax(axis=1)) == {LABELS.index("neutral")}
    assert accuracy(systems["majority"], test) == (test["label"] == "neutral").mean()


def test_tfidf_beats_the_lexicon_and_the_lexicon_beats_majority_on_the_sample(systems, parts):
    found = {name: accuracy(probabilities, parts[2]) for name, probabilities in systems.items()}
    assert found["majority"] + 0.02 < found["lexicon"]
    assert found["lexicon"] + 0.05 < found["tfidf"] < 0.8


def test_the_lexicon_tells_a_loss_from_a_profit_and_leaves_the_rest_neutral():
    train = pd.DataFrame(
        {
            "text": ["Losses", "A bankruptcy", "Record profitability", "A great achievement", "It has offices"],
            "label": ["negative", "negative", "positive", "positive", "neutral"],
        }
    )
    read = lexicon_baseline(train, ["The loss widened", "Profit rose", "The company is based in Vaasa"])
    assert [LABELS[code] for code in read.argmax(axis=1)] == ["negative", "positive", "neutral"]


def test_the_neutral_band_of_the_lexicon_comes_from_the_training_sentences():
    texts = ["One loss"] * 3 + ["Loss, default and bankruptcy"] * 2 + ["A great achievement"] * 2
    labels = ["neutral"] * 3 + ["negative"] * 2 + ["positive"] * 2
    read = lexicon_baseline(pd.DataFrame({"text": texts, "label": labels}), ["A loss", "Default, bankruptcy and fraud"])
    assert [LABELS[code] for code in read.argmax(axis=1)] == ["neutral", "negative"]


def test_the_confidence_of_the_lexicon_is_its_accuracy_on_the_training_sentences():
    texts = ["Offices", "A loss", "A loss", "A default"]
    train = pd.DataFrame({"text": texts, "label": ["neutral"] + ["negative"] * 3})
    wrong = train.assign(label=["positive"] + ["negative"] * 3)
    np.testing.assert_allclose(lexicon_baseline(wrong, ["A loss"])[0], [0.75, 0.125, 0.125], atol=1e-4)
    assert lexicon_baseline(train, ["A loss"])[0, 0] > 0.99


def test_labels_do_not_teach_the_lexicon_that_a_loss_is_good():
    train = pd.DataFrame({"text": ["A loss"] * 5 + ["A default"] * 5, "label": ["positive"] * 10})
    assert lexicon_baseline(train, ["A loss"])[0, LABELS.index("positive")] <= 1 / 3


def test_tfidf_learns_from_the_training_sentences_alone(parts):
    train, validation, test = (part[:200] for part in parts)
    texts = test["text"].tolist()
    alone = tfidf_baseline(train, validation, texts[:1])
    np.testing.assert_array_equal(alone, tfidf_baseline(train, validation, texts)[:1])


def test_tfidf_is_bolder_the_better_it_does_on_validation(parts):
    train, _, test = (part[:200] for part in parts)
    texts = test["text"].tolist()
    misleading = train.assign(label=train["label"].to_numpy()[::-1])
    assert (
        tfidf_baseline(train, train, texts).max(axis=1).mean()
        > tfidf_baseline(train, misleading, texts).max(axis=1).mean() + 0.1
    )
