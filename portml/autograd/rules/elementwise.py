"""Gradients of the elementwise functions; complex arguments follow the conjugate convention."""

from __future__ import annotations

from typing import Any

from portml.autograd.rules.table import rule
from portml.backends import dtype_kind
from portml.backends import operations as xp

Array = Any


def conj(x: Array) -> Array:
    """The conjugate of a complex array; a real one, or a Python scalar, is its own."""
    if isinstance(x, complex):
        return x.conjugate()
    return xp.conj(x) if dtype_kind(getattr(x, "dtype", None)) == "complex" else x


# Arithmetic
rule("alias", lambda g, y, a: g)
rule("add", lambda g, y, a, b: g, lambda g, y, a, b: g)
rule("subtract", lambda g, y, a, b: g, lambda g, y, a, b: xp.negative(g))
rule("multiply", lambda g, y, a, b: xp.multiply(g, conj(b)), lambda g, y, a, b: xp.multiply(g, conj(a)))
rule(
    "divide",
    lambda g, y, a, b: xp.divide(g, conj(b)),
    lambda g, y, a, b: xp.negative(xp.divide(xp.multiply(g, conj(y)), conj(b))),
)
rule("negative", lambda g, y, a: xp.negative(g))
rule("positive", lambda g, y, a: g)
rule("square", lambda g, y, a: xp.multiply(xp.multiply(g, 2), conj(a)))
rule("sqrt", lambda g, y, a: xp.divide(g, xp.multiply(conj(y), 2)))
rule("reciprocal", lambda g, y, a: xp.negative(xp.multiply(g, conj(xp.square(y)))))

# Exponentials and logarithms
rule("exp", lambda g, y, a: xp.multiply(g, conj(y)))
rule("log", lambda g, y, a: xp.divide(g, conj(a)))
rule("tanh", lambda g, y, a: xp.multiply(g, conj(xp.subtract(1, xp.square(y)))))
