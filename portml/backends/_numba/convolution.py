r"""Convolution by 3 × 3 kernels with stride 1 compiled, where there are many channels: Winograd's way, F(4 × 4, 3 × 3).

Along one axis, four results of a kernel g of three elements, from six elements d of the input, cost six products in the
place of twelve:

.. math:: y = A^T \left[ (G g) \odot (B^T d) \right]

Over two axes a tile of 4 × 4 results takes 36 products in the place of 144, and with channels each product becomes one
of matrices.  The gradient with respect to the input is the same convolution by kernels turned around; that with respect
to the kernels follows from the formula, :math:`G^T [(A \, dy) \odot (B^T d)]`.

Tiles mix their elements, so that an infinity would spoil its neighbours: results with one are worked out again the
plain way.  [Winograd 1980, "Arithmetic complexity of computations"; Lavin & Gray 2016, "Fast algorithms for
convolutional neural networks", section 4]
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED
from portml.backends._numba.depthwise import correlate_channels, fits_channels, kernel_gradient
from portml.backends._numpy.blocks import given, workspace
from portml.backends._numpy.normalisation import given_where_needed
from portml.backends.kernels.convolution import (
    ConvolutionGeometry,
    convolution,
    convolution_backward,
    convolution_geometry,
    convolution_saving,
    refuse_unfit_bias,
)
from portml.backends.kernels.windows import Pairs

__all__: list[str] = []

Numbers = NDArray[Any]

MANY_CHANNELS = 32
"""With fewer channels, in or out, the products of matrices are too small to make up for the transforms."""

MANY_SAMPLES = 8
"""They lie innermost and fill the vector instructions."""

COLUMNS = 512
"""At least so many columns a product has: what lies between the transforms stays in the cache."""

FAST = {**COMPILED, "fastmath": {"contract"}}
TWO, FOUR, FIVE, EIGHT = (np.float32(number) for number in (2, 4, 5, 8))

KERNEL = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
"""G."""


@convolution.on("numba")
def _(
    x: Numbers,
    weight: Numbers,
    bias: Numbers | None,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
    out: Numbers | None = None,
) -> Any:
    geometry = convolution_geometry(x.shape, weight.shape, stride, padding, dilation, groups)
    refuse_unfit_bias(bias, weight)
    if _fits(geometry, x, weight) and (bias is None or bias.dtype == x.dtype):
        before = geometry.frame[2][0], geometry.frame[3][0]
        y = _correlate(x, weight, before, geometry.positions, bias, out)
        if y is not None:
            return y
    elif fits_channels(geometry, x, weight) and (bias is None or bias.dtype == x.dtype):
        y = correlate_channels(x, weight, (geometry.frame[2][0], geometry.frame[3][0]), geometry.positions)
        if bias is not None:
            y += bias[:, None, None]
        return given(y, out)
    statics = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return convolution.kernel.table["numpy"](x, weight, bias, **statics, out=out)


@convolution_saving.on("numba")
def _(
    x: Numbers,
    weight: Numbers,
    bias: Numbers | None,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
    out: tuple[Numbers, tuple[()]] | None = None,
) -> tuple[Any, tuple[()]]:
    statics = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return convolution.kernel.table["numba"](x, weight, bias, **statics, out=None if out is None else out[0]), ()


@convolution_backward.on("numba")
def _(
    g: Numbers,
    saved: tuple[()],
    x: Numbers,
    weight: Numbers,
    bias: Numbers | None,
    *,
    needs: tuple[bool, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
    out: tuple[Any, Any, Any] | None = None,
) -> tuple[Any, Any, Any]:
    geometry = convolution_geometry(x.shape, weight.shape, stride, padding, dilation, groups)
    statics = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    numpy = convolution_backward.kernel.table["numpy"]
    to_x = None if out is None else out[0]
    dx = dweight = None
    if _fits(geometry, x, weight) and g.dtype == x.dtype:
        before = geometry.frame[2][0], geometry.frame[3][0]
        if needs[0] and max(before) <= 2:
            turned = weight[:, :, ::-1, ::-1].swapaxes(0, 1)
            dx = _correlate(g, turned, (2 - before[0], 2 - before[1]), geometry.input[2:], None, to_x)
        dweight = _weight_gradient(g, x, before) if needs[1] else None
    elif fits_channels(geometry, x, weight) and g.dtype == x.dtype:
        before = geometry.frame[2][0], geometry.frame[3][0]
        around = weight.shape[2] - 1 - before[0], weight.shape[3] - 1 - before[1]
        if needs[0] and min(around) >= 0:
            dx = correlate_channels(g, weight[:, :, ::-1, ::-1], around, geometry.input[2:])
        dweight = kernel_gradient(g, x, before, weight.shape) if needs[1] else None
    left = needs[0] and dx is None, needs[1] and dweight is None, needs[2]
    rest = numpy(g, saved, x, weight, bias, needs=left, **statics)
    dx, dweight = (rest[0] if dx is None else dx), (rest[1] if dweight is None else dweight)
    return given_where_needed((dx, dweight, rest[2]), out)


def _fits(geometry: ConvolutionGeometry, x: Numbers, weight: Numbers) -> bool:
    """Whether it is a convolution for which this way is right, and the shorter one."""
    return (
        geometry.weight[2:] == (3, 3)
        and geometry.stride == geometry.dilation == (1, 1)
        and geometry.groups == 1
        and min(geometry.weight[:2]) >= MANY_CHANNELS
        and geometry.n_samples >= MANY_SAMPLES
        and min(geometry.positions) >= 4
        and x.dtype == weight.dtype == np.float32
    )


def _correlate(
    x: Numbers,
    weight: Numbers,
    before: tuple[int, int],
    positions: tuple[int, ...],
    bias: Numbers | None,
    out: Numbers | None,
) -> Any:
    """The results (samples, channels, *positions), or None if not all of them are finite."""
    inner, (n_out, n_in) = _inner(x), weight.shape[:2]
    kernels = np.einsum("ak,oikl,bl->aboi", KERNEL, weight, KERNEL, optimize=True).astype(weight.dtype)
    shape = (positions[0], n_out, positions[1], len(x))
    y = None if out is None or out.dtype != x.dtype else out.transpose(2, 1, 3, 0)
    y = np.empty(shape, x.dtype) if y is None or not y.flags.c_contiguous else y
    shift = np.zeros(n_out, x.dtype) if bias is None else np.ascontiguousarray(bias)
    finite = True
    for first, rows, columns in _bands(shape):
        tiles = workspace("tiles", (6, 6, n_in, rows, columns, len(x)), x.dtype)
        products = workspace("products", (6, 6, n_out, rows, columns, len(x)), x.dtype)
        _tiles_of_input(inner, before[0], before[1], first, tiles)
        np.matmul(kernels, tiles.reshape(6, 6, n_in, -1), out=products.reshape(6, 6, n_out, -1))
        finite = finite and bool(_results_of_tiles(products, first, shift, y) == 0)
    if not finite:
        return None
    result = y.transpose(3, 1, 0, 2)
    return out if out is not None and np.may_share_memory(y, out) else given(result, out)


def _weight_gradient(g: Numbers, x: Numbers, before: tuple[int, int]) -> Numbers | None:
    """dweight, or None if it is not finite."""
    slope, inner = _inner(g), _inner(x)
    n_out, n_in, n_samples = g.shape[1], x.shape[1], len(x)
    total = np.zeros((6, 6, n_in, n_out), x.dtype)
    term = np.empty_like(total)
    for first, rows, columns in _bands(slope.shape):
        tiles = workspace("tiles", (6, 6, n_in, rows, columns, n_samples), x.dtype)
        slopes = workspace("products", (6, 6, n_out, rows, columns, n_samples), x.dtype)
        _tiles_of_input(inner, before[0], before[1], first, tiles)
        _tiles_of_gradient(slope, first, slopes)
        flat = tiles.reshape(6, 6, n_in, -1), slopes.reshape(6, 6, n_out, -1).swapaxes(2, 3)
        total += np.matmul(*flat, out=term)
    if not np.isfinite(total).all():
        return None
    dweight = np.einsum("ak,abio,bl->oikl", KERNEL, total, KERNEL, optimize=True)
    return np.ascontiguousarray(dweight, x.dtype)


def _bands(shape: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Bands of tiles of (height, channels, width, samples): the first row of tiles, rows, and tiles in a row."""
    height, columns = -(-shape[0] // 4), -(-shape[2] // 4)
    rows = min(height, -(-COLUMNS // (columns * shape[3])))
    return [(first, min(rows, height - first), columns) for first in range(0, height, rows)]


def _inner(x: Numbers) -> Numbers:
    """(height, channels, width, samples), contiguous."""
    return np.ascontiguousarray(x.transpose(2, 1, 3, 0))


@numba.njit(**FAST)
def _seen(x, i, channel, j, outside):  # type: ignore[no-untyped-def]
    """The samples at one position; zeros beyond the edge."""
    if i < 0 or i >= x.shape[0] or j < 0 or j >= x.shape[2]:
        return outside
    return x[i, channel, j]


@numba.njit(**FAST)
def _tiles_of_input(x, above, left, first, tiles):  # type: ignore[no-untyped-def]
    """Bᵀ d B for each tile of 6 × 6."""
    samples = x.shape[3]
    outside = np.zeros(samples, x.dtype)
    half = np.empty((6, 6, samples), x.dtype)
    for channel in range(x.shape[1]):
        for row in range(tiles.shape[3]):
            i = 4 * (first + row) - above
            for column in range(tiles.shape[4]):
                for m in range(6):
                    j = 4 * column - left + m
                    d0, d1 = _seen(x, i, channel, j, outside), _seen(x, i + 1, channel, j, outside)
                    d2, d3 = _seen(x, i + 2, channel, j, outside), _seen(x, i + 3, channel, j, outside)
                    d4, d5 = _seen(x, i + 4, channel, j, outside), _seen(x, i + 5, channel, j, outside)
                    for n in range(samples):
                        a, b, c, d, e, f = d0[n], d1[n], d2[n], d3[n], d4[n], d5[n]
                        half[0, m, n] = FOUR * a - FIVE * c + e
                        half[1, m, n] = d + e - FOUR * (b + c)
                        half[2, m, n] = FOUR * (b - c) - d + e
                        half[3, m, n] = TWO * (d - b) - c + e
                        half[4, m, n] = TWO * (b - d) - c + e
                        half[5, m, n] = FOUR * b - FIVE * d + f
                for k in range(6):
                    for n in range(samples):
                        a, b, c = half[k, 0, n], half[k, 1, n], half[k, 2, n]
                        d, e, f = half[k, 3, n], half[k, 4, n], half[k, 5, n]
                        tiles[k, 0, channel, row, column, n] = FOUR * a - FIVE * c + e
                        tiles[k, 1, channel, row, column, n] = d + e - FOUR * (b + c)
                        tiles[k, 2, channel, row, column, n] = FOUR * (b - c) - d + e
                        tiles[k, 3, channel, row, column, n] = TWO * (d - b) - c + e
                        tiles[k, 4, channel, row, column, n] = TWO * (b - d) - c + e
                        tiles[k, 5, channel, row, column, n] = FOUR * b - FIVE * d + f


@numba.njit(**FAST)
def _results_of_tiles(products, first, bias, y):  # type: ignore[no-untyped-def]
    """Aᵀ m A for each tile of 6 × 6, as far as it lies in the results; gives 0 if all of them are finite, else NaN."""
    samples = y.shape[3]
    half = np.empty((4, 6, samples), y.dtype)
    tile = np.empty((4, 4, samples), y.dtype)
    spoilt = np.zeros(samples, y.dtype)
    for channel in range(y.shape[1]):
        shift = bias[channel]
        for row in range(products.shape[3]):
            for column in range(products.shape[4]):
                for m in range(6):
                    for n in range(samples):
                        a, b = products[0, m, channel, row, column, n], products[1, m, channel, row, column, n]
                        c, d = products[2, m, channel, row, column, n], products[3, m, channel, row, column, n]
                        e, f = products[4, m, channel, row, column, n], products[5, m, channel, row, column, n]
                        half[0, m, n] = a + (b + c) + (d + e)
                        half[1, m, n] = (b - c) + TWO * (d - e)
                        half[2, m, n] = (b + c) + FOUR * (d + e)
                        half[3, m, n] = (b - c) + EIGHT * (d - e) + f
                for k in range(4):
                    for n in range(samples):
                        a, b, c = half[k, 0, n], half[k, 1, n], half[k, 2, n]
                        d, e, f = half[k, 3, n], half[k, 4, n], half[k, 5, n]
                        tile[k, 0, n] = a + (b + c) + (d + e) + shift
                        tile[k, 1, n] = (b - c) + TWO * (d - e) + shift
                        tile[k, 2, n] = (b + c) + FOUR * (d + e) + shift
                        tile[k, 3, n] = (b - c) + EIGHT * (d - e) + f + shift
                i, j = 4 * (first + row), 4 * column
                for k in range(min(4, y.shape[0] - i)):
                    for m in range(min(4, y.shape[2] - j)):
                        result = y[i + k, channel, j + m]
                        for n in range(samples):
                            result[n] = tile[k, m, n]
                            spoilt[n] += tile[k, m, n] - tile[k, m, n]
    return spoilt.sum()


@numba.njit(**FAST)
def _tiles_of_gradient(g, first, tiles):  # type: ignore[no-untyped-def]
    """A dy Aᵀ for each tile of 4 × 4."""
    samples = g.shape[3]
    outside = np.zeros(samples, g.dtype)
    half = np.empty((6, 4, samples), g.dtype)
    for channel in range(g.shape[1]):
        for row in range(tiles.shape[3]):
            i = 4 * (first + row)
            for column in range(tiles.shape[4]):
                for m in range(4):
                    j = 4 * column + m
                    g0, g1 = _seen(g, i, channel, j, outside), _seen(g, i + 1, channel, j, outside)
                    g2, g3 = _seen(g, i + 2, channel, j, outside), _seen(g, i + 3, channel, j, outside)
                    for n in range(samples):
                        a, b, c, d = g0[n], g1[n], g2[n], g3[n]
                        half[0, m, n] = a
                        half[1, m, n] = (a + c) + (b + d)
                        half[2, m, n] = (a + c) - (b + d)
                        half[3, m, n] = (a + FOUR * c) + TWO * (b + FOUR * d)
                        half[4, m, n] = (a + FOUR * c) - TWO * (b + FOUR * d)
                        half[5, m, n] = d
                for k in range(6):
                    for n in range(samples):
                        a, b, c, d = half[k, 0, n], half[k, 1, n], half[k, 2, n], half[k, 3, n]
                        tiles[k, 0, channel, row, column, n] = a
                        tiles[k, 1, channel, row, column, n] = (a + c) + (b + d)
                        tiles[k, 2, channel, row, column, n] = (a + c) - (b + d)
                        tiles[k, 3, channel, row, column, n] = (a + FOUR * c) + TWO * (b + FOUR * d)
                        tiles[k, 4, channel, row, column, n] = (a + FOUR * c) - TWO * (b + FOUR * d)
                        tiles[k, 5, channel, row, column, n] = d
