"""Steps of k-means on NumPy: products in memory that is used again, and sums over samples brought in order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.reductions import ones
from portml.backends.kernels.clustering import lloyd_step, nearest_centers, refuse_unfit_centers
from portml.backends.kernels.neighbors import row_blocks

__all__: list[str] = []

Floats = NDArray[Any]
Integers = NDArray[np.int64]

PRODUCTS = 1 << 15
"""Products of samples with centres that are held at a time: what is read again is then still in the cache."""

SORTED = 1 << 20
"""Numbers that are brought into the order of their clusters at a time."""


@nearest_centers.on("numpy")
def _(x: Floats, centers: Floats) -> Integers:
    refuse_unfit_centers(x, centers, None)
    half_norms, across = 0.5 * np.vecdot(centers, centers), np.ascontiguousarray(centers.T)
    labels = np.empty(len(x), dtype=np.int64)
    height = max(64, PRODUCTS // len(centers))
    buffer = np.empty((min(height, len(x)), len(centers)), x.dtype)
    for rows in row_blocks(len(x), height):
        block = buffer[: rows.stop - rows.start]
        np.matmul(x[rows], across, out=block)
        block -= half_norms
        np.argmax(block, axis=1, out=labels[rows])
    return labels


@lloyd_step.on("numpy")
def _(x: Floats, weight: Floats | None, centers: Floats) -> tuple[Integers, Floats, Floats]:
    refuse_unfit_centers(x, centers, weight)
    k = len(centers)
    labels: Integers = nearest_centers(x, centers)
    sums = np.zeros(centers.shape, x.dtype)
    counts = np.bincount(labels, weight, k).astype(x.dtype)
    short = labels.astype(np.uint8 if k <= 256 else np.uint16 if k <= 1 << 16 else np.int64)
    for rows in row_blocks(len(x), max(SORTED // max(x.shape[1], 1), 64 * k)):
        order = np.argsort(short[rows], kind="stable")
        stops = np.cumsum(np.bincount(labels[rows], minlength=k)).tolist()
        samples = x[rows].take(order, axis=0)
        share = ones(len(order), x.dtype) if weight is None else weight[rows][order]
        for c, (start, stop) in enumerate(zip([0, *stops[:-1]], stops, strict=True)):
            if stop > start:
                sums[c] += share[start:stop] @ samples[start:stop]
    return labels, sums, counts
