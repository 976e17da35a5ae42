"""Working through arrays block by block, so that what passes from one NumPy call to the next stays in the cache."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BLOCK",
    "SMALL",
    "block_of",
    "flat_blocks",
    "given",
    "maximum",
    "minimum",
    "overwrite",
    "scratch",
    "slices",
    "workspace",
    "zero",
]

BLOCK = 1 << 16
"""Elements at a time.  Smaller blocks pay more for calls, larger ones fall out of a cache of one megabyte."""

SMALL = 2048
"""Up to so many elements the plain call is the fastest."""

KEPT = 1 << 25
"""Bytes: larger memory for passing use is not kept, since there page faults weigh less than what it takes up."""

_zero: dict[Any, NDArray[Any]] = {}


class _Scratch(threading.local):
    """A few blocks of memory for each thread, kept from call to call."""

    def __init__(self) -> None:
        self.blocks: dict[Any, NDArray[Any]] = {}


_scratch = _Scratch()


def given(result: Any, out: Any) -> Any:
    """A result that was worked out elsewhere, written to `out` where that is not None; tuples item by item."""
    if out is None:
        return result
    if isinstance(result, tuple):
        return tuple([given(each, there) for each, there in zip(result, out, strict=True)])
    out[...] = result
    return out


def slices(n: int) -> Iterator[slice]:
    """Cut range(n) into blocks."""
    for start in range(0, n, BLOCK):
        yield slice(start, min(start + BLOCK, n))


def maximum(x: NDArray[Any], value: float, out: NDArray[Any]) -> None:
    """Write max(x, value)."""
    np.maximum(x, _beside(x, value), out=out)


def minimum(x: NDArray[Any], value: float, out: NDArray[Any]) -> None:
    """Write min(x, value)."""
    np.minimum(x, _beside(x, value), out=out)


def flat_blocks(*arrays: NDArray[Any]) -> Iterator[tuple[NDArray[Any], ...]]:
    """Cut arrays of one size into flat blocks; small ones, and those of several orders in memory, come whole.

    Every block has an axis, so that NumPy gives arrays where it would give scalars.
    """
    size = arrays[0].size
    if arrays[0].ndim == 0:
        arrays = tuple([array.reshape(1) for array in arrays])
    flat = _flat(arrays) if size > BLOCK else None
    if flat is None:
        yield arrays
        return
    for block in slices(size):
        yield tuple([array[block] for array in flat])


def _flat(arrays: tuple[NDArray[Any], ...]) -> list[NDArray[Any]] | None:
    """The elements in the order in which all the arrays have them in memory; None if there is no such order."""
    if all(array.flags.c_contiguous for array in arrays):
        return [array.reshape(-1) for array in arrays]
    strides = arrays[0].strides
    order = sorted(range(len(strides)), key=lambda axis: -strides[axis])
    turned = [array.transpose(order) for array in arrays if array.ndim == len(order)]
    if len(turned) < len(arrays) or not all(array.flags.c_contiguous for array in turned):
        return None
    return [array.reshape(-1) for array in turned]


def scratch(dtype: Any, rows: int = 1) -> NDArray[Any]:
    """Memory of this thread, (rows, BLOCK), with no particular values: valid until the next call asks for it."""
    found = _scratch.blocks.get(dtype)
    if found is None or len(found) < rows:
        found = _scratch.blocks[dtype] = np.empty((rows, BLOCK), dtype)
    return found


def workspace(name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Memory of this thread with no particular values: valid until the next call asks for it by the same name.

    Fresh memory of more than some hundred kilobytes is handed out page by page, each with a fault when it is first
    written; that takes longer than the writing.
    """
    dtype = np.dtype(dtype)
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes > KEPT:
        return np.empty(shape, dtype)
    found = _scratch.blocks.get(name)
    if found is None or found.size < n_bytes:
        found = _scratch.blocks[name] = np.empty(n_bytes, np.uint8)
    memory: NDArray[Any] = found[:n_bytes].view(dtype)
    return memory.reshape(shape)


def overwrite(array: NDArray[Any], mask: NDArray[np.bool_], values: Any) -> None:
    """``array[mask] = values[mask]`` for floats, where the mask has no pattern that a branch could learn.

    The bits are exchanged, array ^ ((array ^ values) & mask): seven times as fast as ``copyto`` or ``where``.
    """
    if array.size <= SMALL:
        np.copyto(array, values, where=mask)
        return
    kind = np.dtype(f"i{array.dtype.itemsize}")
    bits = array.view(kind)
    every = mask.astype(kind)
    np.negative(every, out=every)
    difference = bits ^ np.asarray(values, array.dtype).view(kind)
    difference &= every
    np.bitwise_xor(bits, difference, out=bits)


@lru_cache(maxsize=32)
def block_of(value: float, dtype: Any) -> NDArray[Any]:
    """A block full of one number, (BLOCK,), not to be written.

    ``maximum`` and ``minimum`` are three times as fast with it as with the number itself.
    """
    made = np.full(BLOCK, value, dtype)
    made.flags.writeable = False
    return made


def _beside(x: NDArray[Any], value: float) -> NDArray[Any]:
    """The number in the form that is the fastest beside x."""
    if x.size <= SMALL or x.size > BLOCK:
        return block_of(value, x.dtype)[:1].reshape(())
    return block_of(value, x.dtype)[: x.size].reshape(x.shape)


def zero(dtype: Any) -> NDArray[Any]:
    """Zero without axes, not to be written: a small call is twice as fast with it as with a Python number."""
    found = _zero.get(dtype)
    if found is None:
        found = _zero[dtype] = np.zeros((), dtype)
        found.flags.writeable = False
    return found
