"""Steps of k-means compiled: what a block of products says is used while it is in the cache.

Products with many centres are laid out (n_clusters, n_samples), so that the vector unit compares many samples with one
centre at a time.  With few centres the product itself takes most of the time, and is faster the other way around.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED
from portml.backends.kernels.clustering import lloyd_step, nearest_centers, refuse_unfit_centers
from portml.backends.kernels.neighbors import row_blocks

__all__: list[str] = []

Floats = NDArray[Any]
Integers = NDArray[np.int64]

HEIGHT, HEIGHT_FOR_FEW = 256, 512
"""Samples whose products are held at a time."""
FEW = 32
"""Up to so many centres are few."""


@nearest_centers.on("numba")
def _(x: Floats, centers: Floats) -> Integers:
    refuse_unfit_centers(x, centers, None)
    labels = np.empty(len(x), dtype=np.int64)
    for _ in _labelled_blocks(x, centers, labels):
        pass
    return labels


@lloyd_step.on("numba")
def _(x: Floats, weight: Floats | None, centers: Floats) -> tuple[Integers, Floats, Floats]:
    refuse_unfit_centers(x, centers, weight)
    x = np.ascontiguousarray(x)
    labels = np.empty(len(x), dtype=np.int64)
    sums, counts = np.zeros(centers.shape, x.dtype), np.zeros(len(centers), x.dtype)
    weights = np.empty(0, x.dtype) if weight is None else np.ascontiguousarray(weight)
    for rows in _labelled_blocks(x, centers, labels):
        _add(x[rows], labels[rows], weights[rows] if weights.size else weights, sums, counts)
    return labels, sums, counts


def _labelled_blocks(x: Floats, centers: Floats, labels: Integers) -> Any:
    """Slices of samples, each after its labels were written."""
    half_norms = 0.5 * np.vecdot(centers, centers)
    if len(centers) <= FEW:
        height, across = min(HEIGHT_FOR_FEW, len(x)), np.ascontiguousarray(centers.T)
        buffer = np.empty((height, len(centers)), x.dtype)
        for rows in row_blocks(len(x), HEIGHT_FOR_FEW):
            products = buffer[: rows.stop - rows.start]
            np.matmul(x[rows], across, out=products)
            _assign_rows(products, half_norms, labels[rows])
            yield rows
        return
    height = min(HEIGHT, len(x))
    best = np.empty(height, x.dtype)
    buffer = np.empty((len(centers), height), x.dtype)
    for rows in row_blocks(len(x), HEIGHT):
        products = buffer[:, : rows.stop - rows.start]
        np.matmul(centers, x[rows].T, out=products)
        _assign(products, half_norms, best, labels[rows])
        yield rows


@numba.njit(**COMPILED)
def _assign(products, half_norms, best, labels):  # type: ignore[no-untyped-def]
    """The centre with the largest product less half its squared length; the first of equal ones."""
    for i in range(labels.size):
        best[i] = products[0, i] - half_norms[0]
        labels[i] = 0
    for c in range(1, half_norms.size):
        half = half_norms[c]
        for i in range(labels.size):
            value = products[c, i] - half
            before = best[i]
            better = value > before
            best[i] = value if better else before
            labels[i] = c if better else labels[i]


@numba.njit(**COMPILED)
def _assign_rows(products, half_norms, labels):  # type: ignore[no-untyped-def]
    """As `_assign`, from products (n_samples, n_clusters)."""
    for i in range(labels.size):
        row = products[i]
        best, nearest = row[0] - half_norms[0], 0
        for c in range(1, half_norms.size):
            value = row[c] - half_norms[c]
            better = value > best
            best = value if better else best
            nearest = c if better else nearest
        labels[i] = nearest


@numba.njit(**COMPILED)
def _add(x, labels, weights, sums, counts):  # type: ignore[no-untyped-def]
    for i in range(len(x)):
        total = sums[labels[i]]
        if weights.size:
            w = weights[i]
            counts[labels[i]] += w
            for j in range(x.shape[1]):
                total[j] += w * x[i, j]
        else:
            counts[labels[i]] += 1
            for j in range(x.shape[1]):
                total[j] += x[i, j]
