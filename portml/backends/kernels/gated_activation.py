"""Activations that choose: one half of the features opens or shuts the other, or a learnt slope or the largest decides.

The gated linear units halve the axis: its first half is a, its second b.
"""

from __future__ import annotations

import math
from typing import Any

from portml.backends.kernel import kernel
from portml.backends.kernels.activation import sigmoid
from portml.backends.kernels.real_numbers import refuse_unless_real
from portml.backends.kernels.smooth_activation import gelu_saving
from portml.backends.namespaces import Array, namespace
from portml.errors import ArgumentError, ShapeError

__all__ = [
    "gated_halves",
    "geglu",
    "geglu_backward",
    "glu",
    "glu_backward",
    "maxout",
    "prelu",
    "prelu_backward",
    "refuse_unfit_slopes",
    "reglu",
    "reglu_backward",
    "swiglu",
    "swiglu_backward",
]

Needs = tuple[bool, ...]


@kernel
def glu(x: Array, *, axis: int = -1) -> Array:
    """Gated linear unit: y = a σ(b), with x = (a, b) along `axis`.  [Dauphin et al. 2017, eq. 1]

    Parameters
    ----------
    x : array (..., 2 n, ...)
    axis : int

    Returns
    -------
    array (..., n, ...)

    Raises
    ------
    ShapeError
        If the axis does not exist or its length is odd.
    """
    a, b = gated_halves(x, axis, "glu")
    return a * sigmoid.agnostic(b)


@kernel
def glu_backward(g: Array, y: Array, x: Array, *, needs: Needs, axis: int) -> tuple[Array]:
    """Gradient: da = g σ(b), db = g a σ(b) (1 - σ(b))."""
    a, b = gated_halves(x, axis, "glu")
    gate = sigmoid.agnostic(b)
    return (_joined(g * gate, g * a * gate * (1 - gate), axis),)


@kernel
def swiglu(x: Array, *, axis: int = -1) -> Array:
    """y = a σ(a) b, with x = (a, b) along `axis`; shapes and errors as in `glu`.  [Shazeer 2020, eq. 5]"""
    a, b = gated_halves(x, axis, "swiglu")
    return a * sigmoid.agnostic(a) * b


@kernel
def swiglu_backward(g: Array, y: Array, x: Array, *, needs: Needs, axis: int) -> tuple[Array]:
    """Gradient: da = g b σ(a) (1 + a (1 - σ(a))), db = g a σ(a)."""
    a, b = gated_halves(x, axis, "swiglu")
    gate = sigmoid.agnostic(a)
    return (_joined(g * b * (gate * (1 + a * (1 - gate))), g * a * gate, axis),)


@kernel
def geglu(x: Array, *, axis: int = -1, approximate: str = "none") -> Array:
    """y = gelu(a) b, with x = (a, b) along `axis`; shapes and errors as in `glu`.  [Shazeer 2020, eq. 5]

    `approximate` is that of `gelu`.
    """
    a, b = gated_halves(x, axis, "geglu")
    return gelu_saving.agnostic(a, approximate=approximate)[0] * b


@kernel
def geglu_backward(g: Array, y: Array, x: Array, *, needs: Needs, axis: int, approximate: str) -> tuple[Array]:
    """Gradient: da = g b gelu'(a), db = g gelu(a)."""
    a, b = gated_halves(x, axis, "geglu")
    opened, slope = gelu_saving.agnostic(a, approximate=approximate)
    return (_joined(g * b * slope, g * opened, axis),)


@kernel
def reglu(x: Array, *, axis: int = -1) -> Array:
    """y = max(a, 0) b, with x = (a, b) along `axis`; shapes and errors as in `glu`.  [Shazeer 2020, eq. 5]"""
    a, b = gated_halves(x, axis, "reglu")
    return namespace(x).maximum(a, 0) * b


@kernel
def reglu_backward(g: Array, y: Array, x: Array, *, needs: Needs, axis: int) -> tuple[Array]:
    """Gradient: da = g b where a > 0, else 0; db = g max(a, 0)."""
    xp = namespace(g, x)
    a, b = gated_halves(x, axis, "reglu")
    return (_joined(xp.where(a > 0, g * b, 0), g * xp.maximum(a, 0), axis),)


@kernel
def prelu(x: Array, weight: Array) -> Array:
    """Parametric rectifier: y = x where x > 0, else w x, w learnt for each channel.  [He et al. 2015, eq. 1]

    Parameters
    ----------
    x : array (n, channels, ...) or (...)
    weight : array (channels,) or (1,)
        One slope for each channel, axis 1, or one for all.

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    ShapeError
        If there are neither as many slopes as channels nor one.
    """
    refuse_unfit_slopes(x, weight)
    return namespace(x, weight).where(x > 0, x, _along_channels(weight, x) * x)


@kernel
def prelu_backward(g: Array, y: Array, x: Array, weight: Array, *, needs: Needs) -> tuple[Array | None, Array | None]:
    """Gradient: dx = g where x > 0, else w g; dw = the sum of g x where x <= 0."""
    xp = namespace(g, x, weight)
    dx = xp.where(x > 0, g, _along_channels(weight, x) * g) if needs[0] else None
    dweight = None
    if needs[1]:
        below = xp.where(x > 0, 0, g * x)
        axes = tuple(axis for axis in range(x.ndim) if axis != 1 or weight.shape[0] == 1)
        dweight = xp.reshape(xp.sum(below, axis=axes), weight.shape)
    return dx, dweight


@kernel
def maxout(x: Array, *, pieces: int, axis: int = -1) -> Array:
    """The largest of each `pieces` neighbours along `axis`.  [Goodfellow et al. 2013, section 2]

    Parameters
    ----------
    x : array (..., pieces n, ...)
    pieces : int
    axis : int

    Returns
    -------
    array (..., n, ...)

    Raises
    ------
    ArgumentError
        If `pieces` is below 1.
    ShapeError
        If the axis does not exist or its length is no multiple of `pieces`.
    """
    if pieces < 1:
        raise ArgumentError(f"maxout: pieces must be at least 1, got {pieces}")
    axis, length = _axis_of_multiple(x, axis, pieces, "maxout")
    shape = (*x.shape[:axis], length // pieces, pieces, *x.shape[axis + 1 :])
    xp = namespace(x)
    return xp.max(xp.reshape(x, shape), axis=axis + 1)


glu.gradient(backward=glu_backward)
swiglu.gradient(backward=swiglu_backward)
geglu.gradient(backward=geglu_backward)
reglu.gradient(backward=reglu_backward)
prelu.gradient(backward=prelu_backward)


def gated_halves(x: Array, axis: int, name: str) -> tuple[Array, Array]:
    """The two halves of an array along an axis, as views where the library has them; ShapeError if it is odd."""
    refuse_unless_real(name, x)
    axis, length = _axis_of_multiple(x, axis, 2, name)
    before = (slice(None),) * axis
    return x[(*before, slice(None, length // 2), ...)], x[(*before, slice(length // 2, None), ...)]


def refuse_unfit_slopes(x: Array, weight: Array) -> None:
    """Raise ShapeError unless there is one slope for each channel or one for all."""
    channels = x.shape[1] if x.ndim > 1 else 1
    if tuple(weight.shape) not in ((1,), (channels,)):
        raise ShapeError(
            f"prelu: weight has shape {tuple(weight.shape)} and x {tuple(x.shape)}; expected one slope, (1,), or one "
            f"for each of the channels, axis 1: ({channels},)"
        )


def _axis_of_multiple(x: Array, axis: int, factor: int, name: str) -> tuple[int, int]:
    """The axis from the front and its length."""
    if not -x.ndim <= axis < x.ndim or x.shape[axis] % factor:
        raise ShapeError(
            f"{name}: x has shape {tuple(x.shape)}; expected axis {axis} to exist and to have a multiple of {factor} "
            "features"
        )
    return axis % x.ndim, x.shape[axis]


def _joined(a: Array, b: Array, axis: int) -> Array:
    return namespace(a, b).concat([a, b], axis=axis)


def _along_channels(weight: Array, x: Array) -> Any:
    """The slopes as they meet x."""
    if math.prod(weight.shape) == 1:
        return namespace(weight).reshape(weight, (1,) * x.ndim)
    return namespace(weight).reshape(weight, (-1, *(1,) * (x.ndim - 2)))
