"""What attention does to the scores of a tile, compiled: a row at a time, while it is in the cache."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.extending import intrinsic
from numpy.typing import NDArray

from portml.backends._numba import COMPILED
from portml.backends._numpy.attention import Tiling, register

__all__: list[str] = []

Floats = NDArray[Any]

ANY_ORDER = {"reassoc", "contract", "nsz"}
f = np.float32


def _exponentials(scores: Floats, highest: Floats, total: Floats, factor: Floats) -> None:
    flat = (each.reshape(-1) for each in (highest, total, factor))
    _write_exponentials(scores.reshape(-1, scores.shape[-1]), *flat)


def _slopes(scores: Floats, slopes: Floats, logarithm: Floats, mean: Floats) -> None:
    width = scores.shape[-1]
    sides = (np.ascontiguousarray(each).reshape(-1) for each in (logarithm, mean))
    _write_slopes(scores.reshape(-1, width), slopes.reshape(-1, width), *sides)


@intrinsic
def _float_of_bits(typing, bits):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.bitcast(arguments[0], ir.FloatType())

    return numba.types.float32(numba.types.int32), generate


@numba.njit(**COMPILED, fastmath=ANY_ORDER, inline="always")
def _exp(x):  # type: ignore[no-untyped-def]
    """exp(x) = 2ⁿ exp(r) with |r| ≤ log(2) / 2 and a polynomial for exp(r); NaN stays, and below -87 it is 0.

    [Moshier, Cephes mathematical library, expf]
    """
    y = f(-87) if x < f(-87) else (f(88) if x > f(88) else x)
    n = np.floor(y * f(1.44269504088896341) + f(0.5))
    r = y - n * f(0.693359375) - n * f(-2.12194440e-4)
    p = f(1.9875691500e-4)
    p = p * r + f(1.3981999507e-3)
    p = p * r + f(8.3334519073e-3)
    p = p * r + f(4.1665795894e-2)
    p = p * r + f(1.6666665459e-1)
    p = p * r + f(5.0000001201e-1)
    e = (p * r * r + r + f(1)) * _float_of_bits(np.int32((np.int32(n) + np.int32(127)) << np.int32(23)))  # type: ignore[call-arg]
    return f(0) if x < f(-87) else e


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
        factor[i] = _exp(highest[i] - above)
        for j in range(len(row)):
            row[j] = _exp(row[j] - above)
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
            weight = _exp(scores[i, j] - log)
            scores[i, j] = weight
            slopes[i, j] = weight * (slopes[i, j] - centre)


register("numba", Tiling(_exponentials, _slopes), takes=lambda query: bool(query.dtype == np.float32))
