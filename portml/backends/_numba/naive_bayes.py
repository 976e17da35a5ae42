"""Moments of classes compiled: two passes over the samples in the order they come."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED
from portml.backends.kernels.naive_bayes import class_moments, refuse_unfit_samples
from portml.backends.kernels.rows import refuse_outside

__all__: list[str] = []

Floats = NDArray[Any]


@class_moments.on("numba")
def _(x: Floats, codes: NDArray[np.int64], weight: Floats | None, *, n_classes: int) -> tuple[Floats, Floats, Floats]:
    refuse_unfit_samples(x, codes, weight)
    refuse_outside("codes", codes, 0, n_classes)
    counts = np.bincount(codes, weight, n_classes)
    means, rest, variances = np.zeros((3, n_classes, x.shape[1]))
    weights = np.ones(1, x.dtype) if weight is None else np.ascontiguousarray(weight)
    _moments(np.ascontiguousarray(x), codes, weights, counts, means, rest, variances)
    return counts.astype(x.dtype), (means + rest).astype(x.dtype), np.maximum(variances, 0).astype(x.dtype)


@numba.njit(**COMPILED)
def _moments(x, codes, weights, counts, means, rest, variances):  # type: ignore[no-untyped-def]
    weighted = weights.size > 1
    for i in range(len(x)):
        w = weights[i] if weighted else weights[0]
        mean = means[codes[i]]
        for j in range(x.shape[1]):
            mean[j] += w * x[i, j]
    for c in range(counts.size):
        if counts[c] != 0:
            means[c] /= counts[c]
    for i in range(len(x)):
        w = weights[i] if weighted else weights[0]
        c = codes[i]
        mean, left, variance = means[c], rest[c], variances[c]
        for j in range(x.shape[1]):
            apart = x[i, j] - mean[j]
            left[j] += w * apart
            variance[j] += w * apart * apart
    for c in range(counts.size):
        if counts[c] != 0:
            rest[c] /= counts[c]
            for j in range(x.shape[1]):
                variances[c, j] = variances[c, j] / counts[c] - rest[c, j] * rest[c, j]
        else:
            means[c, :] = 0
            rest[c, :] = 0
            variances[c, :] = 0
