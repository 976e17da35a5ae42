"""Gradients of norms of vectors and matrices; 0 is the subgradient at 0, and equal extrema share."""

from __future__ import annotations

import math
from typing import Any

from portml.autograd.rules.reductions import shared
from portml.autograd.rules.table import rule
from portml.autograd.rules.terms import every_axis, kept_shape, one_where_zero
from portml.backends import Array
from portml.backends import operations as xp


def _vector_norm(g: Array, y: Array, a: Array, axis: Any, keepdims: bool, ord: float) -> Array:
    """g sign(a) (|a| / y)^(p - 1), which for p = 2 is g a / y."""
    axes = every_axis(axis, a.ndim)
    g, y = (xp.reshape(part, kept_shape(a.shape, axes)) for part in (g, y))
    if ord == 0:
        return xp.zeros_like(a)
    if ord == 1:
        return xp.multiply(g, xp.sign(a))
    if ord == 2:
        return xp.multiply(g, xp.divide(a, one_where_zero(y)))
    if math.isinf(ord):
        return xp.multiply(_of_extreme(g, xp.abs(a), axes, ord), xp.sign(a))
    ratio = xp.divide(one_where_zero(xp.abs(a)), one_where_zero(y))
    return xp.multiply(g, xp.multiply(xp.sign(a), xp.pow(ratio, ord - 1)))


def _matrix_norm(g: Array, y: Array, a: Array, keepdims: bool, ord: float | str) -> Array:
    """Through the entries, the sums of rows or columns, or the singular values, as `ord` says."""
    g = xp.reshape(g, (*a.shape[:-2], 1, 1))
    if ord == "fro":
        return xp.multiply(g, xp.divide(a, one_where_zero(xp.reshape(y, g.shape))))
    if ord in ("nuc", 2, -2):
        return _through_singular_values(g, a, ord)
    along, across = (-2, -1) if abs(float(ord)) == 1 else (-1, -2)
    sums = xp.sum(xp.abs(a), axis=along, keepdims=True)
    return xp.multiply(_of_extreme(g, sums, across, ord), xp.sign(a))


def _through_singular_values(g: Array, a: Array, ord: float | str) -> Array:
    """U diag(w) V^H, where w shares g among the singular values that make the norm."""
    u, s, vh = xp.linalg_svd(a, full_matrices=False)
    s = xp.expand_dims(s, axis=-2)
    weights = g if ord == "nuc" else _of_extreme(g, s, -1, ord)
    return xp.matmul(xp.multiply(u, weights), vh)


def _of_extreme(g: Array, x: Array, axis: Any, ord: Any) -> Array:
    """g to the greatest of x along the axes, or, for negative orders, to the least; to all where one is NaN."""
    if ord > 0:
        others = xp.less(x, xp.max(x, axis=axis, keepdims=True))
    else:
        others = xp.greater(x, xp.min(x, axis=axis, keepdims=True))
    return shared(g, xp.logical_not(others), axis)


rule("linalg_vector_norm", _vector_norm)
rule("linalg_matrix_norm", _matrix_norm)
