"""Gated activations on NumPy: the halves are views, and the gradients of both are written where they belong."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.activation import write_sigmoid
from portml.backends._numpy.smooth_activation import write_share_below
from portml.backends.kernels.gated_activation import (
    gated_halves,
    geglu,
    geglu_backward,
    glu,
    glu_backward,
    reglu,
    reglu_backward,
    swiglu,
    swiglu_backward,
)

__all__: list[str] = []

Floats = NDArray[Any]
Needs = tuple[bool, ...]
One = tuple[Floats]


@glu.on("numpy")
def _(x: Floats, *, axis: int = -1, out: Floats | None = None) -> Any:
    a, b = gated_halves(x, axis, "glu")
    gate = _sigmoid(b)
    return np.multiply(a, gate, out=gate if out is None else out)


@glu_backward.on("numpy")
def _(g: Floats, y: Floats, x: Floats, *, needs: Needs, axis: int, out: One | None = None) -> One:
    dx, to_a, to_b, a, b = _halves_of_both(x, axis, out, "glu")
    gate = _sigmoid(b)
    slope = 1 - gate
    slope *= a
    slope *= gate
    np.multiply(g, gate, out=to_a)
    np.multiply(g, slope, out=to_b)
    return (dx,)


@swiglu.on("numpy")
def _(x: Floats, *, axis: int = -1, out: Floats | None = None) -> Any:
    a, b = gated_halves(x, axis, "swiglu")
    gate = _sigmoid(a)
    gate *= a
    return np.multiply(gate, b, out=gate if out is None else out)


@swiglu_backward.on("numpy")
def _(g: Floats, y: Floats, x: Floats, *, needs: Needs, axis: int, out: One | None = None) -> One:
    dx, to_a, to_b, a, b = _halves_of_both(x, axis, out, "swiglu")
    gate = _sigmoid(a)
    slope = 1 - gate
    slope *= a
    slope += 1
    slope *= gate
    slope *= b
    gate *= a
    np.multiply(g, slope, out=to_a)
    np.multiply(g, gate, out=to_b)
    return (dx,)


@geglu.on("numpy")
def _(x: Floats, *, axis: int = -1, approximate: str = "none", out: Floats | None = None) -> Any:
    a, b = gated_halves(x, axis, "geglu")
    opened = np.empty(a.shape, a.dtype)
    write_share_below(a, opened, approximate)
    opened *= a
    return np.multiply(opened, b, out=opened if out is None else out)


@geglu_backward.on("numpy")
def _(g: Floats, y: Floats, x: Floats, *, needs: Needs, axis: int, approximate: str, out: One | None = None) -> One:
    dx, to_a, to_b, a, b = _halves_of_both(x, axis, out, "geglu")
    share = np.empty(a.shape, a.dtype)
    slope = np.empty(a.shape, a.dtype)
    write_share_below(a, share, approximate, slope)
    slope *= a
    slope += share
    slope *= b
    share *= a
    np.multiply(g, slope, out=to_a)
    np.multiply(g, share, out=to_b)
    return (dx,)


@reglu.on("numpy")
def _(x: Floats, *, axis: int = -1, out: Floats | None = None) -> Any:
    a, b = gated_halves(x, axis, "reglu")
    opened = np.maximum(a, x.dtype.type(0))
    return np.multiply(opened, b, out=out)


@reglu_backward.on("numpy")
def _(g: Floats, y: Floats, x: Floats, *, needs: Needs, axis: int, out: One | None = None) -> One:
    dx, to_a, to_b, a, b = _halves_of_both(x, axis, out, "reglu")
    np.multiply(g, b, out=to_a)
    np.multiply(to_a, a > 0, out=to_a)
    np.multiply(g, np.maximum(a, x.dtype.type(0)), out=to_b)
    return (dx,)


def _sigmoid(x: Floats) -> Floats:
    y = np.empty(x.shape, x.dtype)
    write_sigmoid(x, y)
    return y


def _halves_of_both(x: Floats, axis: int, out: One | None, name: str) -> tuple[Floats, ...]:
    """Room for the gradient, its two halves, and those of x."""
    dx = np.empty(x.shape, x.dtype) if out is None else out[0]
    return dx, *gated_halves(dx, axis, name), *gated_halves(x, axis, name)
