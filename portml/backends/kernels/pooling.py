"""Pooling over any number of spatial axes: the largest element or the mean of each window, as PyTorch does it.

The twins walk over the offsets inside the window: what all windows see at one offset is one strided slice of the padded
input.  Padding never wins a maximum.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

from portml.backends.kernel import kernel
from portml.backends.kernels.indexing import basic_getitem, basic_unindex, frame, pad
from portml.backends.kernels.real_numbers import refuse_unless_real
from portml.backends.kernels.windows import Pairs, positions_along, refuse_unfit_sizes, windows
from portml.backends.namespaces import Array, device_of, namespace
from portml.errors import ArgumentError, ShapeError

__all__ = [
    "PoolingGeometry",
    "avg_pool",
    "avg_pool_backward",
    "avg_pool_saving",
    "max_pool",
    "max_pool_backward",
    "max_pool_saving",
    "max_pool_with_indices",
    "max_pool_with_indices_backward",
    "max_pool_with_indices_saving",
    "pooling_geometry",
    "refuse_unfit_divisor",
    "window_sizes",
]


@kernel
def max_pool(
    x: Array,
    *,
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
) -> Array:
    """The largest element of each window; NaN if it has one.

    Parameters
    ----------
    x : array (n_samples, n_channels, d_1, ..., d_r)
    kernel_size, stride, dilation : tuple of r positive ints
    padding : tuple of r ints
        On both sides of each axis, at most half of the window.
    ceil_mode : bool
        Whether a last window may reach over the end.

    Returns
    -------
    array (n_samples, n_channels, p_1, ..., p_r)
        p = (d + 2 padding - dilation (kernel_size - 1) - 1) / stride + 1, rounded down; with `ceil_mode` rounded up as
        long as the last window begins inside the input or the padding before it.

    Raises
    ------
    ShapeError
        If the window is larger than the padded input.
    ArgumentError
        If a size is not positive, or the padding more than half of the window.
    DtypeError
        If `x` is not real floating-point.
    """
    refuse_unless_real("max_pool", x)
    geometry = pooling_geometry(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    xp = namespace(x)
    padded = pad(x, widths=geometry.frame, value=-math.inf)
    y = None
    for _, window in windows(kernel_size, stride, dilation, geometry.positions):
        seen = basic_getitem(padded, key=window)
        y = seen if y is None else xp.maximum(y, seen)
    return y


@kernel
def max_pool_saving(
    x: Array,
    *,
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
) -> tuple[Array, Array]:
    """The result of `max_pool`, and where in its window each maximum stands.

    Offsets are numbered in row-major order, as int8 where that suffices, else int32; of equal elements the first is
    taken, of several NaN the last.
    """
    refuse_unless_real("max_pool", x)
    geometry = pooling_geometry(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    xp = namespace(x)
    padded = pad(x, widths=geometry.frame, value=-math.inf)
    y = xp.full(geometry.output, -math.inf, dtype=x.dtype, device=device_of(x))
    chosen = _first_inside(x, geometry)
    for number, (_, window) in enumerate(windows(kernel_size, stride, dilation, geometry.positions)):
        seen = basic_getitem(padded, key=window)
        better = (seen > y) | xp.isnan(seen)
        y = xp.where(better, seen, y)
        chosen = xp.where(better, number, chosen)
    return y, chosen


@kernel
def max_pool_backward(
    g: Array,
    saved: Array,
    x: Array,
    *,
    needs: tuple[bool, ...],
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
) -> tuple[Array | None]:
    """The gradient of `max_pool`: it goes to the element that was chosen in each window."""
    if not needs[0]:
        return (None,)
    geometry = pooling_geometry(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    xp = namespace(g, saved)
    shape, inner = frame(geometry.input, geometry.frame)
    dpadded = None
    for number, (_, window) in enumerate(windows(kernel_size, stride, dilation, geometry.positions)):
        part = basic_unindex(xp.where(saved == number, g, 0.0), key=window, shape=shape)
        dpadded = part if dpadded is None else dpadded + part
    return (basic_getitem(dpadded, key=inner),)


max_pool.gradient(saving=max_pool_saving, backward=max_pool_backward)


@kernel
def max_pool_with_indices(
    x: Array,
    *,
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
) -> tuple[Array, Array]:
    """The result of `max_pool`, and where each maximum stands in its image.

    Indices are int64 and count the elements of one image, (d_1, ..., d_r), in row-major order.
    """
    sizes = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
    y, chosen = max_pool_saving(x, **sizes, ceil_mode=ceil_mode)
    return y, _indices(chosen, pooling_geometry(x.shape, *sizes.values(), ceil_mode))


@kernel
def max_pool_with_indices_saving(
    x: Array,
    *,
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
) -> tuple[tuple[Array, Array], Array]:
    """The results of `max_pool_with_indices`, and what the gradient of `max_pool` wants."""
    sizes = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
    y, chosen = max_pool_saving(x, **sizes, ceil_mode=ceil_mode)
    return (y, _indices(chosen, pooling_geometry(x.shape, *sizes.values(), ceil_mode))), chosen


@kernel
def max_pool_with_indices_backward(
    g: tuple[Array, Array],
    saved: Array,
    x: Array,
    *,
    needs: tuple[bool, ...],
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
) -> tuple[Array | None]:
    """The gradient of `max_pool`; indices have none."""
    sizes = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
    return max_pool_backward(g[0], saved, x, needs=needs, **sizes, ceil_mode=ceil_mode)  # type: ignore[no-any-return]


max_pool_with_indices.gradient(saving=max_pool_with_indices_saving, backward=max_pool_with_indices_backward)


def _indices(chosen: Array, geometry: PoolingGeometry) -> Array:
    """From numbers of elements in their windows to numbers in the image."""
    xp = namespace(chosen)
    numbers = xp.astype(chosen, xp.int64)
    step, total = math.prod(geometry.kernel_size), None
    for axis, (k, s, p, d, n) in enumerate(
        zip(geometry.kernel_size, geometry.stride, geometry.padding, geometry.dilation, geometry.positions, strict=True)
    ):
        step //= k
        shape = (n, *[1] * (len(geometry.positions) - axis - 1))
        starts = xp.reshape(xp.arange(n, dtype=xp.int64, device=device_of(chosen)) * s - p, shape)
        coordinate = starts + numbers // step % k * d
        total = coordinate if total is None else total * geometry.input[2 + axis] + coordinate
    return total


@kernel
def avg_pool(
    x: Array,
    *,
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
) -> Array:
    """The mean of each window.

    Parameters
    ----------
    x : array (n_samples, n_channels, d_1, ..., d_r)
    kernel_size, stride : tuple of r positive ints
    padding : tuple of r ints
        Zeros on both sides of each axis, at most half of the window.
    ceil_mode : bool
        Whether a last window may reach over the end; what lies behind the padding never counts.
    count_include_pad : bool
        Whether the zeros of the padding count as elements.
    divisor_override : int, optional
        What every sum is divided by, in the place of the number of elements.

    Returns
    -------
    array (n_samples, n_channels, p_1, ..., p_r), as for `max_pool`

    Raises
    ------
    ShapeError, ArgumentError, DtypeError
        As for `max_pool`.
    """
    refuse_unless_real("avg_pool", x)
    geometry = pooling_geometry(x.shape, kernel_size, stride, padding, (1,) * len(kernel_size), ceil_mode)
    padded = pad(x, widths=geometry.frame, value=0.0)
    total: Any = None
    for _, window in windows(kernel_size, stride, geometry.dilation, geometry.positions):
        seen = basic_getitem(padded, key=window)
        total = seen if total is None else total + seen
    return total / _divisors(x, geometry, count_include_pad, divisor_override)


@kernel
def avg_pool_saving(
    x: Array,
    *,
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
) -> tuple[Array, tuple[()]]:
    """The result of `avg_pool`; its gradient needs nothing but the shape."""
    y = avg_pool(
        x,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        divisor_override=divisor_override,
    )
    return y, ()


@kernel
def avg_pool_backward(
    g: Array,
    saved: tuple[()],
    x: Array,
    *,
    needs: tuple[bool, ...],
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
) -> tuple[Array | None]:
    """The gradient of `avg_pool`: every element of a window gets its share."""
    if not needs[0]:
        return (None,)
    geometry = pooling_geometry(x.shape, kernel_size, stride, padding, (1,) * len(kernel_size), ceil_mode)
    shape, inner = frame(geometry.input, geometry.frame)
    share = g / _divisors(x, geometry, count_include_pad, divisor_override)
    dpadded = None
    for _, window in windows(kernel_size, stride, geometry.dilation, geometry.positions):
        part = basic_unindex(share, key=window, shape=shape)
        dpadded = part if dpadded is None else dpadded + part
    return (basic_getitem(dpadded, key=inner),)


avg_pool.gradient(saving=avg_pool_saving, backward=avg_pool_backward)


# --- shapes ---------------------------------------------------------------------------------------------------------


class PoolingGeometry(NamedTuple):
    """The shapes of one pooling.

    Attributes
    ----------
    input, output : tuple of int
    positions : tuple of int
        Spatial lengths of the result.
    frame : pairs of int
        What is put around every axis of the input; after it as much as the last window needs.
    kernel_size, stride, padding, dilation : tuple of int
    """

    input: tuple[int, ...]
    output: tuple[int, ...]
    positions: tuple[int, ...]
    frame: Pairs
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]


@lru_cache(maxsize=1024)
def pooling_geometry(
    x: tuple[int, ...],
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
) -> PoolingGeometry:
    """The shapes of a pooling of an array of shape `x`; see `max_pool` for the errors raised."""
    spatial = len(x) - 2
    if spatial < 1:
        raise ShapeError(
            f"pooling: x has shape {x}; expected (n_samples, n_channels, ...) with a spatial axis at least"
        )
    refuse_unfit_sizes("pooling", spatial, kernel_size=kernel_size, stride=stride, dilation=dilation)
    refuse_unfit_sizes("pooling", spatial, 0, padding=padding)
    extents = tuple(d * (k - 1) + 1 for k, d in zip(kernel_size, dilation, strict=True))
    if any(2 * p > extent for p, extent in zip(padding, extents, strict=True)):
        raise ArgumentError(f"pooling: padding={padding}; expected at most half of the window, whose size is {extents}")
    positions, around = [], []
    for length, k, s, p, d, extent in zip(x[2:], kernel_size, stride, padding, dilation, extents, strict=True):
        count = positions_along(length + 2 * p, k, s, d)
        if ceil_mode and extent <= length + 2 * p + s - 1:
            count = -((extent - length - 2 * p) // s) + 1
            count -= (count - 1) * s >= length + p
        positions.append(count)
        around.append((p, max(0, (count - 1) * s + extent - length - p)))
    if min(positions) < 1:
        raise ShapeError(
            f"pooling: a window of {extents} is larger than x {x} with padding {padding}; take a smaller window"
        )
    output = (*x[:2], *positions)
    frame_ = ((0, 0), (0, 0), *around)
    return PoolingGeometry(x, output, tuple(positions), frame_, kernel_size, stride, padding, dilation)


@lru_cache(maxsize=1024)
def window_sizes(
    geometry: PoolingGeometry, count_include_pad: bool, divisor_override: int | None = None
) -> tuple[tuple[int, ...], ...] | float:
    """What the sum of each window is divided by: a number if always the same, else factors along each spatial axis."""
    refuse_unfit_divisor(divisor_override)
    if divisor_override is not None:
        return float(divisor_override)
    sizes = []
    for length, k, s, p, n in zip(
        geometry.input[2:], geometry.kernel_size, geometry.stride, geometry.padding, geometry.positions, strict=True
    ):
        low, high = (-p, length + p) if count_include_pad else (0, length)
        starts = [i * s - p for i in range(n)]
        sizes.append(tuple(min(start + k, high) - max(start, low) for start in starts))
    if all(min(along) == max(along) for along in sizes):
        return float(math.prod(along[0] for along in sizes))
    return tuple(sizes)


def refuse_unfit_divisor(divisor_override: int | None) -> None:
    """Raise ArgumentError for a divisor of zero."""
    if divisor_override == 0:
        raise ArgumentError("avg_pool: divisor_override=0; expected another integer, or None for the window's size")


def _divisors(
    x: Array, geometry: PoolingGeometry, count_include_pad: bool, divisor_override: int | None
) -> Array | float:
    """What the sum of each window is divided by: a number, or an array over the positions."""
    sizes = window_sizes(geometry, count_include_pad, divisor_override)
    return sizes if isinstance(sizes, float) else _over_positions(x, sizes, x.dtype, multiply=True)


def _first_inside(x: Array, geometry: PoolingGeometry) -> Array:
    """The number of the first offset of each window that lies in the input, for windows in which nothing is larger."""
    numbers, step = [], math.prod(geometry.kernel_size)
    for k, s, p, d, n in zip(
        geometry.kernel_size, geometry.stride, geometry.padding, geometry.dilation, geometry.positions, strict=True
    ):
        step //= k
        numbers.append(tuple(-(min(i * s - p, 0) // d) * step for i in range(n)))
    xp = namespace(x)
    dtype = xp.int8 if math.prod(geometry.kernel_size) <= 128 else xp.int32
    first = _over_positions(x, tuple(numbers), dtype, multiply=False)
    return xp.broadcast_to(first, geometry.output)


def _over_positions(x: Array, along: tuple[tuple[int, ...], ...], dtype: object, *, multiply: bool) -> Array:
    """The product or sum of one number for each position along each axis, over all of them."""
    xp = namespace(x)
    total = None
    for axis, numbers in enumerate(along):
        shape = [1] * len(along)
        shape[axis] = len(numbers)
        factor = xp.reshape(xp.asarray(numbers, dtype=dtype, device=device_of(x)), tuple(shape))
        total = factor if total is None else total * factor if multiply else total + factor
    return total
