"""Near-twins: sentences so alike that one in training gives away the label of the other in the test.

Two sentences are twins if their sets of tokens have a Jaccard similarity of at least `threshold`, in any of three
views: words alone; words and a mark for numbers; words, the mark and punctuation. So the same sentence with other
numbers is a twin, and nobody who counts tokens in one way or another finds many twins that were missed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from datasketch import MinHash, MinHashLSH
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.preprocessing import MultiLabelBinarizer

PERMUTATIONS = 128
MISS = 1e-6  # largest chance that the search passes over a pair at the threshold

_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_TOKEN = re.compile(r"[^\W\d_]+|\S")


def views(text: str) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """The tokens of a text: words; words and `0` for numbers; words, `0` and punctuation.

    Letters and digits are parted, so that `EUR131m` and `EUR 4 m` are alike.
    """
    tokens = frozenset(_TOKEN.findall(_NUMBER.sub(" 0 ", text.casefold())))
    numbered = frozenset(token for token in tokens if token[0].isalnum())
    return numbered - {"0"}, numbered, tokens


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Share of the tokens of either set that are in both; 0 for two empty sets."""
    common = len(a & b)
    return common / max(len(a) + len(b) - common, 1)


def bands(threshold: float) -> tuple[int, int]:
    """Bands and rows of a band for MinHash LSH: the most selective that miss a pair at `threshold` at most by `MISS`.

    A pair of similarity s shares none of b bands of r rows with probability (1 - s^r)^b (Leskovec, Rajaraman and
    Ullman, Mining of Massive Datasets, section 3.4.2).
    """
    choices = ((PERMUTATIONS // rows, rows) for rows in range(PERMUTATIONS // 2, 0, -1))
    return next((b, r) for b, r in choices if (1 - threshold**r) ** b <= MISS)


def twin_pairs(texts: Sequence[str], threshold: float) -> list[tuple[int, int]]:
    """Positions (i, j), i < j, of the twins among `texts`, sorted.

    MinHash LSH finds candidates, the exact similarity decides.
    """
    found = set()
    for sets in zip(*map(views, texts), strict=True):
        found |= {(i, j) for i, j in _candidates(sets, threshold) if jaccard(sets[i], sets[j]) >= threshold}
    return sorted(found)


def _candidates(sets: Sequence[frozenset[str]], threshold: float) -> Iterator[tuple[int, int]]:
    index = MinHashLSH(num_perm=PERMUTATIONS, params=bands(threshold))
    filled = [i for i, tokens in enumerate(sets) if tokens]  # empty sets are all alike to MinHash
    sketches = MinHash.generator(([t.encode() for t in sets[i]] for i in filled), num_perm=PERMUTATIONS, seed=1)
    for j, sketch in zip(filled, sketches, strict=True):
        yield from ((i, j) for i in index.query(sketch))
        index.insert(j, sketch)


def twin_groups(sentences: pd.DataFrame, threshold: float) -> pd.Series:
    """For each sentence the name of its group: the smallest `sentence_id` among its twins, their twins and so on."""
    pairs = np.array(twin_pairs(sentences["text"].tolist(), threshold), dtype=int).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(sentences), len(sentences)))
    component = connected_components(graph, directed=False)[1]
    return sentences["sentence_id"].groupby(component).transform("min")


def twins_across(one: Sequence[str], other: Sequence[str], threshold: float, chunk: int = 256) -> list[tuple[int, int]]:
    """Positions (i, j) of all twins between two lists of texts, by comparing every pair.

    It shares the views of `twin_pairs` and nothing else, so it can judge what was built on that search.
    """
    found: set[tuple[int, int]] = set()
    for sets in zip(*map(views, [*one, *other]), strict=True):
        tokens = MultiLabelBinarizer(sparse_output=True).fit_transform(sets)
        sizes = np.array([len(s) for s in sets])
        left, right = tokens[: len(one)], tokens[len(one) :].T
        for start in range(0, len(one), chunk):
            common = (left[start : start + chunk] @ right).tocoo()
            i, j = common.row + start, common.col
            alike = common.data / (sizes[i] + sizes[len(one) + j] - common.data) >= threshold
            found |= set(zip(i[alike].tolist(), j[alike].tolist(), strict=True))
    return sorted(found)
