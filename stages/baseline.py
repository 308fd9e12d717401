"""Score the test sentences with what the fine-tuned model has to beat.

Majority, finance lexicon, TF-IDF, and the base model without fine-tuning, raw and with contextual calibration,
its prompt and shots chosen on validation sentences.
Run by DVC, or as `python -m stages.baseline`.
"""

from __future__ import annotations

import pandas as pd

from finsentiment import baselines
from finsentiment.errors import run_main
from finsentiment.evaluation import probability_table, score_reading
from finsentiment.files import read_table, write_csv, write_json, write_table
from finsentiment.labels import label_codes
from finsentiment.llm.base_models import load_backbone, load_untrained, model_folder
from finsentiment.llm.classifier import Classifier
from finsentiment.llm.published import load_published
from finsentiment.llm.runtime import start_runtime
from finsentiment.llm.zero_shot import choose_prompt, read_zero_shot
from stages.parameters import stage_params


def main() -> None:
    """Write each system's probabilities of the test sentences, and its scores."""
    params = stage_params("baseline")
    train, validation, test = (read_table(f"data/splits/{part}.parquet") for part in ("train", "validation", "test"))
    texts = test["text"].tolist()

    runtime = start_runtime(params.device, params.threads)
    model, tokenizer = load_untrained(params.model, runtime)
    # A base model that can't become a reader is refused now and not by finetune.
    folder = model_folder(params.model)
    if params.finetune.method == "none":
        load_published(folder, runtime, tokenizer.pad_token_id)
    else:
        Classifier(load_backbone(folder, "none", runtime), depth=None, lora_layers=1, echo=False)
    asked = validation.sample(min(params.baseline.choice_sentences, len(validation)), random_state=params.seed)
    choice = choose_prompt(model, tokenizer, params.baseline.prompts, params.baseline.shots, train, asked, params.seed)
    write_csv("metrics/baseline/prompts.csv", choice.tried)
    write_json("data/baseline/prompt.json", choice.calibrated.model_dump())
    raw = read_zero_shot(model, tokenizer, texts, choice.raw)
    # Mostly the same prompt is the best one both ways, and need not be read twice.
    calibrated = raw if choice.calibrated == choice.raw else read_zero_shot(model, tokenizer, texts, choice.calibrated)
    systems = {
        "majority": baselines.majority_baseline(train, texts),
        "lexicon": baselines.lexicon_baseline(train, texts),
        "tfidf": baselines.tfidf_baseline(train, validation, texts),
        "zero_shot": raw.raw,
        "zero_shot_calibrated": calibrated.calibrated,
    }

    tables = []
    for system, probabilities in systems.items():
        table = probability_table(probabilities)
        table.insert(0, "sentence_id", test["sentence_id"])
        table.insert(1, "system", system)
        tables.append(table)
    predictions = pd.concat(tables).sort_values(["sentence_id", "system"])
    write_table("data/baseline/predictions.parquet", predictions)

    labels = label_codes(test["label"])
    samples, bins = params.evaluate.bootstrap_samples, params.evaluate.calibration_bins
    metrics = {
        system: score_reading(probabilities, labels, test["agreement"], samples=samples, seed=params.seed, bins=bins)
        for system, probabilities in systems.items()
    }
    write_json("metrics/baseline.json", metrics)


if __name__ == "__main__":
    run_main(main)
