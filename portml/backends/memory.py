"""Where an array's numbers lie: whether two arrays share memory, and arrays laid out in one block.

What a recording needs to know of arrays, and what the standard does not say.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from portml.backends.backend import Backend
from portml.backends.namespaces import Array, namespace

__all__ = [
    "ALIGNMENT",
    "Extent",
    "as_array",
    "axis_order",
    "carve",
    "copy_in_place",
    "dense_order",
    "extent",
    "item_bytes",
    "layout",
    "make_block",
    "runs_backward",
    "same_layout",
]

ALIGNMENT = 64
"""Bytes: a cache line, and what vector instructions want."""

_GAPS_AT_MOST = 4  # times the elements themselves


@dataclass(frozen=True, eq=False, slots=True)
class Extent:
    """The bytes between the first and the last element of an array.

    Attributes
    ----------
    owner : object
        The object whose memory it is; two arrays share memory only if this is one and the same.
    start, stop : int
        Addresses; `stop` is exclusive.
    """

    owner: Any
    start: int
    stop: int

    def is_that_of(self, other: Extent) -> bool:
        """Whether both are the same bytes."""
        return self.owner is other.owner and (self.start, self.stop) == (other.start, other.stop)

    def meets(self, other: Extent) -> bool:
        """Whether some byte may belong to both."""
        return self.owner is other.owner and self.start < other.stop and other.start < self.stop


def extent(array: Array) -> Extent:
    """Where an array lies.  A scalar of NumPy's, and an array of a library that does not tell, lies by itself."""
    array = getattr(array, "_array", array)  # array-api-strict wraps NumPy's
    if isinstance(array, np.ndarray):
        owner: Any = array
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        start, stop = np.lib.array_utils.byte_bounds(array)
        return Extent(owner, start, stop)
    pointer = getattr(getattr(array, "data", None), "mem", None)
    if pointer is None:
        return Extent(array, 0, 1)
    first = int(array.data.ptr)
    reach = sum((length - 1) * step for length, step in zip(array.shape, array.strides, strict=True) if length > 1)
    return Extent(pointer, first + min(0, reach), first + max(0, reach) + array.itemsize)


def dense_order(array: Array) -> tuple[int, ...] | None:
    """The axes from the slowest to the fastest, if the elements fill one stretch of memory; None if they do not."""
    strides = getattr(array, "strides", None)
    if strides is None:
        return None
    order = tuple(sorted(range(array.ndim), key=lambda axis: (-strides[axis], -array.shape[axis], axis)))
    expected = array.itemsize
    for axis in reversed(order):
        if array.shape[axis] != 1 and strides[axis] != expected:
            return None
        expected *= array.shape[axis]
    return order


def axis_order(array: Array) -> tuple[int, ...]:
    """The axes longer than 1 from the slowest to the fastest, whether or not there are gaps between the elements.

    It is what the order of a sum, and the layout of what is worked out, follow.  A library that does not tell has its
    axes in their order.
    """
    array = getattr(array, "_array", array)
    long = [axis for axis in range(array.ndim) if array.shape[axis] > 1]
    strides = getattr(array, "strides", None)
    return tuple(long if strides is None else sorted(long, key=lambda axis: -abs(strides[axis])))


def layout(array: Array) -> tuple[Any, ...]:
    """What an array must have in common with another for a sum of its numbers to be rounded alike.

    The order of its axes, where the elements fill one stretch of memory; NumPy's strides, where there are gaps that
    `copy_in_place` keeps.
    """
    return ("strides", *array.strides) if _has_gaps_to_keep(array) else axis_order(array)


def runs_backward(array: Array) -> bool:
    """Whether some axis goes down in memory: NumPy may turn it round, or not, by where a result is written."""
    return any(stride < 0 for stride in getattr(array, "strides", None) or ())


def same_layout(one: Array, other: Array) -> bool:
    """Whether two arrays of one shape have one layout."""
    strides = getattr(one, "strides", None)
    return (strides is not None and strides == other.strides) or layout(one) == layout(other)


def copy_in_place(array: Array) -> Array:
    """A copy of the same layout."""
    if not _has_gaps_to_keep(array):
        return namespace(array).asarray(array, copy=True)
    lying = extent(array)
    block = np.empty(lying.stop - lying.start, "uint8")
    first = array.__array_interface__["data"][0] - lying.start
    made: Array = np.ndarray(array.shape, array.dtype, block, first, array.strides)
    made[...] = array
    return made


def _has_gaps_to_keep(array: Array) -> bool:
    """Whether elements of a NumPy array lie apart, or in one another's place; wide gaps would waste memory."""
    if type(array) is not np.ndarray or array.size == 0 or dense_order(array) is not None:
        return False
    lying = extent(array)
    return bool(lying.stop - lying.start <= _GAPS_AT_MOST * array.nbytes)


def as_array(result: Any) -> Any:
    """A scalar of NumPy's as an array of no axes, tuples by their parts; all else as it is.

    NumPy's reductions give scalars: some are numbers of Python's too, and there is but one of True and of False.
    """
    if isinstance(result, tuple):
        return tuple(map(as_array, result))
    return np.asarray(result) if isinstance(result, np.generic) else result


def item_bytes(dtype: Any) -> int:
    """Bytes of one number of a data type; the types of some libraries say it in their name only."""
    size = getattr(dtype, "itemsize", None)
    bits = re.search(r"\d+$", str(dtype))
    return int(size) if size is not None else int(bits.group()) // 8 if bits else 1


def make_block(backend: Backend, n_bytes: int) -> Array:
    """A block of bytes (n_bytes,) that begins at a multiple of `ALIGNMENT`."""
    block = backend.zeros((n_bytes + ALIGNMENT,), "uint8")
    offset = -extent(block).start % ALIGNMENT
    return block[offset : offset + n_bytes]


def carve(block: Array, offset: int, shape: Sequence[int], dtype: Any, order: Sequence[int]) -> Array:
    """An array of that shape and type inside a block; `order` names its axes from the slowest to the fastest."""
    ordered = tuple(shape[axis] for axis in order)
    size = math.prod(ordered) * dtype.itemsize
    lying = block[offset : offset + size].view(dtype).reshape(ordered)
    back = sorted(range(len(order)), key=lambda place: order[place])
    return lying.transpose(back)
