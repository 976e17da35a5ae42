"""Convolution channel by channel compiled, with stride 1: a sum over the kernel for all samples at once.

There is no product of matrices in it that would be worth unfolding the input for.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED, FLOATS
from portml.backends.kernels.convolution import ConvolutionGeometry

__all__ = ["correlate_channels", "fits_channels", "kernel_gradient"]

Numbers = NDArray[Any]

MANY_SAMPLES = 8
FAST = {**COMPILED, "fastmath": {"contract"}}


def fits_channels(geometry: ConvolutionGeometry, x: Numbers, weight: Numbers) -> bool:
    """Whether each channel has one kernel over two axes, and there are samples enough to fill vector instructions."""
    return (
        len(geometry.positions) == 2
        and geometry.stride == geometry.dilation == (1, 1)
        and geometry.groups == geometry.weight[0] == x.shape[1]
        and geometry.n_samples >= MANY_SAMPLES
        and x.dtype == weight.dtype
        and x.dtype.char in FLOATS
    )


def correlate_channels(x: Numbers, weight: Numbers, before: tuple[int, int], positions: tuple[int, ...]) -> Numbers:
    """The results (samples, channels, *positions) for weights (channels, 1, height, width)."""
    y = np.empty((positions[0], x.shape[1], positions[1], len(x)), x.dtype)
    _add_up(_inner(x), np.ascontiguousarray(weight[:, 0]), before[0], before[1], y)
    return y.transpose(3, 1, 0, 2)


def kernel_gradient(g: Numbers, x: Numbers, before: tuple[int, int], shape: tuple[int, ...]) -> Numbers:
    """The gradient (channels, 1, height, width) with respect to the weights."""
    dweight = np.zeros((shape[0], shape[2], shape[3]), x.dtype)
    _add_products(_inner(g), _inner(x), before[0], before[1], dweight)
    return dweight.reshape(shape)


def _inner(x: Numbers) -> Numbers:
    """(height, channels, width, samples), contiguous."""
    return np.ascontiguousarray(x.transpose(2, 1, 3, 0))


@numba.njit(**FAST)
def _fill(line, x, i, channel, start):  # type: ignore[no-untyped-def]
    """Put one row of the input between zeros."""
    if i < 0 or i >= x.shape[0]:
        line[:] = 0
    else:
        seen = x[i, channel].reshape(-1)
        line[start : start + len(seen)] = seen


@numba.njit(**FAST)
def _add_up(x, weight, above, left, y):  # type: ignore[no-untyped-def]
    samples = x.shape[3]
    line = np.zeros(max(left + x.shape[2], y.shape[2] + weight.shape[2] - 1) * samples, x.dtype)
    for i in range(y.shape[0]):
        for channel in range(y.shape[1]):
            result = y[i, channel].reshape(-1)
            result[:] = 0
            for k in range(weight.shape[1]):
                _fill(line, x, i + k - above, channel, left * samples)
                for m in range(weight.shape[2]):
                    factor, seen = weight[channel, k, m], line[m * samples : m * samples + len(result)]
                    for n in range(len(result)):
                        result[n] += factor * seen[n]


@numba.njit(**{**COMPILED, "fastmath": {"contract", "reassoc"}})
def _add_products(g, x, above, left, dweight):  # type: ignore[no-untyped-def]
    samples = x.shape[3]
    line = np.zeros(max(left + x.shape[2], g.shape[2] + dweight.shape[2] - 1) * samples, x.dtype)
    for i in range(g.shape[0]):
        for channel in range(g.shape[1]):
            slope = g[i, channel].reshape(-1)
            for k in range(dweight.shape[1]):
                _fill(line, x, i + k - above, channel, left * samples)
                for m in range(dweight.shape[2]):
                    total, seen = dweight.dtype.type(0), line[m * samples : m * samples + len(slope)]
                    for n in range(len(slope)):
                        total += slope[n] * seen[n]
                    dweight[channel, k, m] += total
