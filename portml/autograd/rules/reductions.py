"""Gradients of sums, products, extrema and statistics, and of the running ones."""

from __future__ import annotations

import math
from typing import Any

from portml.autograd.rules.table import joint_rule, rule
from portml.autograd.rules.terms import conj, every_axis, kept_shape, one_where_zero, part_along, spread
from portml.backends import Array
from portml.backends import operations as xp
from portml.backends.kernels.indexing import pad

# Sums
rule("sum", lambda g, y, a, axis, keepdims, **_: spread(g, a.shape, axis, keepdims))
rule("mean", lambda g, y, a, axis, keepdims: xp.divide(spread(g, a.shape, axis, keepdims), _count(a, axis)))


@joint_rule("cumulative_sum")
def _cumulative_sum(g: Array, y: Array, a: Array, *, axis: int | None, include_initial: bool, **_: Any) -> tuple[Array]:
    """The sum of g from here on."""
    axis = 0 if axis is None else axis
    g = part_along(g, axis, 1, None) if include_initial else g
    return (xp.flip(xp.cumulative_sum(xp.flip(g, axis=axis), axis=axis), axis=axis),)


@joint_rule("diff")
def _diff(
    g: Array, y: Array, a: Array, prepend: Array | None, append: Array | None, *, axis: int, n: int, **_: Any
) -> tuple[Array | None, ...]:
    """Each difference gives g to its right neighbour and takes it from its left; n times."""
    axis %= a.ndim
    for _time in range(n):
        left, right = ([(0, 0)] * a.ndim for _side in range(2))
        left[axis], right[axis] = (1, 0), (0, 1)
        g = xp.subtract(pad(g, widths=tuple(left), value=0.0), pad(g, widths=tuple(right), value=0.0))
    start = 0 if prepend is None else prepend.shape[axis]
    stop = start + a.shape[axis]
    return (
        part_along(g, axis, start, stop),
        None if prepend is None else part_along(g, axis, 0, start),
        None if append is None else part_along(g, axis, stop, None),
    )


# Products, right also where factors are zero
@joint_rule("prod")
def _prod(g: Array, y: Array, a: Array, *, axis: Any, keepdims: bool, **_: Any) -> tuple[Array]:
    """g times the product of all other factors: those before times those after."""
    axes = every_axis(axis, a.ndim)
    g = spread(g, a.shape, axis, keepdims)
    if not axes:
        return (g,)
    order = (*(one for one in range(a.ndim) if one not in axes), *axes)
    last = xp.permute_dims(a, order)
    rows = xp.reshape(last, (*last.shape[: a.ndim - len(axes)], math.prod(last.shape[a.ndim - len(axes) :])))
    others = xp.reshape(xp.multiply(_product_before(rows), _product_after(rows)), last.shape)
    back = tuple(order.index(one) for one in range(a.ndim))
    return (xp.multiply(g, conj(xp.permute_dims(others, back))),)


@joint_rule("cumulative_prod")
def _cumulative_prod(
    g: Array, y: Array, a: Array, *, axis: int | None, include_initial: bool, **_: Any
) -> tuple[Array]:
    """The product before i, times s_i = g_i + a_{i+1} s_{i+1}.

    The recurrence is solved by doubling: `factors` holds products of `step` neighbours, `sums` as many terms of s.
    [Kogge & Stone 1973, "A parallel algorithm for the efficient solution of a general class of recurrence equations"]
    """
    axis = 0 if axis is None else axis % a.ndim
    a, sums = conj(xp.moveaxis(a, axis, -1)), xp.moveaxis(g, axis, -1)
    sums = sums[..., 1:] if include_initial else sums
    n, step = a.shape[-1], 1
    factors = a[..., min(n, 1) :]
    while step < n:
        more = xp.add(sums[..., : n - step], xp.multiply(factors, sums[..., step:]))
        sums = xp.concat([more, sums[..., n - step :]], axis=-1)
        if 2 * step < n:
            factors = xp.multiply(factors[..., : n - 2 * step], factors[..., step:])
        step *= 2
    return (xp.moveaxis(xp.multiply(_product_before(a), sums), -1, axis),)


def _product_before(a: Array) -> Array:
    """For each element of the last axis, the product of those before it."""
    return xp.cumulative_prod(a, axis=-1, include_initial=True)[..., :-1]


def _product_after(a: Array) -> Array:
    return xp.flip(_product_before(xp.flip(a, axis=-1)), axis=-1)


# Statistics
@joint_rule("var")
def _var(g: Array, y: Array, a: Array, *, axis: Any, correction: float, keepdims: bool, **_: Any) -> tuple[Array]:
    return (xp.multiply(spread(g, a.shape, axis, keepdims), _slope_of_var(a, axis, correction)),)


@joint_rule("std")
def _std(g: Array, y: Array, a: Array, *, axis: Any, correction: float, keepdims: bool, **_: Any) -> tuple[Array]:
    """Half that of the variance, over the deviation; 0 where nothing varies."""
    g = xp.divide(g, xp.multiply(one_where_zero(y), 2))
    return (xp.multiply(spread(g, a.shape, axis, keepdims), _slope_of_var(a, axis, correction)),)


def _slope_of_var(a: Array, axis: Any, correction: float) -> Array:
    """2 (a - mean) / (n - correction)."""
    freedom = _count(a, axis) - correction
    return xp.multiply(xp.subtract(a, xp.mean(a, axis=axis, keepdims=True)), 2 / freedom if freedom > 0 else math.nan)


# Extrema: equal ones share, and a NaN takes the gradient of the NaN that it made
def _extremum(g: Array, y: Array, a: Array, axis: Any, keepdims: bool) -> Array:
    chosen = xp.logical_or(xp.equal(a, spread(y, a.shape, axis, keepdims)), xp.isnan(a))
    return shared(xp.reshape(g, kept_shape(a.shape, axis)), chosen, axis)


def shared(g: Array, chosen: Array, axis: Any) -> Array:
    """`g`, its reduced axes kept, in equal parts to the chosen elements."""
    count = xp.sum(xp.astype(chosen, g.dtype), axis=axis, keepdims=True)
    return xp.where(chosen, xp.divide(g, count), 0)


rule("max", _extremum)
rule("min", _extremum)


def _count(a: Array, axis: Any) -> int:
    """How many elements a reduction puts together."""
    return math.prod(a.shape[one] for one in every_axis(axis, a.ndim))
