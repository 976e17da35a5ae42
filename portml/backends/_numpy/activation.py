"""Activations on NumPy: few passes, in blocks that stay in the cache, and into ``out=``.

Masks are products with a comparison or exchanged bits, as ``where`` is ten times slower.  Sums over the last axis are
products with ones, three times as fast as a reduction, and maxima over it come from ``argmax``, which is vectorised.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.blocks import SMALL, flat_blocks, given, maximum, minimum, overwrite, zero
from portml.backends._numpy.reductions import maximum_along, row_blocks, sum_along, sum_of_products_along
from portml.backends.kernels.activation import (
    elu,
    elu_backward,
    leaky_relu,
    leaky_relu_backward,
    log_softmax,
    log_softmax_backward,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    silu,
    silu_backward,
    silu_saving,
    softmax,
    softmax_backward,
    softplus,
    softplus_backward,
)
from portml.backends.kernels.real_numbers import refuse_unless_real

__all__ = ["write_sigmoid"]

Floats = NDArray[Any]
Needs = tuple[bool, ...]
One = tuple[Floats]

NEAR = 16
"""Within this distance of the maximum, rounding x - maximum costs an exponential no more than a digit's last units."""


@relu.on("numpy")
def _(x: Floats, out: Floats | None = None) -> Any:
    if x.size <= SMALL:
        return np.maximum(x, zero(x.dtype), out=out)
    y = _result(out, x)
    for xs, ys in flat_blocks(x, y):
        maximum(xs, 0, out=ys)
    return y


@relu_backward.on("numpy")
def _(g: Floats, y: Floats, x: Floats, *, needs: Needs, out: One | None = None) -> tuple[Any]:
    return (np.multiply(g, y > zero(y.dtype), out=_only(out)),)


@leaky_relu.on("numpy")
def _(x: Floats, *, negative_slope: float = 0.01, out: Floats | None = None) -> Any:
    refuse_unless_real("leaky_relu", x)
    if not 0 < negative_slope <= 1:
        return given(leaky_relu.agnostic(x, negative_slope=negative_slope), out)
    y = _result(out, x)
    for xs, ys in flat_blocks(x, y):
        np.maximum(xs, xs * negative_slope, out=ys)
    return y


@leaky_relu_backward.on("numpy")
def _(g: Floats, y: Floats, x: Floats, *, needs: Needs, negative_slope: float, out: One | None = None) -> One:
    dx = _result(_only(out), g)
    for gs, xs, ds in flat_blocks(g, x, dx):
        slope = (xs > 0).astype(g.dtype)
        slope *= 1 - negative_slope
        slope += negative_slope
        np.multiply(gs, slope, out=ds)
    return (dx,)


@elu.on("numpy")
def _(x: Floats, *, alpha: float = 1.0, out: Floats | None = None) -> Any:
    refuse_unless_real("elu", x)
    y = _result(out, x)
    for xs, ys in flat_blocks(x, y):
        below = np.empty(xs.shape, xs.dtype)
        minimum(xs, 0, out=below)
        np.expm1(below, out=below)
        if alpha != 1:
            below *= alpha
        maximum(xs, 0, out=ys)
        np.add(ys, below, out=ys)
    return y


@elu_backward.on("numpy")
def _(g: Floats, y: Floats, x: Floats, *, needs: Needs, alpha: float, out: One | None = None) -> One:
    dx = _result(_only(out), g)
    for gs, ys, xs, ds in flat_blocks(g, y, x, dx):
        slope = ys + alpha
        overwrite(slope, xs > 0, 1)
        np.multiply(gs, slope, out=ds)
    return (dx,)


@sigmoid.on("numpy")
def _(x: Floats, out: Floats | None = None) -> Any:
    refuse_unless_real("sigmoid", x)
    y = _result(out, x)
    for xs, ys in flat_blocks(x, y):
        write_sigmoid(xs, ys)
    return y


@sigmoid_backward.on("numpy")
def _(g: Floats, y: Floats, x: Floats, *, needs: Needs, out: One | None = None) -> One:
    dx = _result(_only(out), g)
    for gs, ys, ds in flat_blocks(g, y, dx):
        slope = ys * ys
        np.subtract(ys, slope, out=slope)
        np.multiply(gs, slope, out=ds)
    return (dx,)


@silu.on("numpy")
def _(x: Floats, out: Floats | None = None) -> Any:
    refuse_unless_real("silu", x)
    y = _result(out, x)
    for xs, ys in flat_blocks(x, y):
        share = np.empty(xs.shape, xs.dtype)
        write_sigmoid(xs, share)
        np.multiply(xs, share, out=ys)
    return y


@silu_saving.on("numpy")
def _(x: Floats, out: tuple[Floats, Floats] | None = None) -> tuple[Any, Any]:
    refuse_unless_real("silu", x)
    y, s = out if out is not None else (np.empty_like(x), np.empty_like(x))
    for xs, ys, ss in flat_blocks(x, y, s):
        write_sigmoid(xs, ss)
        np.multiply(xs, ss, out=ys)
    return y, s


@silu_backward.on("numpy")
def _(g: Floats, s: Floats, x: Floats, *, needs: Needs, out: One | None = None) -> One:
    dx = _result(_only(out), g)
    for gs, ss, xs, ds in flat_blocks(g, s, x, dx):
        slope = 1 - ss
        slope *= xs
        slope += 1
        slope *= ss
        np.multiply(gs, slope, out=ds)
    return (dx,)


@softplus.on("numpy")
def _(x: Floats, *, beta: float = 1.0, threshold: float = 20.0, out: Floats | None = None) -> Any:
    refuse_unless_real("softplus", x)
    y = _result(out, x)
    for xs, ys in flat_blocks(x, y):
        z = xs if beta == 1 else xs * beta
        soft = np.abs(z)
        np.negative(soft, out=soft)
        np.exp(soft, out=soft)
        np.log1p(soft, out=soft)
        positive = np.empty(z.shape, z.dtype)
        maximum(z, 0, out=positive)
        soft += positive
        if beta != 1:
            soft /= beta
        linear = z > threshold
        if linear.any():
            overwrite(soft, linear, xs)
        ys[...] = soft
    return y


@softplus_backward.on("numpy")
def _(g: Floats, y: Floats, x: Floats, *, needs: Needs, beta: float, threshold: float, out: One | None = None) -> One:
    dx = _result(_only(out), g)
    for gs, xs, ds in flat_blocks(g, x, dx):
        z = xs if beta == 1 else xs * beta
        slope = np.empty(z.shape, z.dtype)
        write_sigmoid(z, slope)
        linear = z > threshold
        if linear.any():
            overwrite(slope, linear, 1)
        np.multiply(gs, slope, out=ds)
    return (dx,)


@softmax.on("numpy")
def _(x: Floats, *, axis: int = -1, out: Floats | None = None) -> Any:
    refuse_unless_real("softmax", x)
    y, axis = _row_major(out, x), _from_end(axis, x)
    if x.size:
        for xs, ys in row_blocks(axis, x, y):
            # Any number near the maximum of every row will do for all of them, and is found five times as fast.
            highest = xs.max()
            np.subtract(xs, highest if highest - xs.min() < NEAR else maximum_along(xs, axis), out=ys)
            np.exp(ys, out=ys)
            np.multiply(ys, 1 / sum_along(ys, axis), out=ys)
    return y


@softmax_backward.on("numpy")
def _(g: Floats, y: Floats, x: Floats, *, needs: Needs, axis: int, out: One | None = None) -> One:
    dx, axis = _row_major(_only(out), g), _from_end(axis, g)
    for gs, ys, ds in row_blocks(axis, g, y, dx):
        centred = gs - sum_of_products_along(gs, ys, axis)
        np.multiply(ys, centred, out=ds)
    return (dx,)


@log_softmax.on("numpy")
def _(x: Floats, *, axis: int = -1, out: Floats | None = None) -> Any:
    refuse_unless_real("log_softmax", x)
    y, axis = _row_major(out, x), _from_end(axis, x)
    if x.size:
        for xs, ys in row_blocks(axis, x, y):
            np.subtract(xs, maximum_along(xs, axis), out=ys)
            np.subtract(ys, np.log(sum_along(np.exp(ys), axis)), out=ys)
    return y


@log_softmax_backward.on("numpy")
def _(g: Floats, y: Floats, x: Floats, *, needs: Needs, axis: int, out: One | None = None) -> One:
    dx, axis = _row_major(_only(out), g), _from_end(axis, g)
    for gs, ys, ds in row_blocks(axis, g, y, dx):
        p = np.exp(ys)
        p *= sum_along(gs, axis)
        np.subtract(gs, p, out=ds)
    return (dx,)


def write_sigmoid(x: Floats, y: Floats) -> None:
    """Write exp(x) / (1 + exp(x)) to `y`; x is cut off where the quotient is 1 and the exponential still finite."""
    minimum(x, 80, out=y)
    np.exp(y, out=y)
    np.divide(y, y + 1, out=y)


def _result(out: Floats | None, like: Floats) -> Floats:
    """Where the result goes; a new array keeps the order of memory: a convolution may have put the batch last."""
    return np.empty_like(like) if out is None else out


def _row_major(out: Floats | None, like: Floats) -> Floats:
    return np.empty(like.shape, like.dtype) if out is None else out


def _from_end(axis: int, x: Floats) -> int:
    return axis if axis < 0 else axis - x.ndim


def _only(out: One | None) -> Floats | None:
    return None if out is None else out[0]
