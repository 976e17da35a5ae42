"""Rows by number: read them, add to them, mark them.

Indices are never wrapped silently.  On the host a value out of range raises `RangeError`; on a device, where looking at
it would mean to wait, the floating-point results that it would have given are NaN.
"""

from __future__ import annotations

import math
from typing import Any

from portml.backends.kernel import kernel
from portml.backends.namespaces import NUMPY, Array, device_of, dtype_kind, is_tensor, library_of, namespace
from portml.errors import DtypeError, RangeError, ShapeError

__all__ = [
    "as_column",
    "embedding",
    "embedding_backward",
    "index_add",
    "index_add_backward",
    "last_of_segments",
    "one_hot",
    "poisoned",
    "refuse_outside",
    "refuse_unfit_rows",
    "refuse_unfit_scatter",
    "refuse_unless_integers",
    "scatter_along_axis",
    "scatter_along_axis_backward",
    "within",
]


@kernel
def index_add(values: Array, indices: Array, *, n: int) -> Array:
    """Row i of the result is the sum of ``values[k]`` over all k with ``indices[k] == i``.

    The rows are sorted by their index; then neighbours with the same index are summed by doubling: after s steps each
    row holds the sum of the last 2**s rows of its segment, and in the end the last row of a segment holds all of it.
    The order of the sum is fixed, so that every run gives the same.  [Hillis & Steele 1986, "Data parallel algorithms"]

    Parameters
    ----------
    values : array (*indices.shape, ...)
    indices : integer array
        From 0 to n - 1.
    n : int
        Number of rows of the result.

    Returns
    -------
    array (n, ...)

    Raises
    ------
    RangeError
        On the host, if an index lies outside; elsewhere the row nearest to it becomes NaN.
    ShapeError
        If the shape of `values` does not begin with that of `indices`.
    """
    refuse_unfit_rows(values, indices)
    xp = namespace(values, indices)
    rest, count = values.shape[indices.ndim :], math.prod(indices.shape)
    if count == 0 or n == 0:
        within("indices", indices, n)
        return xp.zeros((n, *rest), dtype=values.dtype, device=device_of(values))
    ids, valid = within("indices", xp.reshape(indices, (count,)), n)
    sums = poisoned(xp.reshape(values, (count, *rest)), valid)
    order = xp.argsort(ids, stable=True)
    ids, sums = xp.take(ids, order, axis=0), xp.take(sums, order, axis=0)
    step = 1
    while step < count:
        earlier = sums[:-step, ...]
        same = as_column(ids[step:] == ids[:-step], sums.ndim)
        carried = xp.where(same, earlier, xp.zeros_like(earlier))
        sums = xp.concat([sums[:step, ...], sums[step:, ...] + carried], axis=0)
        step *= 2
    last, found = last_of_segments(ids, n)
    result = xp.take(sums, last, axis=0)
    return xp.where(as_column(found, result.ndim), result, xp.zeros_like(result))


@kernel
def index_add_backward(
    g: Array, saved: Array, values: Array, indices: Array, *, needs: tuple[bool, ...], n: int
) -> tuple[Array | None, None]:
    """The gradient of `index_add`: each value gets that of its row."""
    return (embedding(indices, g, padding_idx=None) if needs[0] else None), None


index_add.gradient(backward=index_add_backward, takes_complex=True)


@kernel
def embedding(indices: Array, weight: Array, *, padding_idx: int | None) -> Array:
    """The rows of a table: ``y[..., :] = weight[indices[...], :]``.

    Parameters
    ----------
    indices : integer array
        From 0 to n - 1.
    weight : array (n, ...)
    padding_idx : int or None
        The row that stands for padding: it is read like any other, but no gradient flows to it.

    Returns
    -------
    array (*indices.shape, ...)

    Raises
    ------
    RangeError
        On the host, if an index lies outside; elsewhere its row is NaN.
    """
    xp = namespace(indices, weight)
    rows, valid = within("indices", indices, weight.shape[0])
    taken = xp.take(weight, xp.reshape(rows, (math.prod(indices.shape),)), axis=0)
    return poisoned(xp.reshape(taken, (*indices.shape, *weight.shape[1:])), valid)


@kernel
def embedding_backward(
    g: Array, saved: Array, indices: Array, weight: Array, *, needs: tuple[bool, ...], padding_idx: int | None
) -> tuple[None, Array | None]:
    """The gradient of `embedding`: the rows of `g` added up by index, those of padding left out."""
    if not needs[1]:
        return None, None
    if padding_idx is not None:
        g = namespace(g, indices).where(as_column(indices == padding_idx, g.ndim), 0.0, g)
    return None, index_add(g, indices, n=weight.shape[0])


embedding.gradient(backward=embedding_backward, takes_complex=True)


@kernel(differentiable=False)
def one_hot(indices: Array, *, n: int, dtype: str) -> Array:
    """1 at the index and 0 elsewhere, along a new last axis.

    Parameters
    ----------
    indices : integer array
        From 0 to n - 1.
    n : int
    dtype : str
        Of the result, such as "float32" or "int64".

    Returns
    -------
    array (*indices.shape, n)

    Raises
    ------
    RangeError
        On the host, if an index lies outside; elsewhere its row is NaN (0 in integer dtypes).
    """
    xp = namespace(indices)
    labels, valid = within("indices", indices, n)
    hot = xp.expand_dims(labels, axis=-1) == xp.arange(n, dtype=labels.dtype, device=device_of(indices))
    return poisoned(xp.astype(hot, getattr(xp, dtype)), valid)


@kernel
def scatter_along_axis(values: Array, indices: Array, *, axis: int, shape: tuple[int, ...]) -> Array:
    """Zeros of `shape` with `values` added at `indices` along `axis`: the transpose of ``take_along_axis``.

    Parameters
    ----------
    values : array (d_1, ..., k, ..., d_r)
    indices : integer array
        Of the shape of `values`, or broadcast to it; from -n to n - 1, where n is ``shape[axis]``.
    axis : int
    shape : tuple of int, (d_1, ..., n, ..., d_r)

    Raises
    ------
    RangeError
        On the host, if an index lies outside; elsewhere the nearest element becomes NaN.
    ShapeError
        If `values` and `shape` differ in another axis.
    """
    refuse_unfit_scatter(values, indices, axis, shape)
    xp = namespace(values, indices)
    positions, valid = within("indices", xp.broadcast_to(indices, values.shape), shape[axis], negative=True)
    positions = _flat_positions(positions, axis % len(shape), shape)
    return xp.reshape(index_add(poisoned(values, valid), positions, n=math.prod(shape)), shape)


@kernel
def scatter_along_axis_backward(
    g: Array,
    saved: Array,
    values: Array,
    indices: Array,
    *,
    needs: tuple[bool, ...],
    axis: int,
    shape: tuple[int, ...],
) -> tuple[Array | None, None]:
    """The gradient of `scatter_along_axis`: each value gets that of its element."""
    if not needs[0]:
        return None, None
    xp = namespace(g, indices)
    positions, valid = within("indices", xp.broadcast_to(indices, values.shape), shape[axis], negative=True)
    return poisoned(xp.take_along_axis(g, positions, axis=axis), valid), None


scatter_along_axis.gradient(backward=scatter_along_axis_backward, takes_complex=True)


# --- indices within range -------------------------------------------------------------------------------------------


def within(argument: str, indices: Array, n: int, *, negative: bool = False) -> tuple[Array, Array | None]:
    """Indices that can be taken with safely, and which of them were within range.

    Parameters
    ----------
    argument : str
        The name of the argument, for the error.
    indices : integer array
    n : int
        One more than the largest index.
    negative : bool
        Whether -n to -1 count from the end.

    Returns
    -------
    indices : int64 array
        From 0 to n - 1: those out of range are moved to the nearest end.
    valid : boolean array or None
        None on the host, where all are.

    Raises
    ------
    DtypeError
        If they are no integers.
    RangeError
        On the host, if one lies outside.
    """
    refuse_unless_integers(argument, indices)
    xp = namespace(indices)
    indices = xp.astype(indices, xp.int64, copy=False)
    low = -n if negative else 0
    safe = xp.where(indices < 0, indices + n, indices) if negative else indices
    raw = indices.value if is_tensor(indices) else indices
    if library_of(raw) is NUMPY:
        refuse_outside(argument, raw, low, n)
        return safe, None
    valid = (indices >= low) & (indices < n)
    return xp.clip(safe, 0, max(n - 1, 0)), valid


def poisoned(x: Array, valid: Array | None) -> Array:
    """`x` with NaN (0 where integers cannot say so) in the rows that are not valid; None says that all are."""
    if valid is None:
        return x
    nothing: Any = math.nan if dtype_kind(x.dtype) in ("float", "complex") else 0
    return namespace(x, valid).where(as_column(valid, x.ndim), x, nothing)


def as_column(x: Array, ndim: int) -> Array:
    """`x` with axes of length 1 appended, so that it has `ndim` of them."""
    return namespace(x).reshape(x, (*x.shape, *[1] * (ndim - x.ndim)))


def last_of_segments(ids: Array, n: int) -> tuple[Array, Array]:
    """In sorted `ids`, of which there is one at least: for 0 to n - 1 the place of the last, and whether it exists."""
    xp = namespace(ids)
    numbers = xp.arange(n, dtype=ids.dtype, device=device_of(ids))
    last = xp.searchsorted(ids, numbers, side="right") - 1
    last = xp.where(last < 0, 0, last)
    return last, xp.take(ids, last, axis=0) == numbers


def refuse_unfit_rows(values: Array, indices: Array) -> None:
    """Raise ShapeError unless there is one index for each row of `values`."""
    if tuple(values.shape[: indices.ndim]) != tuple(indices.shape):
        raise ShapeError(
            f"index_add: values has shape {tuple(values.shape)} and indices {tuple(indices.shape)}; "
            "the shape of values must begin with that of indices"
        )


def refuse_unfit_scatter(values: Array, indices: Array, axis: int, shape: tuple[int, ...]) -> None:
    """Raise ShapeError unless `values` fits into `shape` on all axes but `axis`."""
    ndim = len(shape)
    fits = values.ndim == ndim == indices.ndim and -ndim <= axis < ndim
    if not fits or any(length != values.shape[other] for other, length in enumerate(shape) if other != axis % ndim):
        raise ShapeError(
            f"scatter_along_axis: values has shape {tuple(values.shape)}, indices {tuple(indices.shape)}, the result "
            f"{shape}; expected the same lengths but on axis {axis}"
        )


def _flat_positions(indices: Array, axis: int, shape: tuple[int, ...]) -> Array:
    """Positions in an array of `shape`, flattened in row-major order, of elements at `indices` along `axis`."""
    xp = namespace(indices)
    positions = indices * math.prod(shape[axis + 1 :])
    for other, length in enumerate(shape):
        if other != axis:
            numbers = xp.arange(length, dtype=indices.dtype, device=device_of(indices))
            positions = positions + as_column(numbers, len(shape) - other) * math.prod(shape[other + 1 :])
    return positions


def refuse_unless_integers(argument: str, indices: Array) -> None:
    """Raise DtypeError unless `indices` are integers."""
    if dtype_kind(indices.dtype) not in ("int", "uint"):
        raise DtypeError(f"{argument}: expected integers, got {indices.dtype}; convert with astype")


def refuse_outside(argument: str, indices: Array, low: int, n: int) -> None:
    """Raise RangeError if an index is less than `low` or not less than `n`; for NumPy arrays."""
    if indices.size == 0:
        return
    smallest, largest = int(indices.min()), int(indices.max())
    if smallest < low or largest >= n:
        expected = f"integers from {low} to {n - 1}" if n > 0 else "none, as there is nothing to index"
        raise RangeError(f"{argument}: got {smallest if smallest < low else largest}, expected {expected}")
