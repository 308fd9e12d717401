"""The language model: fine-tuning, saving, loading, scoring."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from peft import PeftModel
from peft.tuners.lora import Linear
from transformers import TrainerCallback

from finsentiment.errors import InputError
from finsentiment.files import read_json, sha256_folder, write_json
from finsentiment.labels import LABELS
from finsentiment.llm import base_models, classifier, runtime, saved, training
from finsentiment.llm.batches import by_length, padded
from finsentiment.llm.lora import LeanLinear
from finsentiment.llm.reader import tone_of
from finsentiment.llm.runtime import Runtime
from finsentiment.params import Finetune, Model
from finsentiment.readers import fine_tuned
from finsentiment.readers.fine_tuned import score_texts
from tests.tiny import IN_FLOAT32


@pytest.fixture
def trained(tiny_model: Model, tiny_corpus: pd.DataFrame, recipe: Finetune) -> training.Trained:
    return training.finetune_classifier(tiny_corpus, tiny_corpus, tiny_model, recipe, seed=1, threads=1)


@pytest.fixture
def adapter(trained: training.Trained, tmp_path: Path) -> Path:
    return _saved(trained, tmp_path / "adapter")


def _classifier(model: Model, lora_layers: int, depth: int | None = None, echo: bool = False) -> classifier.Classifier:
    decoder = base_models.load_backbone(base_models.model_folder(model), "none", IN_FLOAT32)
    return classifier.Classifier(decoder, depth, lora_layers, echo)


def _saved(trained: training.Trained, folder: Path) -> Path:
    saved.save_adapter(trained.tuned, folder, trained.description)
    trained.done()
    return folder


def test_batches_hold_every_row_once_within_the_token_budget() -> None:
    lengths = [3, 9, 1, 4, 4, 30, 2]
    batches = list(by_length(lengths, 16))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(len(b) == 1 or len(b) * max(lengths[row] for row in b) <= 16 for b in batches)


def test_padding_goes_where_it_was_asked_for() -> None:
    ids, mask = padded([[5, 6], [7]], pad=0, left=True)
    assert ids.tolist() == [[5, 6], [0, 7]] and mask.tolist() == [[1, 1], [0, 1]]
    ids, mask = padded([[5, 6], [7]], pad=0)
    assert ids.tolist() == [[5, 6], [7, 0]] and mask.tolist() == [[1, 1], [1, 0]]


def test_states_kept_from_the_frozen_layers_change_nothing(tiny_model: Model) -> None:
    torch.manual_seed(3)
    model = _classifier(tiny_model, lora_layers=1).eval()
    ids, mask = padded([[4, 5, 6, 7], [8, 9]], pad=2)
    whole = model(ids, mask).logits
    assert torch.equal(model(ids, mask, lower_states=model.backbone.lower_states(ids, mask)).logits, whole)


def test_the_lean_adapter_computes_what_pefts_own_does(
    tiny_model: Model, recipe: Finetune, monkeypatch: pytest.MonkeyPatch
) -> None:
    lora = recipe.lora.model_copy(update={"dropout": 0.0})
    ids, mask = padded([[4, 5, 6, 7], [8, 9]], pad=2)

    def gradients() -> dict[str, torch.Tensor]:
        torch.manual_seed(3)
        model = _classifier(tiny_model, lora_layers=2)
        adapted = classifier.with_adapter(model, lora)
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:  # zero at first, which would hide the gradient of A
                torch.nn.init.normal_(parameter, std=0.1)
        adapted(ids, mask, labels=torch.tensor([0, 2])).loss.backward()
        return {name: p.grad for name, p in adapted.named_parameters() if p.requires_grad}

    ours = gradients()
    monkeypatch.setattr(LeanLinear, "forward", Linear.forward)
    theirs = gradients()
    assert ours.keys() == theirs.keys() and len(ours) == 2 * 7 * 2 + 2
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], msg=lambda text, name=name: f"{name}: {text}")


def test_upper_layers_read_both_ways_and_lower_layers_causally(tiny_model: Model) -> None:
    model = _classifier(tiny_model, lora_layers=1).eval()
    one, mask = padded([[4, 5, 6]], pad=2)
    other, _ = padded([[4, 5, 7]], pad=2)
    assert torch.equal(*(model.backbone.lower_states(ids, mask)[:, :2] for ids in (one, other)))
    whole = _classifier(tiny_model, lora_layers=3).eval()
    one_read, other_read = (whole.backbone(ids, mask) for ids in (one, other))
    assert not torch.allclose(one_read[:, 0], other_read[:, 0])


def test_an_echo_hands_on_the_second_of_two_readings(tiny_model: Model) -> None:
    plain, echo = (_classifier(tiny_model, lora_layers=1, echo=echo) for echo in (False, True))
    rows = [[4, 5, 6, 7], [8, 9]]
    states = echo.backbone.lower_states(*padded(rows, pad=2))
    for row, tokens in enumerate(rows):
        twice = plain.backbone.lower_states(*padded([tokens + tokens], pad=2))[0]
        torch.testing.assert_close(states[row, : len(tokens)], twice[len(tokens) :])
    other = echo.backbone.lower_states(*padded([[4, 5, 6, 3], [8, 9]], pad=2))
    assert not torch.allclose(states[0, 0], other[0, 0]), "the first word does not know of the last"


def test_layers_above_the_depth_are_left_out(tiny_model: Model) -> None:
    torch.manual_seed(3)
    cut = _classifier(tiny_model, lora_layers=1, depth=2).eval()
    backbone = base_models.load_backbone(base_models.model_folder(tiny_model), "none", IN_FLOAT32)
    backbone.layers = backbone.layers[:1]
    ids, mask = padded([[4, 5, 6, 7], [8, 9, 4, 5]], pad=2)
    below = []
    backbone.layers[0].register_forward_hook(lambda module, inputs, output: below.append(output))
    backbone(input_ids=ids, attention_mask=mask)
    assert torch.equal(cut.backbone.lower_states(ids, mask), below[0])
    assert {name.split(".")[2] for name in cut.backbone.linear_names} == {"1"}


@pytest.mark.parametrize(("depth", "lora_layers"), [(4, 1), (2, 3), (None, 4)])
def test_more_layers_than_the_model_has_are_refused(tiny_model: Model, depth: int | None, lora_layers: int) -> None:
    with pytest.raises(InputError, match="don't fit a base model of 3 layers"):
        _classifier(tiny_model, lora_layers=lora_layers, depth=depth)


@pytest.mark.parametrize("echo", [False, True])
def test_padding_does_not_change_a_sentence(tiny_model: Model, echo: bool) -> None:
    model = _classifier(tiny_model, lora_layers=2, echo=echo).eval()
    alone = model(*padded([[8, 9]], pad=2)).logits[0]
    beside = model(*padded([[4, 5, 6, 7, 8], [8, 9]], pad=2)).logits[1]
    torch.testing.assert_close(alone, beside)


def test_fine_tuning_learns_and_the_saved_classifier_reads_the_same(
    trained: training.Trained, adapter: Path, tiny_corpus: pd.DataFrame
) -> None:
    assert trained.facts["validation"]["accuracy"] > 0.9
    reader = saved.load_reader(adapter, threads=1)
    p = reader.probabilities(reader.logits(tiny_corpus["text"].tolist()))
    predicted = np.array(LABELS)[p.argmax(1)]
    assert (predicted == tiny_corpus["label"]).mean() == pytest.approx(trained.facts["validation"]["accuracy"])
    assert {f.name for f in adapter.iterdir()} == {"README.md", "classifier.json", "weights.safetensors"}


def test_two_fine_tunings_give_the_same_bytes_and_another_seed_others(
    tiny_model: Model, tiny_corpus: pd.DataFrame, recipe: Finetune, adapter: Path, tmp_path: Path
) -> None:
    hashes = {}
    for seed in (1, 2):
        again = training.finetune_classifier(tiny_corpus, tiny_corpus, tiny_model, recipe, seed=seed, threads=1)
        hashes[seed] = sha256_folder(_saved(again, tmp_path / f"again{seed}"))
    assert hashes[1] == sha256_folder(adapter) != hashes[2]


class _Killed(Exception):
    pass


class _KillAfter(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **kwargs) -> None:
        if state.global_step == self.step:
            raise _Killed


def _finetune_killed_after(
    step: int, corpus: pd.DataFrame, model: Model, recipe: Finetune, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = training._trainer

    def doomed(*arguments):
        trainer = make(*arguments)
        trainer.add_callback(_KillAfter(step))
        return trainer

    with monkeypatch.context() as patch, pytest.raises(_Killed):
        patch.setattr(training, "_trainer", doomed)
        training.finetune_classifier(corpus, corpus, model, recipe, seed=1, threads=1)


def test_killed_and_resumed_equals_uninterrupted(
    tiny_model: Model,
    tiny_corpus: pd.DataFrame,
    recipe: Finetune,
    adapter: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    private_cache: Path,
) -> None:
    _finetune_killed_after(10, tiny_corpus, tiny_model, recipe, monkeypatch)
    left = sorted(private_cache.glob("checkpoints/*/checkpoint-*"))
    assert left, "the killed run left no checkpoint to go on from"
    broken = left[0].parent / "checkpoint-9"
    broken.mkdir()
    (broken / "trainer_state.json").write_text("{")
    resumed = training.finetune_classifier(tiny_corpus, tiny_corpus, tiny_model, recipe, seed=1, threads=1)
    assert sha256_folder(_saved(resumed, tmp_path / "resumed")) == sha256_folder(adapter)
    assert not list(private_cache.glob("checkpoints/*/"))


def test_the_average_of_the_weights_is_judged_and_saved(
    tiny_model: Model, tiny_corpus: pd.DataFrame, recipe: Finetune
) -> None:
    steps = recipe.model_copy(update={"average": 0.9, "epochs": 1})
    weights, make = [], training._trainer

    class _Watch(TrainerCallback):
        def on_step_end(self, args, state, control, model, **kwargs) -> None:
            weights.append({n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad})

    def watched(*arguments):
        trainer = make(*arguments)
        weights.append({n: p.detach().clone() for n, p in trainer.model.named_parameters() if p.requires_grad})
        trainer.add_callback(_Watch())
        return trainer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_trainer", watched)
        trained = training.finetune_classifier(tiny_corpus, tiny_corpus, tiny_model, steps, seed=1, threads=1)
    trained.done()
    for name, parameter in trained.tuned.named_parameters():
        if parameter.requires_grad:
            mean = weights[0][name]
            for step, weight in enumerate(weights[1:], 1):
                mean = mean.lerp(weight[name], 1 - min(0.9, (1 + step) / (10 + step)))
            torch.testing.assert_close(parameter.detach(), mean, msg=lambda text, name=name: f"{name}: {text}")


def test_patience_counts_on_after_a_resume(
    tiny_model: Model, tiny_corpus: pd.DataFrame, recipe: Finetune, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So small a rate never betters the first epoch: training stops after 1 + patience epochs.
    lazy = recipe.model_copy(update={"learning_rate": 1e-12, "head_learning_rate": 1e-12, "patience": 2, "epochs": 6})
    _finetune_killed_after(9, tiny_corpus, tiny_model, lazy, monkeypatch)
    resumed = training.finetune_classifier(tiny_corpus, tiny_corpus, tiny_model, lazy, seed=1, threads=1)
    assert len(resumed.curve) == 3


def test_what_was_trained_is_not_lost_until_it_is_saved(
    trained: training.Trained,
    tiny_model: Model,
    tiny_corpus: pd.DataFrame,
    recipe: Finetune,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    trained.lock.release()  # as when the process ends, here before it has saved
    again = training.finetune_classifier(tiny_corpus, tiny_corpus, tiny_model, recipe, seed=1, threads=1)
    assert "going on from checkpoint-" in capsys.readouterr().err
    saved.save_adapter(trained.tuned, tmp_path / "first", trained.description)
    assert sha256_folder(_saved(again, tmp_path / "again")) == sha256_folder(tmp_path / "first")


@pytest.mark.parametrize("quantization", ["int8", "nf4"])
def test_a_quantised_base_trains_saves_and_reads(
    quantization: str, tiny_model: Model, tiny_corpus: pd.DataFrame, recipe: Finetune, tmp_path: Path
) -> None:
    recipe = recipe.model_copy(update={"quantization": quantization})
    trained = training.finetune_classifier(tiny_corpus, tiny_corpus, tiny_model, recipe, seed=1, threads=1)
    kinds = {type(module).__name__ for module in trained.tuned.modules()}
    assert {"int8": "Linear8bitLt", "nf4": "Linear4bit"}[quantization] in kinds
    reader = saved.load_reader(_saved(trained, tmp_path / "adapter"), threads=1)
    p = reader.logits(tiny_corpus["text"].tolist())
    accuracy = (np.array(LABELS)[p.argmax(1)] == tiny_corpus["label"]).mean()
    assert accuracy == pytest.approx(trained.facts["validation"]["accuracy"]) and accuracy > 0.6


def test_each_text_is_scored_once_per_adapter(
    adapter: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    first = score_texts(["profit rose", "profit fell", "profit rose"], adapter, threads=1, batch_tokens=64)
    assert first.index.tolist() == ["profit fell", "profit rose"]
    tone = dict(zip(first.index, tone_of(first), strict=True))
    assert tone["profit rose"] > tone["profit fell"]
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(fine_tuned, "load_engine", lambda *_: pytest.fail("the model was loaded though nothing was new"))
        again = score_texts(["profit fell", "profit rose"], adapter, threads=1, batch_tokens=64)
    pd.testing.assert_frame_equal(first, again)
    more = score_texts(["profit rose", "orders dropped"], adapter, threads=1, batch_tokens=64)
    assert "1 of 2 texts were scored before" in capsys.readouterr().err
    assert more.loc["profit rose"].equals(first.loc["profit rose"])


def test_a_score_does_not_depend_on_what_was_scored_before(
    adapter: Path, tiny_corpus: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    texts = tiny_corpus["text"].tolist()
    at_once = score_texts(texts, adapter, threads=1, batch_tokens=64)
    monkeypatch.setenv("FINSENTIMENT_CACHE", str(tmp_path / "other"))
    score_texts(texts[3:5], adapter, threads=1, batch_tokens=64)
    in_two = score_texts(texts, adapter, threads=1, batch_tokens=64)
    pd.testing.assert_frame_equal(at_once, in_two, check_exact=True)


def test_an_adapter_that_is_broken_or_missing_is_one_line(adapter: Path, tmp_path: Path) -> None:
    (adapter / "weights.safetensors").write_bytes(b"half")
    with pytest.raises(InputError, match="not the weights that finetune wrote"):
        saved.load_reader(adapter, threads=1)
    with pytest.raises(InputError, match="no fine-tuned model there .*make repro"):
        saved.load_reader(tmp_path / "nowhere", threads=1)


def test_a_changed_adapter_scores_all_anew(adapter: Path, capsys: pytest.CaptureFixture) -> None:
    texts = ["profit rose", "profit fell"]
    before = tone_of(score_texts(texts, adapter, threads=1, batch_tokens=64))
    description = read_json(adapter / "classifier.json")
    write_json(adapter / "classifier.json", description | {"temperature": 9.0})
    capsys.readouterr()
    after = tone_of(score_texts(texts, adapter, threads=1, batch_tokens=64))
    assert "0 of 2 texts were scored before" in capsys.readouterr().err
    assert (np.abs(after) < np.abs(before)).all()


def test_threads_share_a_reader_and_each_gets_its_own_answers(adapter: Path, tiny_corpus: pd.DataFrame) -> None:
    reader, texts = saved.load_reader(adapter, "cpu", 1), tiny_corpus["text"].tolist()
    alone = [reader.logits([text]) for text in texts]

    def reads_right(number: int) -> bool:
        return np.array_equal(reader.logits([texts[number % len(texts)]]), alone[number % len(texts)])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(reads_right, range(300)))


def test_pefts_own_loader_refuses_the_adapter_instead_of_starting_afresh(adapter: Path, tiny_model: Model) -> None:
    model, _ = base_models.load_untrained(tiny_model, IN_FLOAT32)
    with pytest.raises(ValueError, match="Can't find 'adapter_config.json'"):
        PeftModel.from_pretrained(model, adapter)
    assert "load_reader" in (adapter / "README.md").read_text()


def test_scores_of_one_device_or_number_format_are_not_taken_for_those_of_another(
    adapter: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        monkeypatch.setattr(runtime, "compute_dtype", lambda device, dtype=dtype: dtype)
        score_texts(["profit rose"], adapter, threads=1, batch_tokens=64, device="cpu")
        assert "0 of 1 texts were scored before" in capsys.readouterr().err
    assert str(Runtime(torch.device("cuda"), torch.bfloat16, 1)) != str(Runtime(torch.device("cpu"), torch.bfloat16, 1))
