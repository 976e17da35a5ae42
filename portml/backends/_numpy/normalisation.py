"""Normalisation on NumPy: sums are products with ones, and blocks of whole rows or samples stay in the cache."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.blocks import BLOCK, given
from portml.backends._numpy.reductions import ones
from portml.backends.kernels.normalisation import (
    batch_norm_inference,
    batch_norm_inference_backward,
    batch_norm_train,
    batch_norm_train_backward,
    batch_norm_train_saving,
    layer_norm,
    layer_norm_backward,
    layer_norm_saving,
    refuse_unfit_channels,
    refuse_unfit_running,
)

__all__ = [
    "are_last",
    "arrived",
    "destination",
    "given_where_needed",
    "in_rows",
    "in_samples",
    "scale_and_shift_channels",
    "standardise",
    "sum_of_channels",
    "sum_of_products",
    "width_of",
]

Floats = NDArray[Any]
Parameter = Floats | None
Needs = tuple[bool, ...]
Axes = int | tuple[int, ...]
Three = tuple[Floats, Floats, Floats]
Saved = tuple[Floats, Floats]

FAR = 8
"""A mean so many standard deviations from zero is worked out in two steps."""


@layer_norm.on("numpy")
def _(
    x: Floats, weight: Parameter, bias: Parameter, *, axes: Axes = -1, eps: float = 1e-5, out: Floats | None = None
) -> Any:
    if not are_last(x, weight, bias, axes):
        return given(layer_norm.agnostic(x, weight, bias, axes=axes, eps=eps), out)
    y = destination(out, x)
    for xs, ys in in_rows(width_of(x, axes), x, y):
        standardise(xs, ys, eps)
        scale_and_shift(ys, weight, bias, ys)
    return arrived(y, out)


@layer_norm_saving.on("numpy")
def _(
    x: Floats,
    weight: Parameter,
    bias: Parameter,
    *,
    axes: Axes,
    eps: float,
    out: tuple[Floats, Saved] | None = None,
) -> tuple[Any, Saved]:
    if not are_last(x, weight, bias, axes):
        y, (normalised, inverse_std) = layer_norm_saving.agnostic(x, weight, bias, axes=axes, eps=eps)
        result: tuple[Any, Saved] = given((y, (normalised, inverse_std)), out)
        return result
    to_y, (to_normalised, to_inverse_std) = (None, (None, None)) if out is None else out
    y, normalised, width = destination(to_y, x), destination(to_normalised, x), width_of(x, axes)
    inverses = np.empty(x.size // width, x.dtype)
    start = 0
    for xs, ys, ns in in_rows(width, x, y, normalised):
        inverses[start : start + len(xs)] = standardise(xs, ns, eps)
        scale_and_shift(ns, weight, bias, ys)
        start += len(xs)
    kept = len((axes,) if isinstance(axes, int) else axes)
    inverse_std = inverses.reshape(x.shape[: x.ndim - kept] + (1,) * kept)
    return arrived(y, to_y), (arrived(normalised, to_normalised), arrived(inverse_std, to_inverse_std))


@layer_norm_backward.on("numpy")
def _(
    g: Floats,
    saved: Saved,
    x: Floats,
    weight: Parameter,
    bias: Parameter,
    *,
    needs: Needs,
    axes: Axes,
    eps: float,
    out: tuple[Any, Any, Any] | None = None,
) -> tuple[Any, Any, Any]:
    normalised, inverse_std = saved
    if not are_last(x, weight, bias, axes):
        twin = layer_norm_backward.agnostic(g, saved, x, weight, bias, needs=needs, axes=axes, eps=eps)
        return given_where_needed(twin, out)
    width = width_of(x, axes)
    dx = dweight = dbias = None
    if needs[0]:
        dx = destination(None if out is None else out[0], x)
        start, inverses = 0, inverse_std.reshape(-1, 1)
        for gs, ns, ds in in_rows(width, g, normalised, dx):
            scaled = gs if weight is None else gs * weight.reshape(-1)
            matched = np.vecdot(scaled, ns) / width
            mean = scaled @ ones(width, scaled.dtype)
            mean /= width
            through = ns * matched[:, np.newaxis]
            through += mean[:, np.newaxis]
            np.subtract(scaled, through, out=through)
            np.multiply(through, inverses[start : start + len(gs)], out=ds)
            start += len(gs)
    if needs[1] and weight is not None:
        dweight = sum(ones(len(gs), g.dtype) @ (gs * ns) for gs, ns in in_rows(width, g, normalised))
        dweight = dweight.reshape(weight.shape)
    if needs[2] and bias is not None:
        rows = g.reshape(-1, width)
        dbias = (ones(len(rows), g.dtype) @ rows).reshape(bias.shape)
    return given_where_needed((dx, dweight, dbias), out)


@batch_norm_train.on("numpy")
def _(x: Floats, weight: Parameter, bias: Parameter, *, eps: float = 1e-5, out: Three | None = None) -> Three:
    results: Three = batch_norm_train_saving.kernel.table["numpy"](x, weight, bias, eps=eps)[0]
    return given(results, out)  # type: ignore[no-any-return]


@batch_norm_train_saving.on("numpy")
def _(
    x: Floats, weight: Parameter, bias: Parameter, *, eps: float, out: tuple[Three, Saved] | None = None
) -> tuple[Three, Saved]:
    refuse_unfit_channels(x, weight, bias, "batch_norm_train")
    if x.size == 0:
        return given(batch_norm_train_saving.agnostic(x, weight, bias, eps=eps), out)  # type: ignore[no-any-return]
    count = x.size // x.shape[1]
    y = destination(None if out is None else out[0][0], x)
    normalised = destination(None if out is None else out[1][0], x)
    mean = sum_of_channels(x) / count
    var = _centre_channels(x, mean, normalised) / count
    inverse_std = 1 / np.sqrt(var + x.dtype.type(eps))
    if np.max(np.abs(mean) * inverse_std) > FAR:
        rest = sum_of_channels(normalised) / count
        mean += rest
        var = _centre_channels(normalised, rest, normalised) / count
        inverse_std = 1 / np.sqrt(var + x.dtype.type(eps))
    for ns, ys in in_samples(normalised, y):
        np.multiply(ns, inverse_std[:, np.newaxis], out=ns)
        scale_and_shift_channels(ns, weight, bias, ys)
    result = (y, mean, var), (normalised, inverse_std)
    if out is None:
        return result
    for each, there in zip((*result[0], *result[1]), (*out[0], *out[1]), strict=True):
        arrived(each, there)
    return out


@batch_norm_train_backward.on("numpy")
def _(
    g: Three,
    saved: Saved,
    x: Floats,
    weight: Parameter,
    bias: Parameter,
    *,
    needs: Needs,
    eps: float,
    out: tuple[Any, Any, Any] | None = None,
) -> tuple[Any, Any, Any]:
    if x.size == 0:
        twin = batch_norm_train_backward.agnostic(g, saved, x, weight, bias, needs=needs, eps=eps)
        return given_where_needed(twin, out)
    (g_y, g_mean, g_var), (normalised, inverse_std) = g, saved
    count = x.size // x.shape[1]
    total = sum_of_channels(g_y)
    matched = np.zeros_like(total)
    for gs, ns in in_samples(g_y, normalised):
        matched += sum_of_products(gs, ns)
    dx = None
    if needs[0]:
        # Collected by what it is a multiple of, dx = a g + b x̂ + c with numbers for each channel.
        a = inverse_std if weight is None else inverse_std * weight
        b = (2 * g_var / inverse_std - a * matched) / count
        c = (g_mean - a * total) / count
        a, b, c = a[:, np.newaxis], b[:, np.newaxis], c[:, np.newaxis]
        dx = destination(None if out is None else out[0], x)
        for gs, ns, ds in in_samples(g_y, normalised, dx):
            rest = ns * b
            rest += c
            np.multiply(gs, a, out=ds)
            np.add(ds, rest, out=ds)
    dweight = matched if needs[1] and weight is not None else None
    dbias = total if needs[2] and bias is not None else None
    return given_where_needed((dx, dweight, dbias), out)


@batch_norm_inference.on("numpy")
def _(
    x: Floats,
    mean: Floats,
    var: Floats,
    weight: Parameter,
    bias: Parameter,
    *,
    eps: float = 1e-5,
    out: Floats | None = None,
) -> Any:
    refuse_unfit_channels(x, weight, bias, "batch_norm_inference")
    refuse_unfit_running(mean, var, x)
    y = destination(out, x)
    scale = _scale(var, weight, eps)
    for xs, ys in in_samples(x, y):
        np.subtract(xs, mean[:, np.newaxis], out=ys)
        scale_and_shift_channels(ys, scale, bias, ys)
    return arrived(y, out)


@batch_norm_inference_backward.on("numpy")
def _(
    g: Floats,
    y: Floats,
    x: Floats,
    mean: Floats,
    var: Floats,
    weight: Parameter,
    bias: Parameter,
    *,
    needs: Needs,
    eps: float,
    out: tuple[Any, ...] | None = None,
) -> tuple[Any, ...]:
    if any(needs[1:4]):
        twin = batch_norm_inference_backward.agnostic(g, y, x, mean, var, weight, bias, needs=needs, eps=eps)
        return given_where_needed(twin, out)
    dx = None
    if needs[0]:
        dx = destination(None if out is None else out[0], x)
        scale = _scale(var, weight, eps)[:, np.newaxis]
        for gs, ds in in_samples(g, dx):
            np.multiply(gs, scale, out=ds)
    dbias = sum_of_channels(g) if needs[4] and bias is not None else None
    return given_where_needed((dx, None, None, None, dbias), out)


# Rows: whatever is normalised together lies together


def are_last(x: Floats, weight: Parameter, bias: Parameter, axes: Axes) -> bool:
    """Whether the axes are the last ones and the parameters have their lengths; else the twin does the work."""
    along = (axes,) if isinstance(axes, int) else axes
    last = x.shape[x.ndim - len(along) :]
    return (
        x.size > 0
        and x.dtype.kind == "f"
        and sorted(axis % x.ndim for axis in along) == list(range(x.ndim - len(along), x.ndim))
        and (weight is None or weight.shape == last)
        and (bias is None or bias.shape == last)
    )


def width_of(x: Floats, axes: Axes) -> int:
    return math.prod(x.shape[axis] for axis in ((axes,) if isinstance(axes, int) else axes))


def in_rows(width: int, *arrays: Floats) -> Iterator[list[Floats]]:
    """Blocks of whole rows; arrays that are written must be contiguous or are written through a view."""
    rows = [array.reshape(-1, width) for array in arrays]
    height = max(BLOCK // width, 1)
    if len(rows[0]) <= height:
        yield rows
        return
    for start in range(0, len(rows[0]), height):
        yield [array[start : start + height] for array in rows]


def standardise(x: Floats, normalised: Floats, eps: float) -> Floats:
    """Write (x - mean) / sqrt(var + eps) of each row, and return 1 / sqrt(var + eps)."""
    mean = _mean_of_rows(x)
    np.subtract(x, mean[:, np.newaxis], out=normalised)
    inverse_std = _inverse_std_of_rows(normalised, eps)
    if np.max(np.abs(mean) * inverse_std) > FAR:
        # A mean that is many deviations from zero was rounded too coarsely: take away what is left of it.
        np.subtract(normalised, _mean_of_rows(normalised)[:, np.newaxis], out=normalised)
        inverse_std = _inverse_std_of_rows(normalised, eps)
    np.multiply(normalised, inverse_std[:, np.newaxis], out=normalised)
    return inverse_std


def _mean_of_rows(x: Floats) -> Floats:
    mean: Floats = x @ ones(x.shape[1], x.dtype)
    mean /= x.shape[1]
    return mean


def _inverse_std_of_rows(centred: Floats, eps: float) -> Floats:
    var: Floats = np.vecdot(centred, centred)
    var /= centred.shape[1]
    var += eps
    np.sqrt(var, out=var)
    return np.reciprocal(var, out=var)


def scale_and_shift(normalised: Floats, weight: Parameter, bias: Parameter, y: Floats) -> None:
    if weight is not None:
        normalised = np.multiply(normalised, weight.reshape(-1), out=y)
    if bias is not None:
        np.add(normalised, bias.reshape(-1), out=y)
    elif normalised is not y:
        y[...] = normalised


# Channels: x as (samples, channels, positions)


def in_samples(*arrays: Floats) -> Iterator[list[Floats]]:
    """Blocks of whole samples, (samples, channels, positions)."""
    n, channels = arrays[0].shape[:2]
    if arrays[0].size == 0:
        return
    cubes = [array.reshape(n, channels, -1) for array in arrays]
    depth = max(BLOCK // cubes[0][0].size, 1)
    for start in range(0, n, depth):
        yield [cube[start : start + depth] for cube in cubes]


def sum_of_channels(x: Floats) -> Floats:
    """Sum over all axes but the channels'."""
    n, channels = x.shape[:2]
    total: Floats
    if x.ndim == 2:
        total = ones(n, x.dtype) @ x
    else:
        rows = x.reshape(n * channels, -1)
        total = ones(n, x.dtype) @ (rows @ ones(rows.shape[1], x.dtype)).reshape(n, channels)
    return total


def _centre_channels(x: Floats, mean: Floats, centred: Floats) -> Floats:
    """Write x - mean, and return the sum of its squares."""
    total = np.zeros_like(mean)
    for xs, cs in in_samples(x, centred):
        np.subtract(xs, mean[:, np.newaxis], out=cs)
        total += sum_of_products(cs, cs)
    return total


def sum_of_products(x: Floats, y: Floats) -> Floats:
    """Sum of x y over samples and positions."""
    total: Floats
    if x.shape[2] == 1:
        total = ones(len(x), x.dtype) @ (x[..., 0] * y[..., 0])
    else:
        total = np.add.reduce(np.vecdot(x, y), axis=0)
    return total


def scale_and_shift_channels(normalised: Floats, weight: Parameter, bias: Parameter, y: Floats) -> None:
    if weight is not None:
        normalised = np.multiply(normalised, weight[:, np.newaxis], out=y)
    if bias is not None:
        np.add(normalised, bias[:, np.newaxis], out=y)
    elif normalised is not y:
        y[...] = normalised


def _scale(var: Floats, weight: Parameter, eps: float) -> Floats:
    scale: Floats = 1 / np.sqrt(var + var.dtype.type(eps))
    return scale if weight is None else scale * weight


# Where results go


def destination(out: Floats | None, like: Floats) -> Floats:
    """`out` if its blocks are views of it, else a new array."""
    return out if out is not None and out.flags.c_contiguous else np.empty(like.shape, like.dtype)


def arrived(result: Floats, out: Floats | None) -> Any:
    """The result in `out`, if that is wanted."""
    return result if out is None or out is result else given(result, out)


def given_where_needed(gradients: tuple[Any, ...], out: tuple[Any, ...] | None) -> tuple[Any, ...]:
    """The gradients, each written where it is wanted; None stays None."""
    if out is None:
        return gradients
    return tuple([None if each is None else arrived(each, there) for each, there in zip(gradients, out, strict=True)])
