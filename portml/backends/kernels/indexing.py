"""``x[key]`` read, written and transposed, for keys of every kind, and what else works by index.

Keys come as a template and the arrays in it (`split_key`).  A key without arrays gives a view.  A key with arrays is
made one `take` along one axis: the axes that the arrays index are moved to the front and flattened, and their indices
are turned into positions there.  Out of range is never wrapped: see `rows`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from portml.backends.backend import to_numpy
from portml.backends.kernel import kernel
from portml.backends.kernels.index_keys import ARRAY, IndexPlan, Span, Template, index_plan, mask_axes, split_key
from portml.backends.kernels.rows import (
    as_column,
    embedding,
    index_add,
    last_of_segments,
    one_hot,
    poisoned,
    scatter_along_axis,
    within,
)
from portml.backends.namespaces import NUMPY, Array, device_of, dtype_kind, is_tensor, library_of, namespace
from portml.errors import RangeError, ShapeError

__all__ = [
    "ARRAY",
    "Span",
    "Template",
    "advanced_getitem",
    "advanced_setitem",
    "advanced_unindex",
    "basic_getitem",
    "basic_setitem",
    "basic_unindex",
    "embedding",
    "getitem",
    "index_add",
    "one_hot",
    "pad",
    "scatter_along_axis",
    "setitem",
    "split_key",
    "unindex",
]


def getitem(x: Array, *indices: Array, key: Template) -> Array:
    """``x[key]``: a view of `x` for a key without arrays, else a copy."""
    return advanced_getitem(x, *indices, key=key) if indices else basic_getitem(x, key=key)


def unindex(g: Array, *indices: Array, key: Template, shape: tuple[int, ...]) -> Array:
    """The gradient of ``x[key]`` for an `x` of `shape`: zeros with `g` added at `key`."""
    return advanced_unindex(g, *indices, key=key, shape=shape) if indices else basic_unindex(g, key=key, shape=shape)


def setitem(x: Array, v: Array, *indices: Array, key: Template) -> Array:
    """A copy of `x` in which ``x[key] = v``."""
    return advanced_setitem(x, v, *indices, key=key) if indices else basic_setitem(x, v, key=key)


# --- keys without arrays --------------------------------------------------------------------------------------------


@kernel(kind="view")
def basic_getitem(x: Array, *, key: Template) -> Array:
    """``x[key]`` for a key without arrays: a view.

    Parameters
    ----------
    x : array
    key : template
        As `split_key` gives it.

    Raises
    ------
    RangeError
        If an integer in the key lies outside its axis.
    ShapeError
        If the key has more indices than `x` has axes.
    """
    return x[index_plan(key, x.shape).basic]


@kernel
def basic_unindex(g: Array, *, key: Template, shape: tuple[int, ...]) -> Array:
    """Zeros of `shape` with `g` at `key`: the transpose of `basic_getitem`."""
    result = namespace(g).zeros(shape, dtype=g.dtype, device=device_of(g))
    _write(result, g, index_plan(key, shape))
    return result


@kernel
def basic_setitem(x: Array, v: Array, *, key: Template) -> Array:
    """A copy of `x` in which ``x[key] = v``; `v` is broadcast and takes the dtype of `x`."""
    xp = namespace(x, v)
    result = xp.asarray(x, copy=True)
    _write(result, xp.astype(v, x.dtype, copy=False) if hasattr(v, "dtype") else v, index_plan(key, x.shape))
    return result


@kernel
def basic_getitem_backward(
    g: Array, saved: Array, x: Array, *, needs: tuple[bool, ...], key: Template
) -> tuple[Array | None]:
    """The gradient of `basic_getitem`."""
    return (basic_unindex(g, key=key, shape=x.shape) if needs[0] else None,)


@kernel
def basic_unindex_backward(
    g: Array, saved: Array, y: Array, *, needs: tuple[bool, ...], key: Template, shape: tuple[int, ...]
) -> tuple[Array | None]:
    """The gradient of `basic_unindex`: what stands at `key`."""
    return (basic_getitem(g, key=key) if needs[0] else None,)


@kernel
def basic_setitem_backward(
    g: Array, saved: Array, x: Array, v: Array, *, needs: tuple[bool, ...], key: Template
) -> tuple[Array | None, Array | None]:
    """The gradient of `basic_setitem`: none for what was overwritten; `v` gets what stands at `key`."""
    dx = basic_setitem(g, 0, key=key) if needs[0] else None
    return dx, (basic_getitem(g, key=key) if needs[1] else None)


basic_getitem.gradient(backward=basic_getitem_backward, takes_complex=True)
basic_unindex.gradient(backward=basic_unindex_backward, takes_complex=True)
basic_setitem.gradient(backward=basic_setitem_backward, takes_complex=True)


@kernel
def pad(x: Array, *, widths: tuple[tuple[int, int], ...], value: float) -> Array:
    """`x` inside a frame of `value`.

    Parameters
    ----------
    x : array (n_1, ..., n_r)
    widths : pairs of int, one for each axis
        How many elements come before and after, at least 0.
    value : float

    Returns
    -------
    array (before_1 + n_1 + after_1, ...)

    Raises
    ------
    ShapeError
        If there is not one pair for each axis, or a width is negative.
    """
    shape, inner = frame(x.shape, widths)
    result = namespace(x).full(shape, value, dtype=x.dtype, device=device_of(x))
    _write(result, x, index_plan(inner, shape))
    return result


@kernel
def pad_backward(
    g: Array, saved: Array, x: Array, *, needs: tuple[bool, ...], widths: tuple[tuple[int, int], ...], value: float
) -> tuple[Array | None]:
    """The gradient of `pad`: that of the part inside the frame."""
    return (basic_getitem(g, key=frame(x.shape, widths)[1]) if needs[0] else None,)


pad.gradient(backward=pad_backward, takes_complex=True)


@lru_cache(maxsize=1024)
def frame(shape: tuple[int, ...], widths: tuple[tuple[int, int], ...]) -> tuple[tuple[int, ...], Template]:
    """The shape of an array that was padded, and the key of what is inside the frame."""
    if len(widths) != len(shape) or any(width < 0 for pair in widths for width in pair):
        raise ShapeError(f"widths: expected a pair of integers of at least 0 for each axis of {shape}, got {widths}")
    padded = tuple(before + n + after for n, (before, after) in zip(shape, widths, strict=True))
    return padded, tuple(Span(before, before + n, 1) for n, (before, _) in zip(shape, widths, strict=True))


# --- keys with integer or boolean arrays ----------------------------------------------------------------------------


@kernel
def advanced_getitem(*arrays: Array, key: Template) -> Array:
    """``x[key]`` for a key with integer or boolean arrays, by NumPy's rules: a copy.

    A mask stands for the indices of its true elements.  Their number is the shape of the result, so reading by a mask
    waits for the device.

    Parameters
    ----------
    *arrays : arrays
        `x`, then the index arrays in the order of the template.  Negative integers count from the end.
    key : template
        As `split_key` gives it.

    Raises
    ------
    RangeError
        On the host, if an index lies outside its axis; elsewhere such results are NaN.
    ShapeError
        If the index arrays cannot be broadcast together, a mask does not fit, or there are too many indices.
    """
    x, *indices = arrays
    plan = index_plan(key, x.shape, mask_axes(indices))
    positions, valid = _positions(plan, indices)
    taken = namespace(*arrays).take(_flattened(x[plan.basic], plan), _flat(positions), axis=0)
    return _placed(poisoned(taken, None if valid is None else _flat(valid)), positions, plan)


@kernel
def advanced_unindex(*arrays: Array, key: Template, shape: tuple[int, ...]) -> Array:
    """Zeros of `shape` with `g` added at `key` as often as it was indexed: the transpose of `advanced_getitem`.

    Parameters
    ----------
    *arrays : arrays
        `g`, then the index arrays in the order of the template.
    key : template
    shape : tuple of int
        That of the result.
    """
    g, *indices = arrays
    plan = index_plan(key, shape, mask_axes(indices))
    positions, valid = _positions(plan, indices, count=g.shape[plan.place] if _by_one_mask(indices) else None)
    rows = poisoned(_gathered(g, positions, plan), None if valid is None else _flat(valid))
    view = _unflattened(index_add(rows, _flat(positions), n=plan.size), plan)
    return basic_unindex(view, key=plan.template, shape=shape)


@kernel
def advanced_setitem(*arrays: Array, key: Template) -> Array:
    """A copy of `x` in which ``x[key] = v``; of several values for one element the last one stays.

    Parameters
    ----------
    *arrays : arrays
        `x`, `v` (broadcast against ``x[key]``; it takes the dtype of `x`), then the index arrays.
    key : template
    """
    x, v, *indices = arrays
    xp = namespace(*arrays)
    plan = index_plan(key, x.shape, mask_axes(indices))
    v = xp.astype(v, x.dtype, copy=False) if hasattr(v, "dtype") else xp.full((), v, dtype=x.dtype, device=device_of(x))
    before = _flattened(x[plan.basic], plan)
    if _alike_under_one_mask(plan, v, indices):
        written = _flat(indices[0])
        rows = _gathered(v, xp.zeros((1,), dtype=xp.int64, device=device_of(x)), plan)
    else:
        positions, valid = _positions(plan, indices, _count_of_values(plan, v, indices))
        rows = poisoned(_gathered(v, positions, plan), None if valid is None else _flat(valid))
        if rows.shape[0] == 0 or plan.size == 0:
            return xp.asarray(x, copy=True)
        writer, written = _last_writers(_flat(positions), plan)
        rows = xp.take(rows, writer, axis=0)
    after = xp.where(as_column(written, before.ndim), rows, before)
    return basic_setitem(x, _unflattened(after, plan), key=plan.template)


@kernel
def advanced_getitem_backward(*arrays: Array, needs: tuple[bool, ...], key: Template) -> tuple[Array | None, ...]:
    """The gradient of `advanced_getitem`; from `g`, the result, `x` and the index arrays."""
    g, _, x, *indices = arrays
    dx = advanced_unindex(g, *indices, key=key, shape=x.shape) if needs[0] else None
    return (dx, *[None] * len(indices))


@kernel
def advanced_unindex_backward(
    *arrays: Array, needs: tuple[bool, ...], key: Template, shape: tuple[int, ...]
) -> tuple[Array | None, ...]:
    """The gradient of `advanced_unindex`: what stands at `key`; from `g`, the result, its argument and the indices."""
    g, _, y, *indices = arrays
    if not needs[0]:
        return (None, *[None] * len(indices))
    plan = index_plan(key, shape, mask_axes(indices))
    positions, valid = _positions(plan, indices, count=y.shape[plan.place] if _by_one_mask(indices) else None)
    taken = namespace(g, *indices).take(_flattened(g[plan.basic], plan), _flat(positions), axis=0)
    dy = _placed(poisoned(taken, None if valid is None else _flat(valid)), positions, plan)
    return (dy, *[None] * len(indices))


@kernel
def advanced_setitem_backward(*arrays: Array, needs: tuple[bool, ...], key: Template) -> tuple[Array | None, ...]:
    """The gradient of `advanced_setitem`: none for what was overwritten, be it in `x` or in `v`.

    From `g`, the result, `x`, `v` and the index arrays; that of `v` has the shape of ``x[key]``, before broadcasting.
    """
    g, _, x, v, *indices = arrays
    dx = advanced_setitem(g, 0, *indices, key=key) if needs[0] else None
    if not needs[1]:
        return (dx, None, *[None] * len(indices))
    xp = namespace(g, *indices)
    plan = index_plan(key, x.shape, mask_axes(indices))
    rows = _flattened(g[plan.basic], plan)
    if _alike_under_one_mask(plan, v, indices):
        positions = xp.zeros((1,), dtype=xp.int64, device=device_of(x))
        stays = as_column(_flat(indices[0]), rows.ndim)
        rows = xp.sum(xp.where(stays, rows, xp.zeros_like(rows)), axis=0, keepdims=True)
    else:
        positions, valid = _positions(plan, indices, _count_of_values(plan, v, indices))
        flat = _flat(positions)
        rows = xp.take(rows, flat, axis=0)
        if rows.shape[0] > 0:
            writer, _ = _last_writers(flat, plan)
            numbers = xp.arange(rows.shape[0], dtype=writer.dtype, device=device_of(writer))
            stays = as_column(xp.take(writer, flat, axis=0) == numbers, rows.ndim)
            rows = xp.where(stays, rows, xp.zeros_like(rows))
        rows = poisoned(rows, None if valid is None else _flat(valid))
    return (dx, _placed(rows, positions, plan), *[None] * len(indices))


advanced_getitem.gradient(backward=advanced_getitem_backward, takes_complex=True)
advanced_unindex.gradient(backward=advanced_unindex_backward, takes_complex=True)
advanced_setitem.gradient(backward=advanced_setitem_backward, takes_complex=True)


# --- from key to positions and back ---------------------------------------------------------------------------------


def _positions(plan: IndexPlan, indices: list[Array], count: int | None = None) -> tuple[Array, Array | None]:
    """Positions along the flattened axes, and which are valid (None: all).

    `count` says how many elements a mask has, where that is known without looking.
    """
    positions: Any = None
    valid: Any = None
    for index, lengths in zip(indices, plan.lengths, strict=True):
        length = math.prod(lengths)
        if dtype_kind(index.dtype) == "bool":
            found, good = _positions_of_mask(index, lengths, count)
        else:
            found, good = within("key", index, length, negative=True)
        if positions is not None:
            _refuse_unfit(positions, found)
            found = positions * length + found
        positions = found
        if good is not None:
            valid = good if valid is None else valid & good
    return positions, valid


def _positions_of_mask(mask: Array, lengths: tuple[int, ...], count: int | None) -> tuple[Array, Array | None]:
    """Where a mask is true, in row-major order."""
    if tuple(mask.shape) != tuple(lengths):
        raise RangeError(f"key: a mask of shape {tuple(mask.shape)} indexes axes of lengths {tuple(lengths)}")
    xp = namespace(mask)
    raw = mask.value if is_tensor(mask) else mask
    if count is None or library_of(raw) is NUMPY:
        # The shape of the result: this waits for the device.
        true = int(to_numpy(xp.sum(xp.astype(mask, xp.int64))))
        if count is not None and count != true:
            raise ShapeError(f"key: a mask with {true} true elements meets {count} values")
        count = true
    flat = _flat(mask)
    order = xp.argsort(xp.astype(xp.logical_not(flat), xp.int8), stable=True)[:count]
    return order, (None if library_of(raw) is NUMPY else xp.take(flat, order, axis=0))


def _by_one_mask(indices: list[Array]) -> bool:
    return len(indices) == 1 and dtype_kind(indices[0].dtype) == "bool"


def _count_of_values(plan: IndexPlan, v: Array, indices: list[Array]) -> int | None:
    """How many values `v` has for the elements of a mask, if it is broadcast against ``x[mask]``; None: not known."""
    if not _by_one_mask(indices):
        return None
    axis = v.ndim - (len(plan.rest) + 1) + plan.place
    return v.shape[axis] if axis >= 0 else 1


def _alike_under_one_mask(plan: IndexPlan, v: Array, indices: list[Array]) -> bool:
    """Whether the key has one mask, and each of its elements is given the same value: then none need be counted."""
    return not hasattr(v, "shape") or _count_of_values(plan, v, indices) == 1


def _last_writers(positions: Array, plan: IndexPlan) -> tuple[Array, Array]:
    """For every position which index was the last to name it, and whether there was one."""
    xp = namespace(positions)
    order = xp.argsort(positions, stable=True)
    last, written = last_of_segments(xp.take(positions, order, axis=0), plan.size)
    return xp.take(order, last, axis=0), written


def _flattened(view: Array, plan: IndexPlan) -> Array:
    """The indexed axes of a view moved to the front and made one: (size, *rest)."""
    xp = namespace(view)
    return xp.reshape(xp.permute_dims(view, _to_front(plan)), (plan.size, *plan.rest))


def _unflattened(rows: Array, plan: IndexPlan) -> Array:
    """Back to the axes of the view."""
    xp = namespace(rows)
    order = _to_front(plan)
    lengths = (*(length for lengths in plan.lengths for length in lengths), *plan.rest)
    return xp.permute_dims(xp.reshape(rows, lengths), tuple(order.index(axis) for axis in range(len(order))))


def _to_front(plan: IndexPlan) -> tuple[int, ...]:
    indexed = [axis for axes in plan.indexed for axis in axes]
    others = [axis for axis in range(len(indexed) + len(plan.rest)) if axis not in indexed]
    return (*indexed, *others)


def _placed(rows: Array, positions: Array, plan: IndexPlan) -> Array:
    """Rows (positions, *rest) as the result of indexing: the axes of the index arrays in their place."""
    xp = namespace(rows, positions)
    ndim, place = positions.ndim, plan.place
    rows = xp.reshape(rows, (*positions.shape, *plan.rest))
    order = (*range(ndim, ndim + place), *range(ndim), *range(ndim + place, rows.ndim))
    return xp.permute_dims(rows, order)


def _gathered(g: Array, positions: Array, plan: IndexPlan) -> Array:
    """The reverse of `_placed`, after broadcasting: (number of positions, *rest)."""
    xp = namespace(g, positions)
    ndim, place = positions.ndim, plan.place
    shape = (*plan.rest[:place], *positions.shape, *plan.rest[place:])
    g = _broadcast(g, shape)
    order = (*range(place, place + ndim), *range(place), *range(place + ndim, g.ndim))
    return xp.reshape(xp.permute_dims(g, order), (math.prod(positions.shape), *plan.rest))


def _flat(x: Array) -> Array:
    return namespace(x).reshape(x, (math.prod(x.shape),))


def _write(destination: Array, v: Array, plan: IndexPlan) -> None:
    """``destination[key] = v`` in place; new axes are left out of the key and taken out of the value."""
    key = tuple(item for item in plan.basic if item is not None)
    if hasattr(v, "shape"):
        v = namespace(v).reshape(_broadcast(v, destination[plan.basic].shape), destination[key].shape)
    destination[key] = v


def _broadcast(v: Array, shape: tuple[int, ...]) -> Array:
    pairs = zip(reversed(v.shape), reversed(shape), strict=False)
    if v.ndim > len(shape) or any(length not in (1, wanted) for length, wanted in pairs):
        raise ShapeError(f"v: a value of shape {tuple(v.shape)} cannot be written where the key takes {tuple(shape)}")
    return namespace(v).broadcast_to(v, shape)


def _refuse_unfit(positions: Array, found: Array) -> None:
    pairs = zip(reversed(positions.shape), reversed(found.shape), strict=False)
    if any(one != other and 1 not in (one, other) for one, other in pairs):
        raise ShapeError(
            f"key: index arrays of shapes {tuple(positions.shape)} and {tuple(found.shape)} cannot be broadcast "
            "against each other"
        )
