"""Convolution on NumPy, with the batch innermost in memory: axes in the order (height, channels, width, samples).

To the outside every array is (samples, channels, height, width), as everywhere; only its strides differ, as results are
transposed views.  Elementwise NumPy functions keep the order of memory, so that in a network only the first convolution
has to bring its input into it.

Why this order: matrix products want the input *unfolded*, each patch that the kernel covers as a column.  Here only the
shifts along the width are copied, (rows, kernel width, channels, width, samples).  The kernel's rows then lie behind
each other in memory, so that the patches of one row of results are a plain matrix in the copy, and those of the next
begin one row further on: overlapping matrices without another copy.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

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
from portml.backends.kernels.windows import Pairs, covered

__all__: list[str] = []

Numbers = NDArray[Any]

MANY = 32
"""Channels with which a product of matrices is at full speed."""

IN_CACHE = 1 << 18
"""Elements of a matrix that is better added up row by row than kept for all rows at once."""


@convolution.on("numpy")
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
    plane = _plane(geometry)
    if plane is None:
        return given(_correlate_slices(x, weight, bias, geometry), out)
    y = _correlate(_as_plane(x), weight, bias, plane, None if out is None else _as_plane(out))
    return out if out is not None else y.reshape(geometry.output)


@convolution_saving.on("numpy")
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
    return convolution.kernel.table["numpy"](x, weight, bias, **statics, out=None if out is None else out[0]), ()


@convolution_backward.on("numpy")
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
    plane = _plane(geometry)
    if plane is None:
        statics = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return given_where_needed(convolution_backward.agnostic(g, saved, x, weight, bias, needs=needs, **statics), out)
    to_x = None if out is None or out[0] is None else _as_plane(out[0])
    rows = _rows(_as_plane(g), plane)
    dx = _input_gradient(_as_plane(g), rows, weight, plane, to_x).reshape(geometry.input) if needs[0] else None
    dweight = _weight_gradient(rows, _as_plane(x), plane).reshape(geometry.weight) if needs[1] else None
    dbias = _bias_gradient(rows) if needs[2] and bias is not None else None
    if out is None:
        return dx, dweight, dbias
    return (dx if to_x is None else out[0], *given_where_needed((dweight, dbias), out[1:]))


class _Plane(NamedTuple):
    """A convolution over two spatial axes; one over a single axis is one with height 1."""

    n_samples: int
    groups: int
    n_in: int  # channels of one group
    n_out: int
    input: tuple[int, ...]
    kernel: tuple[int, ...]
    positions: tuple[int, ...]
    stride: tuple[int, ...]
    before: tuple[int, ...]
    height: int  # padded
    dilation: tuple[int, ...]

    @property
    def unfolded(self) -> int:
        """Number of elements in a patch, of one group."""
        return self.kernel[0] * self.kernel[1] * self.n_in

    def turned(self) -> _Plane | None:
        """The correlation that is the transpose of this one; None where there is none, or it would take longer."""
        reach = tuple(d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True))
        before = tuple(r - b for r, b in zip(reach, self.before, strict=True))
        fits = all(n <= length + b for n, length, b in zip(self.positions, self.input, self.before, strict=True))
        if self.stride != (1, 1) or min(before) < 0 or not fits:
            return None
        many_channels = self.n_in >= MANY or (self.n_in == 1 and self.groups > 1)
        if not many_channels or 4 * math.prod(self.input) > 5 * math.prod(self.positions):
            return None
        height = self.input[0] + reach[0]
        return self._replace(
            n_in=self.n_out, n_out=self.n_in, input=self.positions, positions=self.input, before=before, height=height
        )

    def covered(self, shift: int) -> tuple[slice, slice]:
        """At which positions along the width column `shift` of the kernel lies inside the input, and where there."""
        first = shift * self.dilation[1] - self.before[1]
        return covered(self.input[1], self.positions[1], first, self.stride[1])


def _plane(geometry: ConvolutionGeometry) -> _Plane | None:
    """The convolution as one over a plane; None if it is over more axes."""
    spatial = len(geometry.positions)
    if spatial > 2:
        return None
    flat = (1,) * (2 - spatial)
    height, width = (*flat, *geometry.input[2:])
    above, below = geometry.frame[2] if spatial == 2 else (0, 0)
    left = geometry.frame[-1][0]
    return _Plane(
        geometry.n_samples,
        geometry.groups,
        geometry.weight[1],
        geometry.out_per_group,
        (height, width),
        (*flat, *geometry.weight[2:]),
        (*flat, *geometry.positions),
        (*flat, *geometry.stride),
        (above, left),
        above + height + below,
        (*flat, *geometry.dilation),
    )


def _as_plane(x: Numbers) -> Numbers:
    return x if x.ndim == 4 else x[:, :, None, :]


# --- the three products ---------------------------------------------------------------------------------------------
# Shapes in memory, with P positions times samples and K elements in a patch:
#   patches (groups, rows of results, K, P), weights (groups, n_out, K), results (rows of results, groups, n_out, P)


def _correlate(x: Numbers, weight: Numbers, bias: Numbers | None, plane: _Plane, out: Numbers | None = None) -> Numbers:
    """weights @ patches, for each row of results."""
    height, width = plane.positions
    patches = _patches(_shifts(x, plane), plane)
    dtype = np.result_type(x, weight) if bias is None else np.result_type(x, weight, bias)
    y = _room(out, (height, plane.groups * plane.n_out, width, plane.n_samples), dtype)
    products = y.reshape(height, plane.groups, plane.n_out, width * plane.n_samples).transpose(1, 0, 2, 3)
    np.matmul(_matrices(weight, plane)[:, None], patches, out=products, casting="same_kind")
    if bias is not None:
        y += bias[:, None, None]
    return _arrived(y, out)


def _weight_gradient(rows: Numbers, x: Numbers, plane: _Plane) -> Numbers:
    """patches @ gᵀ, summed over the rows of results; this way round it is up to twice as fast as g @ patchesᵀ."""
    patches, rows = _patches(_shifts(x, plane), plane), rows.swapaxes(2, 3)
    if plane.groups * plane.n_out * plane.unfolded * plane.positions[0] < IN_CACHE:
        total = np.matmul(patches, rows).sum(axis=1)
    else:
        total = patches[:, 0] @ rows[:, 0]
        term = np.empty_like(total)
        for row in range(1, plane.positions[0]):
            total += np.matmul(patches[:, row], rows[:, row], out=term)
    kernels = total.reshape(plane.groups, *plane.kernel, plane.n_in, plane.n_out).transpose(0, 4, 3, 1, 2)
    return np.ascontiguousarray(kernels).reshape(plane.groups * plane.n_out, plane.n_in, *plane.kernel)


def _input_gradient(g: Numbers, rows: Numbers, weight: Numbers, plane: _Plane, out: Numbers | None = None) -> Numbers:
    """The correlation of `g` with the kernels turned around, or patch by patch."""
    turned = plane.turned()
    if turned is None:
        return _fold(rows, weight, plane, out)
    kernels = weight.reshape(plane.groups, plane.n_out, plane.n_in, *plane.kernel)[..., ::-1, ::-1].swapaxes(1, 2)
    return _correlate(g, kernels.reshape(plane.groups * plane.n_in, plane.n_out, *plane.kernel), None, turned, out)


def _fold(rows: Numbers, weight: Numbers, plane: _Plane, out: Numbers | None) -> Numbers:
    """weightsᵀ @ g gives the gradient of every patch; each goes back to where it was taken from."""
    matrices = _matrices(weight, plane).swapaxes(1, 2)
    width, n_samples = plane.positions[1], plane.n_samples
    in_row = (plane.kernel[1] * plane.n_in, width * n_samples)
    dtype = np.result_type(rows, weight)
    dshifts = workspace("shifts", (plane.groups, plane.height, *in_row), dtype)
    dshifts[...] = 0
    dpatches = workspace("patches", (plane.groups, plane.unfolded, width * n_samples), dtype)
    # Row by row, so that the gradient of the patches stays in the cache until it is added.
    for row in range(plane.positions[0]):
        np.matmul(matrices, rows[:, row], out=dpatches)
        start = row * plane.stride[0]
        stop = start + plane.dilation[0] * (plane.kernel[0] - 1) + 1
        dshifts[:, start : stop : plane.dilation[0]] += dpatches.reshape(plane.groups, plane.kernel[0], *in_row)
    height = plane.input[0]
    inside = dshifts[:, plane.before[0] : plane.before[0] + height]
    inside = inside.reshape(plane.groups, height, plane.kernel[1], plane.n_in, width, n_samples)
    y = _room(out, (height, plane.groups * plane.n_in, plane.input[1], n_samples), dtype)
    y[...] = 0
    dx = y.reshape(height, plane.groups, plane.n_in, plane.input[1], n_samples)
    for shift in range(plane.kernel[1]):
        there, here = plane.covered(shift)
        dx[:, :, :, here] += inside[:, :, shift, :, there].swapaxes(0, 1)
    return _arrived(y, out)


def _bias_gradient(rows: Numbers) -> Numbers:
    """The sum over positions and samples: a product with ones is faster than a reduction."""
    ones = np.ones(rows.shape[-1], rows.dtype)
    total: Numbers = (rows @ ones).sum(axis=1)
    return total.reshape(-1)


# --- more than two axes ---------------------------------------------------------------------------------------------


def _correlate_slices(x: Numbers, weight: Numbers, bias: Numbers | None, geometry: ConvolutionGeometry) -> Numbers:
    """The sum over the kernel's offsets along the first axis: each is a kernel of one axis less, for all slices alike.

    Slices stand in the place of samples.  The gradient is left to the twin, which is as fast as this way round.
    """
    length, positions, before = geometry.input[2], geometry.positions[0], geometry.frame[2][0]
    inner = {"stride": geometry.stride[1:], "padding": geometry.frame[3:], "dilation": geometry.dilation[1:]}
    y = np.zeros(geometry.output, np.result_type(x, weight))
    for offset in range(geometry.weight[2]):
        there, here = covered(length, positions, offset * geometry.dilation[0] - before, geometry.stride[0])
        slices = x[:, :, here].swapaxes(1, 2)
        samples = slices.reshape(math.prod(slices.shape[:2]), *slices.shape[2:])
        part = convolution(samples, weight[:, :, offset], None, groups=geometry.groups, **inner)
        y[:, :, there] += part.reshape(*slices.shape[:2], *part.shape[1:]).swapaxes(1, 2)
    return y if bias is None else y + bias.reshape(-1, *[1] * len(geometry.positions))


# --- into the order of memory and back ------------------------------------------------------------------------------


def _room(out: Numbers | None, shape: tuple[int, ...], dtype: Any) -> Numbers:
    """Memory of (height, channels, width, samples): that of `out` if it has that order and type, else new."""
    inner = None if out is None or out.dtype != dtype else out.transpose(2, 1, 3, 0)
    return inner if inner is not None and inner.flags.c_contiguous else np.empty(shape, dtype)


def _arrived(y: Numbers, out: Numbers | None) -> Numbers:
    """The result (samples, channels, height, width), in `out` if that is wanted."""
    y = y.transpose(3, 1, 0, 2)
    if out is not None and not np.may_share_memory(y, out):
        out[...] = y
    return y if out is None else out


def _rows(g: Numbers, plane: _Plane) -> Numbers:
    """The gradient of the results as (groups, rows of results, n_out, P)."""
    height, width = plane.positions
    contiguous = np.ascontiguousarray(g.transpose(2, 1, 3, 0))
    return contiguous.reshape(height, plane.groups, plane.n_out, width * plane.n_samples).swapaxes(0, 1)


def _shifts(x: Numbers, plane: _Plane) -> Numbers:
    """For each column of the kernel what it sees along the width: (groups, padded height, columns, n_in, width, N)."""
    inner = x.transpose(2, 1, 3, 0)
    if plane.n_samples > 1 and inner.strides[3] != inner.itemsize:
        inner = np.ascontiguousarray(inner)
    height, before = plane.input[0], plane.before[0]
    inner = inner.reshape(height, plane.groups, plane.n_in, plane.input[1], plane.n_samples).swapaxes(0, 1)
    width = plane.positions[1]
    shape = (plane.groups, plane.height, plane.kernel[1], plane.n_in, width, plane.n_samples)
    shifts = workspace("shifts", shape, x.dtype)
    shifts[:, :before] = 0
    shifts[:, before + height :] = 0
    for shift in range(plane.kernel[1]):
        there, here = plane.covered(shift)
        copied = shifts[:, before : before + height, shift]
        copied[:, :, :, : there.start] = 0
        copied[:, :, :, there.stop :] = 0
        copied[:, :, :, there] = inner[:, :, :, here]
    return shifts


def _patches(shifts: Numbers, plane: _Plane) -> Numbers:
    """The patches of each row of results, (groups, rows of results, K, P): overlapping views, copied if dilated."""
    group, row, _, channel, _, _ = shifts.strides
    in_row = (plane.kernel[1] * plane.n_in, plane.positions[1] * plane.n_samples)
    views = as_strided(
        shifts,
        (plane.groups, plane.positions[0], plane.kernel[0], *in_row),
        (group, plane.stride[0] * row, plane.dilation[0] * row, channel, shifts.itemsize),
        writeable=False,
    )
    return views.reshape(plane.groups, plane.positions[0], plane.unfolded, in_row[1])


def _matrices(weight: Numbers, plane: _Plane) -> Numbers:
    """The kernels as rows in the order of a patch: (groups, n_out, K)."""
    ordered = weight.reshape(plane.groups * plane.n_out, plane.n_in, *plane.kernel).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(ordered).reshape(plane.groups, plane.n_out, plane.unfolded)
