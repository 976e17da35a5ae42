"""The exponential function in float32 for compiled loops, in a form that vectorises."""

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.extending import intrinsic

from portml.backends._numba import COMPILED

__all__ = ["ANY_ORDER", "exp"]

ANY_ORDER = {"reassoc", "contract", "nsz"}
f = np.float32


@intrinsic
def _float_of_bits(typing, bits):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.bitcast(arguments[0], ir.FloatType())

    return numba.types.float32(numba.types.int32), generate


@numba.njit(**COMPILED, fastmath=ANY_ORDER, inline="always")
def exp(x):  # type: ignore[no-untyped-def]
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
