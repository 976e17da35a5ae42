"""Cyclic coordinate descent for the elastic net: each step needs the result of the step before.

A library of arrays would launch several operations for each of these small steps, so that whole sweeps are a kernel.
"""

from __future__ import annotations

from typing import Any

from portml.backends.kernel import kernel
from portml.backends.namespaces import Array, device_of, namespace

__all__ = ["coordinate_descent_columns", "coordinate_descent_gram"]

Three = tuple[Array, Array, Array]


@kernel(differentiable=False)
def coordinate_descent_gram(
    gram: Array,
    correlation: Array,
    weights: Array,
    *,
    l1: float,
    l2: float,
    positive: bool,
    tolerance: float,
    sweeps: int,
) -> Three:
    """Sweeps of coordinate descent on ½ wᵀGw - bᵀw + l1 ‖w‖₁ + ½ l2 ‖w‖².  [Friedman, Hastie & Tibshirani 2010, §2]

    One coordinate after the other goes where the objective is lowest, the others held: with q = b - G w,
    w_j ← S(q_j + G_jj w_j, l1) / (G_jj + l2) and S(z, l1) = sign(z) max(|z| - l1, 0).

    Parameters
    ----------
    gram : array (n_features, n_features)
        G = XᵀX; a feature with G_jj = 0 keeps its weight.
    correlation : array (n_features,)
        b = Xᵀy.
    weights : array (n_features,)
        Where to start.
    l1, l2 : float
    positive : bool
        Whether weights below zero are forbidden.
    tolerance : float
        The sweep in which no weight moved by more than this times the largest weight is the last one.
    sweeps : int
        How many there are at most.

    Returns
    -------
    weights : array (n_features,)
    residual_correlation : array (n_features,)
        q = b - G w = Xᵀ(y - X w).
    n_sweeps : array (), int64
    """
    xp = namespace(gram, correlation, weights)
    squares = xp.unstack(xp.linalg.diagonal(gram))
    w, q = list(xp.unstack(weights)), correlation - gram @ weights
    sweep = _Sweeps(xp, weights, tolerance)
    for _ in range(sweeps):
        for j, square in enumerate(squares):
            moved = sweep.move(_lowest(xp, q[j] + square * w[j], square, w[j], l1, l2, positive), w[j])
            w[j] = w[j] + moved
            q = q - moved * gram[j, :]
        sweep.end(w)
    return _stacked(xp, w, weights), q, sweep.count


@kernel(differentiable=False)
def coordinate_descent_columns(
    columns: Array,
    residual: Array,
    weights: Array,
    *,
    l1: float,
    l2: float,
    positive: bool,
    tolerance: float,
    sweeps: int,
) -> Three:
    """As `coordinate_descent_gram`, on ½ ‖y - X w‖² + l1 ‖w‖₁ + ½ l2 ‖w‖² without XᵀX, for more features than samples.

    Parameters
    ----------
    columns : array (n_features, n_samples)
        Xᵀ: a row for each feature.
    residual : array (n_samples,)
        r = y - X w at the weights given.
    weights : array (n_features,)
    l1, l2, positive, tolerance, sweeps
        As for `coordinate_descent_gram`.

    Returns
    -------
    weights : array (n_features,)
    residual : array (n_samples,)
    n_sweeps : array (), int64
    """
    xp = namespace(columns, residual, weights)
    squares = xp.unstack(xp.vecdot(columns, columns))
    w, r = list(xp.unstack(weights)), residual
    sweep = _Sweeps(xp, weights, tolerance)
    for _ in range(sweeps):
        for j, square in enumerate(squares):
            correlation = xp.vecdot(columns[j, :], r) + square * w[j]
            moved = sweep.move(_lowest(xp, correlation, square, w[j], l1, l2, positive), w[j])
            w[j] = w[j] + moved
            r = r - moved * columns[j, :]
        sweep.end(w)
    return _stacked(xp, w, weights), r, sweep.count


class _Sweeps:
    """How far weights move in a sweep, and whether another one is needed: all of it stays on the device."""

    def __init__(self, xp: Any, weights: Array, tolerance: float) -> None:
        device = device_of(weights)
        self._xp, self._tolerance = xp, tolerance
        self._zero = xp.zeros((), dtype=weights.dtype, device=device)
        self._running = xp.ones((), dtype=xp.bool, device=device)
        self._largest_move = self._zero
        self.count = xp.zeros((), dtype=xp.int64, device=device)

    def move(self, target: Array, weight: Array) -> Array:
        moved = self._xp.where(self._running, target - weight, self._zero)
        self._largest_move = self._xp.maximum(self._largest_move, self._xp.abs(moved))
        return moved

    def end(self, weights: list[Array]) -> None:
        xp = self._xp
        self.count = self.count + xp.astype(self._running, xp.int64)
        if weights:
            largest = xp.max(xp.abs(xp.stack(weights)))
            self._running = xp.logical_and(self._running, self._largest_move > self._tolerance * largest)
        self._largest_move = self._zero


def _lowest(xp: Any, correlation: Array, square: Array, weight: Array, l1: float, l2: float, positive: bool) -> Array:
    """The weight at which the objective along its coordinate is lowest; `weight` where the feature is zero."""
    zero = xp.zeros_like(correlation)
    if positive:
        shrunk = xp.maximum(correlation - l1, zero)
    else:
        shrunk = xp.sign(correlation) * xp.maximum(xp.abs(correlation) - l1, zero)
    return xp.where(square > 0, shrunk / xp.where(square > 0, square + l2, xp.ones_like(square)), weight)


def _stacked(xp: Any, w: list[Array], like: Array) -> Array:
    return xp.stack(w) if w else xp.zeros_like(like)
