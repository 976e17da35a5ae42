r"""Probabilities from decision values: a sigmoid for two classes, and pairwise coupling for more.

A sigmoid :math:`P(y = 1 \mid f) = 1 / (1 + e^{A f + B})` is fitted to decision values that the machine gave for samples
it had not seen, by the maximum of the likelihood of softened targets.  [Platt 1999; Lin, Lin & Weng 2007]
"""

from __future__ import annotations

import math
from typing import Any

from portml.backends import Array, device_of, namespace, to_numpy

__all__ = ["coupled_probabilities", "fit_sigmoid", "sigmoid_probability"]

MOST_ITERATIONS = 100
SMALLEST_STEP = 1e-10
RIDGE = 1e-12
ENOUGH = 1e-5
NEAREST_TO_CERTAIN = 1e-7


def fit_sigmoid(decisions: Array, positive: Array) -> tuple[float, float]:
    """A and B by Newton's method with a line search.  [Lin, Lin & Weng 2007, alg. 1]

    Parameters
    ----------
    decisions : float64 array (n,)
    positive : boolean array (n,)
    """
    xp = namespace(decisions, positive)
    n_positive = int(to_numpy(xp.sum(xp.astype(positive, xp.int64))))
    n_negative = decisions.shape[0] - n_positive
    # Targets short of 0 and 1, as Bayes' rule gives them for these counts.
    likely, unlikely = (n_positive + 1.0) / (n_positive + 2.0), 1.0 / (n_negative + 2.0)
    targets = xp.where(positive, likely, xp.full_like(decisions, unlikely))
    a, b = 0.0, math.log((n_negative + 1.0) / (n_positive + 1.0))
    value = _loss(decisions, targets, a, b)
    for _ in range(MOST_ITERATIONS):
        p = sigmoid_probability(decisions, a, b)
        first, second = targets - p, p * (1.0 - p)
        sums = [decisions * first, first, decisions * decisions * second, second, decisions * second]
        g_a, g_b, h_aa, h_bb, h_ab = to_numpy(xp.stack([xp.sum(each) for each in sums])).tolist()
        if abs(g_a) < ENOUGH and abs(g_b) < ENOUGH:
            break
        h_aa, h_bb = h_aa + RIDGE, h_bb + RIDGE
        determinant = h_aa * h_bb - h_ab * h_ab
        d_a, d_b = -(h_bb * g_a - h_ab * g_b) / determinant, -(h_aa * g_b - h_ab * g_a) / determinant
        slope, step = g_a * d_a + g_b * d_b, 1.0
        while step >= SMALLEST_STEP:
            new = _loss(decisions, targets, a + step * d_a, b + step * d_b)
            if new < value + 1e-4 * step * slope:
                a, b, value = a + step * d_a, b + step * d_b, new
                break
            step /= 2
        else:
            break
    return a, b


def sigmoid_probability(decisions: Array, a: Any, b: Any) -> Array:
    """1 / (1 + exp(A f + B)), without overflow."""
    xp = namespace(decisions)
    z = a * decisions + b
    small = xp.exp(-xp.abs(z))
    return xp.where(z >= 0, small, 1.0) / (1.0 + small)


def coupled_probabilities(pairwise: Array, n_classes: int) -> Array:
    """Probabilities of all classes from those of each pair.

    They minimise Σ_i Σ_j≠i (r_ji p_i - r_ij p_j)² with Σ p = 1, which is a system of linear equations.  [Wu, Lin & Weng
    2004, eq. 21: "the second approach"]

    Parameters
    ----------
    pairwise : array (n_samples, n_pairs)
        r_ij, the probability of i if it is i or j, in the order (0, 1), (0, 2), ..., (1, 2), ...
    n_classes : int

    Returns
    -------
    array (n_samples, n_classes)
    """
    xp = namespace(pairwise)
    pairwise = xp.clip(pairwise, NEAREST_TO_CERTAIN, 1.0 - NEAREST_TO_CERTAIN)
    if n_classes == 2:
        return xp.concat([pairwise, 1.0 - pairwise], axis=1)
    r = _square(pairwise, n_classes)
    turned = xp.matrix_transpose(r)
    ones = xp.ones((r.shape[0], n_classes), dtype=r.dtype, device=device_of(r))
    diagonal = xp.sum(turned * turned, axis=2)
    identity = xp.eye(n_classes, dtype=r.dtype, device=device_of(r))
    q = identity * diagonal[:, :, None] - r * turned
    top = xp.concat([q, ones[:, :, None]], axis=2)
    bottom = xp.concat([ones, 0.0 * ones[:, :1]], axis=1)[:, None, :]
    right = xp.concat([0.0 * ones, ones[:, :1]], axis=1)[:, :, None]
    solved = xp.linalg.solve(xp.concat([top, bottom], axis=1), right)[:, :n_classes, 0]
    solved = xp.where(solved > 0.0, solved, 0.0)
    return solved / xp.sum(solved, axis=1, keepdims=True)


def _square(pairwise: Array, n_classes: int) -> Array:
    """r as matrices (n_samples, n_classes, n_classes) with zeros on the diagonal."""
    xp = namespace(pairwise)
    places: dict[tuple[int, int], Array] = {}
    for i in range(n_classes):
        for j in range(i + 1, n_classes):
            places[i, j] = pairwise[:, len(places)]
    nothing = xp.zeros_like(pairwise[:, 0])
    rows = []
    for i in range(n_classes):
        row = [nothing if i == j else places[i, j] if i < j else 1.0 - places[j, i] for j in range(n_classes)]
        rows.append(xp.stack(row, axis=1))
    return xp.stack(rows, axis=1)


def _loss(decisions: Array, targets: Array, a: float, b: float) -> float:
    """-Σ t log p + (1 - t) log(1 - p), without overflow."""
    xp = namespace(decisions)
    z = a * decisions + b
    terms = targets * z + xp.where(z >= 0, 0.0, -z) + xp.log1p(xp.exp(-xp.abs(z)))
    return float(to_numpy(xp.sum(terms)))
