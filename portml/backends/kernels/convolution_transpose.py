r"""The transpose of convolution, which makes images larger where convolution makes them smaller.

.. math:: y_{n,\, o,\, q s + k d - a} \mathrel{+}= \sum_c w_{c,o,k} \, x_{n,c,q}

with position q, kernel offset k, stride s, dilation d and padding a along each axis: what every element of the input
spreads over the window that a convolution of the same settings would have taken it from.  So it is the gradient of a
convolution, and its own gradient is that convolution.  [Zeiler et al. 2010, "Deconvolutional networks"; Dumoulin &
Visin 2016, section 4]
"""

from __future__ import annotations

from functools import lru_cache

from portml.backends.kernel import kernel
from portml.backends.kernels.convolution import convolution, convolution_backward
from portml.backends.kernels.index_keys import Span
from portml.backends.kernels.indexing import basic_getitem, pad
from portml.backends.kernels.windows import Pairs, refuse_unfit_padding, refuse_unfit_sizes
from portml.backends.namespaces import Array, device_of, namespace
from portml.errors import ArgumentError, ShapeError

__all__ = [
    "convolution_transpose",
    "convolution_transpose_backward",
    "convolution_transpose_saving",
    "transposed_shape",
]


@kernel
def convolution_transpose(
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Array:
    """Spread every element of `x` over a window, weighted by the kernels in `weight`.

    Parameters
    ----------
    x : array (n_samples, n_in, d_1, ..., d_r)
    weight : array (n_in, n_out / groups, k_1, ..., k_r)
    bias : array (n_out,) or None
    stride, dilation : tuple of r positive ints
    padding : tuple of r pairs of ints
        How much is cut off before and after each spatial axis.
    output_padding : tuple of r ints
        By how much the result is longer at the end of each axis, less than the stride or the dilation: with a stride
        s, convolutions of s different lengths have the same result, and this says which one is meant.
    groups : int

    Returns
    -------
    array (n_samples, n_out, p_1, ..., p_r)
        With p = (d - 1) stride - before - after + dilation (k - 1) + output_padding + 1.

    Raises
    ------
    ShapeError
        If the channels do not fit, or nothing is left of the result.
    ArgumentError
        If a stride, dilation or number of groups is not positive, a padding negative, an output padding too large, or
        there are too few of them.
    """
    shape = transposed_shape(x.shape, weight.shape, stride, padding, output_padding, dilation, groups)
    if bias is not None and tuple(bias.shape) != shape[1:2]:
        raise ShapeError(
            f"convolution_transpose: bias has shape {tuple(bias.shape)} and weight {tuple(weight.shape)} in {groups} "
            f"groups; expected a bias of ({shape[1]},)"
        )
    xp = namespace(x, weight, bias)
    image = xp.broadcast_to(xp.zeros((1,) * x.ndim, dtype=x.dtype, device=device_of(x)), shape)  # only its shape counts
    y, _, _ = convolution_backward(
        _lengthened(x, stride, output_padding),
        (),
        image,
        weight,
        None,
        needs=(True, False, False),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )
    return y if bias is None else y + xp.reshape(bias, (bias.shape[0], *[1] * (x.ndim - 2)))


@kernel
def convolution_transpose_saving(
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> tuple[Array, tuple[()]]:
    """The result of `convolution_transpose`; its gradient needs nothing but the arguments."""
    y = convolution_transpose(
        x,
        weight,
        bias,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
        groups=groups,
    )
    return y, ()


@kernel
def convolution_transpose_backward(
    g: Array,
    saved: tuple[()],
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    needs: tuple[bool, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> tuple[Array | None, Array | None, Array | None]:
    """The gradient of `convolution_transpose`: a convolution of `g`; in its own gradient `x` and `g` change places."""
    dx = dweight = dbias = None
    if needs[0]:
        dx = convolution(g, weight, None, stride=stride, padding=padding, dilation=dilation, groups=groups)
        dx = basic_getitem(dx, key=tuple(Span(0, length, 1) for length in x.shape))
    if needs[1]:
        _, dweight, _ = convolution_backward(
            _lengthened(x, stride, output_padding),
            (),
            g,
            weight,
            None,
            needs=(False, True, False),
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
        )
    if needs[2] and bias is not None:
        dbias = namespace(g).sum(g, axis=(0, *range(2, g.ndim)))
    return dx, dweight, dbias


convolution_transpose.gradient(saving=convolution_transpose_saving, backward=convolution_transpose_backward)


def _lengthened(x: Array, stride: tuple[int, ...], output_padding: tuple[int, ...]) -> Array:
    """`x` followed by as many zeros as there are whole strides in the output padding."""
    widths = tuple((0, more // s) for more, s in zip(output_padding, stride, strict=True))
    return pad(x, widths=((0, 0), (0, 0), *widths), value=0.0) if any(after for _, after in widths) else x


@lru_cache(maxsize=1024)
def transposed_shape(
    x: tuple[int, ...],
    weight: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> tuple[int, ...]:
    """The shape of the result for an `x` of this shape; see `convolution_transpose` for the errors raised."""
    name, spatial = "convolution_transpose", len(x) - 2
    if spatial < 1 or len(weight) != len(x):
        raise ShapeError(
            f"{name}: x has shape {x} and weight {weight}; expected (n_samples, n_in, ...) and "
            "(n_in, n_out / groups, ...) with the same number of spatial axes, at least one"
        )
    refuse_unfit_sizes(name, spatial, stride=stride, dilation=dilation)
    refuse_unfit_sizes(name, spatial, 0, output_padding=output_padding)
    refuse_unfit_padding(name, spatial, padding)
    if any(more >= max(s, d) for more, s, d in zip(output_padding, stride, dilation, strict=True)):
        raise ArgumentError(
            f"{name}: output_padding={output_padding} must be less than stride={stride} or dilation={dilation}"
        )
    if groups < 1 or x[1] % groups:
        raise ArgumentError(f"{name}: groups={groups} must be positive and divide the {x[1]} channels of x {x}")
    if weight[0] != x[1]:
        raise ShapeError(f"{name}: x {x} has {x[1]} channels, so that weight must be ({x[1]}, ...), got {weight}")
    if 0 in weight[1:]:
        raise ShapeError(f"{name}: weight {weight} has an axis without elements")
    lengths = tuple(
        (n - 1) * s - sum(around) + d * (k - 1) + more + 1
        for n, s, around, d, k, more in zip(x[2:], stride, padding, dilation, weight[2:], output_padding, strict=True)
    )
    if min(lengths) < 1 or min(x[2:]) < 1:
        raise ShapeError(
            f"{name}: x {x} and weight {weight} with stride {stride}, padding {padding} and dilation {dilation} give "
            f"a result of {lengths}; pad less, or take a larger input"
        )
    return (x[0], weight[1] * groups, *lengths)
