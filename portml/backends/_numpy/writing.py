"""Operations of the standard that write their result where they are told, on NumPy.

NumPy's universal functions take ``out=`` themselves; here are the others for which it pays.  A replayed step calls
them on memory that was laid out beforehand, as fresh temporaries cost page faults.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["WRITING"]

Array = Any


def _sum(x: Array, *, axis: Any, dtype: Any, keepdims: bool, out: Array) -> None:
    np.sum(x, axis, dtype, out, keepdims)


def _max(x: Array, *, axis: Any, keepdims: bool, out: Array) -> None:
    np.max(x, axis, out, keepdims)


def _min(x: Array, *, axis: Any, keepdims: bool, out: Array) -> None:
    np.min(x, axis, out, keepdims)


def _mean(x: Array, *, axis: Any, keepdims: bool, out: Array) -> None:
    if x.dtype == np.float16:  # which NumPy adds up in float32, but not where it is told where to write
        out[...] = np.mean(x, axis, keepdims=keepdims)
    else:
        np.mean(x, axis, out=out, keepdims=keepdims)


def _concat(*arrays: Array, axis: int | None, out: Array) -> None:
    np.concatenate(arrays, axis, out)


def _stack(*arrays: Array, axis: int, out: Array) -> None:
    np.stack(arrays, axis, out)


def _astype(x: Array, dtype: Any, *, copy: bool, device: Any, out: Array) -> None:
    np.copyto(out, x, casting="unsafe")


def _take(x: Array, indices: Array, *, axis: int | None, out: Array) -> None:
    np.take(x, indices, axis, out)


WRITING: dict[str, Callable[..., None]] = {
    "astype": _astype,
    "cast": _astype,
    "concat": _concat,
    "max": _max,
    "mean": _mean,
    "min": _min,
    "stack": _stack,
    "sum": _sum,
    "take": _take,
}
"""By the names of `portml.backends.operations`."""
