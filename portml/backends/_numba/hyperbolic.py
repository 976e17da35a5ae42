"""tanh and the logistic function for compiled loops, in forms that vectorise.

In float32 tanh is a quotient of polynomials in x², x P(x²) / Q(x²), whose coefficients are a fit of the kind that Eigen
and XLA use; it errs by some units in the last place.  In float64 it is the library's own.  A NaN stays NaN.
"""

from __future__ import annotations

from math import tanh as exact_tanh
from typing import Any

import numba
import numpy as np

from portml.backends._numba import COMPILED

__all__ = ["ANY_ORDER", "logistic", "tanh"]

ANY_ORDER = {"reassoc", "contract", "nsz", "arcp"}

F = np.float32
LIMIT = F(7.99881172180175781)
"""From here on tanh is 1 in float32."""


def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return np.tanh(x)


@numba.extending.overload(tanh, jit_options={"fastmath": ANY_ORDER}, inline="never")
def _tanh(x):  # type: ignore[no-untyped-def]
    return _rational if x == numba.float32 else _library


def _library(x):  # type: ignore[no-untyped-def]
    return exact_tanh(x)


def _rational(x):  # type: ignore[no-untyped-def]
    x = LIMIT if x > LIMIT else x
    x = -LIMIT if x < -LIMIT else x
    s = x * x
    p = F(-2.76076847742355e-16)
    p = p * s + F(2.00018790482477e-13)
    p = p * s + F(-8.60467152213735e-11)
    p = p * s + F(5.12229709037114e-08)
    p = p * s + F(1.48572235717979e-05)
    p = p * s + F(6.37261928875436e-04)
    p = p * s + F(4.89352455891786e-03)
    q = F(1.19825839466702e-06)
    q = q * s + F(1.18534705686654e-04)
    q = q * s + F(2.26843463243900e-03)
    q = q * s + F(4.89352518554385e-03)
    return x * p / q


@numba.njit(**COMPILED, fastmath=ANY_ORDER)
def logistic(x, half):  # type: ignore[no-untyped-def]
    """1 / (1 + exp(-x)) as ½ tanh(½ x) + ½; `half` in the data type of x."""
    return half * tanh(half * x) + half
