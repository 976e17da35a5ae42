"""The losses of gradient boosting: where to begin, and in which direction to go on from anywhere."""

from __future__ import annotations

from abc import ABC, abstractmethod

from portml.backends import Array, device_of, namespace

__all__ = ["BinaryLogLoss", "Loss", "MultinomialLogLoss", "SquaredError"]


class Loss(ABC):
    """A loss of raw predictions (n_samples, n_outputs), all in float64.

    Attributes
    ----------
    n_outputs : int
        How many raw values a sample has.
    """

    n_outputs: int = 1

    @abstractmethod
    def baseline(self, y: Array, weights: Array | None) -> Array:
        """The one raw prediction (n_outputs,) for all samples that has the least loss."""

    @abstractmethod
    def value(self, y: Array, raw: Array, weights: Array | None) -> Array:
        """The mean loss."""

    @abstractmethod
    def derivatives(self, y: Array, raw: Array, weights: Array | None) -> tuple[list[Array], list[Array] | None]:
        """First and second derivatives of each sample's loss, (n_samples,) for each output; None: all 1."""

    def predictions(self, raw: Array) -> Array:
        """Probabilities (n_samples, n_classes) of raw predictions; numbers stay as they are."""
        return raw


class SquaredError(Loss):
    """Half the squared error, (f - y)² / 2."""

    def baseline(self, y: Array, weights: Array | None) -> Array:
        """The mean."""
        return namespace(y).reshape(_mean(y, weights), (1,))

    def value(self, y: Array, raw: Array, weights: Array | None) -> Array:
        """Half the mean squared error."""
        error = raw[:, 0] - y
        return _mean(error * error, weights) / 2.0

    def derivatives(self, y: Array, raw: Array, weights: Array | None) -> tuple[list[Array], list[Array] | None]:
        """f - y and 1."""
        return _weighted([raw[:, 0] - y], weights), None if weights is None else [weights]


class BinaryLogLoss(Loss):
    """-log of the probability of the sample's class, where that of class 1 is 1 / (1 + exp(-f))."""

    def baseline(self, y: Array, weights: Array | None) -> Array:
        """The log-odds of class 1."""
        xp = namespace(y)
        share = _mean(xp.astype(y, xp.float64), weights)
        share = xp.minimum(xp.maximum(share, xp.full_like(share, TINY)), xp.full_like(share, 1.0 - TINY))
        return xp.reshape(xp.log(share / (1.0 - share)), (1,))

    def value(self, y: Array, raw: Array, weights: Array | None) -> Array:
        """log(1 + exp(f)) - y f."""
        xp = namespace(y)
        f = raw[:, 0]
        positive = xp.maximum(f, xp.zeros_like(f))
        return _mean(positive + xp.log1p(xp.exp(-xp.abs(f))) - xp.astype(y, xp.float64) * f, weights)

    def derivatives(self, y: Array, raw: Array, weights: Array | None) -> tuple[list[Array], list[Array] | None]:
        """p - y and p (1 - p)."""
        p = _sigmoid(raw[:, 0])
        xp = namespace(y)
        return _weighted([p - xp.astype(y, xp.float64)], weights), _weighted([p * (1.0 - p)], weights)

    def predictions(self, raw: Array) -> Array:
        """1 - p and p."""
        p = _sigmoid(raw[:, 0])
        return namespace(raw).stack([1.0 - p, p], axis=1)


class MultinomialLogLoss(Loss):
    """-log of the probability of the sample's class, where the probabilities are the softmax of the raw values."""

    def __init__(self, n_classes: int) -> None:
        self.n_outputs = n_classes

    def baseline(self, y: Array, weights: Array | None) -> Array:
        """Logarithms of the classes' shares, with mean 0."""
        xp = namespace(y)
        shares = [_mean(xp.astype(y == k, xp.float64), weights) for k in range(self.n_outputs)]
        logarithms = xp.log(xp.maximum(xp.stack(shares), xp.full_like(xp.stack(shares), TINY)))
        return logarithms - xp.mean(logarithms)

    def value(self, y: Array, raw: Array, weights: Array | None) -> Array:
        """log of the sum of exp(f_k), less that of the sample's class."""
        xp = namespace(y)
        top = xp.max(raw, axis=1, keepdims=True)
        everything = xp.log(xp.sum(xp.exp(raw - top), axis=1)) + top[:, 0]
        own = xp.take_along_axis(raw, xp.astype(y, xp.int64)[:, None], axis=1)[:, 0]
        return _mean(everything - own, weights)

    def derivatives(self, y: Array, raw: Array, weights: Array | None) -> tuple[list[Array], list[Array] | None]:
        """p_k - [y = k] and p_k (1 - p_k)."""
        xp = namespace(y)
        p = self.predictions(raw)
        columns = [p[:, k] for k in range(self.n_outputs)]
        slopes = [column - xp.astype(y == k, xp.float64) for k, column in enumerate(columns)]
        return _weighted(slopes, weights), _weighted([column * (1.0 - column) for column in columns], weights)

    def predictions(self, raw: Array) -> Array:
        """The softmax."""
        xp = namespace(raw)
        powers = xp.exp(raw - xp.max(raw, axis=1, keepdims=True))
        return powers / xp.sum(powers, axis=1, keepdims=True)


TINY = 2.220446049250313e-16
"""Shares are kept so far from 0 and 1."""


def _sigmoid(x: Array) -> Array:
    xp = namespace(x)
    small = xp.exp(-xp.abs(x))
    return xp.where(x >= 0.0, 1.0, small) / (1.0 + small)


def _mean(values: Array, weights: Array | None) -> Array:
    xp = namespace(values)
    if weights is None:
        return xp.asarray(xp.mean(values), device=device_of(values))
    return xp.asarray(xp.sum(values * weights) / xp.sum(weights), device=device_of(values))


def _weighted(columns: list[Array], weights: Array | None) -> list[Array]:
    return columns if weights is None else [column * weights for column in columns]
