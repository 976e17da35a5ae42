"""What attention does to the scores of a tile, compiled: a row at a time, while it is in the cache."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED
from portml.backends._numba.exponential import ANY_ORDER, exp
from portml.backends._numpy.attention import register
from portml.backends._numpy.attention_tiles import Tiling

__all__: list[str] = []

Floats = NDArray[Any]

f = np.float32


def _exponentials(scores: Floats, highest: Floats, total: Floats, factor: Floats) -> None:
    flat = (each.reshape(-1) for each in (highest, total, factor))
    _write_exponentials(scores.reshape(-1, scores.shape[-1]), *flat)


def _slopes(scores: Floats, slopes: Floats, logarithm: Floats, mean: Floats) -> None:
    width = scores.shape[-1]
    sides = (np.ascontiguousarray(each).reshape(-1) for each in (logarithm, mean))
    _write_slopes(scores.reshape(-1, width), slopes.reshape(-1, width), *sides)


@numba.njit(**COMPILED, fastmath=ANY_ORDER)
def _maximum(row, most):  # type: ignore[no-untyped-def]
    for j in range(len(row)):
        most = row[j] if row[j] > most else most
    return most


@numba.njit(**COMPILED, fastmath=ANY_ORDER)
def _write_exponentials(scores, highest, total, factor):  # type: ignore[no-untyped-def]
    for i in range(scores.shape[0]):
        row = scores[i]
        # NaN is no maximum, but shows in the sum.
        most = _maximum(row, highest[i])
        above = f(0) if most == -np.inf else most
        factor[i] = exp(highest[i] - above)
        for j in range(len(row)):
            row[j] = exp(row[j] - above)
        sums = f(0)
        for j in range(len(row)):
            sums += row[j]
        total[i] = total[i] * factor[i] + sums
        highest[i] = most


@numba.njit(**COMPILED, fastmath=ANY_ORDER)
def _write_slopes(scores, slopes, logarithm, mean):  # type: ignore[no-untyped-def]
    for i in range(scores.shape[0]):
        log, centre = logarithm[i], mean[i]
        for j in range(scores.shape[1]):
            weight = exp(scores[i, j] - log)
            scores[i, j] = weight
            slopes[i, j] = weight * (slopes[i, j] - centre)


register("numba", Tiling(_exponentials, _slopes), takes=lambda query: bool(query.dtype == np.float32))
