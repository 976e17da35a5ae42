"""The affine map at the heart of every network: one matrix product over all leading axes, two for its gradient."""

from __future__ import annotations

import math

from portml.backends.kernel import kernel
from portml.backends.namespaces import Array, namespace
from portml.errors import ShapeError

__all__ = ["linear", "linear_backward", "linear_saving", "refuse_unfit_linear"]


@kernel
def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    """Affine map: y = x Wᵀ + b.

    Parameters
    ----------
    x : array (..., n_in)
    weight : array (n_out, n_in)
    bias : array (n_out,) or None

    Returns
    -------
    array (..., n_out)

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    """
    refuse_unfit_linear(x, weight, bias)
    xp = namespace(x, weight, bias)
    y = _rows(x) @ xp.matrix_transpose(weight)
    if bias is not None:
        y = y + bias
    return xp.reshape(y, (*x.shape[:-1], weight.shape[0]))


@kernel
def linear_saving(x: Array, weight: Array, bias: Array | None) -> tuple[Array, tuple[()]]:
    """The result of `linear`; its gradient needs nothing but the arguments."""
    return linear.agnostic(x, weight, bias), ()


@kernel
def linear_backward(
    g: Array, saved: tuple[()], x: Array, weight: Array, bias: Array | None, *, needs: tuple[bool, ...]
) -> tuple[Array | None, ...]:
    """Gradient: dx = g W, dW = gᵀ x, db = sum of g; the last two summed over all leading axes."""
    xp = namespace(g, x, weight)
    rows = _rows(g)
    dx = xp.reshape(rows @ weight, x.shape) if needs[0] else None
    dweight = xp.matrix_transpose(rows) @ _rows(x) if needs[1] else None
    dbias = xp.sum(rows, axis=0) if needs[2] and bias is not None else None
    return dx, dweight, dbias


linear.gradient(saving=linear_saving, backward=linear_backward)


def refuse_unfit_linear(x: Array, weight: Array, bias: Array | None) -> None:
    """Raise ShapeError unless `x`, `weight` and `bias` fit."""
    shape = weight.shape
    if len(shape) != 2 or x.ndim == 0 or x.shape[-1] != shape[1]:
        raise ShapeError(
            f"linear: x has shape {tuple(x.shape)} and weight {tuple(shape)}; "
            "expected (..., n_in) and (n_out, n_in) with the same n_in: reshape x or transpose weight"
        )
    if bias is not None and tuple(bias.shape) != (shape[0],):
        raise ShapeError(
            f"linear: bias has shape {tuple(bias.shape)} and weight {tuple(shape)}; expected a bias of ({shape[0]},)"
        )


def _rows(x: Array) -> Array:
    """All leading axes as one: (..., n) to (rows, n)."""
    if x.ndim == 2:
        return x
    return namespace(x).reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
