"""Keeping gradients within bounds."""

from __future__ import annotations

from portml.backends.kernel import kernel
from portml.backends.namespaces import Array, namespace

__all__ = ["clip_value", "scale_to_norm", "sum_of_squares"]


@kernel(differentiable=False)
def sum_of_squares(x: Array) -> Array:
    """Σ x², an array ().

    Parameters
    ----------
    x : array of floating-point numbers
    """
    return namespace(x).sum(x * x)


@kernel(differentiable=False)
def scale_to_norm(x: Array, norm: Array, *, max_norm: float) -> Array:
    """x · min(1, max_norm / (norm + 10⁻⁶)).  [Pascanu, Mikolov & Bengio 2013, alg. 1]

    Parameters
    ----------
    x : array
    norm : array ()
        Of everything that is scaled together, x being a part of it.
    max_norm : float
    """
    xp = namespace(x, norm)
    factor = max_norm / (norm + 1e-6)
    return x * xp.where(factor > 1.0, xp.ones_like(factor), factor)


@kernel(differentiable=False)
def clip_value(x: Array, *, limit: float) -> Array:
    """x kept within ±limit; a NaN stays one.

    Parameters
    ----------
    x : array
    limit : float
    """
    return namespace(x).clip(x, -limit, limit)
