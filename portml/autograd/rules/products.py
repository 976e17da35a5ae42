"""Gradients of products of vectors, matrices and tensors, and of the parts of a matrix."""

from __future__ import annotations

from typing import Any

from portml.autograd.rules.table import rule
from portml.autograd.rules.terms import adjoint, conj, every_axis, on_diagonal
from portml.backends import Array
from portml.backends import operations as xp
from portml.backends.kernels.indexing import pad

# Matrix products; with one-dimensional arguments the missing axis is put in and taken out again


def _matmul_left(g: Array, y: Array, a: Array, b: Array) -> Array:
    """G B^H."""
    if b.ndim == 1:
        return xp.multiply(xp.expand_dims(g, axis=-1), conj(b))
    if a.ndim == 1:
        return xp.squeeze(xp.matmul(conj(b), xp.expand_dims(g, axis=-1)), axis=-1)
    return xp.matmul(g, adjoint(b))


def _matmul_right(g: Array, y: Array, a: Array, b: Array) -> Array:
    """A^H G; where one matrix met a stack of others, all their rows at once."""
    if a.ndim == 1:
        row = xp.expand_dims(g, axis=-2) if b.ndim > 1 else g
        return xp.multiply(xp.expand_dims(conj(a), axis=-1) if b.ndim > 1 else conj(a), row)
    if b.ndim == 1:
        return xp.squeeze(xp.matmul(adjoint(a), xp.expand_dims(g, axis=-1)), axis=-1)
    if b.ndim == 2 and a.ndim > 2:
        a, g = xp.reshape(a, (-1, a.shape[-1])), xp.reshape(g, (-1, g.shape[-1]))
    return xp.matmul(adjoint(a), g)


rule("matmul", _matmul_left, _matmul_right)
rule(
    "linalg_outer",
    lambda g, y, a, b: xp.matmul(g, conj(b)),
    lambda g, y, a, b: xp.matmul(xp.matrix_transpose(g), conj(a)),
)
rule(
    "linalg_cross",
    lambda g, y, a, b, axis: xp.linalg_cross(conj(b), g, axis=axis),
    lambda g, y, a, b, axis: xp.linalg_cross(g, conj(a), axis=axis),
)


def _vecdot(g: Array, factor: Array, like: Array, axis: int) -> Array:
    """g times the other factor, along `axis` of `like`."""
    along = xp.multiply(xp.expand_dims(g, axis=-1), xp.moveaxis(factor, axis, -1))
    return xp.moveaxis(along, -1, axis - like.ndim if axis >= 0 else axis)


rule(
    "vecdot",  # conjugates its first argument
    lambda g, y, a, b, axis: _vecdot(conj(g), b, a, axis),
    lambda g, y, a, b, axis: _vecdot(g, a, b, axis),
)


def _tensordot(g: Array, a: Array, b: Array, axes: Any, left: bool) -> Array:
    """Contract g with the axes of the other factor that were free, and put the axes in order."""
    if isinstance(axes, int):
        axes = tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes))
    summed_a, summed_b = every_axis(axes[0], a.ndim), every_axis(axes[1], b.ndim)
    free_a = [axis for axis in range(a.ndim) if axis not in summed_a]
    free_b = [axis for axis in range(b.ndim) if axis not in summed_b]
    if left:
        in_g = tuple(range(len(free_a), g.ndim))
        found = xp.tensordot(g, conj(b), axes=(in_g, tuple(free_b)))
        order = [*free_a, *(summed_a[summed_b.index(axis)] for axis in sorted(summed_b))]
    else:
        in_g = tuple(range(len(free_a)))
        found = xp.tensordot(conj(a), g, axes=(tuple(free_a), in_g))
        order = [*(summed_b[summed_a.index(axis)] for axis in sorted(summed_a)), *free_b]
    return xp.permute_dims(found, tuple(order.index(axis) for axis in range(len(order))))


rule(
    "tensordot",
    lambda g, y, a, b, axes: _tensordot(g, a, b, axes, left=True),
    lambda g, y, a, b, axes: _tensordot(g, a, b, axes, left=False),
)

# Parts of matrices


def _diagonal(g: Array, y: Array, a: Array, offset: int) -> Array:
    """g on that diagonal, zeros elsewhere: row i of the matrix holds g_i, below a lower diagonal's first row."""
    above = max(-offset, 0)
    widths = [(0, 0)] * (a.ndim - 2) + [(above, a.shape[-2] - g.shape[-1] - above)]
    rows = xp.expand_dims(pad(g, widths=tuple(widths), value=0.0), axis=-1)
    return on_diagonal(xp.broadcast_to(rows, a.shape), offset)


def _trace(g: Array, y: Array, a: Array, offset: int, **_: Any) -> Array:
    """g along the diagonal."""
    return on_diagonal(xp.broadcast_to(xp.reshape(g, (*g.shape, 1, 1)), a.shape), offset)


rule("linalg_diagonal", _diagonal)
rule("linalg_trace", _trace)
