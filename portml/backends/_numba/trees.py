"""Reading decision trees, compiled: each sample walks alone, and only as far as it must."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED
from portml.backends.kernels.trees import tree_leaves

__all__: list[str] = []

Numbers = NDArray[Any]


@tree_leaves.on("numba")
def _(
    X: Numbers,
    feature: Numbers,
    threshold: Numbers,
    missing_left: Numbers,
    left: Numbers,
    right: Numbers,
    *,
    depth: int,
) -> Numbers:
    leaves = np.empty(X.shape[0], np.int64)
    _leaves(X, feature, threshold, missing_left, left, right, leaves)
    return leaves


@numba.njit(**COMPILED)
def _leaves(X: Any, feature: Any, threshold: Any, missing_left: Any, left: Any, right: Any, leaves: Any) -> None:
    for row in range(X.shape[0]):
        node = 0
        while left[node] >= 0:
            value = X[row, feature[node]]
            goes_left = missing_left[node] if np.isnan(value) else value <= threshold[node]
            node = left[node] if goes_left else right[node]
        leaves[row] = node
