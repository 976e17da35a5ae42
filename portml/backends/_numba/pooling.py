"""Maximum pooling compiled: each window is looked through while it is in the cache.

There are two ways.  Of many samples, which convolutions leave innermost in memory, a window is looked through for all
at once, with vector instructions; of few, one image comes after another.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED, FLOATS
from portml.backends._numpy.blocks import given
from portml.backends._numpy.normalisation import arrived
from portml.backends.kernels.pooling import (
    PoolingGeometry,
    max_pool,
    max_pool_backward,
    max_pool_saving,
    pooling_geometry,
)
from portml.backends.kernels.real_numbers import refuse_unless_real

__all__ = ["largest", "window_places"]

Numbers = NDArray[Any]

FEW_SAMPLES = 8
"""So many samples at least fill the vector instructions; with fewer NumPy finds the maxima sooner."""


@max_pool.on("numba")
def _(
    x: Numbers,
    *,
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
    out: Numbers | None = None,
) -> Any:
    statics = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
    if not _fits(x) or len(x) < FEW_SAMPLES:
        return given(max_pool.kernel.table["numpy"](x, **statics, ceil_mode=ceil_mode), out)
    y, _ = max_pool_saving(x, **statics, ceil_mode=ceil_mode)
    return given(y, out)


@max_pool_saving.on("numba")
def _(
    x: Numbers,
    *,
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
    out: tuple[Numbers, Numbers] | None = None,
) -> tuple[Any, Any]:
    refuse_unless_real("max_pool", x)
    geometry = pooling_geometry(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    if not _fits(x) or len(x) < FEW_SAMPLES:
        statics = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
        return given(max_pool_saving.kernel.table["numpy"](x, **statics, ceil_mode=ceil_mode), out)  # type: ignore[no-any-return]
    to_y, to_chosen = (None, None) if out is None else out
    numbers = np.dtype(np.int8 if math.prod(kernel_size) <= 128 else np.int32)
    y, chosen = largest(x, _places(geometry), _steps(geometry), kernel_size[-1], numbers, to_y, to_chosen)
    return arrived(y, to_y), arrived(chosen, to_chosen)


@max_pool_backward.on("numba")
def _(
    g: Numbers,
    saved: Numbers,
    x: Numbers,
    *,
    needs: tuple[bool, ...],
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
    out: tuple[Any] | None = None,
) -> tuple[Any]:
    if not needs[0]:
        return (None,)
    to_x = None if out is None else out[0]
    if not _fits(g):
        statics = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
        numpy = max_pool_backward.kernel.table["numpy"]
        return (given(numpy(g, saved, x, needs=needs, **statics, ceil_mode=ceil_mode)[0], to_x),)
    geometry = pooling_geometry(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    innermost = _samples_innermost(x)
    dx = _room(to_x, x.shape, g.dtype, innermost)
    dx[...] = 0
    arrays = [_planes(each, innermost) for each in (g, saved, dx)]
    spread = _spread_samples if innermost else _spread_images
    spread(*arrays, *_places(geometry), *_steps(geometry), kernel_size[-1])
    return (arrived(dx, to_x),)


Places = tuple[Numbers, Numbers]


def largest(
    x: Numbers,
    places: Places,
    steps: tuple[int, int],
    row: int,
    numbers: np.dtype[Any],
    to_y: Numbers | None = None,
    to_chosen: Numbers | None = None,
) -> tuple[Numbers, Numbers]:
    """The largest element of each window and its number; of equal elements the first, of several NaN the last.

    Parameters
    ----------
    x : array (n_samples, n_channels, [height,] width)
    places : pair of int64 arrays (3, positions)
        Along the height and along the width, as `window_places` gives them.
    steps : pair of int
        Distance between two elements of a window along either axis.
    row : int
        By how much the number grows from one row of the window to the next.
    numbers : data type
        Of the numbers.
    to_y, to_chosen : arrays, optional
        Used where they fit; compare what is returned.
    """
    innermost = _samples_innermost(x)
    shape = (*x.shape[:2], *[each.shape[1] for each in places][4 - x.ndim :])
    y, chosen = _room(to_y, shape, x.dtype, innermost), _room(to_chosen, shape, numbers, innermost)
    arrays = [_planes(each, innermost) for each in (x, y, chosen)]
    (_largest_of_samples if innermost else _largest_of_images)(*arrays, *places, *steps, row, x.dtype.type(-np.inf))
    return y, chosen


@lru_cache(maxsize=1024)
def window_places(length: int, positions: int, first: int, stride: int, kernel_size: int, dilation: int) -> Numbers:
    """Along one axis, where each window begins, and between which of its elements it lies inside the input.

    Returns
    -------
    int64 array (3, positions)
        Where its element 0 stands, perhaps before the input; its first element inside; the one after its last.
    """
    starts = first + stride * np.arange(positions)
    low = np.maximum(0, -(starts // dilation))
    high = np.minimum(kernel_size, -((starts - length) // dilation))
    places = np.stack((starts, low, np.maximum(low, high)))
    places.flags.writeable = False
    return places


def _places(geometry: PoolingGeometry) -> Places:
    along = [
        window_places(length, n, -p, s, k, d)
        for length, n, p, s, k, d in zip(
            geometry.input[2:],
            geometry.positions,
            geometry.padding,
            geometry.stride,
            geometry.kernel_size,
            geometry.dilation,
            strict=True,
        )
    ]
    return (along[0], along[1]) if len(along) == 2 else (window_places(1, 1, 0, 1, 1, 1), along[0])


def _steps(geometry: PoolingGeometry) -> tuple[int, int]:
    return geometry.dilation[0] if len(geometry.dilation) == 2 else 1, geometry.dilation[-1]


def _fits(x: Numbers) -> bool:
    return x.ndim in (3, 4) and x.dtype.char in FLOATS and x.size > 0


def _samples_innermost(x: Numbers) -> bool:
    """Whether to look through the windows of all samples at once; it pays even if they must be brought in order."""
    return len(x) >= FEW_SAMPLES


def _room(out: Numbers | None, shape: tuple[int, ...], dtype: np.dtype[Any], innermost: bool) -> Numbers:
    """Memory in the wanted order: that of `out` if it has it, else new."""
    if out is not None and out.dtype == dtype and (_inner(out) if innermost else out).flags.c_contiguous:
        return out
    return _outer(np.empty(_inner_shape(shape), dtype)) if innermost else np.empty(shape, dtype)


def _planes(x: Numbers, innermost: bool) -> Numbers:
    """(height, channels, width, samples), or (images, height, width), contiguous; a view of what lies so already."""
    if innermost:
        inner = np.ascontiguousarray(_inner(x))
        return inner if inner.ndim == 4 else inner[None]
    height = x.shape[2] if x.ndim == 4 else 1
    return np.ascontiguousarray(x).reshape(-1, height, x.shape[-1])


def _inner(x: Numbers) -> Numbers:
    """(height, channels, width, samples), or (channels, width, samples)."""
    return x.transpose(2, 1, 3, 0) if x.ndim == 4 else x.transpose(1, 2, 0)


def _outer(inner: Numbers) -> Numbers:
    return inner.transpose(3, 1, 0, 2) if inner.ndim == 4 else inner.transpose(2, 0, 1)


def _inner_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[2], shape[1], shape[3], shape[0]) if len(shape) == 4 else (shape[1], shape[2], shape[0])


@numba.njit(**COMPILED)
def _largest_of_samples(x, y, chosen, down, along, step, across, row, least):  # type: ignore[no-untyped-def]
    for i in range(y.shape[0]):
        for channel in range(y.shape[1]):
            for j in range(y.shape[2]):
                best, numbers = y[i, channel, j], chosen[i, channel, j]
                first = numbers.dtype.type(down[1, i] * row + along[1, j])
                for n in range(len(best)):
                    best[n], numbers[n] = least, first
                for k in range(down[1, i], down[2, i]):
                    for m in range(along[1, j], along[2, j]):
                        seen = x[down[0, i] + k * step, channel, along[0, j] + m * across]
                        number = numbers.dtype.type(k * row + m)
                        for n in range(len(best)):
                            value = seen[n]
                            better = (value > best[n]) | (value != value)
                            best[n] = value if better else best[n]
                            numbers[n] = number if better else numbers[n]


@numba.njit(**COMPILED)
def _largest_of_images(x, y, chosen, down, along, step, across, row, least):  # type: ignore[no-untyped-def]
    for image in range(y.shape[0]):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                best, number = least, down[1, i] * row + along[1, j]
                for k in range(down[1, i], down[2, i]):
                    for m in range(along[1, j], along[2, j]):
                        value = x[image, down[0, i] + k * step, along[0, j] + m * across]
                        better = (value > best) | (value != value)
                        best = value if better else best
                        number += better * (k * row + m - number)  # without a branch, which could not be predicted
                y[image, i, j] = best
                chosen[image, i, j] = number


@numba.njit(**COMPILED)
def _spread_samples(g, chosen, dx, down, along, step, across, row):  # type: ignore[no-untyped-def]
    nothing = g.dtype.type(0)
    for i in range(g.shape[0]):
        for channel in range(g.shape[1]):
            for j in range(g.shape[2]):
                values, numbers = g[i, channel, j], chosen[i, channel, j]
                for k in range(down[1, i], down[2, i]):
                    for m in range(along[1, j], along[2, j]):
                        total = dx[down[0, i] + k * step, channel, along[0, j] + m * across]
                        number = numbers.dtype.type(k * row + m)
                        for n in range(len(values)):
                            total[n] += values[n] if numbers[n] == number else nothing


@numba.njit(**COMPILED)
def _spread_images(g, chosen, dx, down, along, step, across, row):  # type: ignore[no-untyped-def]
    for image in range(g.shape[0]):
        for i in range(g.shape[1]):
            for j in range(g.shape[2]):
                k, m = divmod(np.int64(chosen[image, i, j]), row)
                dx[image, down[0, i] + k * step, along[0, j] + m * across] += g[image, i, j]
