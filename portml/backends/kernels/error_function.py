"""The error function and its complement: areas under the normal curve.

Rational approximations on three intervals of |x| with full relative precision in float64, and so in float32.
[Cody 1969, "Rational Chebyshev approximations for the error function", Mathematics of Computation 23, 631-637; its
coefficients as in his program CALERF]
"""

from __future__ import annotations

import math
from typing import Any

from portml.backends.kernel import kernel
from portml.backends.kernels.real_numbers import refuse_unless_real
from portml.backends.namespaces import Array, namespace

__all__ = ["erf", "erf_backward", "erfc", "erfc_backward"]

Needs = tuple[bool, ...]

NEAR, FAR = 0.46875, 4.0
"""Where one approximation ends and the next begins."""

ZERO_FROM = 30.0
"""Beyond this the complement is zero in float64 too."""

# Highest power first.
NEAR_ABOVE = (
    1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3,
)  # fmt: skip
NEAR_BELOW = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
MIDDLE_ABOVE = (
    2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1, 2.98635138197400131e2,
    8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3,
)  # fmt: skip
MIDDLE_BELOW = (
    1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
    3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
)  # fmt: skip
FAR_ABOVE = (
    1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
    1.60837851487422766e-2, 6.58749161529837803e-4,
)  # fmt: skip
FAR_BELOW = (
    1.0, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1, 6.05183413124413191e-2,
    2.33520497626869185e-3,
)  # fmt: skip


@kernel
def erf(x: Array) -> Array:
    """Error function, 2/√π ∫₀ˣ exp(-t²) dt.

    Parameters
    ----------
    x : array (...)

    Returns
    -------
    array (...)
    """
    refuse_unless_real("erf", x)
    xp = namespace(x)
    near = _erf_near_zero(x)
    far = xp.where(x > 0, 1 - _erfc_of_size(x), _erfc_of_size(x) - 1)
    return xp.where((x >= -NEAR) & (x <= NEAR), near, far)


@kernel
def erf_backward(g: Array, y: Array, x: Array, *, needs: Needs) -> tuple[Array]:
    """Gradient: dx = g 2/√π exp(-x²)."""
    return (g * (2 / math.sqrt(math.pi) * namespace(g, x).exp(-x * x)),)


@kernel
def erfc(x: Array) -> Array:
    """The complement 1 - erf(x), with digits where erf itself is rounded to 1."""
    refuse_unless_real("erfc", x)
    xp = namespace(x)
    far = _erfc_of_size(x)
    return xp.where((x >= -NEAR) & (x <= NEAR), 1 - _erf_near_zero(x), xp.where(x > 0, far, 2 - far))


@kernel
def erfc_backward(g: Array, y: Array, x: Array, *, needs: Needs) -> tuple[Array]:
    """Gradient: dx = -g 2/√π exp(-x²)."""
    return (g * (-2 / math.sqrt(math.pi) * namespace(g, x).exp(-x * x)),)


erf.gradient(backward=erf_backward)
erfc.gradient(backward=erfc_backward)


def _erf_near_zero(x: Array) -> Array:
    """x P(x²) / Q(x²), right within ±0.46875."""
    x = namespace(x).clip(x, -NEAR, NEAR)
    square = x * x
    return x * _polynomial(square, NEAR_ABOVE) / _polynomial(square, NEAR_BELOW)


def _erfc_of_size(x: Array) -> Array:
    """The complement at |x|, right from 0.46875 on."""
    xp = namespace(x)
    size = xp.clip(xp.abs(x), NEAR, ZERO_FROM)
    middle = xp.minimum(size, FAR)
    middle = _polynomial(middle, MIDDLE_ABOVE) / _polynomial(middle, MIDDLE_BELOW)
    beyond = xp.maximum(size, FAR)
    inverse = 1 / (beyond * beyond)
    correction = inverse * (_polynomial(inverse, FAR_ABOVE) / _polynomial(inverse, FAR_BELOW))
    beyond = (1 / math.sqrt(math.pi) - correction) / beyond
    # exp(-x²) in two factors, the square of the first without rounding: a rounded x² would lose digits.
    rounded = xp.trunc(size * 16) / 16
    rest = (size - rounded) * (size + rounded)
    return xp.exp(-rounded * rounded) * xp.exp(-rest) * xp.where(size <= FAR, middle, beyond)


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Any:
    """Horner's scheme, the highest power first."""
    total: Any = coefficients[0]
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total
