"""Gradients of the elementwise functions; complex arguments follow the conjugate convention.

Where a function has a kink the gradient is a subgradient, as PyTorch chooses it: 0 for abs (and hypot, where PyTorch
has NaN) at 0, half to each of two equal arguments of maximum and minimum, all of it at the bounds of clip.  Steps
(floor, sign, ...) have gradient 0.
"""

from __future__ import annotations

import math
from typing import Any

from portml.autograd.rules.table import rule
from portml.autograd.rules.terms import beside, conj, is_complex, one_where_zero
from portml.backends import Array
from portml.backends import operations as xp


def _zero(g: Array, y: Array, *arrays: Any, **statics: Any) -> Array:
    return xp.zeros_like(g)


# Arithmetic
rule("alias", lambda g, y, a: g)
rule("positive", lambda g, y, a: g)
rule("negative", lambda g, y, a: xp.negative(g))
rule("add", lambda g, y, a, b: g, lambda g, y, a, b: g)
rule("subtract", lambda g, y, a, b: g, lambda g, y, a, b: xp.negative(g))
rule("multiply", lambda g, y, a, b: xp.multiply(g, conj(b)), lambda g, y, a, b: xp.multiply(g, conj(a)))
rule(
    "divide",
    lambda g, y, a, b: xp.divide(g, conj(b)),
    lambda g, y, a, b: xp.negative(xp.divide(xp.multiply(g, conj(y)), conj(b))),
)
rule("reciprocal", lambda g, y, a: xp.negative(xp.multiply(g, conj(xp.square(y)))))
rule("square", lambda g, y, a: xp.multiply(xp.multiply(g, 2), conj(a)))
rule("sqrt", lambda g, y, a: xp.divide(g, xp.multiply(conj(y), 2)))
rule("remainder", lambda g, y, a, b: g, lambda g, y, a, b: xp.negative(xp.multiply(g, xp.floor_divide(a, b))))
rule("nextafter", lambda g, y, a, b: g, _zero)


def _pow_base(g: Array, y: Array, a: Array, b: Any) -> Array:
    """g b a^(b-1), where 0^(b-1) for b = 0 counts as finite."""
    if type(b) in (int, float):
        if b == 0:
            return xp.zeros_like(g)
        return g if b == 1 else xp.multiply(g, conj(xp.multiply(a if b == 2 else xp.pow(a, b - 1), b)))
    constant = xp.logical_and(xp.equal(a, 0), xp.equal(b, 0))
    return xp.multiply(g, conj(xp.multiply(xp.pow(a, xp.subtract(xp.where(constant, 1, b), 1)), b)))


def _pow_exponent(g: Array, y: Array, a: Any, b: Array) -> Array:
    """g y log(a); at a = 0 it is 0 for b >= 0 and -inf for b < 0, and NaN for a real a < 0."""
    a = beside(a, y)
    if is_complex(y):
        a = a if is_complex(a) else xp.astype(a, y.dtype)
        return xp.multiply(g, conj(xp.multiply(y, xp.log(one_where_zero(a)))))
    positive = xp.greater(a, 0)
    at_zero = xp.where(xp.less(b, 0), -math.inf, xp.zeros_like(y))
    logarithm = xp.where(positive, xp.log(xp.where(positive, a, 1)), xp.where(xp.less(a, 0), math.nan, at_zero))
    return xp.multiply(g, xp.multiply(y, logarithm))


rule("pow", _pow_base, _pow_exponent)

# Exponentials and logarithms
rule("exp", lambda g, y, a: xp.multiply(g, conj(y)))
rule("expm1", lambda g, y, a: xp.multiply(g, conj(xp.add(y, 1))))
rule("log", lambda g, y, a: xp.divide(g, conj(a)))
rule("log1p", lambda g, y, a: xp.divide(g, conj(xp.add(a, 1))))
rule("log2", lambda g, y, a: xp.divide(g, xp.multiply(conj(a), math.log(2))))
rule("log10", lambda g, y, a: xp.divide(g, xp.multiply(conj(a), math.log(10))))


def _logaddexp(g: Array, y: Array, a: Any, b: Any) -> Array:
    """g e^(a-y); of infinities the greater takes all, and equal ones half each."""
    a = beside(a, y)
    infinite = xp.isinf(y)
    inside = xp.exp(xp.subtract(xp.where(infinite, 0, a), xp.where(infinite, 0, y)))
    takes = xp.astype(xp.equal(a, y), y.dtype)
    limit = xp.divide(takes, xp.add(xp.astype(xp.equal(a, b), y.dtype), 1))
    return xp.multiply(g, xp.where(infinite, limit, inside))


rule("logaddexp", _logaddexp, lambda g, y, a, b: _logaddexp(g, y, b, a))

# Circular and hyperbolic functions
rule("sin", lambda g, y, a: xp.multiply(g, conj(xp.cos(a))))
rule("cos", lambda g, y, a: xp.negative(xp.multiply(g, conj(xp.sin(a)))))
rule("tan", lambda g, y, a: xp.multiply(g, conj(xp.add(xp.square(y), 1))))
rule("sinh", lambda g, y, a: xp.multiply(g, conj(xp.cosh(a))))
rule("cosh", lambda g, y, a: xp.multiply(g, conj(xp.sinh(a))))
rule("tanh", lambda g, y, a: xp.multiply(g, conj(xp.subtract(1, xp.square(y)))))
rule("asin", lambda g, y, a: xp.divide(g, conj(_root_product(xp.subtract(1, a), xp.add(1, a)))))
rule("acos", lambda g, y, a: xp.negative(xp.divide(g, conj(_root_product(xp.subtract(1, a), xp.add(1, a))))))
rule("acosh", lambda g, y, a: xp.divide(g, conj(_root_product(xp.subtract(a, 1), xp.add(a, 1)))))
rule("asinh", lambda g, y, a: xp.divide(g, conj(xp.sqrt(xp.add(xp.square(a), 1)))))
rule("atan", lambda g, y, a: xp.divide(g, conj(xp.add(xp.square(a), 1))))
rule("atanh", lambda g, y, a: xp.divide(g, conj(xp.multiply(xp.subtract(1, a), xp.add(1, a)))))


def _root_product(a: Array, b: Array) -> Array:
    """The product of two square roots: on the right branch where the root of the product is not."""
    return xp.multiply(xp.sqrt(a), xp.sqrt(b))


def _atan2(g: Array, other: Any, a: Any, b: Any) -> Array:
    """g other / (a^2 + b^2) without overflow; 0 at the origin."""
    radius = one_where_zero(xp.hypot(a, b))
    return xp.divide(xp.multiply(g, xp.divide(other, radius)), radius)


rule("atan2", lambda g, y, a, b: _atan2(g, b, a, b), lambda g, y, a, b: xp.negative(_atan2(g, a, a, b)))
rule(
    "hypot",
    lambda g, y, a, b: xp.multiply(g, xp.divide(a, one_where_zero(y))),
    lambda g, y, a, b: xp.multiply(g, xp.divide(b, one_where_zero(y))),
)

# Parts of a complex number
rule("abs", lambda g, y, a: xp.multiply(g, xp.sign(a)))
rule("conj", lambda g, y, a: conj(g))
rule("real", lambda g, y, a: g)
rule("imag", lambda g, y, a: xp.multiply(xp.astype(g, a.dtype), 1j) if is_complex(a) else xp.zeros_like(g))


def _sign(g: Array, y: Array, a: Array) -> Array:
    """For complex a = r y: the part of g across y, over r; 0 at a = 0 and for real a."""
    if not is_complex(a):
        return xp.zeros_like(g)
    across = xp.subtract(g, xp.multiply(y, xp.real(xp.multiply(g, xp.conj(y)))))
    return xp.where(xp.equal(a, 0), 0, xp.divide(across, one_where_zero(xp.abs(a))))


rule("sign", _sign)

# Steps
for _name in ("ceil", "floor", "round", "trunc"):
    rule(_name, _zero)
rule("floor_divide", _zero, _zero)
rule("copysign", lambda g, y, a, b: xp.multiply(g, xp.multiply(xp.sign(a), xp.copysign(1.0, y))), _zero)

# Choices


def _greater(g: Array, a: Any, b: Any) -> Array:
    return xp.where(xp.equal(a, b), xp.multiply(g, 0.5), xp.where(xp.less(a, b), 0, g))


rule("maximum", lambda g, y, a, b: _greater(g, a, b), lambda g, y, a, b: _greater(g, b, a))
rule("minimum", lambda g, y, a, b: _greater(g, b, a), lambda g, y, a, b: _greater(g, a, b))
rule("where", None, lambda g, y, c, a, b: xp.where(c, g, 0), lambda g, y, c, a, b: xp.where(c, 0, g))


def _clip(g: Array, y: Array, a: Array, low: Any, high: Any) -> Array:
    """g within the bounds, ends included."""
    if low is not None:
        g = xp.where(xp.less(a, low), 0, g)
    return g if high is None else xp.where(xp.greater(a, high), 0, g)


def _clip_low(g: Array, y: Array, a: Array, low: Array, high: Any) -> Array:
    g = xp.where(xp.less(a, low), g, 0)
    return g if high is None else xp.where(xp.greater(low, high), 0, g)


def _clip_high(g: Array, y: Array, a: Array, low: Any, high: Array) -> Array:
    wins = xp.greater(a, high)
    return xp.where(wins if low is None else xp.logical_or(wins, xp.greater(low, high)), g, 0)


rule("clip", _clip, _clip_low, _clip_high)
