"""Nearest rows on NumPy: only the groups that can hold the k smallest are partitioned, in memory that is used again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends.kernels.neighbors import (
    k_smallest,
    nearest_by_products,
    refuse_unfit_count,
    refuse_unfit_tables,
    row_blocks,
)

__all__ = ["product_height"]

Floats = NDArray[Any]
Integers = NDArray[np.int64]

GROUPS = 40
"""Into so many strided groups a row is cut: wide minima are fast, and k groups of m / GROUPS numbers are left."""


@k_smallest.on("numpy")
def _(x: Floats, *, k: int) -> Integers:
    refuse_unfit_count(k, x.shape[1])
    found = np.empty((x.shape[0], k), dtype=np.int64)
    # So many rows that what is looked at again stays in the cache.
    for rows in row_blocks(x.shape[0], max(1, (1 << 19) // max(x.shape[1], 1))):
        found[rows] = _smallest(x[rows], k)
    return found


@nearest_by_products.on("numpy")
def _(x: Floats, y: Floats, half_norms: Floats, *, k: int, height: int) -> Integers:
    refuse_unfit_tables(x, y, "euclidean", 2)
    refuse_unfit_count(k, y.shape[0])
    height = product_height(height, y.shape[1])
    # One more column, of ones, has the product add the norms too.
    negative, across = np.negative(_with_column(x, -1)), np.concatenate([y.T, half_norms[None, :]])
    buffer = np.empty((min(height, len(x)), len(y)), x.dtype)
    found = np.empty((len(x), k), dtype=np.int64)
    for rows in row_blocks(len(x), height):
        block = buffer[: rows.stop - rows.start]
        np.matmul(negative[rows], across, out=block)
        found[rows] = _smallest(block, k)
    return found


def _with_column(x: Floats, value: float) -> Floats:
    return np.concatenate([x, np.full((len(x), 1), value, x.dtype)], axis=1)


def product_height(height: int, n_features: int) -> int:
    """How many rows to multiply at once: few while products are cheap, so that they are still cached when read."""
    return min(height, 64 if n_features <= 32 else 256)


def _smallest(x: Floats, k: int) -> Integers:
    """As `k_smallest`: candidates by partition, and a stable sort of the rows where others are as small as the last."""
    n, m = x.shape
    width = m // GROUPS
    if width < 2 * k or n == 0:
        return _sorted_candidates(x, np.broadcast_to(np.arange(m), (n, m)), k)
    whole = width * GROUPS
    minima = x[:, :whole].reshape(n, GROUPS, width).min(axis=1)
    groups = np.argpartition(minima, k - 1, axis=1)[:, :k]
    candidates = (groups[:, None, :] + np.arange(0, whole, width)[:, None]).reshape(n, -1)
    rest = np.broadcast_to(np.arange(whole, m), (n, m - whole))
    found = _sorted_candidates(x, np.concatenate([candidates, rest], axis=1), k)
    last = np.take_along_axis(x, found[:, -1:], axis=1)
    # Groups left out may hold numbers equal to the last one taken, at lower indices.
    tied = np.flatnonzero((minima <= last).sum(axis=1) > k)
    if tied.size:
        found[tied] = np.argsort(x[tied], axis=1, stable=True)[:, :k]
    return found


def _sorted_candidates(x: Floats, candidates: Integers, k: int) -> Integers:
    """Of the candidates (n, n_candidates) of each row the k smallest, ascending, the lower index first."""
    values = np.take_along_axis(x, candidates, axis=1)
    if candidates.shape[1] > k:
        near = np.argpartition(values, k - 1, axis=1)[:, :k]
        found = np.take_along_axis(candidates, near, axis=1)
        last = np.take_along_axis(values, near, axis=1).max(axis=1, keepdims=True)
        tied = np.flatnonzero((values <= last).sum(axis=1) > k)
    else:
        found, tied = candidates, np.empty(0, dtype=np.intp)
    # Indices ascend first, so that the stable sort by value keeps them so.
    found = np.sort(found, axis=1)
    order = np.argsort(np.take_along_axis(x, found, axis=1), axis=1, stable=True)
    found = np.take_along_axis(found, order, axis=1)
    if tied.size:
        every = np.sort(candidates[tied], axis=1)
        order = np.argsort(np.take_along_axis(x[tied], every, axis=1), axis=1, stable=True)[:, :k]
        found[tied] = np.take_along_axis(every, order, axis=1)
    return found
