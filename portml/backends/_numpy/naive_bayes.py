"""Naive Bayes on NumPy: classes one after another in moments, and all at once, as a matrix product, in densities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.blocks import BLOCK
from portml.backends._numpy.reductions import ones
from portml.backends.kernels.naive_bayes import (
    class_moments,
    gaussian_log_joint,
    refuse_unfit_classes,
    refuse_unfit_samples,
)

__all__: list[str] = []

Floats = NDArray[Any]


@class_moments.on("numpy")
def _(x: Floats, codes: NDArray[np.int64], weight: Floats | None, *, n_classes: int) -> tuple[Floats, Floats, Floats]:
    refuse_unfit_samples(x, codes, weight)
    counts = np.bincount(codes, weight, n_classes).astype(x.dtype)
    means, variances = (np.zeros((n_classes, x.shape[1]), x.dtype) for _ in range(2))
    order = np.argsort(codes, kind="stable")
    stops = np.cumsum(np.bincount(codes, minlength=n_classes)).tolist()
    for c, (start, stop) in enumerate(zip([0, *stops[:-1]], stops, strict=True)):
        if counts[c] != 0:
            members = order[start:stop]
            mine = x[members]
            share = ones(stop - start, x.dtype) if weight is None else weight[members]
            mean = share @ mine / counts[c]
            mine -= mean
            rest = share @ mine / counts[c]
            mine *= mine
            means[c] = mean + rest
            variances[c] = np.maximum(share @ mine / counts[c] - rest * rest, 0)
    return counts, means, variances


@gaussian_log_joint.on("numpy")
def _(x: Floats, means: Floats, variances: Floats, log_priors: Floats) -> Floats:
    refuse_unfit_classes(x, means, variances, log_priors)
    origin = means.mean(axis=0)
    moved = means - origin
    with np.errstate(all="ignore"):
        ratio = (moved * moved / variances).max(initial=0)
    if not ratio < np.finfo(x.dtype).eps ** -0.4:
        # Multiplied out, large numbers would be subtracted.
        scores: Floats = gaussian_log_joint.agnostic(x, means, variances, log_priors)
        return scores
    precision = 1 / variances
    factors = np.concatenate([-0.5 * precision, moved * precision], axis=1).T
    constant = log_priors - 0.5 * (np.log(2 * math.pi * variances) + moved * moved * precision).sum(axis=1)
    n, d = x.shape
    height = max(1, BLOCK // max(2 * d, 1))
    both = np.empty((min(height, n), 2 * d), x.dtype)
    result = np.empty((n, len(means)), x.dtype)
    for start in range(0, n, height):
        block = both[: min(height, n - start)]
        np.subtract(x[start : start + height], origin, out=block[:, d:])
        np.multiply(block[:, d:], block[:, d:], out=block[:, :d])
        np.matmul(block, factors, out=result[start : start + height])
    result += constant
    return result
