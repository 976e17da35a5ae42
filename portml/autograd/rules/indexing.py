"""Gradients of gathering and sorting: elements go back to where they came from.

Reading and writing at an index expression are kernels with gradients of their own, in
`portml.backends.kernels.indexing`.
"""

from __future__ import annotations

from portml.autograd.rules.table import refused, rule
from portml.backends import Array
from portml.backends import operations as xp
from portml.backends.kernels.rows import index_add, scatter_along_axis


def _take(g: Array, y: Array, a: Array, indices: Array, axis: int | None) -> Array:
    """Zeros with the rows of g added at the indices, which may count from the end."""
    axis = 0 if axis is None else axis % a.ndim
    n, places = a.shape[axis], tuple(range(axis, axis + indices.ndim))
    indices = xp.where(xp.less(indices, 0), xp.add(indices, n), indices)
    rows = xp.permute_dims(g, (*places, *(one for one in range(g.ndim) if one not in places)))
    return xp.moveaxis(index_add(rows, indices, n=n), 0, axis)


def _take_along_axis(g: Array, y: Array, a: Array, indices: Array, axis: int) -> Array:
    axis %= a.ndim
    shape = (*g.shape[:axis], a.shape[axis], *g.shape[axis + 1 :])
    return scatter_along_axis(g, indices, axis=axis, shape=tuple(shape))


def _sort(g: Array, y: Array, a: Array, axis: int, descending: bool, stable: bool) -> Array:
    """Position i of `a` went to the place at which the sorting order names i: the inverse permutation."""
    order = xp.argsort(a, axis=axis, descending=descending, stable=stable)
    return xp.take_along_axis(g, xp.argsort(order, axis=axis), axis=axis)


rule("take", _take, None)
rule("take_along_axis", _take_along_axis, None)
rule("sort", _sort)

for _name in ("unique_all", "unique_counts", "unique_inverse", "unique_values"):
    refused(
        _name,
        f"{_name} has no derivative, as its results jump where values meet; take the values with "
        "take(x, unique_all(stop_gradient(x)).indices), or pass stop_gradient(x)",
    )
