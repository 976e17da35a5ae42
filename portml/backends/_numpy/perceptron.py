"""The perceptron's rule on NumPy: weights change only at mistakes, so that samples are judged in blocks up to the next.

A block doubles while no sample in it is misjudged.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends.kernels.perceptron import perceptron_pass

__all__: list[str] = []

Floats = NDArray[Any]
SMALLEST, LARGEST = 8, 1024


@perceptron_pass.on("numpy")
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
    x, signs, steps = x[order], signs[order], (rates * signs)[order]
    place, size = 0, SMALLEST
    while place < x.shape[0]:
        margins = x[place : place + size] @ weights.T
        margins += intercept
        margins *= signs[place : place + size]
        wrong = np.less_equal(margins, 0)
        mistaken = wrong[:, 0] if wrong.shape[1] == 1 else wrong.any(axis=1)
        first = int(mistaken.argmax())
        if not mistaken[first]:
            place, size = place + size, min(2 * size, LARGEST)
            continue
        step = steps[place + first] * wrong[first]
        weights += step[:, None] * x[place + first]
        if fit_intercept:
            intercept += step
        losses -= np.minimum(margins[first], 0)
        place, size = place + first + 1, SMALLEST
    return weights, intercept, losses
