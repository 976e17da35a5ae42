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

SMALL = 16.0
"""Squared means of so many variances lose too few digits to measure from elsewhere."""


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
    origin = _origin(means, variances, np.finfo(x.dtype).eps ** -0.4)
    if origin is None:
        # Multiplied out, large numbers would be subtracted.
        scores: Floats = gaussian_log_joint.agnostic(x, means, variances, log_priors)
        return scores
    moved, precision = means - origin, 1 / variances
    of_squares, of_values = (-0.5 * precision).T.copy(), (moved * precision).T.copy()
    constant = log_priors - 0.5 * (np.log(2 * math.pi * variances) + moved * moved * precision).sum(axis=1)
    n, d = x.shape
    height = max(1, min(BLOCK // max(2 * d, 1), n))
    room, products = np.empty((2, height, d), x.dtype), np.empty((height, len(means)), x.dtype)
    result = np.empty((n, len(means)), x.dtype)
    for start in range(0, n, height):
        rows, size = slice(start, start + height), min(height, n - start)
        values = np.subtract(x[rows], origin, out=room[0, :size]) if np.any(origin) else x[rows]
        squares = np.multiply(values, values, out=room[1, :size])
        np.matmul(squares, of_squares, out=result[rows])
        result[rows] += np.matmul(values, of_values, out=products[:size])
        result[rows] += constant
    return result


def _origin(means: Floats, variances: Floats, most: float) -> Floats | None:
    """From where to measure so that no squared mean is `most` variances: zero, the mean of the means, or None."""
    with np.errstate(all="ignore"):
        origins: list[tuple[Floats, float]] = [(np.zeros_like(means[0]), min(SMALL, most)), (means.mean(axis=0), most)]
        for origin, bound in origins:
            moved = means - origin
            if (moved * moved / variances).max(initial=0) < bound:
                return origin
    return None
