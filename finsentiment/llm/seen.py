"""Published models and the labelled corpora that they were trained on: figures on these would not be of unseen text."""

from __future__ import annotations

SAW: dict[str, tuple[str, ...]] = {
    "prosusai/finbert": ("phrasebank",),
    "mrm8488/distilroberta-finetuned-financial-news-sentiment-analysis": ("phrasebank",),
    "mrm8488/deberta-v3-ft-financial-news-sentiment-analysis": ("phrasebank",),
    "nickmuchi/distilroberta-finetuned-financial-text-classification": ("phrasebank",),
    "nickmuchi/deberta-v3-base-finetuned-finance-text-classification": ("phrasebank",),
    "ahmedrachid/financialbert-sentiment-analysis": ("phrasebank",),
    "sigma/financial-sentiment-analysis": ("phrasebank",),
}
"""By the model's name on the hub, in small letters: values of `corpus.source`. From the models' own cards and papers
(ProsusAI/finbert: Araci 2019). What is not listed may have seen a corpus all the same."""

NAMES = {"phrasebank": "Financial PhraseBank"}


def saw_corpus(spec: str, corpus: str) -> bool:
    """Whether the base model of this `model.spec` is known to have been trained on the corpus of this source."""
    kind, _, name = spec.partition(":")
    return kind == "hub" and corpus in SAW.get(name.split("@")[0].casefold(), ())


def warning(spec: str, corpus: str) -> str:
    """One sentence for a base model that saw the corpus; "" for any other."""
    if not saw_corpus(spec, corpus):
        return ""
    return (
        f"{spec.partition(':')[2].split('@')[0]} was trained on {NAMES[corpus]}, test sentences among them: its "
        "figures on this corpus say how well it remembers, and stand beside no other model's"
    )
