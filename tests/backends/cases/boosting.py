"""Cases of boosted trees: with and without second derivatives, missing values, stumps, nothing to gain."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portml.backends.kernels.boosting import boosted_splits, divide_rows, gradient_histograms, grow_boosted_tree
from tests.backends.cases.trees import rounded
from tests.backends.kernel_cases import Case, Draw, case, cases


@cases(gradient_histograms, tolerance="reduction", nan=False)
def gradient_histograms_cases(draw: Draw) -> Iterator[Case]:
    codes, slopes = draw.integers(0, 9, 300, 3, dtype="uint8"), rounded(draw, 300)
    for hessians in (None, np.abs(slopes)):
        yield case(codes, np.arange(300), slopes, hessians, n_codes=9)
        yield case(codes, draw.integers(0, 300, 33), slopes, hessians, n_codes=256)


@cases(boosted_splits, tolerance="reduction", nan=False)
def boosted_splits_cases(draw: Draw) -> Iterator[Case]:
    codes, slopes, bends = draw.integers(0, 9, 300, 3), rounded(draw, 300), np.abs(rounded(draw, 300)) + 0.25
    histograms = np.zeros((4, 3, 3, 9))
    for node, (rows, n_known) in enumerate(((300, 9), (200, 8), (60, 9), (20, 5))):
        for column in range(3):
            found = np.minimum(codes[:rows, column], n_known - 1)
            for sums, each in zip(histograms[node], (slopes, bends, np.ones(300)), strict=True):
                sums[column] = np.bincount(found, each[:rows], 9)
    yield case(histograms, min_samples_leaf=20, l2_regularization=0.0)
    yield case(histograms[:2], min_samples_leaf=1, l2_regularization=2.5)
    yield case(histograms[1:2], min_samples_leaf=150, l2_regularization=0.0)


@cases(divide_rows, tolerance="exact", nan=False)
def divide_rows_cases(draw: Draw) -> Iterator[Case]:
    for n in (257, 33, 1, 0):
        yield case(draw.integers(0, 1000, n), draw.normal(n) > 0.3)


@cases(grow_boosted_tree, tolerance="reduction", nan=False)
def grow_boosted_tree_cases(draw: Draw) -> Iterator[Case]:
    settings = {
        "n_codes": 17,
        "max_leaf_nodes": 8,
        "max_depth": 100,
        "min_samples_leaf": 5,
        "l2_regularization": 0.0,
    }
    for changed in ({}, {"max_depth": 2}, {"l2_regularization": 1.5, "min_samples_leaf": 20}, {"max_leaf_nodes": 2}):
        options = settings | changed
        codes, slopes = draw.integers(0, 17, 200, 3, dtype="uint8"), rounded(draw, 200)
        codes[:, 1] = np.minimum(codes[:, 1], 15)  # nothing missing
        slopes = slopes + codes[:, 0] % 4
        for hessians in (None, np.abs(rounded(draw, 200)) + 0.5):
            yield case(codes, slopes, hessians, **options)
    yield case(codes, np.ones(200), None, **settings)
