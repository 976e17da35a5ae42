r"""The elastic net's weights, by coordinate descent or by accelerated proximal gradients, down to a duality gap.

.. math:: \min_w \tfrac12 \|y - Xw\|^2 + \lambda_1 \|w\|_1 + \tfrac{\lambda_2}{2} \|w\|^2

Coordinate descent goes from one weight to the next and sets each where the objective is lowest, which gives exact
zeros.  FISTA moves all weights at once, so that it is products of matrices only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from portml.backends import Array, namespace, to_numpy
from portml.backends.kernels.coordinate_descent import coordinate_descent_columns, coordinate_descent_gram

__all__ = ["ElasticNetSolution", "minimise_elastic_net"]


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


def minimise_elastic_net(
    X: Array,
    y: Array,
    l1: float,
    l2: float,
    *,
    gram: Array | None = None,
    start: Array | None = None,
    positive: bool = False,
    solver: str = "coordinate_descent",
    tolerance: float = 1e-4,
    max_iter: int = 1000,
    by_columns: bool = False,
) -> ElasticNetSolution:
    """Find weights whose duality gap is at most ``tolerance * ‖y‖²``.

    Parameters
    ----------
    X : array (n_samples, n_features)
    y : array (n_samples,)
    l1, l2 : float
        λ₁ and λ₂.
    gram : array (n_features, n_features), optional
        XᵀX where it is known.
    start : array (n_features,), optional
        Weights to start from instead of zeros.
    positive : bool
        Whether weights below zero are forbidden.
    solver : {"coordinate_descent", "fista"}
    tolerance : float
    max_iter : int
        Sweeps over all weights.
    by_columns : bool
        Whether to work on X itself instead of XᵀX, which has n_features² numbers.

    Returns
    -------
    ElasticNetSolution
    """
    xp = namespace(X)
    weights = xp.zeros_like(X[0, :]) if start is None else start
    target = tolerance * float(to_numpy(xp.vecdot(y, y)))
    problem = _Problem(X, y, l1, l2, positive)
    if solver == "fista":
        return _until_close(_fista(problem, weights), problem, target, max_iter)
    sweeps = _column_sweeps if by_columns else _gram_sweeps
    return _until_close(sweeps(problem, weights, tolerance, gram), problem, target, max_iter)


class _Problem(NamedTuple):
    X: Array
    y: Array
    l1: float
    l2: float
    positive: bool

    @property
    def statics(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2, "positive": self.positive}


Advance = Callable[[int], tuple[Array, Array, Array, Array]]
"""``advance(sweeps)`` gives the weights w, q = Xᵀ(y - Xw), ‖y - Xw‖² and how many sweeps were needed."""


def _until_close(advance: Advance, problem: _Problem, target: float, max_iter: int) -> ElasticNetSolution:
    """Advance until the duality gap is at most `target`."""
    n_iter, gap, weights = 0, math.inf, None
    while n_iter < max_iter:
        sweeps = min(SWEEPS, max_iter - n_iter)
        weights, q, squared, count = advance(sweeps)
        gap, done = _gap(problem, weights, q, squared, count)
        n_iter += done
        # Without a penalty there is no gap: the end is where nothing moves.
        if gap <= target or (problem.l1 == problem.l2 == 0.0 and done < sweeps):
            return ElasticNetSolution(weights, gap, n_iter, True)
    return ElasticNetSolution(weights, gap, n_iter, False)


def _gram_sweeps(problem: _Problem, weights: Array, tolerance: float, gram: Array | None) -> Advance:
    xp, transposed = namespace(problem.X), namespace(problem.X).matrix_transpose(problem.X)
    matrix, correlation = (transposed @ problem.X if gram is None else gram), transposed @ problem.y
    squared = xp.vecdot(problem.y, problem.y)

    def advance(sweeps: int) -> tuple[Array, Array, Array, Array]:
        nonlocal weights
        weights, q, count = coordinate_descent_gram(
            matrix, correlation, weights, tolerance=tolerance, sweeps=sweeps, **problem.statics
        )
        # ‖y - Xw‖² = yᵀy - wᵀ(Xᵀy + Xᵀ(y - Xw))
        return weights, q, squared - xp.vecdot(weights, correlation + q), count

    return advance


def _column_sweeps(problem: _Problem, weights: Array, tolerance: float, gram: Array | None) -> Advance:
    xp = namespace(problem.X)
    columns = xp.stack(xp.unstack(problem.X, axis=1))  # a copy, in which each feature's numbers are neighbours
    residual = problem.y - problem.X @ weights

    def advance(sweeps: int) -> tuple[Array, Array, Array, Array]:
        nonlocal weights, residual
        weights, residual, count = coordinate_descent_columns(
            columns, residual, weights, tolerance=tolerance, sweeps=sweeps, **problem.statics
        )
        return weights, columns @ residual, xp.vecdot(residual, residual), count

    return advance


def _fista(problem: _Problem, weights: Array) -> Advance:
    """Proximal gradients with momentum, which starts anew where it leads uphill.

    Source: Beck & Teboulle 2009, eq. 4.1-4.3; O'Donoghue & Candès 2015, §3.2 (gradient scheme).
    """
    X, y, l1, l2, positive = problem
    xp, transposed = namespace(X), namespace(X).matrix_transpose(X)
    smaller = X @ transposed if X.shape[1] > X.shape[0] else transposed @ X
    step = 1.0 / (xp.linalg.eigvalsh(smaller)[-1] + l2)
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
        return weights, transposed @ residual, xp.vecdot(residual, residual), sweeps

    return advance


def _shrunk(x: Array, by: Array, positive: bool) -> Array:
    """Soft thresholding: the proximal map of ``by * ‖·‖₁``, where wanted among vectors without negative entries."""
    xp = namespace(x)
    if positive:
        return xp.maximum(x - by, xp.zeros_like(x))
    return xp.sign(x) * xp.maximum(xp.abs(x) - by, xp.zeros_like(x))


def _gap(problem: _Problem, weights: Array, q: Array, squared: Array, count: Any) -> tuple[float, int]:
    """The duality gap and the number of sweeps, in one transfer.

    The residual, scaled so that it satisfies the dual's constraint ‖Xᵀθ - λ₂ w‖ <= λ₁, is a point of the dual problem.
    [Kim, Koh, Lustig, Boyd & Gorinevsky 2007, §III]  Without λ₁ nothing constrains it, and θ is the residual itself.
    """
    _, _, l1, l2, positive = problem
    xp, zero = namespace(weights), namespace(weights).zeros_like(squared)
    slack = q - l2 * weights
    correlated = xp.maximum(q, xp.zeros_like(q)) if positive else q
    counted = zero + count if isinstance(count, int) else xp.astype(count, squared.dtype)
    read = to_numpy(
        xp.stack(
            [
                squared,
                xp.max(slack if positive else xp.abs(slack)),
                xp.sum(xp.abs(weights)),
                xp.vecdot(weights, weights),
                xp.vecdot(weights, q),
                xp.vecdot(correlated, correlated),
                counted,
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
