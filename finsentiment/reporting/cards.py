"""A model card and a data card, made from the metrics of a run."""

from __future__ import annotations

from typing import Any, NamedTuple

from huggingface_hub import EvalResult, ModelCardData

from finsentiment.labels import LABELS


class Licence(NamedTuple):
    """A licence: its identifier where there is one (`other` else), its name, and where it stands."""

    key: str
    name: str
    link: str


CORPORA = {
    "sample": Licence("cc0-1.0", "CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
    "phrasebank": Licence("cc-by-nc-sa-3.0", "CC BY-NC-SA 3.0", "https://creativecommons.org/licenses/by-nc-sa/3.0/"),
}
"""By `corpus.source`. A file of a user's has terms that only the user knows."""
BASES = {
    "smollm2": Licence("apache-2.0", "Apache 2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
    "mpnet": Licence("apache-2.0", "Apache 2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
    "gemma": Licence("gemma", "Gemma Terms of Use", "https://ai.google.dev/gemma/terms"),
}
"""By a part of the name of the base model."""
METHODS = {"lora": "with LoRA", "full": "with every weight trained", "none": "as it was published"}
"""By `finetune.method`."""
CORPUS_NAMES = {
    "sample": "the project's sample corpus",
    "phrasebank": "Financial PhraseBank",
    "csv": "a corpus of its user's",
}
OWN = Licence("other", "unknown: that of the user's own file", "")


def licence_of(corpus: str, spec: str, method: str = "lora") -> tuple[Licence, str]:
    """The licence of an adapter, and why: it is bound by its corpus, and by its base model where that asks for it."""
    base = next((licence for part, licence in BASES.items() if part in spec.lower()), OWN)
    if method == "none":
        return base, f"Nothing was trained here, so that the licence of the published model holds ({base.name})."
    data = CORPORA.get(corpus, OWN)
    if data.key == "cc0-1.0":
        return base, f"The corpus is free ({data.name}), so that the licence of the base model holds ({base.name})."
    why = f"The adapter was trained on {CORPUS_NAMES[corpus]}, which is under {data.name}; the base model is under "
    both = data if base.key == "apache-2.0" else Licence("other", f"{data.name} and {base.name}", data.link)
    return both, f"{why}{base.name}. Both hold."


def model_card(facts: dict[str, Any]) -> str:
    """The card as Markdown with the head that model hubs read.

    Parameters
    ----------
    facts : `classifier` (what stands in the adapter's folder), `hash` (SHA-256 of its weights), `corpus` (kind of
        source), `recipe` (section finetune), `seed`, and the metrics `prepare`, `split`, `baseline`, `finetune`,
        `evaluate` as the stages wrote them
    """
    evaluated, base = facts["evaluate"], facts["classifier"]["base"]
    licence, why = licence_of(facts["corpus"], base["spec"], facts["recipe"].method)
    name, dataset = "sentiment-adapter", CORPUS_NAMES[facts["corpus"]]
    results = [
        EvalResult(
            task_type="text-classification",
            dataset_type=facts["corpus"],
            dataset_name=dataset,
            dataset_split="test",
            metric_type=metric,
            metric_value=evaluated[metric],
        )
        for metric in ("accuracy", "macro_f1")
        if not evaluated.get("seen")
    ]
    head = ModelCardData(
        language="en",
        license=licence.key if licence.key in ("apache-2.0", "cc-by-nc-sa-3.0", "gemma") else "other",
        license_name=licence.name if licence.key == "other" else None,
        license_link=licence.link or None,
        tags=["finance", "sentiment", *(["lora"] if facts["recipe"].method == "lora" else [])],
        pipeline_tag="text-classification",
        model_name=name,
        eval_results=results or None,
    )
    sections = [
        f"# A classifier of financial sentiment: {base['spec']} {METHODS[facts['recipe'].method]}",
        "It reads a sentence of financial news and says whether it is negative, neutral or positive for the company.",
        _base(facts),
        _training(facts),
        _results(evaluated, facts["baseline"], dataset),
        _errors(facts["errors"]),
        "## What it is for",
        "To score many sentences or headlines in English on listed companies, for research. It does not advise on "
        "trades. It reads each sentence alone: what was expected, and what the market knew, it can't see. Other "
        "languages, social media and long texts were not tested unless a figure above says so.",
        '## How to use it\n\n```python\nfrom finsentiment import load_reader\n\nreader = load_reader("this folder")\n'
        'print(reader.read(["Profit rose 12 %."]))\n```',
        f"## Licence\n\n{why} The code is under MIT.",
    ]
    return f"---\n{head.to_yaml()}\n---\n\n" + "\n\n".join(sections) + "\n"


def _base(facts: dict[str, Any]) -> str:
    classifier = facts["classifier"]
    rows = [
        ("base model", f"`{classifier['base']['spec']}`"),
        ("SHA-256 of the base model", f"`{classifier['base']['sha256']}`"),
        ("SHA-256 of the adapter", f"`{facts['hash']}`"),
        ("layers of the base model in use", classifier["depth"] or "all"),
        ("quantisation", classifier["quantization"]),
        ("trained parameters", f"{facts['finetune']['trainable_parameters']:,}"),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _training(facts: dict[str, Any]) -> str:
    recipe, sides = facts["recipe"], facts["split"]["sides"]
    corpus, macro_f1 = CORPUS_NAMES[facts["corpus"]], facts["finetune"]["validation"]["macro_f1"]
    judges = f"{sides['validation']['count']} validation sentences"
    if recipe.method == "none":
        return (
            "## Training\n\nNone here: the model is as it was published, and its own card says what it was trained on. "
            f"Its temperature was fitted on {judges} of {corpus} (macro F1 {macro_f1:.3f})."
        )
    what = {
        "lora": f"LoRA of rank {recipe.lora.r} on the top {recipe.lora.layers} layers",
        "full": f"Every weight trained, each layer at {recipe.layer_decay:g} of the rate of the layer above",
    }[recipe.method]
    return (
        "## Training\n\n"
        f"{sides['train']['count']} sentences of {corpus}, seed {facts['seed']}. {what}, learning rate "
        f"{recipe.learning_rate:g}, batches of {recipe.batch_size}, at most {recipe.epochs} epochs; epoch "
        f"{facts['finetune']['best_epoch']:g} was kept, by macro F1 on {judges} ({macro_f1:.3f}). No near-twin of a "
        f"test sentence was trained on ({facts['split']['twins_across_sides']} across the sides)."
        + (f" Then it learnt these {judges} too, in a second training." if recipe.give_back_validation else "")
    )


def _results(evaluated: dict[str, Any], baseline: dict[str, Any], dataset: str) -> str:
    rows = [
        f"| **this model** | **{evaluated['accuracy']:.3f}** | {evaluated['accuracy_low']:.3f} to "
        f"{evaluated['accuracy_high']:.3f} | {evaluated['macro_f1']:.3f} | {evaluated['macro_f1_low']:.3f} to "
        f"{evaluated['macro_f1_high']:.3f} |"
    ]
    names = {
        "zero_shot": "base model without fine-tuning",
        "tfidf": "TF-IDF and logistic regression",
        "lexicon": "finance lexicon",
        "majority": "always the largest class",
    }
    rows += [
        f"| {label} | {baseline[name]['accuracy']:.3f} | {baseline[name]['accuracy_low']:.3f} to "
        f"{baseline[name]['accuracy_high']:.3f} | {baseline[name]['macro_f1']:.3f} | "
        f"{baseline[name]['macro_f1_low']:.3f} to {baseline[name]['macro_f1_high']:.3f} |"
        for name, label in names.items()
        if name in baseline
    ]
    classes = "\n".join(
        f"| {label} | {found['precision']:.3f} | {found['recall']:.3f} | {found['f1']:.3f} | {found['support']} |"
        for label, found in ((label, evaluated["per_class"][label]) for label in LABELS)
    )
    seen = f"**{evaluated['seen']}.** " if evaluated.get("seen") else ""
    return (
        f"## Results\n\n{seen}{evaluated['sentences']} test sentences of {dataset}. Intervals (95 %) resample the "
        "sentences; another seed moves the figures too.\n\n"
        "| | accuracy | 95 % interval | macro F1 | 95 % interval |\n|---|---|---|---|---|\n" + "\n".join(rows) + "\n\n"
        f"| class | precision | recall | F1 | sentences |\n|---|---|---|---|---|\n{classes}\n\n"
        f"Calibration: the expected calibration error is {evaluated['ece']:.3f}, with a temperature of "
        f"{evaluated['temperature']:.2f}."
    )


def _errors(errors: list[dict[str, Any]]) -> str:
    """What it gets wrong: counts of what is taken for what, the commonest first."""
    if not errors:
        return "## What it fails on\n\nIt made no error on the test sentences."
    lines = [f"- {row['sentences']} {row['label']} sentences are read as {row['read']}." for row in errors]
    return "## What it fails on\n\n" + "\n".join(lines)


def data_card(facts: dict[str, Any]) -> str:
    """What the model was trained and tested on, as Markdown. `facts` as of `model_card`."""
    told, split, corpus = facts["prepare"]["sentences"], facts["split"], facts["corpus"]
    licence = CORPORA.get(corpus, OWN)
    classes = "\n".join(
        f"| {label} | {told['classes'][label]['count']} | {told['classes'][label]['share']:.1%} |" for label in LABELS
    )
    sides = "\n".join(f"| {name} | {side['count']} |" for name, side in sorted(split["sides"].items()))
    refused = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in told["refused"].items() if count)
    words = told["words"]
    return (
        f"# The data: {CORPUS_NAMES[corpus]}\n\n"
        f"{told['rows_in']} sentences were read and {told['rows_out']} kept"
        f"{f' (left out: {refused})' if refused else ''}. They have {words['min']:.0f} to {words['max']:.0f} words, "
        f"{words['median']:.0f} in the middle.\n\n"
        f"| label | sentences | share |\n|---|---|---|\n{classes}\n\n"
        f"| part | sentences |\n|---|---|\n{sides}\n\n"
        f"{told['twins']['sentences']} sentences have a near-twin; twins are on one side of the split "
        f"({split['twins_across_sides']} across it).\n\n"
        f"Licence: {licence.name}{f' ({licence.link})' if licence.link else ''}. The sentences are not in this "
        "folder.\n"
    )
