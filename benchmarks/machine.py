"""What the machine itself can do, for figures to be measured against."""

from __future__ import annotations

import time

import torch

SIZE, REPEATS = 2048, 8


def matrix_product(dtype: torch.dtype) -> float:
    """GFLOP/s of a square matrix product with the threads that PyTorch uses: the best of a few."""
    a = torch.randn(SIZE, SIZE).to(dtype)
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2 * SIZE**3 / best / 1e9
