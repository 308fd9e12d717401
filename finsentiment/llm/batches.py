"""Batches of token lists: sorted by length, so that little is spent on padding."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import torch

WIDTH_STEP = 2
"""Texts are padded to a multiple of this many tokens."""


def by_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Yield the row numbers of batches, longest texts first, each of at most `batch_tokens` padded tokens.

    A text longer than `batch_tokens` makes a batch of its own. Longest first, so that what won't fit in
    memory fails at once and not at the end.
    """
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // max(1, lengths[order[start]]))
        yield order[start : start + size]
        start += size


def by_shape(lengths: Sequence[int], batch_tokens: int) -> Iterator[tuple[list[int], tuple[int, int]]]:
    """Yield the row numbers of batches and the shape (rows, tokens) to pad each to, longest texts first.

    The shape follows from a text's own length, so what is computed for it does not depend on which other
    texts are there: matrix products round differently when their shapes differ.
    """
    widths = [-(-max(1, length) // WIDTH_STEP) * WIDTH_STEP for length in lengths]
    order = sorted(range(len(lengths)), key=lambda row: (-widths[row], row))
    for width, group in itertools.groupby(order, key=widths.__getitem__):
        rows, size = list(group), max(1, batch_tokens // width)
        for start in range(0, len(rows), size):
            yield rows[start : start + size], (size, width)


def padded(
    rows: Sequence[Sequence[int]], pad: int, left: bool = False, shape: tuple[int, int] | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, padded on the right or on the left.

    Their shape is (rows, longest row), or `shape`, whose further rows are a single padding token each.
    """
    height, width = shape or (len(rows), max(1, *(len(row) for row in rows)))
    rows = [*rows, *([[pad]] * (height - len(rows)))]
    ids = torch.full((height, width), pad)
    mask = torch.zeros((height, width), dtype=torch.long)
    for number, row in enumerate(rows):
        place = slice(width - len(row), width) if left else slice(0, len(row))
        ids[number, place] = torch.tensor(row, dtype=torch.long)
        mask[number, place] = 1
    return ids, mask
