"""The perceptron's rule compiled: a loop over the samples, and over the outputs of each."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED
from portml.backends.kernels.perceptron import perceptron_pass

__all__: list[str] = []

Floats = NDArray[Any]


@perceptron_pass.on("numba")
def _(
    x: Floats,
    signs: Floats,
    rates: Floats,
    order: NDArray[np.int64],
    weights: Floats,
    intercept: Floats,
    *,
    fit_intercept: bool,
) -> tuple[Floats, Floats, Floats]:
    weights, intercept, losses = weights.copy(), intercept.copy(), np.zeros_like(intercept)
    _pass(np.ascontiguousarray(x), signs, rates, order, weights, intercept, losses, fit_intercept)
    return weights, intercept, losses


@numba.njit(fastmath={"reassoc", "contract"}, **COMPILED)
def _product(a, b):  # type: ignore[no-untyped-def]
    """A sum that may be taken in the order of the vector unit; NaN are kept."""
    total = b[0] * 0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@numba.njit(**COMPILED)
def _pass(x, signs, rates, order, weights, intercept, losses, fit_intercept):  # type: ignore[no-untyped-def]
    for i in order:
        sample = x[i]
        for k in range(intercept.size):
            margin = signs[i, k] * (_product(sample, weights[k]) + intercept[k])
            if margin <= 0:
                step = rates[i, k] * signs[i, k]
                for j in range(sample.size):
                    weights[k, j] += step * sample[j]
                if fit_intercept:
                    intercept[k] += step
                losses[k] -= margin
