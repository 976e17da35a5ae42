"""Smooth activations on NumPy, block by block; float32 has an approximation of the normal distribution of its own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.activation import write_sigmoid
from portml.backends._numpy.blocks import maximum, minimum, overwrite
from portml.backends._numpy.pointwise import pointwise, pointwise_backward, pointwise_saving
from portml.backends.kernels.error_function import erf, erfc
from portml.backends.kernels.smooth_activation import (
    CUBIC,
    SELU_ALPHA,
    SELU_SCALE,
    SLOPE,
    celu,
    celu_backward,
    gelu,
    gelu_backward,
    gelu_saving,
    logsigmoid,
    logsigmoid_backward,
    mish,
    mish_backward,
    refuse_unknown_approximation,
    selu,
    selu_backward,
    softsign,
    softsign_backward,
    tanhshrink,
    tanhshrink_backward,
)

__all__ = ["TAIL_ABOVE", "TAIL_BELOW", "TAIL_END", "write_share_below"]

Floats = NDArray[Any]

# Φ(-y) exp(y²/2) for y from 0 to 14 as a quotient of polynomials, highest power first: minimax in the relative error,
# 6e-9, by iteratively reweighted least squares on 4001 points.
TAIL_ABOVE = (0.004077584623164602, 0.040372410891050495, 0.18246144929559738, 0.43725046324139, 0.50000000275654)
TAIL_BELOW = (
    0.010220860158669307, 0.10120543652882749, 0.4674280818699548, 1.1992892551969276, 1.6723858817207766, 1.0,
)  # fmt: skip
DENSITY_AT_ZERO = 1 / math.sqrt(2 * math.pi)
TAIL_END = 16.0
"""From here on the tail is zero in float32."""


@pointwise(erf)
def _(x: Floats, y: Floats) -> None:
    y[...] = erf.agnostic(x)


@pointwise(erfc)
def _(x: Floats, y: Floats) -> None:
    y[...] = erfc.agnostic(x)


@pointwise(gelu)
def _(x: Floats, y: Floats, approximate: str) -> None:
    share = np.empty(x.shape, x.dtype)
    write_share_below(x, share, approximate)
    np.multiply(x, share, out=y)


@pointwise_saving(gelu_saving)
def _(x: Floats, y: Floats, slope: Floats, approximate: str) -> None:
    share = np.empty(x.shape, x.dtype)
    write_share_below(x, share, approximate, slope)
    np.multiply(x, share, out=y)
    slope *= x
    slope += share


@gelu_backward.on("numpy")
def _(
    g: Floats, slope: Floats, x: Floats, *, needs: Any, approximate: str, out: tuple[Floats] | None = None
) -> tuple[Any]:
    return (np.multiply(g, slope, out=None if out is None else out[0]),)


@pointwise(mish)
def _(x: Floats, y: Floats) -> None:
    np.multiply(x, _tanh_of_softplus(x), out=y)


@pointwise_backward(mish_backward)
def _(y: Floats, x: Floats, slope: Floats) -> None:
    t = _tanh_of_softplus(x)
    write_sigmoid(x, slope)
    slope *= x
    np.multiply(t, t, out=t)
    np.subtract(1, t, out=t)
    slope *= t
    slope += _tanh_of_softplus(x)


@pointwise(selu)
def _(x: Floats, y: Floats) -> None:
    _write_elu(x, y, SELU_SCALE * SELU_ALPHA, 1.0, SELU_SCALE)


@pointwise_backward(selu_backward)
def _(y: Floats, x: Floats, slope: Floats) -> None:
    np.add(y, SELU_SCALE * SELU_ALPHA, out=slope)
    overwrite(slope, x > 0, SELU_SCALE)


@pointwise(celu)
def _(x: Floats, y: Floats, alpha: float) -> None:
    if alpha > 0:
        _write_elu(x, y, alpha, alpha, 1.0)
    else:
        y[...] = celu.agnostic(x, alpha=alpha)


@pointwise_backward(celu_backward)
def _(y: Floats, x: Floats, slope: Floats, alpha: float) -> None:
    np.divide(y, alpha, out=slope)
    slope += 1
    overwrite(slope, x > 0, 1)


@pointwise(softsign)
def _(x: Floats, y: Floats) -> None:
    width = np.abs(x)
    width += 1
    np.divide(x, width, out=y)


@pointwise_backward(softsign_backward)
def _(y: Floats, x: Floats, slope: Floats) -> None:
    np.abs(x, out=slope)
    slope += 1
    np.multiply(slope, slope, out=slope)
    np.reciprocal(slope, out=slope)


@pointwise(logsigmoid)
def _(x: Floats, y: Floats) -> None:
    soft = np.abs(x)
    np.negative(soft, out=soft)
    np.exp(soft, out=soft)
    np.log1p(soft, out=soft)
    minimum(x, 0, out=y)
    np.subtract(y, soft, out=y)


@pointwise_backward(logsigmoid_backward)
def _(y: Floats, x: Floats, slope: Floats) -> None:
    write_sigmoid(np.negative(x), slope)


@pointwise(tanhshrink)
def _(x: Floats, y: Floats) -> None:
    np.subtract(x, np.tanh(x), out=y)


@pointwise_backward(tanhshrink_backward)
def _(y: Floats, x: Floats, slope: Floats) -> None:
    np.tanh(x, out=slope)
    np.multiply(slope, slope, out=slope)


def write_share_below(x: Floats, share: Floats, approximate: str, density: Floats | None = None) -> None:
    """Write Φ(x), the share of a normal distribution below x, or what the hyperbolic tangent makes of it; and Φ'."""
    refuse_unknown_approximation(approximate)
    if approximate == "tanh":
        np.multiply(x, x, out=share)
        share *= 2 * SLOPE * CUBIC
        share += 2 * SLOPE
        share *= x
        write_sigmoid(share, share)
        if density is not None:
            np.multiply(x, x, out=density)
            density *= 3 * SLOPE * CUBIC
            density += SLOPE
            both = 1 - share
            both *= share
            both *= 2
            density *= both
    elif x.dtype == np.float32:
        _write_share_in_single_precision(x, share, density)
    else:
        np.multiply(erfc.agnostic(-math.sqrt(0.5) * x), 0.5, out=share)
        if density is not None:
            np.multiply(x, x, out=density)
            density *= -0.5
            np.exp(density, out=density)
            density *= DENSITY_AT_ZERO


def _write_share_in_single_precision(x: Floats, share: Floats, density: Floats | None) -> None:
    """The tail beyond |x|, and 1 less the tail where x > 0."""
    size = np.abs(x)
    minimum(size, TAIL_END, out=size)
    np.multiply(size, size, out=share)
    share *= np.float32(-0.5)
    np.exp(share, out=share)
    if density is not None:
        np.multiply(share, np.float32(DENSITY_AT_ZERO), out=density)
    share *= _polynomial(size, TAIL_ABOVE)
    share /= _polynomial(size, TAIL_BELOW)
    above = (x > 0).astype(x.dtype)
    np.subtract(above, share, out=share)
    np.abs(share, out=share)


def _polynomial(x: Floats, coefficients: tuple[float, ...]) -> Floats:
    total: Floats = x * np.float32(coefficients[0])
    for coefficient in coefficients[1:-1]:
        total += np.float32(coefficient)
        total *= x
    total += np.float32(coefficients[-1])
    return total


def _tanh_of_softplus(x: Floats) -> Floats:
    """n / (n + 2) with n = exp(x) (exp(x) + 2), x cut off where the quotient is 1 and the exponential still finite."""
    e = np.empty(x.shape, x.dtype)
    minimum(x, 20, out=e)
    np.exp(e, out=e)
    n = e + 2
    n *= e
    np.add(n, 2, out=e)
    np.divide(n, e, out=n)
    return n


def _write_elu(x: Floats, y: Floats, alpha: float, width: float, scale: float) -> None:
    """Write scale x where x > 0, else alpha (exp(x / width) - 1)."""
    below = np.empty(x.shape, x.dtype)
    minimum(x, 0, out=below)
    if width != 1:
        below /= width
    np.expm1(below, out=below)
    below *= alpha
    maximum(x, 0, out=y)
    if scale != 1:
        np.multiply(y, scale, out=y)
    np.add(y, below, out=y)
