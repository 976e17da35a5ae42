"""Terms that many rules share; raw arrays and Tensors alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portml.backends import Array, dtype_kind
from portml.backends import operations as xp

__all__ = [
    "adjoint",
    "beside",
    "conj",
    "every_axis",
    "is_complex",
    "kept_shape",
    "on_diagonal",
    "one_where_zero",
    "part_along",
    "quotient",
    "spread",
]

_SCALARS = frozenset({bool, int, float, complex})


def is_complex(x: Any) -> bool:
    """Whether an array or Python scalar is complex."""
    return dtype_kind(x.dtype) == "complex" if hasattr(x, "dtype") else isinstance(x, complex)


def conj(x: Any) -> Any:
    """The conjugate of a complex array or Python scalar; a real one is its own."""
    if type(x) in _SCALARS:
        return x.conjugate()
    return xp.conj(x) if dtype_kind(x.dtype) == "complex" else x


def adjoint(x: Array) -> Array:
    """The conjugate transpose of matrices (..., m, n)."""
    return conj(xp.matrix_transpose(x))


def beside(x: Any, y: Array) -> Array:
    """A Python scalar as an array like `y`; an array as it is."""
    return xp.full_like(y, x) if type(x) in _SCALARS else x


def one_where_zero(x: Array) -> Array:
    """`x` to divide by, where what is divided is zero too."""
    return xp.where(xp.equal(x, 0), 1, x)


def quotient(a: Array, b: Array) -> Array:
    """``a / b``, and 0 for 0 / 0: what asks for nothing gets nothing; ``a / 0`` stays infinite."""
    nothing = xp.logical_and(xp.equal(a, 0), xp.equal(b, 0))
    return xp.divide(a, xp.where(nothing, 1, b))


# Reductions


def every_axis(axis: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """The axes that a reduction runs over, from 0 to ndim - 1."""
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if isinstance(axis, int) else axis
    return tuple(one % ndim for one in axes)


def kept_shape(shape: Sequence[int], axis: int | Sequence[int] | None) -> tuple[int, ...]:
    """The shape of a reduction that keeps its axes."""
    axes = every_axis(axis, len(shape))
    return tuple(1 if position in axes else length for position, length in enumerate(shape))


def spread(x: Array, shape: Sequence[int], axis: int | Sequence[int] | None, keepdims: bool) -> Array:
    """What a reduction of an array of `shape` gave, repeated along the axes that it ran over."""
    if not keepdims and x.shape != ():
        x = xp.reshape(x, kept_shape(shape, axis))
    return xp.broadcast_to(x, tuple(shape))


# Parts


def part_along(x: Array, axis: int, start: int | None, stop: int | None) -> Array:
    """``x[start:stop]`` along an axis."""
    return x[(slice(None),) * (axis % x.ndim) + (slice(start, stop), ...)]


def on_diagonal(x: Array, offset: int = 0) -> Array:
    """Matrices (..., m, n) with zeros off their diagonal of that offset."""
    return xp.triu(xp.tril(x, k=offset), k=offset)
