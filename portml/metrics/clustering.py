r"""Measures for clusters: how compact they are, and how far apart.

The silhouette of a sample compares its mean distance *a* to the others of its cluster with the smallest mean distance
*b* to the samples of another one, :math:`s = (b - a) / \max(a, b)`.  [Rousseeuw 1987]
"""

from __future__ import annotations

import math
from typing import Any

from portml.backends import Array, device_of, namespace
from portml.backends.kernels.neighbors import METRICS, pairwise_distances
from portml.backends.kernels.rows import one_hot
from portml.errors import ArgumentError, ShapeError
from portml.metrics.inputs import (
    codes_of,
    divided,
    float_type,
    gathered,
    refuse_unequal_lengths,
    sorted_labels,
    weights_like,
)

__all__ = ["inertia", "silhouette_samples", "silhouette_score"]

BLOCK = 1 << 22
"""Distances held at a time."""


def silhouette_score(X: Any, labels: Any, *, metric: str = "euclidean") -> Array:
    """The mean silhouette of all samples, from -1 (in the wrong cluster) to 1; see `silhouette_samples`."""
    return namespace(*gathered(X)).mean(silhouette_samples(X, labels, metric=metric))


def silhouette_samples(X: Any, labels: Any, *, metric: str = "euclidean") -> Array:
    """The silhouette of every sample; 0 of one that is alone in its cluster.

    Distances are worked out block by block and never all held.  The labels are looked at on the host, which waits for a
    device.

    Parameters
    ----------
    X : array (n_samples, n_features)
    labels : array (n_samples,)
    metric : {"euclidean", "sqeuclidean", "manhattan", "chebyshev", "cosine"}

    Returns
    -------
    array (n_samples,) of X's floating-point type

    Raises
    ------
    ArgumentError
        If there are not from 2 to n_samples - 1 clusters.
    """
    X, labels = gathered(X, labels)
    refuse_unequal_lengths(X=X, labels=labels)
    if len(X.shape) != 2:
        raise ShapeError(f"X: expected (n_samples, n_features), got {X.shape}")
    if metric not in METRICS or metric == "minkowski":
        raise ArgumentError(f"metric: expected one of {METRICS}, got {metric!r}")
    xp, n = namespace(X), X.shape[0]
    X = xp.astype(X, float_type(X), copy=False)
    classes = sorted_labels(labels)
    if not 1 < classes.shape[0] < n:
        raise ArgumentError(f"Number of labels is {classes.shape[0]}. Valid values are 2 to n_samples - 1 (inclusive)")
    hot = one_hot(codes_of(labels, classes), n=classes.shape[0], dtype=str(X.dtype).rpartition(".")[2])
    height = max(1, BLOCK // n)
    starts = range(0, n, height)
    return xp.concat([_silhouettes(X, hot, slice(start, min(start + height, n)), metric) for start in starts])


def inertia(X: Any, labels: Any, centers: Any, *, sample_weight: Any = None) -> Array:
    r"""The sum of squared distances to the own centre, :math:`\sum_i w_i \lVert x_i - c_{l_i} \rVert^2`.

    Parameters
    ----------
    X : array (n_samples, n_features)
    labels : array (n_samples,), integers
        The row of `centers` of each sample.
    centers : array (n_clusters, n_features)
    sample_weight : array (n_samples,), optional

    Returns
    -------
    array () of X's floating-point type
    """
    X, labels, centers, sample_weight = gathered(X, labels, centers, sample_weight)
    refuse_unequal_lengths(X=X, labels=labels, sample_weight=sample_weight)
    xp = namespace(X, labels, centers)
    dtype = float_type(X)
    X, centers = xp.astype(X, dtype, copy=False), xp.astype(centers, dtype, copy=False)
    squares = xp.sum((X - xp.take(centers, labels, axis=0)) ** 2, axis=1)
    return xp.sum(squares * weights_like(sample_weight, X, dtype))


def _silhouettes(X: Array, hot: Array, rows: slice, metric: str) -> Array:
    """Silhouettes of the samples of a slice; `hot` (n_samples, n_clusters) says where each belongs."""
    xp = namespace(X)
    distances = pairwise_distances(X[rows, :], X, metric=metric, p=2.0)
    # The distance of a sample to itself is rounding error.
    own = xp.arange(rows.start, rows.stop, device=device_of(X))
    distances = xp.where(own[:, None] == xp.arange(X.shape[0], device=device_of(X)), 0.0, distances)
    mine, sums, sizes = hot[rows, :], distances @ hot, xp.sum(hot, axis=0)
    size = xp.sum(mine * sizes, axis=1)
    a = divided(xp.sum(mine * sums, axis=1), size - 1, 0.0)
    b = xp.min(xp.where(mine == 1, math.inf, sums / sizes), axis=1)
    return xp.where(size == 1, 0.0, divided(b - a, xp.maximum(a, b), 0.0))
