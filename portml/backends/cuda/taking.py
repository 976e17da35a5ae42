"""Taking elements by number on CuPy's arrays, where CuPy itself would wrap a number out of range silently.

What such a number would have given is NaN, or 0 among integers, and nobody waits for the device to find it.  Numbers
from -n to -1 count from the end, as everywhere.
"""

from __future__ import annotations

import math
from typing import Any

from portml.backends.namespaces import Array, dtype_kind, namespace
from portml.backends.operations import operation
from portml.errors import ArgumentError


@operation("take").on("cupy")
def _take(x: Array, indices: Array, *, axis: int | None) -> Array:
    if axis is None and x.ndim != 1:
        raise ArgumentError(f"axis: an array of shape {tuple(x.shape)} has more than one; say which")
    axis = 0 if axis is None else axis % x.ndim
    valid, safe = _within(indices, x.shape[axis])
    xp = namespace(x, indices)
    along = xp.reshape(valid, (*valid.shape, *[1] * (x.ndim - axis - 1)))
    return xp.where(along, xp.take(x, safe, axis=axis), _nothing(x))


@operation("take_along_axis").on("cupy")
def _take_along_axis(x: Array, indices: Array, *, axis: int) -> Array:
    valid, safe = _within(indices, x.shape[axis])
    xp = namespace(x, indices)
    return xp.where(valid, xp.take_along_axis(x, safe, axis=axis), _nothing(x))


def _within(indices: Array, n: int) -> tuple[Array, Array]:
    """Which indices are in range, and all of them made safe to take with."""
    valid = (indices >= -n) & (indices < n)
    return valid, namespace(indices).where(valid, indices, 0)


def _nothing(x: Array) -> Any:
    """What stands for an element that is not there."""
    kind = dtype_kind(x.dtype)
    return math.nan if kind in ("float", "complex") else False if kind == "bool" else 0
