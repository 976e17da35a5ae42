"""What callers hand to a generator, checked: each function returns the argument in plain Python or raises."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, TypeAlias

from portml.backends import Array, Backend, is_tensor, library_of
from portml.backends.kernels.random import normal_distribution
from portml.errors import ArgumentError, DtypeError, RangeError, ShapeError

__all__ = [
    "FLOATS",
    "INTEGERS",
    "Shape",
    "check_broadcast",
    "check_integers",
    "check_probabilities",
    "check_truncation",
    "checked_count",
    "checked_dtype",
    "checked_finite",
    "checked_integer",
    "checked_real",
    "checked_shape",
]

Shape: TypeAlias = int | Sequence[int]

FLOATS = ("float32", "float64")
INTEGERS = {
    **{f"int{bits}": (-(1 << bits - 1), 1 << bits - 1) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (0, 1 << bits) for bits in (8, 16, 32, 64)},
}
"""Least value and bound of each data type."""


def checked_integer(name: str, value: Any) -> int:
    """An integer, or ArgumentError."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ArgumentError(f"{name}: expected an integer, got {value!r}")
    return int(value)


def checked_count(name: str, value: Any) -> int:
    """An integer of at least 0, or ArgumentError."""
    count = checked_integer(name, value)
    if count < 0:
        raise ArgumentError(f"{name}: expected an integer of at least 0, got {count}")
    return count


def checked_real(name: str, value: Any) -> float:
    """A number, or ArgumentError."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise ArgumentError(f"{name}: expected a number, got {type(value).__name__}; scale the result for an array")
    return float(value)


def checked_finite(name: str, value: Any) -> float:
    """A finite number; ArgumentError if it is none, RangeError if it is infinite or NaN."""
    number = checked_real(name, value)
    if not math.isfinite(number):
        raise RangeError(f"{name}: expected a finite number, got {number}")
    return number


def checked_shape(shape: Shape) -> tuple[int, ...]:
    """A tuple of lengths, or ShapeError."""
    try:
        lengths = tuple(map(operator.index, (shape,) if isinstance(shape, int | Integral) else shape))
    except TypeError:
        raise ShapeError(f"shape: expected an integer or a tuple of integers, got {shape!r}") from None
    if any(length < 0 for length in lengths):
        raise ShapeError(f"shape: expected lengths of at least 0, got {lengths}")
    return lengths


def checked_dtype(backend: Backend, dtype: Any, allowed: Sequence[str]) -> str:
    """The name of a data type given by name or in the backend's own words, or DtypeError."""
    if isinstance(dtype, str):
        found = dtype if dtype in allowed else None
    else:
        found = next((name for name in allowed if dtype == getattr(backend.xp, name)), None)
    if found is None:
        raise DtypeError(f"dtype: expected one of {', '.join(allowed)}, got {dtype!r}")
    return found


def check_integers(low: int, high: int, dtype: str) -> None:
    """Raise RangeError unless [low, high) has an integer and the data type holds them all."""
    if not low < high:
        raise RangeError(f"low: expected less than high={high}, which is not drawn itself, got {low}")
    least, bound = INTEGERS[dtype]
    if low < least or high > bound:
        raise RangeError(f"low, high: [{low}, {high}) does not fit into {dtype}; choose another dtype")


def check_truncation(mean: float, std: float, low: float, high: float) -> None:
    """Raise RangeError unless a normal variable lies in [low, high] with a probability that a float64 holds."""
    if std <= 0.0:
        raise RangeError(f"std: expected more than 0, got {std}")
    if not low < high:
        raise RangeError(f"low: expected less than high={high}, got {low}")
    a, b = (low - mean) / std, (high - mean) / std
    if a > 0.0:  # the mirrored interval, where the distribution function keeps its digits
        a, b = -b, -a
    if not normal_distribution(b) - normal_distribution(a) > 0.0:
        raise RangeError(
            f"low, high: [{low}, {high}] is so far from mean={mean} with std={std} that it has no probability; "
            "choose bounds nearer to the mean"
        )


def check_probabilities(backend: Backend, p: Array) -> None:
    """Raise RangeError unless all are in [0, 1], which is not looked at on a device, and DtypeError unless floats."""
    value = p.value if is_tensor(p) else p
    xp = library_of(value).xp
    if not xp.isdtype(value.dtype, "real floating"):
        raise DtypeError(f"p: expected floating-point numbers, got {value.dtype}; convert them with astype")
    if backend.host and not bool(xp.all((value >= 0.0) & (value <= 1.0))):
        raise RangeError("p: expected probabilities in [0, 1]; one is outside or NaN")


def check_broadcast(given: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Raise ShapeError unless an array of shape `given` broadcasts to `shape`."""
    pairs = zip(reversed(given), reversed(shape), strict=False)
    if len(given) > len(shape) or any(one not in (1, other) for one, other in pairs):
        raise ShapeError(f"shape: expected one to which p of shape {given} broadcasts, got {shape}")
