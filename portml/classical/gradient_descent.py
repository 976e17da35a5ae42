r"""Gradient descent, the loop that everything else here is measured against.

.. math:: \theta \leftarrow \theta - \eta \, \nabla L(\theta)

The gradient of a mean over all samples (batch), over some of them (mini-batch) or over one (stochastic): the fewer, the
more steps for the same work, and the more each of them errs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

from portml.backends import Array, device_of, namespace, to_numpy
from portml.errors import ArgumentError, ConvergenceWarning
from portml.random import Generator

__all__ = ["batches", "gradient_descent", "logistic_objective", "squared_objective"]

Objective = Callable[[Array, Array, Array, Array, Array], tuple[Array, Array, Array]]


def gradient_descent(
    objective: Objective,
    X: Array,
    y: Array,
    sample_weight: Array = None,
    *,
    learning_rate: float = 0.01,
    max_iter: int = 1000,
    batch_size: int | None = None,
    generator: Generator | None = None,
    fit_intercept: bool = True,
) -> tuple[Array, Array, Array]:
    """Descend from weights of zero, `max_iter` times over all samples.

    Parameters
    ----------
    objective : callable
        ``objective(X, y, share, weights, intercept)`` gives the loss () and its gradients to weights and intercept.
    X : array (n_samples, n_features)
    y : array (n_samples, n_outputs)
    sample_weight : array (n_samples,), optional
        What each sample's loss counts, on a scale of its own: handed on with mean 1, as `share`.
    learning_rate : float
        η.
    max_iter : int
        Passes over the samples.
    batch_size : int, optional
        Samples of a step; None takes all, 1 is stochastic gradient descent.
    generator : Generator, optional
        Shuffles the samples before each pass, where a step takes not all of them.
    fit_intercept : bool

    Returns
    -------
    weights : array (n_features, n_outputs)
    intercept : array (n_outputs,)
    losses : array (max_iter,)
        The mean loss of each pass, each step's taken before it.

    Warns
    -----
    ConvergenceWarning
        The steps were too long: the weights grew until they were no numbers.
    """
    xp, losses = namespace(X), []
    learning_rate = float(learning_rate)  # a float64 of NumPy would make one of float32 arrays
    weights = xp.zeros((X.shape[1], y.shape[1]), dtype=X.dtype, device=device_of(X))
    intercept = xp.zeros((y.shape[1],), dtype=X.dtype, device=device_of(X))
    share = None if sample_weight is None else (sample_weight / xp.mean(sample_weight))[:, None]
    for _ in range(max_iter):
        loss = 0.0
        for rows in batches(X.shape[0], batch_size, generator):
            some, targets = _taken(X, rows), _taken(y, rows)
            shares = None if share is None else _taken(share, rows)
            value, to_weights, to_intercept = objective(some, targets, shares, weights, intercept)
            weights = weights - learning_rate * to_weights
            intercept = intercept - learning_rate * to_intercept if fit_intercept else intercept
            loss = loss + value * (some.shape[0] / X.shape[0])
        losses.append(loss)
    _warn_if_diverged(weights, learning_rate)
    return weights, intercept, xp.stack(losses) if losses else xp.zeros_like(X[:0, 0])


def batches(n_samples: int, batch_size: int | None, generator: Generator | None) -> Iterator[Array]:
    """Indices (batch_size,) of the samples of each step of a pass, or None once for all of them."""
    if batch_size is None or batch_size >= n_samples:
        yield None
        return
    if generator is None:
        raise ArgumentError("generator: expected one that shuffles the samples of batches, got None")
    order = generator.permutation(n_samples)
    for start in range(0, n_samples, batch_size):
        yield order[start : min(start + batch_size, n_samples)]


def squared_objective(l1: float = 0.0, l2: float = 0.0) -> Objective:
    r"""The mean squared error with penalties, and its gradient.

    .. math:: L = \tfrac1n \|y - Xw - b\|^2 + \lambda_1 \|w\|_1 + \lambda_2 \|w\|^2, \quad
       \nabla_w = \tfrac2n X^T(\hat y - y) + \lambda_1 \mathrm{sign}(w) + 2 \lambda_2 w, \quad
       \nabla_b = \tfrac2n \textstyle\sum (\hat y - y)

    Of several outputs the losses are added.
    """

    def objective(X: Array, y: Array, share: Array, weights: Array, intercept: Array) -> tuple[Array, Array, Array]:
        xp, n = namespace(X), X.shape[0]
        error = X @ weights + intercept - y
        shared = error if share is None else share * error
        loss = xp.sum(shared * error) / n
        to_weights = 2.0 / n * (xp.matrix_transpose(X) @ shared)
        if l1:
            loss = loss + l1 * xp.sum(xp.abs(weights))
            to_weights = to_weights + l1 * xp.sign(weights)
        if l2:
            loss = loss + l2 * xp.sum(weights * weights)
            to_weights = to_weights + 2.0 * l2 * weights
        return loss, to_weights, 2.0 / n * xp.sum(shared, axis=0)

    return objective


def logistic_objective(l2: float = 0.0) -> Objective:
    r"""The mean cross-entropy of a logistic model with a penalty, and its gradient.

    .. math:: L = -\tfrac1n \sum \log p_y + \tfrac{\lambda}{2} \|w\|^2, \quad
       \nabla_w = \tfrac1n X^T(p - y) + \lambda w, \quad \nabla_b = \tfrac1n \textstyle\sum (p - y)

    With one output p = σ(z) and y is 0 or 1; with several p = softmax(z) and y has a 1 for the class.  Both are worked
    out from the logits z = Xw + b, so that no probability vanishes.
    """

    def objective(X: Array, y: Array, share: Array, weights: Array, intercept: Array) -> tuple[Array, Array, Array]:
        xp, n = namespace(X), X.shape[0]
        z = X @ weights + intercept
        if z.shape[1] == 1:
            decay = xp.exp(-xp.abs(z))
            losses = xp.maximum(z, xp.zeros_like(z)) - y * z + xp.log1p(decay)
            p = xp.where(z >= 0, 1.0 / (1.0 + decay), decay / (1.0 + decay))
        else:
            z = z - xp.max(z, axis=1, keepdims=True)
            powers = xp.exp(z)
            total = xp.sum(powers, axis=1, keepdims=True)
            losses, p = xp.log(total) - xp.sum(y * z, axis=1, keepdims=True), powers / total
        error = p - y
        if share is not None:
            losses, error = share * losses, share * error
        loss = xp.sum(losses) / n + 0.5 * l2 * xp.sum(weights * weights)
        return loss, xp.matrix_transpose(X) @ error / n + l2 * weights, xp.sum(error, axis=0) / n

    return objective


def _warn_if_diverged(weights: Array, learning_rate: float) -> None:
    xp = namespace(weights)
    if not to_numpy(xp.all(xp.isfinite(weights))):
        warnings.warn(
            f"Gradient descent diverged with learning_rate={learning_rate:g}: the weights are not finite, see "
            "loss_history_. Lower learning_rate, or scale the features first, as with StandardScaler.",
            ConvergenceWarning,
            stacklevel=4,
        )


def _taken(array: Array, rows: Array) -> Array:
    return array if rows is None else namespace(array).take(array, rows, axis=0)
