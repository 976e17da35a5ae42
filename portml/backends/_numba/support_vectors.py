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

BLOCK = 512

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
    steps = 0
    if gradient.size:
        work = [np.empty_like(change) for _ in range(3)]
        steps = _optimise(
            np.ascontiguousarray(matrix),
            np.array(gradient),
            np.ascontiguousarray(lowest),
            np.ascontiguousarray(highest),
            change,
            gradient.dtype.type(tolerance),
            max_steps,
            gradient.dtype.type(SMALLEST_CURVATURE),
            *work,
            *(values.view(f"i{values.itemsize}") for values in work),
            np.iinfo(f"i{change.itemsize}").max,
        )
    return given((change, np.asarray(steps)), out)


@numba.njit(fastmath=REORDERED, **COMPILED)
def _optimise(
    matrix: Any,
    gradient: Any,
    lowest: Any,
    highest: Any,
    change: Any,
    tolerance: Any,
    max_steps: int,
    smallest: Any,
    rising: Any,
    differences: Any,
    gains: Any,
    rising_bits: Any,
    differences_bits: Any,
    gains_bits: Any,
    magnitude: int,
) -> int:
    """Write the change; two passes over the variables a step, both in vector instructions."""
    n, total = matrix.shape[0], gradient.size
    zero, infinity, two = smallest * 0, gradient.dtype.type(np.inf), gradient.dtype.type(2)
    above, below = np.empty_like(gradient), np.empty_like(gradient)
    for t in range(total):
        above[t] = zero if zero < highest[t] else -infinity
        below[t] = zero if zero > lowest[t] else infinity
        rising[t] = gradient[t] + above[t]
    diagonal = np.empty(n, gradient.dtype)
    for t in range(n):
        diagonal[t] = matrix[t, t]
    for step in range(max_steps):
        i = _first_largest(rising_bits, magnitude)
        top, row, own = rising[i], matrix[i % n], diagonal[i % n]
        for start in range(0, total, n):
            g, b = gradient[start : start + n], below[start : start + n]
            d, o = differences[start : start + n], gains[start : start + n]
            for t in range(n):
                difference = max(top - (g[t] + b[t]), zero)
                d[t] = difference
                o[t] = difference * difference / max(own + diagonal[t] - two * row[t], smallest)
        # Without violation the difference is cut off at zero, which no tolerance is below.
        if not differences[_first_largest(differences_bits, magnitude)] >= tolerance:
            return step
        j = _first_largest(gains_bits, magnitude)
        curvature = max(own + diagonal[j % n] - two * row[j % n], smallest)
        room_above, room_below = highest[i] - change[i], change[j] - lowest[j]
        length = min((top - gradient[j]) / curvature, min(room_above, room_below))
        change[i] = highest[i] if length == room_above else change[i] + length
        change[j] = lowest[j] if length == room_below else change[j] - length
        for t in (i, j):
            above[t] = zero if change[t] < highest[t] else -infinity
            below[t] = zero if change[t] > lowest[t] else infinity
        other = matrix[j % n]
        for start in range(0, total, n):
            g, a, r = gradient[start : start + n], above[start : start + n], rising[start : start + n]
            for t in range(n):
                moved = g[t] - length * (row[t] - other[t])
                g[t] = moved
                r[t] = moved + a[t]
    return max_steps


@numba.njit(**COMPILED)
def _first_largest(bits: Any, magnitude: int) -> int:
    """The place of the largest of floats, of equals the first, from their bits as integers.

    Floats are in the order of their bits once those of negative numbers are turned around; and the maximum of integers
    is found in vector instructions, which a compiler may not use for that of floats.
    """
    least = -(2**63)
    largest, begin = least, 0
    for start in range(0, bits.size, BLOCK):
        block = bits[start : start + BLOCK]
        here = least
        for t in range(block.size):
            bare: Any = np.int64(block[t])
            key = bare ^ ((bare >> 63) & magnitude)
            here = key if key > here else here
        if here > largest:
            largest, begin = here, start
    for t in range(begin, bits.size):
        bare = np.int64(bits[t])
        if bare ^ ((bare >> 63) & magnitude) == largest:
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
