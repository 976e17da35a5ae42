r"""The elastic net's weights, by coordinate descent or by accelerated proximal gradients, down to a duality gap.

.. math:: \min_w \tfrac12 \|y - Xw\|^2 + \lambda_1 \|w\|_1 + \tfrac{\lambda_2}{2} \|w\|^2

Coordinate descent goes from one weight to the next and sets each where the objective is lowest, which gives exact
zeros.  FISTA moves all weights at once, so that it is products of matrices only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from portml.backends import Array, namespace, to_numpy
from portml.backends.kernels.coordinate_descent import coordinate_descent_columns, coordinate_descent_gram

__all__ = ["ElasticNetSolution", "Penalty", "descend_columns", "descend_fista", "descend_gram"]


SWEEPS = 10
"""Sweeps between looks at the duality gap: each look waits for the device."""


class ElasticNetSolution(NamedTuple):
    """Weights and how good they are.

    Attributes
    ----------
    weights : array (n_features,)
    gap : float
        The duality gap: the objective is no further from its minimum.
    n_iter : int
    converged : bool
    """

    weights: Array
    gap: float
    n_iter: int
    converged: bool


class Penalty(NamedTuple):
    """λ₁, λ₂, and whether weights below zero are forbidden."""

    l1: float
    l2: float
    positive: bool = False


def descend_gram(
    gram: Array,
    correlation: Array,
    squared: float,
    penalty: Penalty,
    *,
    start: Array | None = None,
    tolerance: float = 1e-4,
    max_iter: int = 1000,
) -> ElasticNetSolution:
    """Coordinate descent on XᵀX and Xᵀy, which costs the same for any number of samples.

    Parameters
    ----------
    gram : array (n_features, n_features)
        XᵀX.
    correlation : array (n_features,)
        Xᵀy.
    squared : float
        ‖y‖².
    penalty : Penalty
    start : array (n_features,), optional
        Weights to start from instead of zeros.
    tolerance : float
        Ends when the duality gap is at most this times ‖y‖².
    max_iter : int
        Sweeps over all weights.
    """
    xp = namespace(gram)
    weights = xp.zeros_like(correlation) if start is None else start
    statics = {**penalty._asdict(), "tolerance": tolerance}

    def advance(sweeps: int) -> tuple[Array, Array, Array, Array]:
        nonlocal weights
        weights, q, count = coordinate_descent_gram(gram, correlation, weights, sweeps=sweeps, **statics)
        # ‖y - Xw‖² = yᵀy - wᵀ(Xᵀy + Xᵀ(y - Xw))
        return weights, q, squared - xp.vecdot(weights, correlation + q), count

    return _until_close(advance, penalty, tolerance * squared, max_iter)


def descend_columns(
    X: Array,
    y: Array,
    penalty: Penalty,
    *,
    start: Array | None = None,
    tolerance: float = 1e-4,
    max_iter: int = 1000,
) -> ElasticNetSolution:
    """Coordinate descent on X (n_samples, n_features) and y (n_samples,) where XᵀX is too large; see `descend_gram`."""
    xp = namespace(X)
    weights = xp.zeros_like(X[0, :]) if start is None else start
    columns = xp.stack(xp.unstack(X, axis=1))  # a copy, in which each feature's numbers are neighbours
    residual = y - X @ weights
    statics = {**penalty._asdict(), "tolerance": tolerance}

    def advance(sweeps: int) -> tuple[Array, Array, Array, Array]:
        nonlocal weights, residual
        weights, residual, count = coordinate_descent_columns(columns, residual, weights, sweeps=sweeps, **statics)
        return weights, columns @ residual, xp.vecdot(residual, residual), count

    return _until_close(advance, penalty, tolerance * float(to_numpy(xp.vecdot(y, y))), max_iter)


def descend_fista(
    X: Array,
    y: Array,
    penalty: Penalty,
    *,
    start: Array | None = None,
    tolerance: float = 1e-4,
    max_iter: int = 1000,
) -> ElasticNetSolution:
    """Proximal gradients with momentum, which starts anew where it leads uphill; arguments as for `descend_columns`.

    Source: Beck & Teboulle 2009, eq. 4.1-4.3; O'Donoghue & Candès 2015, §3.2 (gradient scheme).
    """
    l1, l2, positive = penalty
    xp, transposed = namespace(X), namespace(X).matrix_transpose(X)
    smaller = X @ transposed if X.shape[1] > X.shape[0] else transposed @ X
    step = 1.0 / (xp.linalg.eigvalsh(smaller)[-1] + l2)
    weights = xp.zeros_like(X[0, :]) if start is None else start
    ahead, momentum = weights, xp.ones_like(step)

    def advance(sweeps: int) -> tuple[Array, Array, Array, Array]:
        nonlocal weights, ahead, momentum
        for _ in range(sweeps):
            moved = _shrunk(ahead + step * (transposed @ (y - X @ ahead) - l2 * ahead), step * l1, positive)
            uphill = xp.vecdot(ahead - moved, moved - weights) > 0
            following = 0.5 * (1.0 + xp.sqrt(1.0 + 4.0 * momentum * momentum))
            ahead = moved + xp.where(uphill, 0.0 * step, (momentum - 1.0) / following) * (moved - weights)
            momentum = xp.where(uphill, xp.ones_like(step), following)
            weights = moved
        residual = y - X @ weights
        return weights, transposed @ residual, xp.vecdot(residual, residual), xp.zeros_like(step) + sweeps

    return _until_close(advance, penalty, tolerance * float(to_numpy(xp.vecdot(y, y))), max_iter)


Advance = Callable[[int], tuple[Array, Array, Array, Array]]
"""``advance(sweeps)`` gives the weights w, q = Xᵀ(y - Xw), ‖y - Xw‖² and how many sweeps were needed."""


def _until_close(advance: Advance, penalty: Penalty, target: float, max_iter: int) -> ElasticNetSolution:
    """Advance until the duality gap is at most `target`."""
    n_iter, gap, weights = 0, math.inf, None
    while n_iter < max_iter:
        sweeps = min(SWEEPS, max_iter - n_iter)
        weights, q, squared, count = advance(sweeps)
        gap, done = _gap(penalty, weights, q, squared, count)
        n_iter += done
        # Without a penalty there is no gap: the end is where nothing moves.
        if gap <= target or (penalty.l1 == penalty.l2 == 0.0 and done < sweeps):
            return ElasticNetSolution(weights, gap, n_iter, True)
    return ElasticNetSolution(weights, gap, n_iter, False)


def _shrunk(x: Array, by: Array, positive: bool) -> Array:
    """Soft thresholding: the proximal map of ``by * ‖·‖₁``, where wanted among vectors without negative entries."""
    xp = namespace(x)
    if positive:
        return xp.maximum(x - by, xp.zeros_like(x))
    return xp.sign(x) * xp.maximum(xp.abs(x) - by, xp.zeros_like(x))


def _gap(penalty: Penalty, weights: Array, q: Array, squared: Array, count: Array) -> tuple[float, int]:
    """The duality gap and the number of sweeps, in one transfer.

    The residual, scaled so that it satisfies the dual's constraint ‖Xᵀθ - λ₂ w‖ <= λ₁, is a point of the dual problem.
    [Kim, Koh, Lustig, Boyd & Gorinevsky 2007, §III]  Without λ₁ nothing constrains it, and θ is the residual itself.
    """
    l1, l2, positive = penalty
    xp = namespace(weights)
    slack = q - l2 * weights
    correlated = xp.maximum(q, xp.zeros_like(q)) if positive else q
    read = to_numpy(
        xp.stack(
            [
                squared,
                xp.max(slack if positive else xp.abs(slack)),
                xp.sum(xp.abs(weights)),
                xp.vecdot(weights, weights),
                xp.vecdot(weights, q),
                xp.vecdot(correlated, correlated),
                xp.astype(count, weights.dtype),
            ]
        )
    )
    norm2, violation, norm1, weights2, fitted, correlated2, done = map(float, read)
    if l1 == 0.0:
        gap = correlated2 / (2.0 * l2) - fitted + 0.5 * l2 * weights2 if l2 else math.inf
    else:
        scale = l1 / violation if violation > l1 else 1.0
        gap = 0.5 * norm2 * (1.0 + scale * scale) - scale * (norm2 + fitted)
        gap += l1 * norm1 + 0.5 * l2 * (1.0 + scale * scale) * weights2
    return gap, int(done)
