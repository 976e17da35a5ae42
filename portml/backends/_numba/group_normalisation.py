"""Group normalisation compiled: each group of a sample is read while it is in the cache."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED, FLOATS
from portml.backends._numba.normalisation import deviations, matched_sums, total, variance
from portml.backends._numpy.normalisation import arrived, destination, given_where_needed
from portml.backends.kernels.group_normalisation import (
    group_norm,
    group_norm_backward,
    group_norm_saving,
    refuse_unfit_groups,
)

__all__: list[str] = []

Floats = NDArray[Any]
Parameter = Floats | None
Saved = tuple[Floats, Floats]


@group_norm.on("numba")
def _(
    x: Floats, weight: Parameter, bias: Parameter, *, groups: int, eps: float = 1e-5, out: Floats | None = None
) -> Any:
    refuse_unfit_groups(x, weight, bias, groups)
    if x.size == 0 or x.dtype.char not in FLOATS:
        return group_norm.kernel.table["numpy"](x, weight, bias, groups=groups, eps=eps, out=out)
    y = destination(out, x)
    lines, inverses = _lines(y, groups), np.empty((x.shape[0], groups), x.dtype)
    _standardise(_lines(x, groups), *_parameters(x, weight, bias), *_numbers(x, groups, eps), lines, lines, inverses)
    return arrived(y, out)


@group_norm_saving.on("numba")
def _(
    x: Floats,
    weight: Parameter,
    bias: Parameter,
    *,
    groups: int,
    eps: float,
    out: tuple[Floats, Saved] | None = None,
) -> tuple[Any, Saved]:
    refuse_unfit_groups(x, weight, bias, groups)
    if x.size == 0 or x.dtype.char not in FLOATS:
        return group_norm_saving.kernel.table["numpy"](x, weight, bias, groups=groups, eps=eps, out=out)  # type: ignore[no-any-return]
    to_y, (to_normalised, to_inverse) = (None, (None, None)) if out is None else out
    y, normalised = destination(to_y, x), destination(to_normalised, x)
    inverses = np.empty((x.shape[0], groups), x.dtype)
    written = _lines(y, groups), _lines(normalised, groups), inverses
    _standardise(_lines(x, groups), *_parameters(x, weight, bias), *_numbers(x, groups, eps), *written)
    return arrived(y, to_y), (arrived(normalised, to_normalised), arrived(inverses, to_inverse))


@group_norm_backward.on("numba")
def _(
    g: Floats,
    saved: Saved,
    x: Floats,
    weight: Parameter,
    bias: Parameter,
    *,
    needs: tuple[bool, ...],
    groups: int,
    eps: float,
    out: tuple[Any, Any, Any] | None = None,
) -> tuple[Any, Any, Any]:
    if x.size == 0 or x.dtype.char not in FLOATS:
        numpy = group_norm_backward.kernel.table["numpy"]
        return numpy(g, saved, x, weight, bias, needs=needs, groups=groups, eps=eps, out=out)  # type: ignore[no-any-return]
    dx = destination(None if out is None else out[0], x)
    dweight, dbias = np.zeros(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)
    scale, _ = _parameters(x, weight, None)
    arrays = _lines(g, groups), _lines(saved[0], groups), np.ascontiguousarray(saved[1]), scale
    _through(*arrays, *_numbers(x, groups, eps), _lines(dx, groups), dweight, dbias)
    gradients = (
        dx if needs[0] else None,
        dweight if needs[1] and weight is not None else None,
        dbias if needs[2] and bias is not None else None,
    )
    return given_where_needed(gradients, out)


def _lines(x: Floats, groups: int) -> Floats:
    """(n, groups, channels of a group, positions)."""
    n, channels = x.shape[:2]
    return np.ascontiguousarray(x).reshape(n, groups, channels // groups, -1)


def _parameters(x: Floats, weight: Parameter, bias: Parameter) -> tuple[Floats, Floats]:
    """Scale and shift, ones and zeros where there is none: one compiled function serves all."""
    channels = x.shape[1]
    return (
        np.ones(channels, x.dtype) if weight is None else np.ascontiguousarray(weight, x.dtype),
        np.zeros(channels, x.dtype) if bias is None else np.ascontiguousarray(bias, x.dtype),
    )


def _numbers(x: Floats, groups: int, eps: float) -> tuple[Any, Any, Any]:
    """Epsilon, one, and one over the values of a group, all in the data type of x."""
    number = x.dtype.type
    return number(eps), number(1), number(1) / number(math.prod(x.shape[1:]) // groups)


@numba.njit(**COMPILED)
def _standardise(x, weight, bias, eps, one, share, y, normalised, inverses):  # type: ignore[no-untyped-def]
    """`normalised` may be `y` itself, which is written last."""
    samples, groups, channels, positions = x.shape
    zero = one - one
    for n in range(samples):
        for group in range(groups):
            line = x[n, group].reshape(-1)
            mean = total(line, zero) * share
            rest, squares = deviations(line, mean, zero)
            rest *= share
            inverse = one / np.sqrt(variance(squares * share, rest, zero) + eps)
            inverses[n, group] = inverse
            for c in range(channels):
                scale, shift = weight[group * channels + c], bias[group * channels + c]
                for j in range(positions):
                    value = (x[n, group, c, j] - mean - rest) * inverse
                    normalised[n, group, c, j] = value
                    y[n, group, c, j] = value * scale + shift


@numba.njit(**COMPILED)
def _through(g, normalised, inverses, weight, eps, one, share, dx, dweight, dbias):  # type: ignore[no-untyped-def]
    samples, groups, channels, positions = g.shape
    zero = one - one
    for n in range(samples):
        for group in range(groups):
            sums = matched = zero
            for c in range(channels):
                channel = group * channels + c
                of_bias, of_weight = matched_sums(g[n, group, c], normalised[n, group, c], zero)
                dbias[channel] += of_bias
                dweight[channel] += of_weight
                sums += of_bias * weight[channel]
                matched += of_weight * weight[channel]
            sums *= share
            matched *= share
            for c in range(channels):
                scale = weight[group * channels + c]
                for j in range(positions):
                    through = g[n, group, c, j] * scale - sums - normalised[n, group, c, j] * matched
                    dx[n, group, c, j] = inverses[n, group] * through
