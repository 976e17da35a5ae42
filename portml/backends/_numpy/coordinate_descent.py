"""Coordinate descent on NumPy: numbers that are looked at one by one are Python's, vectors are updated in place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends.kernels.coordinate_descent import coordinate_descent_columns, coordinate_descent_gram

__all__: list[str] = []

Floats = NDArray[Any]


@coordinate_descent_gram.on("numpy")
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
    q = correlation - gram @ weights
    read, rows, moved = q.item, list(gram), np.empty_like(q)
    squares, w = np.diagonal(gram).tolist(), weights.tolist()
    count = 0
    while count < sweeps:
        count += 1
        largest_move = 0.0
        for j, square in enumerate(squares):
            if square <= 0.0:
                continue
            before = w[j]
            target = _lowest(read(j) + square * before, square, l1, l2, positive)
            if target != before:
                w[j] = target
                np.multiply(rows[j], target - before, out=moved)
                np.subtract(q, moved, out=q)
                largest_move = max(largest_move, abs(target - before))
        if largest_move <= tolerance * _largest(w):
            break
    return np.asarray(w, dtype=weights.dtype), q, np.asarray(count, dtype=np.int64)


@coordinate_descent_columns.on("numpy")
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
    r = residual.copy()
    rows, moved = list(np.ascontiguousarray(columns)), np.empty_like(r)
    squares, w = np.vecdot(columns, columns).tolist(), weights.tolist()
    count = 0
    while count < sweeps:
        count += 1
        largest_move = 0.0
        for j, square in enumerate(squares):
            if square <= 0.0:
                continue
            before, row = w[j], rows[j]
            target = _lowest(float(row @ r) + square * before, square, l1, l2, positive)
            if target != before:
                w[j] = target
                np.multiply(row, target - before, out=moved)
                np.subtract(r, moved, out=r)
                largest_move = max(largest_move, abs(target - before))
        if largest_move <= tolerance * _largest(w):
            break
    return np.asarray(w, dtype=weights.dtype), r, np.asarray(count, dtype=np.int64)


def _lowest(correlation: float, square: float, l1: float, l2: float, positive: bool) -> float:
    if correlation > l1:
        return (correlation - l1) / (square + l2)
    if correlation < -l1 and not positive:
        return (correlation + l1) / (square + l2)
    return 0.0


def _largest(w: list[float]) -> float:
    return max(map(abs, w), default=0.0)
