"""Losses: how far predictions are from targets, PyTorch's semantics and the textbook's formulas.

Every loss takes ``reduction``: "mean" (over what counts), "sum", or "none" (one loss for each element or sample).
Predictions and targets must have the same shape: ``(4,)`` never broadcasts against ``(4, 1)``.  Targets are taken in
the dtype of the predictions, so float32 stays float32.

Labels and probabilities outside their range raise RangeError where looking at a value costs nothing (on the host);
elsewhere they make the loss of their row NaN, and nobody waits for the device.
"""

from __future__ import annotations

import math

from portml.backends.kernel import kernel
from portml.backends.kernels.activation import sigmoid
from portml.backends.kernels.labels import in_dtype_of
from portml.backends.kernels.reduction import (
    fit_target,
    reduce_losses,
    refuse_values_outside_unit_interval,
    share_of_each,
)
from portml.backends.namespaces import Array, namespace

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_backward",
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_backward",
    "hinge_loss",
    "hinge_loss_backward",
    "huber_loss",
    "huber_loss_backward",
    "l1_loss",
    "l1_loss_backward",
    "log_of",
    "log_of_rest",
    "mse_loss",
    "mse_loss_backward",
]

Needs = tuple[bool, ...]
Pair = tuple[Array | None, Array | None]


# Regression


@kernel
def mse_loss(prediction: Array, target: Array, *, reduction: str = "mean") -> Array:
    """Squared error (ŷ - y)², its mean over all elements by default.

    Parameters
    ----------
    prediction, target : array (...)
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    array () or, for "none", (...)

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    difference = prediction - fit_target(prediction, target, "mse_loss")
    return reduce_losses(difference * difference, reduction)


@kernel
def mse_loss_backward(g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str) -> Pair:
    """Gradient: dŷ = 2 g (ŷ - y), over n for the mean; dy = -dŷ."""
    difference = prediction - in_dtype_of(prediction, target)
    return _signed(difference * (2 * share_of_each(g, prediction, reduction)), needs)


@kernel
def l1_loss(prediction: Array, target: Array, *, reduction: str = "mean") -> Array:
    """Absolute error |ŷ - y|; parameters and errors as in `mse_loss`."""
    return reduce_losses(namespace(prediction).abs(prediction - fit_target(prediction, target, "l1_loss")), reduction)


@kernel
def l1_loss_backward(g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str) -> Pair:
    """Gradient: dŷ = g sign(ŷ - y), over n for the mean; dy = -dŷ."""
    sign = namespace(prediction).sign(prediction - in_dtype_of(prediction, target))
    return _signed(sign * share_of_each(g, prediction, reduction), needs)


@kernel
def huber_loss(prediction: Array, target: Array, *, reduction: str = "mean", delta: float = 1.0) -> Array:
    """Huber loss: d²/2 where |d| <= delta, else delta (|d| - delta/2), with d = ŷ - y.  [Huber 1964]

    Parameters and errors as in `mse_loss`.
    """
    xp = namespace(prediction)
    size = xp.abs(prediction - fit_target(prediction, target, "huber_loss"))
    near = xp.minimum(size, delta)
    return reduce_losses(near * (size - 0.5 * near), reduction)


@kernel
def huber_loss_backward(
    g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str, delta: float
) -> Pair:
    """Gradient: dŷ = g d cut off at ±delta, over n for the mean; dy = -dŷ."""
    cut = namespace(prediction).clip(prediction - in_dtype_of(prediction, target), -delta, delta)
    return _signed(cut * share_of_each(g, prediction, reduction), needs)


# Two classes


@kernel
def binary_cross_entropy(prediction: Array, target: Array, *, reduction: str = "mean") -> Array:
    """-(y log p + (1 - y) log(1 - p)), each logarithm cut off at -100 as in PyTorch, so that p = 0 and 1 stay finite.

    Parameters
    ----------
    prediction : array (...)
        Probabilities p in [0, 1].
    target : array (...)
        y in [0, 1].
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    array () or, for "none", (...)

    Raises
    ------
    ShapeError
        If the shapes differ.
    RangeError
        On the host, if a probability is outside [0, 1]; elsewhere its loss is NaN.
    """
    target = fit_target(prediction, target, "binary_cross_entropy")
    refuse_values_outside_unit_interval(prediction, "binary_cross_entropy")
    refuse_values_outside_unit_interval(target, "binary_cross_entropy", "target")
    return reduce_losses(-(target * log_of(prediction) + (1 - target) * log_of_rest(prediction)), reduction)


@kernel
def binary_cross_entropy_backward(
    g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str
) -> Pair:
    """Gradient: dp = g (p - y) / (p (1 - p)), the denominator at least 1e-12; dy = g (log(1 - p) - log p)."""
    xp = namespace(prediction)
    target, share = in_dtype_of(prediction, target), share_of_each(g, prediction, reduction)
    spread = xp.maximum(prediction * (1 - prediction), 1e-12)
    dprediction = share * ((prediction - target) / spread) if needs[0] else None
    dtarget = share * (log_of_rest(prediction) - log_of(prediction)) if needs[1] else None
    return dprediction, dtarget


@kernel
def binary_cross_entropy_with_logits(prediction: Array, target: Array, *, reduction: str = "mean") -> Array:
    """Cross-entropy of y and σ(z), as log(1 + exp z) - z y: nothing overflows and nothing is cut off.

    Parameters
    ----------
    prediction : array (...)
        Logits z.
    target : array (...)
        y in [0, 1].
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    array () or, for "none", (...)

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    target = fit_target(prediction, target, "binary_cross_entropy_with_logits")
    xp = namespace(prediction)
    # Where z > 0 the sum is written log(1 + exp -z) + z (1 - y): z - z y would lose the digits of a small loss.
    positive = prediction > 0
    soft = xp.log1p(xp.exp(xp.where(positive, -prediction, prediction)))
    return reduce_losses(soft + prediction * xp.where(positive, 1 - target, -target), reduction)


@kernel
def binary_cross_entropy_with_logits_backward(
    g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str
) -> Pair:
    """Gradient: dz = g (σ(z) - y), dy = -g z; both over n for the mean."""
    share = share_of_each(g, prediction, reduction)
    dprediction = share * (sigmoid.agnostic(prediction) - in_dtype_of(prediction, target)) if needs[0] else None
    dtarget = share * -prediction if needs[1] else None
    return dprediction, dtarget


@kernel
def hinge_loss(prediction: Array, target: Array, *, reduction: str = "mean") -> Array:
    """Hinge loss max(0, 1 - y ŷ) for targets y of -1 and 1; parameters and errors as in `mse_loss`."""
    target = fit_target(prediction, target, "hinge_loss")
    return reduce_losses(namespace(prediction).maximum(1 - target * prediction, 0), reduction)


@kernel
def hinge_loss_backward(g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str) -> Pair:
    """Gradient: dŷ = -g y and dy = -g ŷ where y ŷ < 1, else 0; both over n for the mean."""
    xp = namespace(prediction)
    target = in_dtype_of(prediction, target)
    inside = -share_of_each(g, prediction, reduction) * xp.astype(target * prediction < 1, prediction.dtype)
    return inside * target if needs[0] else None, inside * prediction if needs[1] else None


mse_loss.gradient(backward=mse_loss_backward)
l1_loss.gradient(backward=l1_loss_backward, takes_complex=True)
huber_loss.gradient(backward=huber_loss_backward)
binary_cross_entropy.gradient(backward=binary_cross_entropy_backward)
binary_cross_entropy_with_logits.gradient(backward=binary_cross_entropy_with_logits_backward)
hinge_loss.gradient(backward=hinge_loss_backward)


def _signed(gradient: Array, needs: Needs) -> Pair:
    """The gradient of a function of the difference: the same for both arguments but for the sign."""
    return gradient if needs[0] else None, -gradient if needs[1] else None


def log_of(p: Array) -> Array:
    """Logarithm of p, at least -100; NaN below 0."""
    xp = namespace(p)
    # Zero and what is below are replaced before the logarithm sees them: it would warn.
    log = xp.log(xp.where(p <= 0, 1, p))
    return xp.where(p < 0, math.nan, xp.where(p == 0, -100, xp.where(log < -100, -100, log)))


def log_of_rest(p: Array) -> Array:
    """Logarithm of 1 - p, at least -100; NaN above 1."""
    xp = namespace(p)
    log = xp.log1p(-xp.where(p >= 1, 0, p))
    return xp.where(p > 1, math.nan, xp.where(p == 1, -100, log))
