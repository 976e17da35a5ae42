"""Layer and batch normalisation compiled: each row is read while it is in the cache.

Sums may be taken in any order (`reassoc`), which lets several run side by side; what is written may not, as taking away
a mean in two steps is worth nothing otherwise.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED, FLOATS
from portml.backends._numpy.normalisation import are_last, arrived, destination, given_where_needed, width_of
from portml.backends.kernels.normalisation import (
    batch_norm_train,
    batch_norm_train_backward,
    batch_norm_train_saving,
    layer_norm,
    layer_norm_backward,
    layer_norm_saving,
    refuse_unfit_channels,
)

__all__ = ["deviations", "matched_sums", "total", "variance"]

Floats = NDArray[Any]
Parameter = Floats | None
Saved = tuple[Floats, Floats]
Axes = int | tuple[int, ...]
Three = tuple[Floats, Floats, Floats]

ANY_ORDER = {"reassoc", "contract", "nsz"}
FEW = 8
"""With fewer positions a channel and sample there is nothing to compile for."""

CHUNK = 256
"""So many rows are summed for the parameters before they join the sum of all."""


@layer_norm.on("numba")
def _(
    x: Floats, weight: Parameter, bias: Parameter, *, axes: Axes = -1, eps: float = 1e-5, out: Floats | None = None
) -> Any:
    if x.dtype.char not in FLOATS or not are_last(x, weight, bias, axes):
        return layer_norm.kernel.table["numpy"](x, weight, bias, axes=axes, eps=eps, out=out)
    y, width = destination(out, x), width_of(x, axes)
    rows, inverses = y.reshape(-1, width), np.empty(x.size // width, x.dtype)
    _standardise(_rows(x, width), *_parameters(x, width, weight, bias), *_numbers(x, width, eps), rows, rows, inverses)
    return arrived(y, out)


@layer_norm_saving.on("numba")
def _(
    x: Floats,
    weight: Parameter,
    bias: Parameter,
    *,
    axes: Axes,
    eps: float,
    out: tuple[Floats, Saved] | None = None,
) -> tuple[Any, Saved]:
    if x.dtype.char not in FLOATS or not are_last(x, weight, bias, axes):
        return layer_norm_saving.kernel.table["numpy"](x, weight, bias, axes=axes, eps=eps, out=out)  # type: ignore[no-any-return]
    to_y, (to_normalised, to_inverse) = (None, (None, None)) if out is None else out
    y, normalised, width = destination(to_y, x), destination(to_normalised, x), width_of(x, axes)
    inverses = np.empty(x.size // width, x.dtype)
    written = y.reshape(-1, width), normalised.reshape(-1, width), inverses
    _standardise(_rows(x, width), *_parameters(x, width, weight, bias), *_numbers(x, width, eps), *written)
    kept = len((axes,) if isinstance(axes, int) else axes)
    shaped = inverses.reshape(x.shape[: x.ndim - kept] + (1,) * kept)
    return arrived(y, to_y), (arrived(normalised, to_normalised), arrived(shaped, to_inverse))


@layer_norm_backward.on("numba")
def _(
    g: Floats,
    saved: Saved,
    x: Floats,
    weight: Parameter,
    bias: Parameter,
    *,
    needs: tuple[bool, ...],
    axes: Axes,
    eps: float,
    out: tuple[Any, Any, Any] | None = None,
) -> tuple[Any, Any, Any]:
    if x.dtype.char not in FLOATS or not are_last(x, weight, bias, axes):
        numpy = layer_norm_backward.kernel.table["numpy"]
        return numpy(g, saved, x, weight, bias, needs=needs, axes=axes, eps=eps, out=out)  # type: ignore[no-any-return]
    width = width_of(x, axes)
    dx = destination(None if out is None else out[0], x)
    dweight, dbias = np.zeros(width, x.dtype), np.zeros(width, x.dtype)
    scale, _ = _parameters(x, width, weight, None)
    arrays = _rows(g, width), _rows(saved[0], width), np.ascontiguousarray(saved[1]).reshape(-1), scale
    _through(*arrays, *_numbers(x, width, eps), dx.reshape(-1, width), dweight, dbias)
    gradients = (
        dx if needs[0] else None,
        dweight.reshape(weight.shape) if needs[1] and weight is not None else None,
        dbias.reshape(bias.shape) if needs[2] and bias is not None else None,
    )
    return given_where_needed(gradients, out)


@batch_norm_train.on("numba")
def _(x: Floats, weight: Parameter, bias: Parameter, *, eps: float = 1e-5, out: Three | None = None) -> Any:
    refuse_unfit_channels(x, weight, bias, "batch_norm_train")
    if not _is_worth_it(x):
        return batch_norm_train.kernel.table["numpy"](x, weight, bias, eps=eps, out=out)
    to = (None, None, None) if out is None else out
    y = destination(to[0], x)
    mean, var, _ = _normalised_channels(x, weight, bias, eps, y, y)
    return tuple(arrived(each, there) for each, there in zip((y, mean, var), to, strict=True))


@batch_norm_train_saving.on("numba")
def _(
    x: Floats, weight: Parameter, bias: Parameter, *, eps: float, out: tuple[Three, Saved] | None = None
) -> tuple[Any, Any]:
    refuse_unfit_channels(x, weight, bias, "batch_norm_train")
    if not _is_worth_it(x):
        return batch_norm_train_saving.kernel.table["numpy"](x, weight, bias, eps=eps, out=out)  # type: ignore[no-any-return]
    to, to_saved = ((None, None, None), (None, None)) if out is None else out
    y, normalised = destination(to[0], x), destination(to_saved[0], x)
    mean, var, inverses = _normalised_channels(x, weight, bias, eps, y, normalised)
    results = tuple(arrived(each, there) for each, there in zip((y, mean, var), to, strict=True))
    return results, (arrived(normalised, to_saved[0]), arrived(inverses, to_saved[1]))


@batch_norm_train_backward.on("numba")
def _(
    g: Three,
    saved: Saved,
    x: Floats,
    weight: Parameter,
    bias: Parameter,
    *,
    needs: tuple[bool, ...],
    eps: float,
    out: tuple[Any, Any, Any] | None = None,
) -> tuple[Any, Any, Any]:
    if not _is_worth_it(x):
        numpy = batch_norm_train_backward.kernel.table["numpy"]
        return numpy(g, saved, x, weight, bias, needs=needs, eps=eps, out=out)  # type: ignore[no-any-return]
    cube, normalised, inverses = _cube(g[0]), _cube(saved[0]), np.ascontiguousarray(saved[1])
    number, count = x.dtype.type, x.size // x.shape[1]
    sums, matched = _channel_sums(cube, normalised, number(0))
    dx = None
    if needs[0]:
        # Collected by what it is a multiple of, dx = a g + b x̂ + c with numbers for each channel.
        a = inverses if weight is None else inverses * weight
        b = (2 * g[2] / inverses - a * matched) / number(count)
        c = (g[1] - a * sums) / number(count)
        dx = destination(None if out is None else out[0], x)
        _collect(cube, normalised, a, b, c, _cube(dx))
    gradients = (
        dx,
        matched if needs[1] and weight is not None else None,
        sums if needs[2] and bias is not None else None,
    )
    return given_where_needed(gradients, out)


def _is_worth_it(x: Floats) -> bool:
    return x.dtype.char in FLOATS and x.size // max(x.shape[0] * x.shape[1], 1) >= FEW


def _cube(x: Floats) -> Floats:
    """(samples, channels, positions)."""
    return np.ascontiguousarray(x).reshape(*x.shape[:2], -1)


def _normalised_channels(
    x: Floats, weight: Parameter, bias: Parameter, eps: float, y: Floats, normalised: Floats
) -> Three:
    """Write both, which may be one array, and return mean, variance and 1 / sqrt(var + eps) of each channel."""
    cube, number, count = _cube(x), x.dtype.type, x.size // x.shape[1]
    mean = _channel_totals(cube, number(0)) / number(count)
    rest, squares = _channel_deviations(cube, mean, number(0))
    rest /= number(count)
    var = np.maximum(squares / number(count) - rest * rest, number(0))
    inverses = 1 / np.sqrt(var + number(eps))
    scale, shift = _parameters(x, x.shape[1], weight, bias)
    _standardise_channels(cube, mean, rest, inverses, scale, shift, _cube(y), _cube(normalised))
    return mean + rest, var, inverses


def _rows(x: Floats, width: int) -> Floats:
    return np.ascontiguousarray(x).reshape(-1, width)


def _parameters(x: Floats, width: int, weight: Parameter, bias: Parameter) -> tuple[Floats, Floats]:
    """Scale and shift as vectors, ones and zeros where there is none: one compiled function serves all."""
    return (
        np.ones(width, x.dtype) if weight is None else np.ascontiguousarray(weight, x.dtype).reshape(-1),
        np.zeros(width, x.dtype) if bias is None else np.ascontiguousarray(bias, x.dtype).reshape(-1),
    )


def _numbers(x: Floats, width: int, eps: float) -> tuple[Any, Any, Any]:
    """Epsilon, one, and one over the width, all in the data type of x, so that nothing is worked out in another."""
    number = x.dtype.type
    return number(eps), number(1), number(1) / number(width)


@numba.njit(**COMPILED, fastmath=ANY_ORDER)
def total(x, zero):  # type: ignore[no-untyped-def]
    """The sum of a row."""
    for j in range(len(x)):
        zero += x[j]
    return zero


@numba.njit(**COMPILED, fastmath=ANY_ORDER)
def deviations(x, mean, zero):  # type: ignore[no-untyped-def]
    """The sums of x - mean and of its square."""
    rest = squares = zero
    for j in range(len(x)):
        centred = x[j] - mean
        rest += centred
        squares += centred * centred
    return rest, squares


@numba.njit(**COMPILED)
def variance(square, rest, zero):  # type: ignore[no-untyped-def]
    """The mean square less what is left of the mean; of equal numbers rounding may leave less than nothing."""
    left = square - rest * rest
    return zero if left < zero else left


@numba.njit(**COMPILED, fastmath=ANY_ORDER)
def matched_sums(g, normalised, zero):  # type: ignore[no-untyped-def]
    """The sums of g and of g x̂."""
    sums = matched = zero
    for j in range(len(g)):
        sums += g[j]
        matched += g[j] * normalised[j]
    return sums, matched


@numba.njit(**COMPILED, fastmath=ANY_ORDER)
def _weighted_sums(g, weight, normalised, zero):  # type: ignore[no-untyped-def]
    sums = matched = zero
    for j in range(len(g)):
        h = g[j] * weight[j]
        sums += h
        matched += h * normalised[j]
    return sums, matched


@numba.njit(**COMPILED)
def _standardise(x, weight, bias, eps, one, share, y, normalised, inverses):  # type: ignore[no-untyped-def]
    """`normalised` may be `y` itself, which is written last."""
    zero = one - one
    for r in range(x.shape[0]):
        mean = total(x[r], zero) * share
        rest, squares = deviations(x[r], mean, zero)
        rest *= share
        inverse = one / np.sqrt(variance(squares * share, rest, zero) + eps)
        inverses[r] = inverse
        for j in range(x.shape[1]):
            value = (x[r, j] - mean - rest) * inverse
            normalised[r, j] = value
            y[r, j] = value * weight[j] + bias[j]


@numba.njit(**COMPILED)
def _through(g, normalised, inverses, weight, eps, one, share, dx, dweight, dbias):  # type: ignore[no-untyped-def]
    rows, width = g.shape
    zero = one - one
    for start in range(0, rows, CHUNK):
        matched_here, sums_here = np.zeros_like(dweight), np.zeros_like(dbias)
        for r in range(start, min(start + CHUNK, rows)):
            sums, matched = _weighted_sums(g[r], weight, normalised[r], zero)
            sums *= share
            matched *= share
            for j in range(width):
                slope, value = g[r, j], normalised[r, j]
                dx[r, j] = inverses[r] * (slope * weight[j] - sums - value * matched)
                matched_here[j] += slope * value
                sums_here[j] += slope
        dweight += matched_here
        dbias += sums_here


@numba.njit(**COMPILED)
def _channel_totals(x, zero):  # type: ignore[no-untyped-def]
    totals = np.zeros(x.shape[1], x.dtype)
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            totals[c] += total(x[n, c], zero)
    return totals


@numba.njit(**COMPILED)
def _channel_deviations(x, mean, zero):  # type: ignore[no-untyped-def]
    rest, squares = np.zeros_like(mean), np.zeros_like(mean)
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            rest_here, squares_here = deviations(x[n, c], mean[c], zero)
            rest[c] += rest_here
            squares[c] += squares_here
    return rest, squares


@numba.njit(**COMPILED)
def _channel_sums(g, normalised, zero):  # type: ignore[no-untyped-def]
    sums, matched = np.zeros(g.shape[1], g.dtype), np.zeros(g.shape[1], g.dtype)
    for n in range(g.shape[0]):
        for c in range(g.shape[1]):
            sums_here, matched_here = matched_sums(g[n, c], normalised[n, c], zero)
            sums[c] += sums_here
            matched[c] += matched_here
    return sums, matched


@numba.njit(**COMPILED)
def _standardise_channels(x, mean, rest, inverses, weight, bias, y, normalised):  # type: ignore[no-untyped-def]
    """`normalised` may be `y` itself, which is written last."""
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            centre, left, inverse, scale, shift = mean[c], rest[c], inverses[c], weight[c], bias[c]
            for j in range(x.shape[2]):
                value = (x[n, c, j] - centre - left) * inverse
                normalised[n, c, j] = value
                y[n, c, j] = value * scale + shift


@numba.njit(**COMPILED)
def _collect(g, normalised, a, b, c, dx):  # type: ignore[no-untyped-def]
    """Write a g + b x̂ + c."""
    for n in range(g.shape[0]):
        for channel in range(g.shape[1]):
            of_g, of_normalised, constant = a[channel], b[channel], c[channel]
            for j in range(g.shape[2]):
                dx[n, channel, j] = of_g * g[n, channel, j] + of_normalised * normalised[n, channel, j] + constant
