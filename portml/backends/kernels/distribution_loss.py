"""Losses of a predicted distribution: Kullback-Leibler divergence, and Poisson's and Gauss's negative log-likelihood.

What holds for all losses is said in `portml.backends.kernels.loss`.
"""

from __future__ import annotations

import math

from portml.backends.kernel import kernel
from portml.backends.kernels.labels import in_dtype_of, readable
from portml.backends.kernels.reduction import (
    fit_target,
    reduce_losses,
    refuse_values_outside_unit_interval,
    share_of_each,
)
from portml.backends.namespaces import Array, namespace
from portml.errors import RangeError, ShapeError

__all__ = ["gaussian_nll_loss", "kl_div", "kl_div_backward", "poisson_nll_loss"]

Needs = tuple[bool, ...]
Pair = tuple[Array | None, Array | None]


@kernel
def kl_div(prediction: Array, target: Array, *, reduction: str = "mean", log_target: bool = False) -> Array:
    """Pointwise Kullback-Leibler divergence y (log y - log p), 0 where y = 0.  [Kullback & Leibler 1951, eq. 2.4]

    The divergence of two distributions is the sum over their outcomes, so that "mean" (over all elements) is not it.

    Parameters
    ----------
    prediction : array (...)
        Logarithms of probabilities, log p.
    target : array (...)
        Probabilities y, or with `log_target` their logarithms.
    reduction : {"mean", "sum", "none"}
    log_target : bool

    Returns
    -------
    array () or, for "none", (...)

    Raises
    ------
    ShapeError
        If the shapes differ.
    RangeError
        On the host, if a probability of the target is outside [0, 1]; elsewhere one below 0 has a loss of NaN.
    """
    target = fit_target(prediction, target, "kl_div")
    xp = namespace(prediction)
    if log_target:
        return reduce_losses(xp.exp(target) * (target - prediction), reduction)
    refuse_values_outside_unit_interval(target, "kl_div", "target")
    return reduce_losses(xp.where(target < 0, math.nan, target * (_log_or_zero(target) - prediction)), reduction)


@kernel
def kl_div_backward(
    g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str, log_target: bool
) -> Pair:
    """Gradient: d log p = -g y, dy = g (log y + 1 - log p); for logarithms t of y dt = g e^t (t + 1 - log p)."""
    xp = namespace(prediction)
    target, share = in_dtype_of(prediction, target), share_of_each(g, prediction, reduction)
    probability = xp.exp(target) if log_target else target
    surprise = target if log_target else _log_or_zero(target)
    dprediction = -share * probability if needs[0] else None
    dtarget = None
    if needs[1]:
        dtarget = share * (surprise + 1 - prediction)
        dtarget = dtarget * probability if log_target else dtarget
    return dprediction, dtarget


@kernel
def poisson_nll_loss(
    prediction: Array,
    target: Array,
    *,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Array:
    """Negative log-likelihood of counts y whose rate is e^z, or z itself: e^z - y z, or z - y log(z + eps).

    Parameters
    ----------
    prediction, target : array (...)
        z, and counts y.
    log_input : bool
        Whether z is the logarithm of the rate.
    full : bool
        Whether to add Stirling's approximation of log y!, y log y - y + log(2π y) / 2, where y > 1.
    eps : float
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    array () or, for "none", (...)

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    target = fit_target(prediction, target, "poisson_nll_loss")
    xp = namespace(prediction)
    rate, log_rate = (xp.exp(prediction), prediction) if log_input else (prediction, xp.log(prediction + eps))
    losses = rate - target * log_rate
    if full:
        counted = xp.where(target > 1, target, 1)
        stirling = counted * xp.log(counted) - counted + 0.5 * xp.log(2 * math.pi * counted)
        losses = losses + xp.where(target > 1, stirling, 0)
    return reduce_losses(losses, reduction)


@kernel
def gaussian_nll_loss(
    prediction: Array,
    target: Array,
    variance: Array,
    *,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Array:
    """Negative log-likelihood (log v + (ŷ - y)² / v) / 2 of a normal distribution.  [Nix & Weigend 1994, eq. 2]

    Parameters
    ----------
    prediction, target : array (...)
    variance : array (...), (..., 1) or (...) without the last axis
        v, taken as at least `eps`.
    full : bool
        Whether to add log(2π) / 2.
    eps : float
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    array () or, for "none", (...)

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    RangeError
        On the host, if a variance is below 0.
    """
    target = fit_target(prediction, target, "gaussian_nll_loss")
    xp, shape = namespace(prediction), tuple(prediction.shape)
    if tuple(variance.shape) == shape[:-1] and shape:
        variance = xp.expand_dims(variance, axis=-1)
    if tuple(variance.shape) not in (shape, (*shape[:-1], 1)):
        raise ShapeError(
            f"gaussian_nll_loss: prediction has shape {shape} and variance {tuple(variance.shape)}; expected the same "
            "shape, or one variance for each row"
        )
    if readable(variance) and xp.any(variance < 0):
        raise RangeError("gaussian_nll_loss: variance contains a number below 0; expected variances, not logarithms")
    variance = xp.maximum(in_dtype_of(prediction, variance), eps)
    difference = prediction - target
    losses = 0.5 * (xp.log(variance) + difference * difference / variance)
    return reduce_losses(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


kl_div.gradient(backward=kl_div_backward)


def _log_or_zero(p: Array) -> Array:
    """Logarithm of p, 0 where p is not above 0 and the product with it is 0 anyway."""
    xp = namespace(p)
    return xp.log(xp.where(p > 0, p, 1))
