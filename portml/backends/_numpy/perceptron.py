"""The perceptron's rule on NumPy: the vectors of one sample at a time, updated only where a sample is misjudged."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends.kernels.perceptron import perceptron_pass

__all__: list[str] = []

Floats = NDArray[Any]


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
    steps = rates * signs
    for i in order.tolist():
        sample = x[i]
        margin = signs[i] * (weights @ sample + intercept)
        wrong = margin <= 0
        if not wrong.any():
            continue
        step = np.where(wrong, steps[i], 0).astype(weights.dtype, copy=False)
        weights += step[:, None] * sample
        if fit_intercept:
            intercept += step
        losses -= np.minimum(margin, 0)
    return weights, intercept, losses
