from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portml.backends.kernels import neighbors
from tests.backends.kernel_cases import Case, Draw, case, cases


@cases(neighbors.k_smallest, tolerance="exact", nan=False)
def k_smallest_cases(draw: Draw) -> Iterator[Case]:
    for n, m, k in ((1, 1, 1), (7, 33, 5), (3, 257, 1), (2, 1030, 7), (5, 700, 66), (4, 9, 9), (0, 7, 3)):
        yield case(draw.permutation(n, m), k=k)
    yield case(draw.integers(0, 4, 5, 1025).astype(draw.dtype), k=9)
    yield case(draw.integers(0, 300, 4, 2049).astype(draw.dtype), k=20)
    yield case(np.zeros((3, 500), draw.dtype), k=4)
    yield case(np.asarray([[np.inf] * 300, [np.inf, 1.0, -np.inf] * 100], draw.dtype), k=3)
    yield case(draw.permutation(300, 6).T, k=4)


@cases(neighbors.nearest_by_products, tolerance="exact", nan=False)
def nearest_by_products_cases(draw: Draw) -> Iterator[Case]:
    for n, m, k, height in ((1, 1, 1, 1), (7, 33, 5, 2), (70, 257, 3, 64), (5, 700, 66, 3), (0, 7, 3, 4)):
        # Small whole numbers, of which every product is exact and many are equal.
        x, y = (draw.integers(-3, 4, rows, 4).astype(draw.dtype) for rows in (n, m))
        yield case(x, y, 0.5 * np.sum(y * y, axis=1), k=k, height=height)
    wide = draw.integers(-3, 4, 9, 40).astype(draw.dtype)
    yield case(wide, wide, 0.5 * np.sum(wide * wide, axis=1), k=2, height=5)


@cases(neighbors.pairwise_distances, tolerance="reduction")
def pairwise_distances_cases(draw: Draw) -> Iterator[Case]:
    for metric, p in METRICS:
        yield case(draw.normal(7, 5), draw.normal(33, 5), metric=metric, p=p)
        yield case(draw.normal(0, 5), draw.normal(3, 5), metric=metric, p=p)
        yield case(draw.normal(3, 5), draw.normal(0, 5), metric=metric, p=p)
    for metric in ("manhattan", "euclidean", "cosine"):
        yield case(draw.normal(3, 0), draw.normal(2, 0), metric=metric, p=2.0)
        yield case(np.zeros((2, 3), draw.dtype), draw.normal(3, 4).T, metric=metric, p=2.0)


@cases(neighbors.distances_of_pairs, tolerance="reduction")
def distances_of_pairs_cases(draw: Draw) -> Iterator[Case]:
    for metric, p in METRICS:
        yield case(draw.normal(7, 5), draw.normal(33, 5), draw.integers(0, 33, 7, 3), metric=metric, p=p)
        yield case(draw.normal(0, 5), draw.normal(3, 5), draw.integers(0, 3, 0, 2), metric=metric, p=p)
    yield case(draw.normal(2, 0), draw.normal(3, 0), draw.integers(0, 3, 2, 2), metric="chebyshev", p=2.0)
    yield case(
        np.eye(3, dtype=draw.dtype)[:2] * 0,
        np.eye(3, dtype=draw.dtype),
        draw.integers(0, 3, 2, 2),
        metric="cosine",
        p=2.0,
    )
    yield case(draw.normal(5, 2).T, draw.normal(5, 3).T, draw.integers(0, 3, 3, 2).T, metric="euclidean", p=2.0)


METRICS = [(metric, 2.0) for metric in neighbors.METRICS] + [("minkowski", 3.0), ("minkowski", 0.5)]
