"""Coordinate descent compiled: a sweep is a loop."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED
from portml.backends.kernels.coordinate_descent import coordinate_descent_columns, coordinate_descent_gram

__all__: list[str] = []

Floats = NDArray[Any]


@coordinate_descent_gram.on("numba")
def _(
    gram: Floats,
    correlation: Floats,
    weights: Floats,
    *,
    l1: float,
    l2: float,
    positive: bool,
    tolerance: float,
    sweeps: int,
) -> tuple[Floats, Floats, Floats]:
    w, q = weights.copy(), correlation - gram @ weights
    number = weights.dtype.type
    count = _gram_sweeps(np.ascontiguousarray(gram), q, w, number(l1), number(l2), positive, number(tolerance), sweeps)
    return w, q, np.asarray(count, dtype=np.int64)


@coordinate_descent_columns.on("numba")
def _(
    columns: Floats,
    residual: Floats,
    weights: Floats,
    *,
    l1: float,
    l2: float,
    positive: bool,
    tolerance: float,
    sweeps: int,
) -> tuple[Floats, Floats, Floats]:
    w, r = weights.copy(), residual.copy()
    number, columns = weights.dtype.type, np.ascontiguousarray(columns)
    squares = np.vecdot(columns, columns)
    count = _column_sweeps(columns, squares, r, w, number(l1), number(l2), positive, number(tolerance), sweeps)
    return w, r, np.asarray(count, dtype=np.int64)


@numba.njit(**COMPILED)
def _lowest(correlation, square, l1, l2, positive):  # type: ignore[no-untyped-def]
    if correlation > l1:
        return (correlation - l1) / (square + l2)
    if correlation < -l1 and not positive:
        return (correlation + l1) / (square + l2)
    return correlation * 0


@numba.njit(**COMPILED)
def _gram_sweeps(gram, q, w, l1, l2, positive, tolerance, sweeps):  # type: ignore[no-untyped-def]
    for count in range(1, sweeps + 1):
        largest_move = largest = l1 * 0
        for j in range(w.size):
            square = gram[j, j]
            if square > 0:
                before = w[j]
                target = _lowest(q[j] + square * before, square, l1, l2, positive)
                if target != before:
                    moved = target - before
                    w[j] = target
                    for k in range(w.size):
                        q[k] -= gram[j, k] * moved
                    largest_move = max(largest_move, abs(moved))
            largest = max(largest, abs(w[j]))
        if largest_move <= tolerance * largest:
            return count
    return sweeps


@numba.njit(fastmath={"reassoc", "contract"}, **COMPILED)
def _product(a, b):  # type: ignore[no-untyped-def]
    """A sum that may be taken in the order of the vector unit; NaN are kept."""
    total = a[0] * 0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@numba.njit(**COMPILED)
def _column_sweeps(columns, squares, r, w, l1, l2, positive, tolerance, sweeps):  # type: ignore[no-untyped-def]
    for count in range(1, sweeps + 1):
        largest_move = largest = l1 * 0
        for j in range(w.size):
            square = squares[j]
            if square > 0:
                before, column = w[j], columns[j]
                target = _lowest(_product(column, r) + square * before, square, l1, l2, positive)
                if target != before:
                    moved = target - before
                    w[j] = target
                    for i in range(r.size):
                        r[i] -= column[i] * moved
                    largest_move = max(largest_move, abs(moved))
            largest = max(largest, abs(w[j]))
        if largest_move <= tolerance * largest:
            return count
    return sweeps
