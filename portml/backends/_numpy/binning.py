"""Codes of columns on NumPy: value and sample packed into one integer, which sorts faster than an index."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends.kernels.binning import NEGLIGIBLE, bin_columns, code_dtype, rank_columns, sort_columns

__all__: list[str] = []

Numbers = NDArray[Any]

SIGN = np.uint32(1 << 31)

HEIGHT = 1 << 14
"""Values that are searched for at a time."""


@rank_columns.on("numpy")
def _(X: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    n_samples, n_features = X.shape
    codes = np.empty((n_features, n_samples), code_dtype(n_samples + 1))
    orders = np.empty((n_features, n_samples), np.int32)
    values = np.full((n_features, n_samples), np.inf, X.dtype)
    if X.dtype != np.float32:
        return rank_columns.agnostic(X)  # type: ignore[no-any-return]
    number = np.arange(n_samples, dtype=np.uint64)
    is_new = np.zeros(n_samples, np.bool_)
    for j in range(n_features):
        column = np.array(X[:, j])
        column[column == 0] = 0  # without a sign
        is_missing = np.isnan(column)
        column[is_missing] = np.inf
        # The bits of floating-point numbers, read as integers, have their order once negative ones are turned around.
        bits = column.view(np.uint32)
        ordered = np.where(bits & SIGN, ~bits, bits | SIGN)
        packed = (ordered.astype(np.uint64) << np.uint64(32)) | number
        packed.sort()
        order = (packed & np.uint64(0xFFFFFFFF)).astype(np.int32)
        in_order = column[order]
        np.greater(in_order[1:], in_order[:-1] + np.float32(NEGLIGIBLE), out=is_new[1:])
        ranks = np.cumsum(is_new, dtype=np.int32)
        codes[j, order] = ranks
        codes[j, is_missing] = n_samples
        is_first = is_new.copy()
        is_first[:1] = True
        distinct = in_order[is_first]
        values[j, : distinct.size] = distinct
        orders[j] = order
    return codes, orders, values


@sort_columns.on("numpy")
def _(X: Numbers) -> Numbers:
    columns = X.T.copy()  # side by side, which sorts three times as fast
    columns[np.isnan(columns)] = np.inf
    columns.sort(axis=1)
    return columns


@bin_columns.on("numpy")
def _(X: Numbers, edges: Numbers, *, missing_code: int) -> Numbers:
    n_samples, n_features = X.shape
    codes = np.empty((n_features, n_samples), code_dtype(missing_code + 1))
    # As many edges as a search by halves looks at: those that are not there are infinite, with no value beyond them.
    most = 1 << int(edges.shape[1]).bit_length()
    filled = np.full((n_features, most), np.inf, edges.dtype)
    filled[:, : edges.shape[1]] = edges
    for j in range(n_features):
        for start in range(0, n_samples, HEIGHT):
            column = np.ascontiguousarray(X[start : start + HEIGHT, j])
            into = codes[j, start : start + HEIGHT]
            into[...] = _bins(column, filled[j])
            into[np.isnan(column)] = missing_code
    return codes


def _bins(values: Numbers, edges: Numbers) -> Numbers:
    """How many edges lie below each value: one search for all values, halving together, which nothing has to guess."""
    found = np.zeros(values.shape, np.intp)
    step = edges.size >> 1
    while step:
        found += np.less(edges[step - 1 :].take(found), values) * np.intp(step)
        step >>= 1
    return found
