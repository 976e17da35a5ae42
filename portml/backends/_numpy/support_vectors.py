"""Support vector machines on NumPy; the formulas stand in `portml.backends.kernels.support_vectors`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.blocks import BLOCK, given
from portml.backends.kernels import support_vectors as twins
from portml.backends.kernels.support_vectors import SMALLEST_CURVATURE

__all__: list[str] = []

Floats = NDArray[Any]


@twins.radial_basis.on("numpy")
def _(x: Floats, z: Floats, *, gamma: float, out: Floats | None = None) -> Any:
    if x.dtype != z.dtype or x.dtype.kind != "f" or x.size * z.size == 0:
        return given(twins.radial_basis.agnostic(x, z, gamma=gamma), out)
    result = out if out is not None and out.flags.c_contiguous else np.empty((len(x), len(z)), x.dtype)
    for rows, left, right in _prepared(x, z, gamma):
        _exponentials(left, right, result[rows])
    return result if out is None or result is out else given(result, out)


@twins.radial_basis_sum.on("numpy")
def _(x: Floats, z: Floats, coefficients: Floats, *, gamma: float, out: Floats | None = None) -> Any:
    if len({each.dtype for each in (x, z, coefficients)}) > 1 or x.dtype.kind != "f" or x.size * z.size == 0:
        return given(twins.radial_basis_sum.agnostic(x, z, coefficients, gamma=gamma), out)
    result = np.empty((len(x), coefficients.shape[1]), x.dtype)
    block = None
    for rows, left, right in _prepared(x, z, gamma):
        if block is None or len(block) != rows.stop - rows.start:
            block = np.empty((rows.stop - rows.start, len(z)), x.dtype)
        _exponentials(left, right, block)
        np.matmul(block, coefficients, out=result[rows])
    return given(result, out)


def _prepared(x: Floats, z: Floats, gamma: float) -> Iterator[tuple[slice, Floats, Floats]]:
    """Blocks of rows of x, and what to multiply them with for -gamma ||x - z||².

    With two more columns the product of matrices adds the squares too: (x, gamma ||x||², 1) · (2 gamma z, -1, -gamma
    ||z||²).
    """
    centre, real = z.mean(axis=0), z.dtype.type
    left, right = np.empty((len(x), x.shape[1] + 2), x.dtype), np.empty((x.shape[1] + 2, len(z)), x.dtype)
    np.subtract(x, centre, out=left[:, :-2])
    np.subtract(z.T, centre[:, np.newaxis], out=right[:-2])
    left[:, -2] = real(gamma) * np.vecdot(left[:, :-2], left[:, :-2])
    left[:, -1] = 1
    right[-2] = -1
    right[-1] = real(-gamma) * np.sum(np.square(right[:-2]), axis=0)
    right[:-2] *= real(2 * gamma)
    height = max(2 * BLOCK // len(z), 1)
    for start in range(0, len(x), height):
        rows = slice(start, min(start + height, len(x)))
        yield rows, left[rows], right


def _exponentials(left: Floats, right: Floats, block: Floats) -> None:
    np.matmul(left, right, out=block)
    np.minimum(block, 0, out=block)
    np.exp(block, out=block)


@twins.kernel_weighted_sum.on("numpy")
def _(matrix: Floats, weights: Floats, out: Floats | None = None) -> Any:
    total = np.zeros(matrix.shape[1], weights.dtype)
    (changed,) = weights.nonzero()
    height = max(BLOCK // max(matrix.shape[1], 1), 1)
    rows = np.empty((min(height, len(changed)), matrix.shape[1]), weights.dtype)
    for start in range(0, len(changed), height):
        block = changed[start : start + height]
        rows[: len(block)] = matrix[block]
        total += weights[block] @ rows[: len(block)]
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
    """Write the change; a step is a dozen calls on whole vectors, and single numbers are Python's own.

    The gradients are kept twice, with infinities for what may not rise and what may not fall.
    """
    n, copies, real = len(matrix), gradient.size // len(matrix), gradient.dtype.type
    rising = np.where(highest > 0, gradient, real(-np.inf)).reshape(copies, n)
    falling = np.where(lowest < 0, gradient, real(np.inf)).reshape(copies, n)
    work, line = np.empty_like(rising), np.empty(n, gradient.dtype)
    flat_rising, flat_falling, flat_work = rising.reshape(-1), falling.reshape(-1), work.reshape(-1)
    lows, highs = lowest.tolist(), highest.tolist()
    # Half of every curvature, whose common factor of two changes no comparison.
    halves = matrix.diagonal() / real(2)
    half_of, zero, smallest = halves.tolist(), real(0), real(SMALLEST_CURVATURE / 2)
    add, subtract, multiply, divide, larger = np.add, np.subtract, np.multiply, np.divide, np.maximum
    for step in range(max_steps):
        i = int(flat_rising.argmax())
        first = i % n
        top, row = flat_rising[i], matrix[first]
        subtract(top, falling, work)
        larger(work, zero, out=work)
        multiply(work, work, work)
        subtract(halves, row, line)
        add(line, half_of[first], line)
        larger(line, smallest, out=line)
        divide(work, line, work)
        j = int(flat_work.argmax())
        difference = float(top) - flat_falling.item(j)
        # The largest difference is at least that of the chosen pair, so that it need not be looked for every time.
        if not difference >= tolerance and not float(top) - float(flat_falling.min()) >= tolerance:
            return step
        second = j % n
        room_above, room_below = highs[i] - change[i], change[j] - lows[j]
        length = min(difference / (2 * line.item(second)), room_above, room_below)
        subtract(row, matrix[second], line)
        multiply(line, real(length), line)
        subtract(rising, line, rising)
        subtract(falling, line, falling)
        change[i] = highs[i] if length == room_above else change[i] + length
        change[j] = lows[j] if length == room_below else change[j] - length
        # The one could rise and the other fall; what else each may do has changed perhaps.
        value, other = flat_rising[i], flat_falling[j]
        flat_falling[i] = value if change[i] > lows[i] else np.inf
        flat_rising[j] = other if change[j] < highs[j] else -np.inf
        if not change[i] < highs[i]:
            flat_rising[i] = -np.inf
        if not change[j] > lows[j]:
            flat_falling[j] = np.inf
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
