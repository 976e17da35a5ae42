"""Support vector machines on NumPy; the formulas stand in `portml.backends.kernels.support_vectors`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.blocks import BLOCK, given
from portml.backends.kernels import support_vectors as twins
from portml.backends.kernels.support_vectors import SMALLEST_CURVATURE

__all__: list[str] = []

Floats = NDArray[Any]


@twins.radial_basis.on("numpy")
def _(x: Floats, z: Floats, *, gamma: float, out: Floats | None = None) -> Any:
    if x.dtype != z.dtype or x.dtype.kind != "f" or x.size == 0 or z.size == 0:
        return given(twins.radial_basis.agnostic(x, z, gamma=gamma), out)
    result = out if out is not None and out.flags.c_contiguous else np.empty((len(x), len(z)), x.dtype)
    for rows, samples in _prepared(x, z, gamma):
        _exponentials(samples, rows, result[rows])
    return result if out is None or result is out else given(result, out)


@twins.radial_basis_sum.on("numpy")
def _(x: Floats, z: Floats, coefficients: Floats, *, gamma: float, out: Floats | None = None) -> Any:
    if len({each.dtype for each in (x, z, coefficients)}) > 1 or x.dtype.kind != "f" or x.size == 0 or z.size == 0:
        return given(twins.radial_basis_sum.agnostic(x, z, coefficients, gamma=gamma), out)
    result = np.empty((len(x), coefficients.shape[1]), x.dtype)
    block = None
    for rows, samples in _prepared(x, z, gamma):
        if block is None or len(block) != rows.stop - rows.start:
            block = np.empty((rows.stop - rows.start, len(z)), x.dtype)
        _exponentials(samples, rows, block)
        np.matmul(block, coefficients, out=result[rows])
    return given(result, out)


class _Samples(NamedTuple):
    """Centred samples: those of x, those of z scaled and turned, and the scaled squares of both."""

    x: Floats
    z: Floats
    squares_x: Floats
    squares_z: Floats


def _prepared(x: Floats, z: Floats, gamma: float) -> Iterator[tuple[slice, _Samples]]:
    """Blocks of rows of x.  Scaled beforehand, -gamma ||x - z||² is the product less half of either square."""
    centre = z.mean(axis=0)
    x, z = x - centre, z - centre
    squares_x, squares_z = gamma * np.vecdot(x, x)[:, np.newaxis], gamma * np.vecdot(z, z)
    samples = _Samples(x, z.T * z.dtype.type(2 * gamma), squares_x, squares_z)
    height = max(BLOCK // len(z), 1)
    for start in range(0, len(x), height):
        yield slice(start, min(start + height, len(x))), samples


def _exponentials(samples: _Samples, rows: slice, block: Floats) -> None:
    np.matmul(samples.x[rows], samples.z, out=block)
    np.subtract(block, samples.squares_x[rows], out=block)
    np.subtract(block, samples.squares_z, out=block)
    np.minimum(block, 0, out=block)
    np.exp(block, out=block)


@twins.kernel_weighted_sum.on("numpy")
def _(matrix: Floats, weights: Floats, out: Floats | None = None) -> Any:
    total = np.zeros(matrix.shape[1], weights.dtype)
    (changed,) = weights.nonzero()
    height = max(BLOCK // max(matrix.shape[1], 1), 1)
    for start in range(0, len(changed), height):
        block = changed[start : start + height]
        total += weights[block] @ matrix[block].astype(weights.dtype)
    return given(total, out)


@twins.sequential_minimal_optimisation.on("numpy")
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
    change = [0.0] * gradient.size
    steps = _optimise(matrix, gradient, lowest, highest, change, tolerance, max_steps) if change else 0
    return given((np.asarray(change, gradient.dtype), np.asarray(steps)), out)


def _optimise(
    matrix: Floats,
    gradient: Floats,
    lowest: Floats,
    highest: Floats,
    change: list[float],
    tolerance: float,
    max_steps: int,
) -> int:
    """Write the change; a step is a dozen calls on whole vectors, and single numbers are Python's own."""
    n, copies, real = len(matrix), gradient.size // len(matrix), gradient.dtype.type
    moving = gradient.reshape(copies, n).copy()
    above = np.where(highest > 0, real(0), real(-np.inf)).reshape(copies, n)
    below = np.where(lowest < 0, real(0), real(np.inf)).reshape(copies, n)
    flat, flat_above, flat_below = moving.reshape(-1), above.reshape(-1), below.reshape(-1)
    diagonal = matrix.diagonal().copy()
    lows, highs = lowest.tolist(), highest.tolist()
    work, line = np.empty_like(moving), np.empty(n, gradient.dtype)
    flat_work, zero, two, smallest = work.reshape(-1), real(0), real(2), real(SMALLEST_CURVATURE)
    add, subtract, multiply, divide, larger = np.add, np.subtract, np.multiply, np.divide, np.maximum
    smallest_of = np.minimum.reduce
    for step in range(max_steps):
        add(moving, above, work)
        i = int(flat_work.argmax())
        top, row = flat_work.item(i), matrix[i % n]
        add(moving, below, work)
        if not top - smallest_of(flat_work) >= tolerance:
            return step
        subtract(real(top), work, work)
        larger(work, zero, out=work)
        multiply(work, work, work)
        multiply(row, two, line)
        subtract(diagonal, line, line)
        add(line, diagonal[i % n], line)
        larger(line, smallest, out=line)
        divide(work, line, work)
        j = int(flat_work.argmax())
        room_above, room_below = highs[i] - change[i], change[j] - lows[j]
        length = min((top - flat.item(j)) / line.item(j % n), room_above, room_below)
        change[i] = highs[i] if length == room_above else change[i] + length
        change[j] = lows[j] if length == room_below else change[j] - length
        for t in (i, j):
            flat_above[t] = 0 if change[t] < highs[t] else -np.inf
            flat_below[t] = 0 if change[t] > lows[t] else np.inf
        subtract(row, matrix[j % n], line)
        multiply(line, real(length), line)
        subtract(moving, line, moving)
    return max_steps


@twins.dual_coordinate_descent.on("numpy")
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
    signed = x * targets[:, np.newaxis]
    curvatures, shift = (np.vecdot(x, x) + shifts).tolist(), shifts.tolist()
    values, most, weights = alpha.tolist(), bounds.tolist(), weights.copy()
    violations = np.zeros(len(orders), x.dtype)
    for turn, order in enumerate(orders.tolist()):
        largest, smallest = -np.inf, np.inf
        for i in order:
            row, old = signed[i], values[i]
            gradient = row.dot(weights).item() - 1 + shift[i] * old
            outwards = (old <= 0 and gradient >= 0) or (old >= most[i] and gradient <= 0)
            projected = 0.0 if outwards else gradient
            largest, smallest = max(largest, projected), min(smallest, projected)
            if not outwards and curvatures[i] > 0:
                values[i] = min(max(old - gradient / curvatures[i], 0.0), most[i])
                weights += row * x.dtype.type(values[i] - old)
        violations[turn] = largest - smallest if order else 0
    return given((np.asarray(values, x.dtype), weights, violations), out)
