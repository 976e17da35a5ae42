"""Clipping of gradients, between ``backward`` and ``step``."""

from __future__ import annotations

import math
from collections.abc import Iterable

from portml.autograd import Tensor
from portml.backends import Array
from portml.backends import operations as xp
from portml.backends.kernels import gradient_clipping as kernels
from portml.errors import ArgumentError, RangeError

__all__ = ["clip_grad_norm_", "clip_grad_value_", "get_total_norm"]


def get_total_norm(parameters: Iterable[Tensor], norm_type: float = 2.0) -> Array:
    r"""The norm of all gradients together, as if they were one vector: :math:`(\sum |g|^p)^{1/p}`.

    Parameters
    ----------
    parameters : iterable of Parameter
        Those without a gradient are passed over.
    norm_type : float
        p; infinity gives the largest entry.

    Returns
    -------
    array ()
        On the gradients' backend; reading it there waits for the device.

    Raises
    ------
    ArgumentError
        If no parameter has a gradient.
    """
    if not norm_type > 0:
        raise RangeError(f"norm_type: expected a number above 0, got {norm_type!r}")
    gradients = list(_with_gradients(parameters).values())
    if not gradients:
        raise ArgumentError("parameters: none has a gradient; call loss.backward() first")
    if norm_type == 2.0:
        return xp.sqrt(_sum(kernels.sum_of_squares(g) for g in gradients))
    filled = [xp.abs(g) for g in gradients if math.prod(g.shape)]
    if math.isinf(norm_type):
        return xp.max(xp.stack([xp.max(g) for g in filled]))
    return xp.pow(_sum(xp.sum(xp.pow(g, norm_type)) for g in filled), 1.0 / norm_type)


def clip_grad_norm_(parameters: Iterable[Tensor], max_norm: float, norm_type: float = 2.0) -> Array:
    """Shrink all gradients by one factor, in place, so that their norm together does not exceed a bound.

    Parameters
    ----------
    parameters : iterable of Parameter
    max_norm : float
    norm_type : float
        See `get_total_norm`.

    Returns
    -------
    array ()
        The norm before.  Where it is NaN or infinite the gradients become NaN or zero, as in PyTorch: look at it.

    Raises
    ------
    RangeError
        If `max_norm` is negative or no number.
    """
    if not max_norm >= 0:
        raise RangeError(f"max_norm: expected a number of at least 0, got {max_norm!r}")
    learning = _with_gradients(parameters)
    norm = get_total_norm(learning, norm_type)
    for parameter, gradient in learning.items():
        parameter.grad = kernels.scale_to_norm(gradient, norm, max_norm=float(max_norm))
    return norm


def clip_grad_value_(parameters: Iterable[Tensor], clip_value: float) -> None:
    """Keep each entry of the gradients within ±`clip_value`, in place.

    Raises
    ------
    RangeError
        If `clip_value` is negative or no number.
    """
    if not clip_value >= 0:
        raise RangeError(f"clip_value: expected a number of at least 0, got {clip_value!r}")
    for parameter, gradient in _with_gradients(parameters).items():
        parameter.grad = kernels.clip_value(gradient, limit=float(clip_value))


def _with_gradients(parameters: Iterable[Tensor]) -> dict[Tensor, Array]:
    """The raw gradients of the parameters that have one, each once."""
    given = [parameters] if isinstance(parameters, Tensor) else parameters
    found: dict[Tensor, Array] = {}
    for parameter in given:
        gradient = parameter.grad
        if gradient is not None:
            found[parameter] = gradient.value
    return found


def _sum(terms: Iterable[Array]) -> Array:
    first, *rest = terms
    for term in rest:
        first = xp.add(first, term)
    return first
