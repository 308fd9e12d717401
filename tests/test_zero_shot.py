"""Reading zero-shot: likelihoods of the answers, calibration, shots, and the choice of the prompt."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from finsentiment.labels import LABELS
from finsentiment.llm import base_models, zero_shot
from finsentiment.params import Model, Prompt
from tests.tiny import IN_FLOAT32

PROMPT = Prompt(template="News : {text} Answer :", answers=list(LABELS))


def test_zero_shot_equals_the_likelihood_of_each_whole_prompt_read_alone(tiny_model: Model) -> None:
    model, tokenizer = base_models.load_untrained(tiny_model, IN_FLOAT32)
    texts = ["profit rose", "the board has five members and sales fell", "orders"]
    expected = np.empty((len(texts), 3))
    for row, text in enumerate(texts):
        start = tokenizer(PROMPT.template.format(text=text))["input_ids"]
        for column, label in enumerate(LABELS):
            whole = start + tokenizer(f" {label}", add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                log_p = model(torch.tensor([whole])).logits[0].log_softmax(-1)
            expected[row, column] = sum(log_p[i - 1, whole[i]].item() for i in range(len(start), len(whole)))
    expected = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(zero_shot.read_zero_shot(model, tokenizer, texts, PROMPT).raw, expected, rtol=1e-5)


def test_answers_of_several_tokens_are_read_to_their_end(tiny_model: Model) -> None:
    model, tokenizer = base_models.load_untrained(tiny_model, IN_FLOAT32)
    prompt = Prompt(template=PROMPT.template, answers=["profit fell", "sales", "profit rose again"])
    start = tokenizer(PROMPT.template.format(text="orders grew"))["input_ids"]
    expected = []
    for answer in prompt.answers:
        whole = start + tokenizer(answer)["input_ids"]
        with torch.no_grad():
            log_p = model(torch.tensor([whole])).logits[0].log_softmax(-1)
        expected.append(sum(log_p[i - 1, whole[i]].item() for i in range(len(start), len(whole))))
    expected = np.exp(expected) / np.exp(expected).sum()
    np.testing.assert_allclose(
        zero_shot.read_zero_shot(model, tokenizer, ["orders grew"], prompt).raw[0], expected, rtol=1e-5
    )


def test_calibration_gives_a_content_free_text_no_preference(tiny_model: Model) -> None:
    model, tokenizer = base_models.load_untrained(tiny_model, IN_FLOAT32)
    read = zero_shot.read_zero_shot(model, tokenizer, list(zero_shot.CONTENT_FREE), PROMPT)
    likelihood_ratio = read.raw / read.raw.mean(axis=0)
    np.testing.assert_allclose(read.calibrated, likelihood_ratio / likelihood_ratio.sum(axis=1, keepdims=True))


def test_shots_are_balanced_answered_examples_before_the_question(tiny_corpus: pd.DataFrame) -> None:
    prompt = Prompt(template="Read this.\n\nNews: {text}\nAnswer:", answers=["bad", "flat", "good"])
    filled = zero_shot.with_shots(prompt, tiny_corpus, 6, seed=1)
    head, *examples, question = filled.template.split("\n\n")
    assert (head, question) == ("Read this.", "News: {text}\nAnswer:")
    assert sorted(example.rsplit(" ", 1)[1] for example in examples) == ["bad"] * 2 + ["flat"] * 2 + ["good"] * 2
    answer = {text: ("bad", "flat", "good")[LABELS.index(label)] for text, label in tiny_corpus.to_numpy()}
    for example in examples:
        text = example.removeprefix("News: ").split("\n")[0]
        assert example == f"News: {text}\nAnswer: {answer[text]}"
    assert zero_shot.with_shots(prompt, tiny_corpus, 0, seed=1) == prompt


def test_the_prompt_that_reads_the_validation_sentences_best_is_chosen(
    tiny_model: Model, tiny_corpus: pd.DataFrame
) -> None:
    model, tokenizer = base_models.load_untrained(tiny_model, IN_FLOAT32)
    prompts = [PROMPT, Prompt(template="sales {text} rose", answers=["fell", "met", "rose"])]
    choice = zero_shot.choose_prompt(model, tokenizer, prompts, [0, 3], tiny_corpus, tiny_corpus, seed=1)
    assert choice.tried[["prompt", "shots"]].to_numpy().tolist() == [[1, 0], [1, 3], [2, 0], [2, 3]]
    labels = tiny_corpus["label"].map(LABELS.index).to_numpy()
    for name in ("raw", "calibrated"):
        read = zero_shot.read_zero_shot(model, tokenizer, tiny_corpus["text"].tolist(), getattr(choice, name))
        assert (getattr(read, name).argmax(1) == labels).mean() == choice.tried[name].max()
