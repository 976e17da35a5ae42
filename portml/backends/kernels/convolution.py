r"""Convolution over any number of spatial axes, in the sense of neural networks: cross-correlation.

.. math:: y_{n,o,p} = b_o + \sum_{c,k} w_{o,c,k} \, x_{n,c,\,p s + k d - a}

with position p, kernel offset k, stride s, dilation d and padding a along each axis.

The twin is a sum over the kernel's offsets: for each, one strided slice of the padded input is multiplied by one matrix
of weights.  The gradient, its transpose, sends the same slices back.  [Dumoulin & Visin 2016, "A guide to convolution
arithmetic for deep learning"]
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from portml.backends.kernel import kernel
from portml.backends.kernels.index_keys import Span, Template
from portml.backends.kernels.indexing import basic_getitem, basic_unindex, frame, pad
from portml.backends.kernels.windows import Pairs, positions_along, refuse_unfit_padding, refuse_unfit_sizes, windows
from portml.backends.namespaces import Array, namespace
from portml.errors import ArgumentError, ShapeError

__all__ = [
    "ConvolutionGeometry",
    "convolution",
    "convolution_backward",
    "convolution_geometry",
    "convolution_saving",
    "refuse_unfit_bias",
]


@kernel
def convolution(
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
) -> Array:
    """Cross-correlate `x` with each of the kernels in `weight`.

    Parameters
    ----------
    x : array (n_samples, n_in, d_1, ..., d_r)
    weight : array (n_out, n_in / groups, k_1, ..., k_r)
    bias : array (n_out,) or None
    stride, dilation : tuple of r positive ints
    padding : tuple of r pairs of ints
        How many zeros stand before and after each spatial axis; unequal ones make "same" padding for even kernels.
    groups : int
        The channels are split into so many groups that know nothing of each other.

    Returns
    -------
    array (n_samples, n_out, p_1, ..., p_r), with p = (d + before + after - dilation (k - 1) - 1) // stride + 1

    Raises
    ------
    ShapeError
        If the channels do not fit, or the kernel is larger than the padded input.
    ArgumentError
        If a stride, dilation or number of groups is not positive, a padding negative, or there are too few of them.
    """
    geometry = convolution_geometry(x.shape, weight.shape, stride, padding, dilation, groups)
    refuse_unfit_bias(bias, weight)
    xp = namespace(x, weight, bias)
    padded = pad(x, widths=geometry.frame, value=0.0)
    y = None
    for window, offset in geometry.windows():
        term = _grouped_weight(basic_getitem(weight, key=offset), groups) @ _grouped(padded, window, geometry)
        y = term if y is None else y + term
    y = xp.reshape(y, geometry.output)
    return y if bias is None else y + _along_channels(bias, y.ndim)


@kernel
def convolution_saving(
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
) -> tuple[Array, tuple[()]]:
    """The result of `convolution`; its gradient needs nothing but the arguments."""
    return convolution(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups), ()


@kernel
def convolution_backward(
    g: Array,
    saved: tuple[()],
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    needs: tuple[bool, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
) -> tuple[Array | None, Array | None, Array | None]:
    """The gradient of `convolution`.

    What each window gave through one matrix of weights goes back through its transpose to where it came from; the
    matrix's own gradient is the product of `g` with the window.
    """
    geometry = convolution_geometry(x.shape, weight.shape, stride, padding, dilation, groups)
    xp = namespace(g, x, weight)
    grouped_g = xp.reshape(g, (geometry.n_samples, groups, geometry.out_per_group, geometry.n_positions))
    dx = _input_gradient(grouped_g, weight, geometry) if needs[0] else None
    dweight = _weight_gradient(grouped_g, x, geometry) if needs[1] else None
    dbias = xp.sum(g, axis=(0, *range(2, g.ndim))) if needs[2] and bias is not None else None
    return dx, dweight, dbias


convolution.gradient(saving=convolution_saving, backward=convolution_backward)


def _input_gradient(g: Array, weight: Array, geometry: ConvolutionGeometry) -> Array:
    xp = namespace(g, weight)
    shape, inner = frame(geometry.input, geometry.frame)
    dpadded = None
    for window, offset in geometry.windows():
        matrix = _grouped_weight(basic_getitem(weight, key=offset), geometry.groups)
        part = xp.reshape(xp.matrix_transpose(matrix) @ g, (*geometry.input[:2], *geometry.positions))
        part = basic_unindex(part, key=window, shape=shape)
        dpadded = part if dpadded is None else dpadded + part
    return basic_getitem(dpadded, key=inner)


def _weight_gradient(g: Array, x: Array, geometry: ConvolutionGeometry) -> Array:
    xp = namespace(g, x)
    padded = pad(x, widths=geometry.frame, value=0.0)
    parts = []
    for window, _ in geometry.windows():
        products = g @ xp.matrix_transpose(_grouped(padded, window, geometry))
        parts.append(xp.reshape(xp.sum(products, axis=0), geometry.weight[:2]))
    return xp.reshape(xp.stack(parts, axis=-1), geometry.weight)


def _grouped(padded: Array, window: Template, geometry: ConvolutionGeometry) -> Array:
    """What one kernel offset sees at every position: (n_samples, groups, n_in / groups, n_positions)."""
    seen = basic_getitem(padded, key=window)
    shape = (geometry.n_samples, geometry.groups, geometry.weight[1], geometry.n_positions)
    return namespace(padded).reshape(seen, shape)


def _grouped_weight(matrix: Array, groups: int) -> Array:
    """The weights of one kernel offset: (groups, n_out / groups, n_in / groups)."""
    return namespace(matrix).reshape(matrix, (groups, matrix.shape[0] // groups, matrix.shape[1]))


def _along_channels(bias: Array, ndim: int) -> Array:
    return namespace(bias).reshape(bias, (bias.shape[0], *[1] * (ndim - 2)))


# --- shapes ---------------------------------------------------------------------------------------------------------


class ConvolutionGeometry(NamedTuple):
    """The shapes of one convolution.

    Attributes
    ----------
    input, weight, output : tuple of int
    positions : tuple of int
        Spatial lengths of the result.
    frame : pairs of int
        The padding of every axis of the input.
    stride, dilation : tuple of int
    groups : int
    """

    input: tuple[int, ...]
    weight: tuple[int, ...]
    output: tuple[int, ...]
    positions: tuple[int, ...]
    frame: Pairs
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.input[0]

    @property
    def n_positions(self) -> int:
        """Number of places that the kernel takes in one image."""
        return math.prod(self.positions)

    @property
    def out_per_group(self) -> int:
        """Number of output channels in a group."""
        return self.weight[0] // self.groups

    def windows(self) -> Iterator[tuple[Template, Template]]:
        """For each offset in the kernel, the key of what it sees in the padded input, and of its matrix of weights."""
        whole = Span(None, None, None)
        for offset, window in windows(self.weight[2:], self.stride, self.dilation, self.positions):
            yield window, (whole, whole, *offset)


@lru_cache(maxsize=1024)
def convolution_geometry(
    x: tuple[int, ...],
    weight: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
) -> ConvolutionGeometry:
    """The shapes of a convolution of an array of shape `x`; see `convolution` for the errors raised."""
    spatial = len(x) - 2
    if spatial < 1 or len(weight) != len(x):
        raise ShapeError(
            f"convolution: x has shape {x} and weight {weight}; expected (n_samples, n_in, ...) and "
            "(n_out, n_in / groups, ...) with the same number of spatial axes, at least one"
        )
    refuse_unfit_sizes("convolution", spatial, stride=stride, dilation=dilation)
    refuse_unfit_padding("convolution", spatial, padding)
    if groups < 1 or x[1] % groups or weight[0] % groups:
        raise ArgumentError(
            f"convolution: groups={groups} must be positive and divide the {x[1]} channels of x {x} and the "
            f"{weight[0]} kernels of weight {weight}"
        )
    if x[1] // groups != weight[1]:
        raise ShapeError(
            f"convolution: x {x} has {x[1]} channels in {groups} groups, so that weight must be ({weight[0]}, "
            f"{x[1] // groups}, ...), got {weight}"
        )
    if 0 in weight[1:]:
        raise ShapeError(f"convolution: weight {weight} has an axis without elements")
    positions = tuple(
        positions_along(length + sum(around), k, s, d)
        for length, k, s, around, d in zip(x[2:], weight[2:], stride, padding, dilation, strict=True)
    )
    if min(positions) < 1:
        raise ShapeError(
            f"convolution: the kernel of weight {weight} with dilation {dilation} is larger than x {x} with padding "
            f"{padding}; pad more, or take a smaller kernel"
        )
    output = (x[0], weight[0], *positions)
    return ConvolutionGeometry(x, weight, output, positions, ((0, 0), (0, 0), *padding), stride, dilation, groups)


def refuse_unfit_bias(bias: Array | None, weight: Array) -> None:
    """Raise ShapeError unless there is one bias for each kernel, or none at all."""
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise ShapeError(
            f"convolution: bias has shape {tuple(bias.shape)} and weight {tuple(weight.shape)}; "
            f"expected a bias of ({weight.shape[0]},)"
        )
