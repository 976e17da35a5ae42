"""Group normalisation on NumPy: whole samples are normalised as rows, a group each, and scaled by channels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.blocks import given
from portml.backends._numpy.normalisation import (
    arrived,
    destination,
    given_where_needed,
    in_samples,
    scale_and_shift_channels,
    standardise,
    sum_of_channels,
    sum_of_products,
)
from portml.backends._numpy.reductions import ones
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


@group_norm.on("numpy")
def _(
    x: Floats, weight: Parameter, bias: Parameter, *, groups: int, eps: float = 1e-5, out: Floats | None = None
) -> Any:
    refuse_unfit_groups(x, weight, bias, groups)
    if x.size == 0:
        return given(group_norm.agnostic(x, weight, bias, groups=groups, eps=eps), out)
    y, width = destination(out, x), math.prod(x.shape[1:]) // groups
    for xs, ys in in_samples(x, y):
        standardise(xs.reshape(-1, width), ys.reshape(-1, width), eps)
        scale_and_shift_channels(ys, weight, bias, ys)
    return arrived(y, out)


@group_norm_saving.on("numpy")
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
    if x.size == 0:
        twin: tuple[Any, Saved] = group_norm_saving.agnostic(x, weight, bias, groups=groups, eps=eps)
        return given(twin, out)  # type: ignore[no-any-return]
    to_y, (to_normalised, to_inverse_std) = (None, (None, None)) if out is None else out
    y, normalised, width = destination(to_y, x), destination(to_normalised, x), math.prod(x.shape[1:]) // groups
    inverse_std = np.empty((x.shape[0], groups), x.dtype)
    start = 0
    for xs, ys, ns in in_samples(x, y, normalised):
        inverse = standardise(xs.reshape(-1, width), ns.reshape(-1, width), eps)
        inverse_std[start : start + len(xs)] = inverse.reshape(-1, groups)
        scale_and_shift_channels(ns, weight, bias, ys)
        start += len(xs)
    return arrived(y, to_y), (arrived(normalised, to_normalised), arrived(inverse_std, to_inverse_std))


@group_norm_backward.on("numpy")
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
    normalised, inverse_std = saved
    if x.size == 0:
        twin = group_norm_backward.agnostic(g, saved, x, weight, bias, needs=needs, groups=groups, eps=eps)
        return given_where_needed(twin, out)
    dx = None
    if needs[0]:
        dx = destination(None if out is None else out[0], x)
        _through_groups(g, normalised, inverse_std.reshape(-1, 1), weight, dx)
    dweight = None
    if needs[1] and weight is not None:
        dweight = np.zeros_like(weight)
        for gs, ns in in_samples(g, normalised):
            dweight += sum_of_products(gs, ns)
    dbias = sum_of_channels(g) if needs[2] and bias is not None else None
    return given_where_needed((dx, dweight, dbias), out)


def _through_groups(g: Floats, normalised: Floats, inverses: Floats, weight: Parameter, dx: Floats) -> None:
    """Write the gradient of x̂ to x, through the mean and the variance of each group as well."""
    width, start = g.size // len(inverses), 0
    for gs, ns, ds in in_samples(g, normalised, dx):
        h = (gs if weight is None else gs * weight[:, np.newaxis]).reshape(-1, width)
        rows, here = ns.reshape(-1, width), ds.reshape(-1, width)
        matched = np.vecdot(h, rows) / width
        mean = h @ ones(width, h.dtype) / width
        through = rows * matched[:, np.newaxis]
        through += mean[:, np.newaxis]
        np.subtract(h, through, out=through)
        np.multiply(through, inverses[start : start + len(here)], out=here)
        start += len(here)
