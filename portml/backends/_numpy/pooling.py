"""Pooling on NumPy, axis by axis: the maximum or sum over a box is that over one axis of those over the next.

Results keep the order of memory of the input, so that what a convolution laid out with the batch innermost stays so.
Offsets in a window grow while it is walked over; the number of the element chosen last is therefore the largest, and a
maximum of small integers does what a selection would take five times as long for.
"""

from __future__ import annotations

import math
import operator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends.kernels.pooling import (
    PoolingGeometry,
    avg_pool,
    avg_pool_backward,
    max_pool,
    max_pool_backward,
    max_pool_saving,
    pooling_geometry,
    window_sizes,
)
from portml.backends.kernels.real_numbers import refuse_unless_real
from portml.backends.kernels.windows import covered, windows

__all__: list[str] = []

Numbers = NDArray[Any]


@max_pool.on("numpy")
def _(
    x: Numbers,
    *,
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
) -> Numbers:
    refuse_unless_real("max_pool", x)
    geometry = pooling_geometry(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    for spatial in range(len(kernel_size)):
        x = _combined_along(np.maximum, x, geometry, spatial)
    return x


@max_pool_saving.on("numpy")
def _(
    x: Numbers,
    *,
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
) -> tuple[Numbers, Numbers]:
    refuse_unless_real("max_pool", x)
    geometry = pooling_geometry(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    if x.size and np.isnan(x.max()):  # the twin knows which of several NaN is chosen
        return max_pool_saving.agnostic(  # type: ignore[no-any-return]
            x, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
        )
    if kernel_size == (2, 2) == stride and not any(padding) and dilation == (1, 1) and not ceil_mode:
        return _largest_of_four(x, geometry)
    chosen = np.zeros_like(x, dtype=np.int8 if math.prod(kernel_size) <= 128 else np.int32)
    step = 1
    for spatial in reversed(range(len(kernel_size))):  # the last axis first: it is in row-major order that ties are won
        x, chosen = _largest_along(x, chosen, geometry, spatial, step)
        step *= kernel_size[spatial]
    return x, chosen


@max_pool_backward.on("numpy")
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
) -> tuple[Numbers | None]:
    if not needs[0]:
        return (None,)
    geometry = pooling_geometry(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    overlapping = any(d * (k - 1) >= s for k, s, d in zip(kernel_size, stride, dilation, strict=True))
    gapless = kernel_size == stride and geometry.input[2:] == tuple(map(operator.mul, geometry.positions, stride))
    bits = np.dtype(f"i{g.itemsize}")
    g_bits = _laid_out_like(saved, g).view(bits)
    dx = (np.empty_like if gapless and not overlapping else np.zeros_like)(x, dtype=g.dtype)
    for number, (offset, _) in enumerate(windows(kernel_size, stride, dilation, geometry.positions)):
        there, here = _covered(geometry, offset)
        # All bits or none: a product with 0 and 1 would make NaN of an infinite gradient, a selection is slow.
        mask = np.equal(saved[there], number).view(np.int8)
        np.negative(mask, out=mask)
        if overlapping:
            dx[here] += np.bitwise_and(g_bits[there], mask).view(g.dtype)
        else:
            np.bitwise_and(g_bits[there], mask, out=dx.view(bits)[here])
    return (dx,)


@avg_pool.on("numpy")
def _(
    x: Numbers,
    *,
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
) -> Numbers:
    refuse_unless_real("avg_pool", x)
    geometry = pooling_geometry(x.shape, kernel_size, stride, padding, (1,) * len(kernel_size), ceil_mode)
    total = x
    for spatial in range(len(kernel_size)):
        total = _combined_along(np.add, total, geometry, spatial)
    return total / _divisors(geometry, count_include_pad, divisor_override, x.dtype)


@avg_pool_backward.on("numpy")
def _(
    g: Numbers,
    saved: tuple[()],
    x: Numbers,
    *,
    needs: tuple[bool, ...],
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
) -> tuple[Numbers | None]:
    if not needs[0]:
        return (None,)
    geometry = pooling_geometry(x.shape, kernel_size, stride, padding, (1,) * len(kernel_size), ceil_mode)
    share = g / _divisors(geometry, count_include_pad, divisor_override, g.dtype)
    for spatial in range(len(kernel_size)):
        share = _spread_along(share, geometry, spatial)
    return (share,)


# --- along one axis -------------------------------------------------------------------------------------------------

Key = tuple[slice, ...]


def _combined_along(ufunc: np.ufunc, x: Numbers, geometry: PoolingGeometry, spatial: int) -> Numbers:
    """The maximum or sum over the windows along one axis."""
    whole, rest = _parts_along(geometry, spatial)
    if len(whole) > 1:
        y: Numbers = ufunc(x[whole[0]], x[whole[1]])
    elif whole:
        y = x[whole[0]].copy(order="K")
    else:
        y = _resized(x, spatial, geometry.positions[spatial])
        y[...] = -np.inf if ufunc is np.maximum else 0
    for here in whole[2:]:
        ufunc(y, x[here], out=y)
    for there, here in rest:
        ufunc(y[there], x[here], out=y[there])
    return y


def _largest_along(
    x: Numbers, chosen: Numbers, geometry: PoolingGeometry, spatial: int, step: int
) -> tuple[Numbers, Numbers]:
    """The maximum over the windows along one axis, and its number; `chosen` are the numbers along the later axes."""
    y = _resized(x, spatial, geometry.positions[spatial])
    y[...] = -np.inf
    numbers = np.full_like(y, -1, dtype=chosen.dtype)  # nothing chosen yet: the first wins, whatever it is
    for number in range(geometry.kernel_size[spatial]):
        there, here = _part_along(geometry, spatial, number)
        better = np.greater(x[here], y[there])
        better |= numbers[there] < 0
        np.maximum(y[there], x[here], out=y[there])
        candidate = chosen[here] + chosen.dtype.type(number * step)
        candidate *= better
        np.maximum(numbers[there], candidate, out=numbers[there])
    return y, numbers


def _largest_of_four(x: Numbers, geometry: PoolingGeometry) -> tuple[Numbers, Numbers]:
    """What `_largest_along` gives, for windows of 2 × 2 that touch."""
    height, width = geometry.positions
    x = x[:, :, : 2 * height, : 2 * width]
    left, right = x[..., 0::2], x[..., 1::2]
    in_right = np.greater(right, left).view(np.int8)
    rows = np.maximum(left, right)
    upper, lower = rows[:, :, 0::2], rows[:, :, 1::2]
    numbers = in_right[:, :, 1::2] + np.int8(2)
    numbers *= np.greater(lower, upper).view(np.int8)
    np.maximum(numbers, in_right[:, :, 0::2], out=numbers)
    return np.maximum(upper, lower), numbers


def _spread_along(g: Numbers, geometry: PoolingGeometry, spatial: int) -> Numbers:
    """The gradient of a sum over windows along one axis: every element gets that of all windows it lies in."""
    dx = _resized(g, spatial, geometry.input[2 + spatial])
    dx[...] = 0
    for number in range(geometry.kernel_size[spatial]):
        there, here = _part_along(geometry, spatial, number)
        dx[here] += g[there]
    return dx


@lru_cache(maxsize=1024)
def _parts_along(geometry: PoolingGeometry, spatial: int) -> tuple[list[Key], list[tuple[Key, Key]]]:
    """What the windows' elements see along one axis: those that lie inside it at every position, and the others."""
    parts = [_part_along(geometry, spatial, number) for number in range(geometry.kernel_size[spatial])]
    everywhere = slice(0, geometry.positions[spatial])
    whole = [here for there, here in parts if there[-1] == everywhere]
    return whole, [(there, here) for there, here in parts if there[-1] != everywhere]


def _part_along(geometry: PoolingGeometry, spatial: int, number: int) -> tuple[Key, Key]:
    """Where element `number` of the windows lies inside one axis: keys of the results, and of the input."""
    there, here = covered(
        geometry.input[2 + spatial],
        geometry.positions[spatial],
        number * geometry.dilation[spatial] - geometry.padding[spatial],
        geometry.stride[spatial],
    )
    before = (slice(None),) * (2 + spatial)
    return (*before, there), (*before, here)


@lru_cache(maxsize=1024)
def _covered(geometry: PoolingGeometry, offset: tuple[int, ...]) -> tuple[Key, Key]:
    """Where the windows' element at `offset` lies inside the input: keys of the results, and of the input."""
    parts = [_part_along(geometry, spatial, number) for spatial, number in enumerate(offset)]
    whole = (slice(None), slice(None))
    return (*whole, *(there[-1] for there, _ in parts)), (*whole, *(here[-1] for _, here in parts))


def _resized(x: Numbers, spatial: int, length: int) -> Numbers:
    """An array of another length along one axis, in the order of memory of `x`."""
    shape = list(x.shape)
    shape[2 + spatial] = length
    return np.empty_like(x, shape=tuple(shape))


def _laid_out_like(pattern: Numbers, x: Numbers) -> Numbers:
    """`x` in the order of memory of an array of the same shape."""
    if x.strides == tuple(stride * x.itemsize // pattern.itemsize for stride in pattern.strides):
        return x
    result = np.empty_like(pattern, dtype=x.dtype)
    result[...] = x
    return result


def _divisors(
    geometry: PoolingGeometry, count_include_pad: bool, divisor_override: int | None, dtype: np.dtype[Any]
) -> Numbers | float:
    """What the sum of each window is divided by: a number, or an array over the positions."""
    sizes = window_sizes(geometry, count_include_pad, divisor_override)
    if isinstance(sizes, float):
        return sizes
    product = np.asarray(sizes[0], dtype)
    for along in sizes[1:]:
        product = product[..., None] * np.asarray(along, dtype)
    return product
