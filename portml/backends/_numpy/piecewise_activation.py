"""Activations of straight lines and parabolas on NumPy: comparisons as numbers, in blocks that stay in the cache."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.blocks import maximum, minimum, overwrite
from portml.backends._numpy.pointwise import pointwise, pointwise_backward
from portml.backends.kernels.piecewise_activation import (
    hardshrink,
    hardshrink_backward,
    hardsigmoid,
    hardsigmoid_backward,
    hardswish,
    hardswish_backward,
    hardtanh,
    hardtanh_backward,
    relu6,
    relu6_backward,
    softshrink,
    softshrink_backward,
    threshold,
    threshold_backward,
)

__all__: list[str] = []

Floats = NDArray[Any]


@pointwise(relu6)
def _(x: Floats, y: Floats) -> None:
    _write_between(x, 0, 6, y)


@pointwise_backward(relu6_backward)
def _(y: Floats, x: Floats, slope: Floats) -> None:
    slope[...] = (x > 0) & (x < 6)


@pointwise(hardtanh)
def _(x: Floats, y: Floats, min_val: float, max_val: float) -> None:
    _write_between(x, min_val, max_val, y)


@pointwise_backward(hardtanh_backward)
def _(y: Floats, x: Floats, slope: Floats, min_val: float, max_val: float) -> None:
    slope[...] = (x > min_val) & (x < max_val)


@pointwise(hardsigmoid)
def _(x: Floats, y: Floats) -> None:
    _write_hardsigmoid(x, y)


@pointwise_backward(hardsigmoid_backward)
def _(y: Floats, x: Floats, slope: Floats) -> None:
    slope[...] = (x > -3) & (x < 3)
    slope /= 6


@pointwise(hardswish)
def _(x: Floats, y: Floats) -> None:
    gate = np.empty(x.shape, x.dtype)
    _write_hardsigmoid(x, gate)
    np.multiply(x, gate, out=y)


@pointwise_backward(hardswish_backward)
def _(y: Floats, x: Floats, slope: Floats) -> None:
    _write_between(x, -4, 4, slope)  # so that infinity times 0 is 0
    slope *= 1 / 3
    slope += 0.5
    slope *= np.abs(x) < 3
    slope += x >= 3


@pointwise(hardshrink)
def _(x: Floats, y: Floats, lambd: float) -> None:
    near = np.abs(x) <= lambd
    y[...] = x
    overwrite(y, near, 0)


@pointwise_backward(hardshrink_backward)
def _(y: Floats, x: Floats, slope: Floats, lambd: float) -> None:
    slope[...] = np.abs(x) > lambd


@pointwise(softshrink)
def _(x: Floats, y: Floats, lambd: float) -> None:
    near = np.empty(x.shape, x.dtype)
    _write_between(x, -lambd, lambd, near)
    np.subtract(x, near, out=y)


@pointwise_backward(softshrink_backward)
def _(y: Floats, x: Floats, slope: Floats, lambd: float) -> None:
    slope[...] = np.abs(x) > lambd


@pointwise(threshold)
def _(x: Floats, y: Floats, threshold: float, value: float) -> None:
    below = x <= threshold
    y[...] = x
    overwrite(y, below, value)


@pointwise_backward(threshold_backward)
def _(y: Floats, x: Floats, slope: Floats, threshold: float, value: float) -> None:
    slope[...] = np.logical_not(x <= threshold)


def _write_between(x: Floats, low: float, high: float, y: Floats) -> None:
    maximum(x, low, out=y)
    minimum(y, high, out=y)


def _write_hardsigmoid(x: Floats, y: Floats) -> None:
    np.add(x, 3, out=y)
    _write_between(y, 0, 6, y)
    y /= 6
