"""NumPy's functions where NumPy itself departs from the Array API standard; all others are NumPy's own.

Written for NumPy 2.1 and later.  Names are those of `portml.backends.operations`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["NUMPY_STANDARD"]

Array = Any


def argsort(x: Array, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Array:
    """NumPy has no descending order; equal values keep their order in both directions."""
    if not descending:
        return np.argsort(x, axis=axis, stable=stable)
    backwards = np.argsort(np.flip(x, axis=axis), axis=axis, stable=stable)
    return x.shape[axis] - 1 - np.flip(backwards, axis=axis)


def sort(x: Array, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Array:
    """NumPy has no descending order."""
    ascending = np.sort(x, axis=axis, stable=stable)
    return np.flip(ascending, axis=axis) if descending else ascending


def clip(x: Array, /, min: Any = None, max: Any = None) -> Array:
    """NumPy gives the promoted data type where a bound's is wider; the standard wants that of `x`."""
    clipped = np.clip(x, min, max)
    return clipped if clipped.dtype == x.dtype else clipped.astype(x.dtype)


def count_nonzero(x: Array, /, *, axis: Any = None, keepdims: bool = False) -> Array:
    """NumPy gives a Python int where the standard has a zero-dimensional array."""
    return np.asarray(np.count_nonzero(x, axis=axis, keepdims=keepdims))


def expm1(x: Array, /) -> Array:
    """NumPy misses the standard's values at complex infinities and NaN, and on the real axis."""
    y = np.expm1(x)
    if x.dtype.kind != "c":
        return y
    y = np.where(np.isfinite(x), y, np.exp(x) - 1)
    on_axis = np.empty_like(y)
    on_axis.real, on_axis.imag = np.expm1(x.real) + 0.0, x.imag  # the standard has no -0 here
    return np.where(x.imag == 0, on_axis, y)


def unique_values(x: Array, /) -> Array:
    """NumPy's own gives no particular order; sorted, a result is the same at every run and on every backend."""
    return np.unique(x, equal_nan=False)


def eig(x: Array, /) -> tuple[Array, Array]:
    """NumPy gives real results where all eigenvalues are real; the standard's are always complex."""
    eigenvalues, eigenvectors = np.linalg.eig(x)
    return _complex(eigenvalues), _complex(eigenvectors)


def eigvals(x: Array, /) -> Array:
    """NumPy gives real results where all eigenvalues are real; the standard's are always complex."""
    return _complex(np.linalg.eigvals(x))


def fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Array:
    """NumPy takes no data type here."""
    return _frequencies(np.fft.fftfreq(n, d=d, device=device), dtype)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Array:
    """NumPy takes no data type here."""
    return _frequencies(np.fft.rfftfreq(n, d=d, device=device), dtype)


def _complex(x: Array) -> Array:
    return x.astype(np.result_type(x.dtype, np.complex64), copy=False)


def _frequencies(x: Array, dtype: Any) -> Array:
    return x if dtype is None else x.astype(dtype, copy=False)


NUMPY_STANDARD: dict[str, Callable[..., Any]] = {
    "argsort": argsort,
    "clip": clip,
    "count_nonzero": count_nonzero,
    "expm1": expm1,
    "fft_fftfreq": fftfreq,
    "fft_rfftfreq": rfftfreq,
    "linalg_eig": eig,
    "linalg_eigvals": eigvals,
    "sort": sort,
    "unique_values": unique_values,
}
"""By the names of `portml.backends.operations`."""
