"""Indexing on NumPy: its own index expressions where they mean the same, and sums of rows that sort only the ids."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends.kernels.index_keys import ARRAY, Span, Template, index_plan
from portml.backends.kernels.indexing import (
    advanced_getitem,
    advanced_setitem,
    advanced_unindex,
    basic_getitem,
    basic_setitem,
    basic_unindex,
    frame,
    pad,
)
from portml.backends.kernels.rows import (
    embedding,
    embedding_backward,
    index_add,
    one_hot,
    refuse_outside,
    refuse_unfit_rows,
    refuse_unless_integers,
)

__all__: list[str] = []

Numbers = NDArray[Any]

FEW_COLUMNS = 16
"""Rows of at most so many columns are added up element by element."""

LONG = 8
"""Segments of more rows than this are summed one by one, shorter ones all together, one row of each at a time."""


@basic_getitem.on("numpy")
def _(x: Numbers, *, key: Template) -> Numbers:
    # A key of its own for each of many rows would fill the memory of plans; the ellipsis makes a view of an element.
    whole: list[Any] = [slice(*item) if type(item) is Span else item for item in key]
    if ... not in key:
        whole.append(...)
    try:
        return x[tuple(whole)]  # type: ignore[no-any-return]
    except (IndexError, ValueError):
        return basic_getitem.agnostic(x, key=key)  # type: ignore[no-any-return]  # it says what is wrong


@basic_unindex.on("numpy")
def _(g: Numbers, *, key: Template, shape: tuple[int, ...], out: Numbers | None = None) -> Numbers:
    if out is None:
        out = np.zeros(shape, g.dtype)
    else:
        out[...] = 0
    out[index_plan(key, shape).basic] = g
    return out


@basic_setitem.on("numpy")
def _(x: Numbers, v: Any, *, key: Template) -> Numbers:
    result = np.array(x)
    try:
        result[index_plan(key, x.shape).basic] = v
    except ValueError:
        return basic_setitem.agnostic(x, v, key=key)  # type: ignore[no-any-return]  # it says what is wrong
    return result


@pad.on("numpy")
def _(x: Numbers, *, widths: tuple[tuple[int, int], ...], value: float, out: Numbers | None = None) -> Numbers:
    shape, inner = frame(x.shape, widths)
    if out is None:
        out = np.empty(shape, x.dtype)
    out[...] = value
    out[index_plan(inner, shape).basic] = x
    return out


@advanced_getitem.on("numpy")
def _(*arrays: Any, key: Template) -> Numbers:
    x, *indices = arrays
    try:
        result: Numbers = x[_key(key, indices)]
    except IndexError:
        return advanced_getitem.agnostic(*arrays, key=key)  # type: ignore[no-any-return]  # it says what is wrong
    return result


@advanced_unindex.on("numpy")
def _(*arrays: Any, key: Template, shape: tuple[int, ...]) -> Numbers:
    g, *indices = arrays
    if not all(index.dtype == bool for index in indices):
        return advanced_unindex.agnostic(*arrays, key=key, shape=shape)  # type: ignore[no-any-return]
    result = np.zeros(shape, g.dtype)
    result[_key(key, indices)] = g
    return result


@advanced_setitem.on("numpy")
def _(*arrays: Any, key: Template) -> Numbers:
    x, v, *indices = arrays
    result = np.array(x)
    try:
        result[_key(key, indices)] = v
    except (IndexError, ValueError):
        return advanced_setitem.agnostic(*arrays, key=key)  # type: ignore[no-any-return]  # it says what is wrong
    return result


@index_add.on("numpy")
def _(values: Numbers, indices: Numbers, *, n: int) -> Numbers:
    refuse_unless_integers("indices", indices)
    refuse_unfit_rows(values, indices)
    refuse_outside("indices", indices, 0, n)
    shape, count = values.shape[indices.ndim :], indices.size
    columns = math.prod(shape)
    rows, ids = values.reshape(count, columns), indices.reshape(count).astype(np.intp, copy=False)
    if columns > FEW_COLUMNS:
        return _sums_of_segments(rows, ids, n).reshape(n, *shape)
    if values.dtype.kind == "f":
        places = ids[:, None] * columns + np.arange(columns)
        sums = np.bincount(places.reshape(-1), rows.reshape(-1), n * columns)
        return sums.astype(values.dtype).reshape(n, *shape)
    result = np.zeros((n, columns), values.dtype)
    np.add.at(result, ids, rows)
    return result.reshape(n, *shape)


@embedding.on("numpy")
def _(indices: Numbers, weight: Numbers, *, padding_idx: int | None) -> Numbers:
    refuse_unless_integers("indices", indices)
    refuse_outside("indices", indices, 0, weight.shape[0])
    return weight[indices]


@embedding_backward.on("numpy")
def _(
    g: Numbers, saved: Numbers, indices: Numbers, weight: Numbers, *, needs: tuple[bool, ...], padding_idx: int | None
) -> tuple[None, Numbers | None]:
    if not needs[1]:
        return None, None
    dweight = index_add(g, indices, n=weight.shape[0])
    if padding_idx is not None:
        dweight[padding_idx] = 0
    return None, dweight


@one_hot.on("numpy")
def _(indices: Numbers, *, n: int, dtype: str) -> Numbers:
    refuse_unless_integers("indices", indices)
    refuse_outside("indices", indices, 0, n)
    result = np.zeros((indices.size, n), dtype)
    result[np.arange(indices.size), indices.reshape(-1)] = 1
    return result.reshape(*indices.shape, n)


def _key(template: Template, indices: list[Numbers]) -> tuple[Any, ...]:
    """The key that the template was made of."""
    arrays = iter(indices)
    return tuple(
        slice(*item) if isinstance(item, Span) else next(arrays) if item == ARRAY else item for item in template
    )


def _sums_of_segments(rows: Numbers, ids: Numbers, n: int) -> Numbers:
    """The sum of the rows of each id, (n, n_columns); only the ids are sorted."""
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    starts = np.flatnonzero(np.concatenate([np.ones(min(ids.size, 1), bool), ids[1:] != ids[:-1]]))
    lengths = np.diff(starts, append=ids.size)
    result = np.zeros((n, rows.shape[1]), rows.dtype)
    for start, length in zip(starts[lengths > LONG].tolist(), lengths[lengths > LONG].tolist(), strict=True):
        np.add.reduce(rows[order[start : start + length]], axis=0, out=result[ids[start]])
    short = lengths <= LONG
    starts, lengths = starts[short], lengths[short]
    for step in range(lengths.max(initial=0)):
        reached = starts[lengths > step]
        result[ids[reached]] += rows[order[reached + step]]
    return result
