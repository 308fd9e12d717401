"""Texts read by a fine-tuned classifier, those of earlier runs taken from the store of scores."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from finsentiment.labels import P_COLUMNS
from finsentiment.llm.adapter import adapter_hash
from finsentiment.llm.engines import engine_key, load_engine, usable_backend
from finsentiment.llm.reader import Reader
from finsentiment.llm.runtime import start_runtime
from finsentiment.readers.store import ScoreStore, open_store


def score_texts(
    texts: Iterable[str],
    adapter: str | Path,
    threads: int,
    batch_tokens: int,
    device: str = "auto",
    backend: str = "torch",
    sample: Sequence[str] = (),
) -> pd.DataFrame:
    """Calibrated probabilities of `texts` by the classifier saved at `adapter`.

    Parameters
    ----------
    batch_tokens : padded tokens per forward pass, at most
    backend, sample : what computes, and the texts on which it must agree with PyTorch (`llm/engines.py`)

    Returns
    -------
    DataFrame indexed by the distinct texts, sorted: `p_negative`, `p_neutral`, `p_positive`. (How many were read
    anew depends on earlier runs, so it goes to standard error.)

    Raises
    ------
    InputError
        There is no adapter, it is damaged, its base model can't be had, or the store is damaged.
    """
    distinct = sorted(set(texts))
    # Other libraries, devices or shapes round otherwise: their scores are kept apart.
    libraries = " ".join(version(name) for name in ("torch", "transformers", "peft"))
    runtime = start_runtime(device, threads)
    backend = usable_backend(adapter, backend, runtime, sample, batch_tokens)
    by = "" if backend == "torch" else f" {engine_key(backend)}"
    reads_by = f"{adapter_hash(adapter)} {runtime} {libraries} {batch_tokens}{by}"
    with open_store(reads_by) as store:
        missing = [text for text in distinct if text not in store]
        print(f"{len(distinct) - len(missing)} of {len(distinct)} texts were scored before", file=sys.stderr)
        if missing:
            _fill(store, missing, load_engine(adapter, backend, runtime), batch_tokens)
        rows = [store[text] for text in distinct]
    return pd.DataFrame(rows, index=distinct, columns=list(P_COLUMNS))


def _fill(store: ScoreStore, texts: list[str], reader: Reader, batch_tokens: int) -> None:
    with tqdm(total=len(texts), desc="scoring", unit="text", file=sys.stderr, mininterval=2) as bar:
        for rows, logits in reader.batches(texts, batch_tokens):
            p = reader.probabilities(logits.astype(float))
            store.add({texts[row]: values for row, values in zip(rows, p, strict=True)})
            bar.update(len(rows))
