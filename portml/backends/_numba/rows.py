"""Sums of rows by number compiled: each row is added where it belongs, in order, with nothing sorted."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED
from portml.backends.kernels.rows import (
    embedding_backward,
    index_add,
    refuse_outside,
    refuse_unfit_rows,
    refuse_unless_integers,
)

__all__: list[str] = []

Numbers = NDArray[Any]

FEW_COLUMNS = 16
"""Rows of at most so many columns are left to NumPy, which adds up narrow ones in double precision."""

NO_PADDING = -1


@index_add.on("numba")
def _(values: Numbers, indices: Numbers, *, n: int) -> Numbers:
    refuse_unless_integers("indices", indices)
    refuse_unfit_rows(values, indices)
    refuse_outside("indices", indices, 0, n)
    if not _is_worth_it(values, indices):
        return index_add.kernel.table["numpy"](values, indices, n=n)  # type: ignore[no-any-return]
    return _added(values, indices, n, NO_PADDING)


@embedding_backward.on("numba")
def _(
    g: Numbers, saved: Numbers, indices: Numbers, weight: Numbers, *, needs: tuple[bool, ...], padding_idx: int | None
) -> tuple[None, Numbers | None]:
    if not needs[1]:
        return None, None
    if not _is_worth_it(g, indices):
        numpy = embedding_backward.kernel.table["numpy"]
        return numpy(g, saved, indices, weight, needs=needs, padding_idx=padding_idx)  # type: ignore[no-any-return]
    return None, _added(g, indices, weight.shape[0], NO_PADDING if padding_idx is None else padding_idx)


def _is_worth_it(values: Numbers, indices: Numbers) -> bool:
    return values.dtype.char in "fd" and math.prod(values.shape[indices.ndim :]) > FEW_COLUMNS


def _added(values: Numbers, indices: Numbers, n: int, padding: int) -> Numbers:
    rest = values.shape[indices.ndim :]
    result = np.zeros((n, math.prod(rest)), values.dtype)
    rows = (
        np.ascontiguousarray(values).reshape(indices.size, -1) if indices.size else values.reshape(0, result.shape[1])
    )
    _add(rows, np.ascontiguousarray(indices, np.int64).reshape(-1), padding, result)
    return result.reshape(n, *rest)


@numba.njit(**COMPILED)
def _add(rows, ids, padding, result):  # type: ignore[no-untyped-def]
    for k in range(len(ids)):
        i = ids[k]
        if i == padding:
            continue
        for column in range(rows.shape[1]):
            result[i, column] += rows[k, column]
