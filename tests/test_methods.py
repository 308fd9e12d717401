"""What of a model trains: adapters, every weight, or nothing; and published models as they are."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback, pipeline

from finsentiment.errors import InputError
from finsentiment.files import read_json, round_figures, sha256_folder
from finsentiment.labels import LABELS
from finsentiment.llm import base_models, runtime, training
from finsentiment.llm.classifier import Classifier, trainable, trained_weights
from finsentiment.llm.optimizer import make_optimizer
from finsentiment.llm.published import class_order
from finsentiment.llm.saved import load_reader, save_adapter
from finsentiment.params import Finetune, Model
from tests.tiny import IN_FLOAT32, make_encoder

KIND = "bert that reads sentiment"
FINBERT = {0: "positive", 1: "negative", 2: "neutral"}


@pytest.fixture
def encoder(tmp_path: Path, tiny_corpus: pd.DataFrame) -> Model:
    return make_encoder(tmp_path / "encoder", tiny_corpus["text"].tolist(), "mpnet without a head")


@pytest.fixture
def published(tmp_path: Path, tiny_corpus: pd.DataFrame) -> Model:
    """A sentiment model as others publish them, its classes in another order than ours."""
    return make_encoder(tmp_path / "published", tiny_corpus["text"].tolist(), KIND, id2label=FINBERT)


def _full(recipe: Finetune, **changes: object) -> Finetune:
    whole = {"method": "full", "learning_rate": 3e-3, "layer_decay": 0.8, "epochs": 20, "patience": 20, "average": 0.5}
    return recipe.model_copy(update=whole | changes)


def _tuned(corpus: pd.DataFrame, model: Model, recipe: Finetune, folder: Path) -> Path:
    trained = training.finetune_classifier(corpus, corpus, model, recipe, seed=1, threads=1)
    save_adapter(trained.tuned, folder, trained.description)
    trained.done()
    return folder


@pytest.mark.parametrize("kind", ["encoder", "tiny_model"])
def test_full_fine_tuning_changes_every_weight_and_the_saved_model_reads_the_same(
    kind: str, tiny_corpus: pd.DataFrame, recipe: Finetune, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(kind)
    trained = training.finetune_classifier(tiny_corpus, tiny_corpus, model, _full(recipe), seed=1, threads=1)
    before = base_models.load_backbone(base_models.model_folder(model), "none", IN_FLOAT32).state_dict()
    after = trained.tuned.backbone.base.state_dict()
    still = [n for n, w in after.items() if w.is_floating_point() and torch.equal(w, before[n])]
    assert not [name for name in still if "bias" not in name]  # the keys' bias has no gradient: softmax is blind to it
    assert after.keys() == before.keys() and all(w.dtype == torch.float32 for w in after.values() if w.ndim > 1)
    assert trained.facts["validation"]["accuracy"] > 0.9 and trained.description["method"] == "full"
    folder = tmp_path / "adapter"
    save_adapter(trained.tuned, folder, trained.description)
    trained.done()
    reader = load_reader(folder, "cpu", 1)
    assert (reader.read(tiny_corpus["text"].tolist())["label"] == tiny_corpus["label"]).mean() > 0.9


def test_full_fine_tuning_goes_on_after_an_interruption_as_if_nothing_had_been(
    encoder: Model, tiny_corpus: pd.DataFrame, recipe: Finetune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _tuned(tiny_corpus, encoder, _full(recipe), tmp_path / "whole")

    class Killed(Exception):
        pass

    class KillInThirdEpoch(TrainerCallback):
        def on_step_end(self, args: object, state: object, control: object, **_: object) -> None:
            if state.epoch > 2.3:
                raise Killed

    made = training._trainer
    with monkeypatch.context() as patch:

        def killed(*given: object) -> object:
            trainer = made(*given)
            trainer.add_callback(KillInThirdEpoch())
            return trainer

        patch.setattr(training, "_trainer", killed)
        with pytest.raises(Killed):
            training.finetune_classifier(tiny_corpus, tiny_corpus, encoder, _full(recipe), seed=1, threads=1)
    resumed = _tuned(tiny_corpus, encoder, _full(recipe), tmp_path / "resumed")
    assert (resumed / "weights.safetensors").read_bytes() == (whole / "weights.safetensors").read_bytes()


def test_where_the_processor_multiplies_in_bfloat16_full_fine_tuning_does_and_keeps_float32_weights(
    encoder: Model, tiny_corpus: pd.DataFrame, recipe: Finetune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "compute_dtype", lambda device: torch.bfloat16)
    made, formats = training._trainer, set()

    def watched(tuned: torch.nn.Module, *given: object) -> object:
        layer = next(module for module in tuned.backbone.layers.modules() if isinstance(module, torch.nn.Linear))
        layer.register_forward_hook(lambda module, inputs, output: formats.add(output.dtype))
        return made(tuned, *given)

    monkeypatch.setattr(training, "_trainer", watched)
    folder = _tuned(tiny_corpus, encoder, _full(recipe), tmp_path / "adapter")
    assert formats == {torch.bfloat16}
    weights = load_file(folder / "weights.safetensors")
    assert {w.dtype for w in weights.values()} == {torch.float32}
    one = next(w for name, w in weights.items() if name.endswith("query.weight") or name.endswith(".q.weight"))
    assert not torch.equal(one, one.bfloat16().float())  # finer than bfloat16
    read = load_reader(folder, "cpu", 1).read(tiny_corpus["text"].tolist())["label"]
    assert (read == tiny_corpus["label"]).mean() > 0.8


def test_each_layer_has_the_rate_of_the_one_above_times_the_decay_and_the_head_its_own(
    encoder: Model, recipe: Finetune
) -> None:
    base = base_models.load_backbone(base_models.model_folder(encoder), "none", IN_FLOAT32)
    whole = _full(recipe, learning_rate=1e-4, layer_decay=0.5, head_learning_rate=1e-3)
    classifier = Classifier(base, None, None, echo=False)
    weights = trained_weights(trainable(classifier, "full", recipe.lora))
    rates = _rates(weights, make_optimizer(weights, classifier.backbone, whole))
    layer = "backbone.base.encoder.layer.{}.attention.attn.q.weight"
    assert [rates[layer.format(n)] for n in (2, 1, 0)] == [(1e-4, 0.01), (5e-5, 0.01), (2.5e-5, 0.01)]
    assert rates["backbone.base.embeddings.word_embeddings.weight"] == (1.25e-5, 0.01)
    assert rates["head.model.classifier.dense.weight"] == (1e-3, 0.01)
    assert rates["head.model.classifier.out_proj.bias"] == (1e-3, 0.0)
    assert rates["backbone.base.encoder.layer.2.attention.LayerNorm.weight"] == (1e-4, 0.0)


def test_adapters_take_the_decay_too(encoder: Model, recipe: Finetune) -> None:
    base = base_models.load_backbone(base_models.model_folder(encoder), "none", IN_FLOAT32)
    classifier = Classifier(base, None, 2, echo=False)
    backbone = classifier.backbone
    weights = trained_weights(trainable(classifier, "lora", recipe.lora))
    decayed = recipe.model_copy(update={"layer_decay": 0.5})
    rates = _rates(weights, make_optimizer(weights, backbone, decayed))
    assert {rate for name, (rate, _) in rates.items() if ".layer.2." in name} == {1e-2}
    assert {rate for name, (rate, _) in rates.items() if ".layer.1." in name} == {5e-3}


def _rates(weights: dict[str, torch.Tensor], optimizer: torch.optim.Optimizer) -> dict[str, tuple[float, float]]:
    of = {id(p): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]}
    return {name: of[id(weight)] for name, weight in weights.items()}


def test_validation_sentences_that_are_given_back_are_learnt_for_the_epochs_they_chose(
    tiny_model: Model, tiny_corpus: pd.DataFrame, recipe: Finetune, tmp_path: Path
) -> None:
    train, validation = tiny_corpus[tiny_corpus["label"] != "positive"], tiny_corpus
    only = training.finetune_classifier(train, validation, tiny_model, recipe, seed=1, threads=1)
    both = recipe.model_copy(update={"give_back_validation": True})
    trained = training.finetune_classifier(train, validation, tiny_model, both, seed=1, threads=1)
    assert trained.facts == round_figures(only.facts)
    assert trained.description == round_figures(only.description)  # the temperature of what had not seen them
    save_adapter(trained.tuned, tmp_path / "adapter", trained.description)
    save_adapter(only.tuned, tmp_path / "only", only.description)
    positive = tiny_corpus.loc[tiny_corpus["label"] == "positive", "text"].tolist()
    read = [load_reader(tmp_path / name, "cpu", 1).read(positive)["label"] for name in ("only", "adapter")]
    assert not (read[0] == "positive").any() and (read[1] == "positive").any()
    checkpoints = trained.checkpoints, trained.before
    trained.done()
    assert not [folder for folder in checkpoints if folder.exists()]


def test_quantisation_goes_with_adapters_alone(recipe: Finetune) -> None:
    with pytest.raises(ValueError, match="quantization = 'nf4' goes with method = 'lora', not 'full'"):
        Finetune.model_validate(recipe.model_dump() | {"method": "full", "quantization": "nf4"})


def test_a_published_model_reads_as_it_does_without_us_whatever_the_order_of_its_classes(
    published: Model, tiny_corpus: pd.DataFrame, recipe: Finetune, tmp_path: Path
) -> None:
    as_it_is = recipe.model_copy(update={"method": "none"})
    trained = training.finetune_classifier(tiny_corpus, tiny_corpus, published, as_it_is, seed=1, threads=1)
    save_adapter(trained.tuned, tmp_path / "adapter", trained.description)
    trained.done()
    assert trained.facts["trainable_parameters"] == 0 and len(trained.curve) == 1
    reader, texts = load_reader(tmp_path / "adapter", "cpu", 1, torch.float32), tiny_corpus["text"].tolist()
    folder = base_models.model_folder(published)
    theirs = pipeline("text-classification", str(folder), top_k=None)(texts)
    told = np.array([[{c["label"]: c["score"] for c in row}[label] for label in LABELS] for row in theirs])
    ours = reader.logits(texts)
    p = np.exp(ours) / np.exp(ours).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(p, told, atol=1e-5)
    assert read_json(tmp_path / "adapter" / "classifier.json")["method"] == "none"


def test_classes_are_told_by_their_names() -> None:
    assert class_order(FINBERT) == [1, 2, 0]
    assert class_order({0: "Bearish", 1: "Bullish", 2: "Neutral"}) == [0, 2, 1]
    for names in (
        {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"},
        {0: "NEGATIVE", 1: "POSITIVE"},
        {0: "pos", 1: "up", 2: "neg"},
        {1: "negative", 2: "neutral", 3: "positive"},
        {-1: "negative", 0: "neutral", 1: "positive"},
    ):
        with pytest.raises(InputError, match="expected negative, neutral and positive"):
            class_order(names)


def test_a_model_without_a_head_is_no_published_reader(
    encoder: Model, tiny_corpus: pd.DataFrame, recipe: Finetune
) -> None:
    as_it_is = recipe.model_copy(update={"method": "none"})
    with pytest.raises(InputError, match="expected a trained head, which finetune.method=none reads by"):
        training.finetune_classifier(tiny_corpus, tiny_corpus, encoder, as_it_is, seed=1, threads=1)


def _in_bin(model: Model, payload: object = None) -> Model:
    """The folder with its weights in `pytorch_model.bin` alone, as older models of the hub have them."""
    folder = Path(model.spec.removeprefix("path:"))
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    if payload is None:
        torch.save(weights, folder / "pytorch_model.bin")
    else:
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(payload))
    return Model(spec=model.spec, sha256=sha256_folder(folder))


def test_weights_in_a_bin_file_are_read(published: Model, tiny_corpus: pd.DataFrame, recipe: Finetune) -> None:
    as_it_is = recipe.model_copy(update={"method": "none"})

    def read(model: Model) -> object:
        trained = training.finetune_classifier(tiny_corpus, tiny_corpus, model, as_it_is, seed=1, threads=1)
        return trained.facts["validation"]

    assert read(published) == read(_in_bin(published))


class _Payload:
    """What an attacker would put into a pickle: loading it runs a command."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.file,)


def test_a_bin_file_with_code_in_it_is_refused_and_the_code_does_not_run(published: Model, tmp_path: Path) -> None:
    model = _in_bin(published, _Payload(tmp_path / "ran"))
    with pytest.raises(InputError, match="can't be loaded as a language model"):
        base_models.load_backbone(base_models.model_folder(model), "none", IN_FLOAT32)
    assert not (tmp_path / "ran").exists()


def test_the_hub_gives_bin_files_only_where_it_has_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def snapshot(repository: str, revision: str, allow_patterns: list[str], **_: object) -> str:
        asked.append(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(base_models, "snapshot_download", snapshot)
    base_models.model_folder(Model(spec=f"hub:ProsusAI/finbert@{'0' * 40}", sha256=None))
    assert len(asked) == 2 and "*.bin" not in asked[0] and "pytorch_model*.bin" in asked[1]
    (tmp_path / "model.safetensors").touch()
    base_models.model_folder(Model(spec=f"hub:ProsusAI/finbert@{'0' * 40}", sha256=None))
    assert len(asked) == 3
