"""Sums and maxima along one axis, by the fastest way NumPy has for it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.blocks import BLOCK

__all__ = ["maximum_along", "ones", "row_blocks", "sum_along", "sum_of_products_along"]

Floats = NDArray[Any]

NARROW = 32
"""Up to so many columns the maximum of a row is found on the transposed copy, a whole column at a time."""


def maximum_along(x: Floats, axis: int) -> Floats:
    """The maximum, its axis kept; NaN where there is one."""
    highest: Floats
    if not _is_last(x, axis) or x.size == 0:
        highest = np.maximum.reduce(x, axis=axis, keepdims=True)
        return highest
    rows = x.reshape(-1, x.shape[-1])
    if rows.shape[1] <= NARROW:
        highest = np.maximum.reduce(np.ascontiguousarray(rows.T), axis=0)
    else:
        # argmax is vectorised over a row, max is not.
        highest = rows[np.arange(len(rows)), rows.argmax(axis=1)]
    return highest.reshape(*x.shape[:-1], 1)


def sum_along(x: Floats, axis: int) -> Floats:
    """The sum, its axis kept."""
    total: Floats
    if not _is_last(x, axis) or x.size == 0:
        total = np.add.reduce(x, axis=axis, keepdims=True)
        return total
    width = x.shape[-1]
    total = x.reshape(-1, width) @ ones(width, x.dtype)
    return total.reshape(*x.shape[:-1], 1)


def sum_of_products_along(x: Floats, y: Floats, axis: int) -> Floats:
    """The sum of x y, its axis kept."""
    if not _is_last(x, axis):
        return sum_along(x * y, axis)
    total: Floats = np.vecdot(x, y)
    return total[..., np.newaxis]


def ones(n: int, dtype: Any) -> Floats:
    """A vector of ones, not to be written: a product with it is three times as fast as a sum over rows."""
    return _ones(max(n - 1, 0).bit_length(), dtype)[:n]


def row_blocks(axis: int, *arrays: Floats) -> Iterator[tuple[Floats, ...]]:
    """Cut arrays of one shape into blocks of whole rows, where `axis` is their last and they are contiguous.

    The blocks are two-dimensional then; otherwise the arrays come as they are.  Either way `axis` stays what it was if
    it is counted from the end.
    """
    first = arrays[0]
    if first.size <= BLOCK or not _is_last(first, axis) or not all(array.flags.c_contiguous for array in arrays):
        yield arrays
        return
    flat = [array.reshape(-1, first.shape[-1]) for array in arrays]
    height = max(BLOCK // first.shape[-1], 1)
    for start in range(0, len(flat[0]), height):
        yield tuple([array[start : start + height] for array in flat])


@lru_cache(maxsize=64)
def _ones(bits: int, dtype: Any) -> Floats:
    made = np.ones(1 << bits, dtype)
    made.flags.writeable = False
    return made


def _is_last(x: Floats, axis: int) -> bool:
    return axis in (-1, x.ndim - 1)
