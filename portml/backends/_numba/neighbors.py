"""Nearest rows compiled: one pass over the distances with the k best in registers, and loops over differences."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED
from portml.backends._numpy.neighbors import product_height
from portml.backends.kernels.neighbors import (
    distances_of_pairs,
    k_smallest,
    nearest_by_products,
    pairwise_distances,
    refuse_unfit_count,
    refuse_unfit_tables,
    row_blocks,
)

__all__: list[str] = []

Floats = NDArray[Any]
Integers = NDArray[np.int64]

MANHATTAN, CHEBYSHEV, MINKOWSKI, SQUARED = range(4)
LOOPED = {"manhattan": MANHATTAN, "chebyshev": CHEBYSHEV, "minkowski": MINKOWSKI}
# Sums in the order of the vector unit; NaN are kept.
SUMMED = {"reassoc", "contract", "nsz"}


@k_smallest.on("numba")
def _(x: Floats, *, k: int) -> Integers:
    refuse_unfit_count(k, x.shape[1])
    found = np.empty((x.shape[0], k), dtype=np.int64)
    _scan(np.ascontiguousarray(x), np.zeros(x.shape[1], x.dtype), found)
    return found


@nearest_by_products.on("numba")
def _(x: Floats, y: Floats, half_norms: Floats, *, k: int, height: int) -> Integers:
    refuse_unfit_tables(x, y, "euclidean", 2)
    refuse_unfit_count(k, y.shape[0])
    height = product_height(height, y.shape[1])
    negative, across = -x, np.ascontiguousarray(y.T)
    half_norms = np.ascontiguousarray(half_norms)
    buffer = np.empty((min(height, len(x)), len(y)), x.dtype)
    found = np.empty((len(x), k), dtype=np.int64)
    for rows in row_blocks(len(x), height):
        block = buffer[: rows.stop - rows.start]
        np.matmul(negative[rows], across, out=block)
        _scan(block, half_norms, found[rows])
    return found


@pairwise_distances.on("numba")
def _(x: Floats, y: Floats, *, metric: str, p: float) -> Floats:
    if metric not in LOOPED or x.dtype != y.dtype:
        distances: Floats = pairwise_distances.agnostic(x, y, metric=metric, p=p)
        return distances
    refuse_unfit_tables(x, y, metric, p)
    result = np.empty((len(x), len(y)), x.dtype)
    _distances(np.ascontiguousarray(x), np.ascontiguousarray(y), LOOPED[metric], x.dtype.type(p), result)
    return result


@distances_of_pairs.on("numba")
def _(x: Floats, y: Floats, indices: Integers, *, metric: str, p: float) -> Floats:
    if metric == "cosine" or x.dtype != y.dtype:
        distances: Floats = distances_of_pairs.agnostic(x, y, indices, metric=metric, p=p)
        return distances
    refuse_unfit_tables(x, y, metric, p)
    result = np.empty(indices.shape, x.dtype)
    kind = LOOPED.get(metric, SQUARED)
    tables = np.ascontiguousarray(x), np.ascontiguousarray(y), np.ascontiguousarray(indices)
    _distances_of_pairs(*tables, kind, x.dtype.type(p), result)
    return np.sqrt(result, out=result) if metric == "euclidean" else result


@numba.njit(fastmath={"nnan", "reassoc", "nsz"}, **COMPILED)
def _lowest(row, offset, start, stop):  # type: ignore[no-untyped-def]
    low = row[start] + offset[start]
    for j in range(start, stop):
        low = min(low, row[j] + offset[j])
    return low


@numba.njit(**COMPILED)
def _scan(x, offset, found):  # type: ignore[no-untyped-def]
    """Indices of the k smallest of x + offset in each row; most blocks of 64 are passed over by their minimum."""
    n, m = x.shape
    k = found.shape[1]
    best = np.empty(k, x.dtype)
    for i in range(n):
        row = x[i]
        near = found[i]
        best[:] = np.inf
        near[:] = m
        worst = best[k - 1]
        full = 0
        for start in range(0, m, 64):
            stop = min(start + 64, m)
            if full >= k and not _lowest(row, offset, start, stop) < worst:
                continue
            for j in range(start, stop):
                value = row[j] + offset[j]
                if full < k or value < worst:
                    place = min(full, k - 1)
                    while place > 0 and best[place - 1] > value:
                        best[place] = best[place - 1]
                        near[place] = near[place - 1]
                        place -= 1
                    best[place] = value
                    near[place] = j
                    full += 1
                    worst = best[k - 1]


@numba.njit(fastmath=SUMMED, **COMPILED)
def _distance(a, b, kind, p):  # type: ignore[no-untyped-def]
    total = a.dtype.type(0)
    if kind == MANHATTAN:
        for j in range(a.size):
            total += abs(a[j] - b[j])
    elif kind == CHEBYSHEV:
        for j in range(a.size):
            apart = abs(a[j] - b[j])
            if apart > total or apart != apart:
                total = apart
    elif kind == SQUARED:
        for j in range(a.size):
            apart = a[j] - b[j]
            total += apart * apart
    else:
        for j in range(a.size):
            total += abs(a[j] - b[j]) ** p
        total = total ** (1 / p)
    return total


@numba.njit(**COMPILED)
def _distances(x, y, kind, p, result):  # type: ignore[no-untyped-def]
    for i in range(len(x)):
        for j in range(len(y)):
            result[i, j] = _distance(x[i], y[j], kind, p)


@numba.njit(**COMPILED)
def _distances_of_pairs(x, y, indices, kind, p, result):  # type: ignore[no-untyped-def]
    for i in range(len(x)):
        for j in range(indices.shape[1]):
            result[i, j] = _distance(x[i], y[indices[i, j]], kind, p)
