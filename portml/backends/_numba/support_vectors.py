"""Support vector machines compiled by Numba; the formulas stand in `portml.backends.kernels.support_vectors`."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED
from portml.backends._numpy.blocks import given
from portml.backends.kernels import support_vectors as twins
from portml.backends.kernels.support_vectors import SMALLEST_CURVATURE

__all__: list[str] = []

Floats = NDArray[Any]

REORDERED = {"nnan", "nsz", "reassoc", "contract", "arcp"}
"""Freedoms that vector instructions need; infinities must stay, as they mark what is at its bound."""


@twins.sequential_minimal_optimisation.on("numba")
def _(
    matrix: Floats,
    gradient: Floats,
    lowest: Floats,
    highest: Floats,
    *,
    tolerance: float,
    max_steps: int,
    out: Any = None,
) -> Any:
    twins.refuse_unfit_dual(matrix, gradient, lowest, highest)
    change = np.zeros(gradient.shape, gradient.dtype)
    real = gradient.dtype.type
    if gradient.size == 0:
        return given((change, np.asarray(0)), out)
    steps = _optimise(
        np.ascontiguousarray(matrix),
        np.array(gradient),
        np.ascontiguousarray(lowest),
        np.ascontiguousarray(highest),
        change,
        real(tolerance),
        max_steps,
        real(SMALLEST_CURVATURE),
    )
    return given((change, np.asarray(steps)), out)


@numba.njit(fastmath=REORDERED, **COMPILED)
def _optimise(
    matrix: Any, gradient: Any, lowest: Any, highest: Any, change: Any, tolerance: Any, max_steps: int, smallest: Any
) -> int:
    """Write the change; two passes over the variables a step, both in vector instructions."""
    n, total = matrix.shape[0], gradient.size
    zero, infinity, two = smallest * 0, gradient.dtype.type(np.inf), gradient.dtype.type(2)
    above, below = np.empty_like(gradient), np.empty_like(gradient)
    for t in range(total):
        above[t] = zero if zero < highest[t] else -infinity
        below[t] = zero if zero > lowest[t] else infinity
    diagonal, gain = np.empty(n, gradient.dtype), np.empty_like(gradient)
    for t in range(n):
        diagonal[t] = matrix[t, t]
    top = -infinity
    for t in range(total):
        top = max(top, gradient[t] + above[t])
    for step in range(max_steps):
        i = _place_of(top, gradient, above)
        row, own = matrix[i % n], diagonal[i % n]
        bottom, best = infinity, zero
        for start in range(0, total, n):
            g, b, o = gradient[start : start + n], below[start : start + n], gain[start : start + n]
            for t in range(n):
                value = g[t] + b[t]
                bottom = min(bottom, value)
                difference = max(top - value, zero)
                o[t] = difference * difference / max(own + diagonal[t] - two * row[t], smallest)
                best = max(best, o[t])
        if not top - bottom >= tolerance:
            return step
        j = 0
        while j < total - 1 and gain[j] != best:
            j += 1
        curvature = max(own + diagonal[j % n] - two * row[j % n], smallest)
        room_above, room_below = highest[i] - change[i], change[j] - lowest[j]
        length = min((top - gradient[j]) / curvature, min(room_above, room_below))
        change[i] = highest[i] if length == room_above else change[i] + length
        change[j] = lowest[j] if length == room_below else change[j] - length
        for t in (i, j):
            above[t] = zero if change[t] < highest[t] else -infinity
            below[t] = zero if change[t] > lowest[t] else infinity
        other, top = matrix[j % n], -infinity
        for start in range(0, total, n):
            g, a = gradient[start : start + n], above[start : start + n]
            for t in range(n):
                g[t] -= length * (row[t] - other[t])
                top = max(top, g[t] + a[t])
    return max_steps


@numba.njit(**COMPILED)
def _place_of(top: Any, gradient: Any, above: Any) -> int:
    """The first variable that has this gradient and may rise."""
    for t in range(gradient.size):
        if gradient[t] + above[t] == top:
            return t
    return 0


@twins.kernel_weighted_sum.on("numba")
def _(matrix: Floats, weights: Floats, out: Floats | None = None) -> Any:
    total = np.zeros(matrix.shape[1], weights.dtype)
    _add_rows(np.ascontiguousarray(matrix), np.ascontiguousarray(weights), total)
    return given(total, out)


@numba.njit(**COMPILED)
def _add_rows(matrix: Any, weights: Any, total: Any) -> None:
    for s in range(weights.size):
        weight = weights[s]
        if weight != 0:
            row = matrix[s]
            for t in range(total.size):
                total[t] += weight * row[t]


@twins.dual_coordinate_descent.on("numba")
def _(
    x: Floats,
    targets: Floats,
    bounds: Floats,
    shifts: Floats,
    alpha: Floats,
    weights: Floats,
    orders: NDArray[Any],
    out: Any = None,
) -> Any:
    alpha, weights, violations = np.array(alpha), np.array(weights), np.zeros(len(orders), x.dtype)
    vectors = map(np.ascontiguousarray, (x, targets, bounds, shifts))
    _descend(*vectors, alpha, weights, np.ascontiguousarray(orders), violations)
    return given((alpha, weights, violations), out)


@numba.njit(fastmath=REORDERED, **COMPILED)
def _descend(
    x: Any, targets: Any, bounds: Any, shifts: Any, alpha: Any, weights: Any, orders: Any, violations: Any
) -> None:
    n, n_features = x.shape
    zero = x.dtype.type(0)
    curvature = np.empty(n, x.dtype)
    for i in range(n):
        square = shifts[i]
        for k in range(n_features):
            square += x[i, k] * x[i, k]
        curvature[i] = square
    for turn in range(orders.shape[0]):
        largest, smallest = -x.dtype.type(np.inf), x.dtype.type(np.inf)
        for step in range(n):
            i = orders[turn, step]
            product = zero
            for k in range(n_features):
                product += weights[k] * x[i, k]
            old = alpha[i]
            gradient = targets[i] * product - x.dtype.type(1) + shifts[i] * old
            outwards = (old <= zero and gradient >= zero) or (old >= bounds[i] and gradient <= zero)
            projected = zero if outwards else gradient
            largest, smallest = max(largest, projected), min(smallest, projected)
            if outwards or curvature[i] <= zero:
                continue
            new = min(max(old - gradient / curvature[i], zero), bounds[i])
            alpha[i] = new
            move = (new - old) * targets[i]
            for k in range(n_features):
                weights[k] += move * x[i, k]
        violations[turn] = largest - smallest if n else zero
