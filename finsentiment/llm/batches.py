"""Batches of token lists: sorted by length, so that little is spent on padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch


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


def padded(rows: Sequence[Sequence[int]], pad: int, left: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask of shape (rows, longest row), padded on the right or on the left."""
    width = max(1, *(len(row) for row in rows))
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for number, row in enumerate(rows):
        place = slice(width - len(row), width) if left else slice(0, len(row))
        ids[number, place] = torch.tensor(row, dtype=torch.long)
        mask[number, place] = 1
    return ids, mask
