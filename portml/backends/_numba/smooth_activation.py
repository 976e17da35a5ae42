"""The Gaussian error linear unit compiled: each number is read once, and its slope written beside it."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED, FLOATS
from portml.backends._numba.exponential import ANY_ORDER, exp
from portml.backends._numpy.smooth_activation import TAIL_ABOVE, TAIL_BELOW
from portml.backends.kernels.real_numbers import refuse_unless_real
from portml.backends.kernels.smooth_activation import gelu, gelu_saving, refuse_unknown_approximation

__all__: list[str] = []

Floats = NDArray[Any]

A, B = (tuple(map(np.float32, coefficients)) for coefficients in (TAIL_ABOVE, TAIL_BELOW))
f = np.float32
TAIL_END = f(14)
"""Up to here the quotient of the tail was fitted; beyond it the exponential is zero."""
DENSITY_AT_ZERO = 1 / math.sqrt(2 * math.pi)


@gelu.on("numba")
def _(x: Floats, *, approximate: str = "none", out: Floats | None = None) -> Any:
    if not _fits(x, approximate) or not _is_whole(out):
        return gelu.kernel.table["numpy"](x, approximate=approximate, out=out)
    y = np.empty(x.shape, x.dtype) if out is None else out
    _write(x, y, np.empty(0, x.dtype))
    return y


@gelu_saving.on("numba")
def _(x: Floats, *, approximate: str, out: tuple[Floats, Floats] | None = None) -> tuple[Any, Any]:
    to_y, to_slope = (None, None) if out is None else out
    if not _fits(x, approximate) or not _is_whole(to_y) or not _is_whole(to_slope):
        return gelu_saving.kernel.table["numpy"](x, approximate=approximate, out=out)  # type: ignore[no-any-return]
    y, slope = (np.empty(x.shape, x.dtype) if each is None else each for each in (to_y, to_slope))
    _write(x, y, slope)
    return y, slope


def _fits(x: Floats, approximate: str) -> bool:
    refuse_unless_real("gelu", x)
    refuse_unknown_approximation(approximate)
    return approximate == "none" and x.dtype.char in FLOATS and x.flags.c_contiguous


def _is_whole(out: Floats | None) -> bool:
    return out is None or out.flags.c_contiguous


def _write(x: Floats, y: Floats, slope: Floats) -> None:
    write = _write_single if x.dtype == np.float32 else _write_double
    write(x.reshape(-1), y.reshape(-1), slope.reshape(-1))


@numba.njit(**COMPILED, fastmath=ANY_ORDER, inline="always")
def _gelu(x):  # type: ignore[no-untyped-def]
    """x Φ(x) and Φ + x Φ', from the tail beyond |x|, which has all its digits; 1 less the tail where x > 0."""
    a = abs(x)
    a = TAIL_END if a > TAIL_END else a
    e = exp(f(-0.5) * a * a)
    above = (((A[0] * a + A[1]) * a + A[2]) * a + A[3]) * a + A[4]
    below = ((((B[0] * a + B[1]) * a + B[2]) * a + B[3]) * a + B[4]) * a + B[5]
    tail = e * above / below
    share = f(1) - tail if x > f(0) else tail
    return x * share, share + x * (e * f(DENSITY_AT_ZERO))


@numba.njit(**COMPILED, fastmath=ANY_ORDER)
def _write_single(x, y, slope):  # type: ignore[no-untyped-def]
    if len(slope) == 0:
        for i in range(len(x)):
            y[i] = _gelu(x[i])[0]
    else:
        for i in range(len(x)):
            y[i], slope[i] = _gelu(x[i])


@numba.njit(**COMPILED)
def _write_double(x, y, slope):  # type: ignore[no-untyped-def]
    for i in range(len(x)):
        share = 0.5 * math.erfc(-math.sqrt(0.5) * x[i])
        y[i] = x[i] * share
        if len(slope):
            slope[i] = share + x[i] * (math.exp(-0.5 * x[i] * x[i]) * DENSITY_AT_ZERO)
