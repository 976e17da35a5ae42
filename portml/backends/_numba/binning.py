"""Codes of columns, compiled: a search in as many steps as the edges have bits, the same for every value."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED
from portml.backends.kernels.binning import bin_columns, code_dtype

__all__: list[str] = []

Numbers = NDArray[Any]

HEIGHT = 256
"""Values that are searched for at a time."""


@bin_columns.on("numba")
def _(X: Numbers, edges: Numbers, *, missing_code: int) -> Numbers:
    codes = np.empty((X.shape[1], X.shape[0]), code_dtype(missing_code + 1))
    # As many edges as a search by halves looks at: those that are not there are infinite, with no value beyond them.
    most = 1 << int(edges.shape[1]).bit_length()
    filled = np.full((X.shape[1], most), np.inf, edges.dtype)
    filled[:, : edges.shape[1]] = edges
    _bin(np.ascontiguousarray(X.T), filled, missing_code, codes)
    return codes


@numba.njit(**COMPILED)
def _bin(columns: Any, edges: Any, missing_code: int, codes: Any) -> None:
    # The step is the outer loop: the vector unit then searches for many values at a time, and nothing branches.
    places = np.empty(HEIGHT, np.int32)
    for j in range(columns.shape[0]):
        edge = edges[j]
        for start in range(0, columns.shape[1], HEIGHT):
            values = columns[j, start : start + HEIGHT]
            found = places[: values.size]
            found[:] = 0
            step = edge.size >> 1
            while step:
                for i in range(values.size):
                    found[i] += step * (edge[found[i] + step - 1] < values[i])
                step >>= 1
            for i in range(values.size):
                codes[j, start + i] = found[i] if values[i] == values[i] else missing_code
