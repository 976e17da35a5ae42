"""The derivatives of the guide's seven activations and six losses in closed form, as a textbook writes them.

Training does not need them: automatic differentiation gives the same, and tests hold the two to each other.  They are
for reading, for plots, and for networks whose backward pass is written by hand.  Those of losses are gradients of the
mean with respect to the prediction.
"""

from __future__ import annotations

import math
from typing import Any

from portml.backends import Array, namespace
from portml.backends.kernels import activation
from portml.backends.kernels.reduction import fit_target

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "binary_cross_entropy",
    "categorical_cross_entropy",
    "elu",
    "hinge_loss",
    "huber_loss",
    "l1_loss",
    "leaky_relu",
    "mse_loss",
    "relu",
    "sigmoid",
    "softmax",
    "swish",
    "tanh",
]


def sigmoid(z: Array) -> Array:
    """σ'(z) = σ(z) (1 - σ(z)), written σ(z) σ(-z), which loses no digits."""
    return activation.sigmoid(z) * activation.sigmoid(-z)


def tanh(z: Array) -> Array:
    """1 - tanh²(z), written 4 σ(2z) σ(-2z), which loses no digits."""
    return 4 * sigmoid(2 * z)


def relu(z: Array) -> Array:
    """1 where z > 0, else 0."""
    xp = namespace(z)
    return xp.astype(z > 0, z.dtype)


def leaky_relu(z: Array, negative_slope: float = 0.01) -> Array:
    """1 where z > 0, else the slope."""
    return _choose(z > 0, 1.0, negative_slope, z)


def elu(z: Array, alpha: float = 1.0) -> Array:
    """1 where z > 0, else α exp(z)."""
    xp = namespace(z)
    return xp.where(z > 0, 1, alpha * xp.exp(xp.where(z > 0, 0, z)))


def softmax(z: Array, axis: int = -1) -> Array:
    """The Jacobian ∂p_i/∂z_j = p_i (δ_ij - p_j).

    Parameters
    ----------
    z : array (..., n, ...)
    axis : int

    Returns
    -------
    array (..., n, n)
        For each vector along `axis` its matrix, these axes last.
    """
    xp = namespace(z)
    p = xp.moveaxis(activation.softmax(z, axis=axis), axis, -1)
    row, column = xp.expand_dims(p, axis=-1), xp.expand_dims(p, axis=-2)
    return row * (xp.eye(p.shape[-1], dtype=p.dtype, device=p.device) - column)


def swish(z: Array) -> Array:
    """σ(z) (1 + z (1 - σ(z))); swish is SiLU."""
    gate = activation.sigmoid(z)
    return gate * (1 + z * activation.sigmoid(-z))


def mse_loss(prediction: Array, target: Array) -> Array:
    """2 (ŷ - y) / n, n the number of elements."""
    return 2 * (prediction - fit_target(prediction, target, "mse_loss")) / _size(prediction)


def l1_loss(prediction: Array, target: Array) -> Array:
    """sign(ŷ - y) / n."""
    xp = namespace(prediction)
    return xp.sign(prediction - fit_target(prediction, target, "l1_loss")) / _size(prediction)


def huber_loss(prediction: Array, target: Array, delta: float = 1.0) -> Array:
    """(ŷ - y) cut off at ±δ, over n."""
    xp = namespace(prediction)
    return xp.clip(prediction - fit_target(prediction, target, "huber_loss"), -delta, delta) / _size(prediction)


def hinge_loss(prediction: Array, target: Array) -> Array:
    """-y / n where y ŷ < 1, else 0, for targets -1 and 1."""
    target = fit_target(prediction, target, "hinge_loss")
    return _choose(target * prediction < 1, -target, 0.0, prediction) / _size(prediction)


def binary_cross_entropy(prediction: Array, target: Array) -> Array:
    """(p - y) / (p (1 - p)) / n for probabilities p strictly between 0 and 1."""
    target = fit_target(prediction, target, "binary_cross_entropy")
    return (prediction - target) / (prediction * (1 - prediction)) / _size(prediction)


def categorical_cross_entropy(prediction: Array, target: Array) -> Array:
    """-(y / p) / n for probabilities (n, K) above 0 and one-hot targets."""
    target = fit_target(prediction, target, "categorical_cross_entropy")
    return -(target / prediction) / (prediction.shape[0] or math.nan)


ACTIVATIONS = {each.__name__: each for each in (sigmoid, tanh, relu, leaky_relu, elu, softmax, swish)}
"""The derivatives of the seven activations by name."""

LOSSES = {
    each.__name__: each
    for each in (mse_loss, l1_loss, binary_cross_entropy, categorical_cross_entropy, huber_loss, hinge_loss)
}
"""The gradients of the six losses by name."""


def _size(prediction: Array) -> float:
    return math.prod(prediction.shape) or math.nan


def _choose(condition: Array, one: Any, other: Any, like: Array) -> Array:
    """One or the other in the dtype of `like`, either of which may be a number."""
    xp = namespace(like)
    return xp.where(condition, xp.zeros_like(like) + one, xp.zeros_like(like) + other)
