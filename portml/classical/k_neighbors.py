r"""Nearest neighbours: a sample is predicted from the training samples that are nearest to it.

Classification takes the majority of their labels, regression the mean of their targets, each neighbour with weight 1 or
1 / distance.  [Cover & Hart, "Nearest neighbor pattern classification", 1967]

The search is by brute force in blocks of queries: never all distances are held, only those of one block.  For Euclidean
distances a block is one matrix product, which finds the neighbours; their distances are then worked out from the
differences, so that a sample is at distance 0 from itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Self

from portml.backends import Array, backend_of, device_of, namespace
from portml.backends.kernels.neighbors import (
    METRICS,
    distances_of_pairs,
    k_smallest,
    nearest_by_products,
    pairwise_distances,
    row_blocks,
)
from portml.backends.kernels.rows import index_add
from portml.classical.estimator import Classifier, Estimator, Regressor
from portml.classical.validation import (
    check_parameter,
    labels_of,
    read_data,
    read_training_data,
    require_fitted,
)
from portml.errors import ArgumentError

__all__ = ["KNeighborsClassifier", "KNeighborsRegressor", "nearest_neighbors"]

HOST_BLOCK = 1 << 25
DEVICE_BLOCK = 1 << 29
"""Bytes of distances at a time where the caller does not say: what is near a cache's size, or fills a device."""

NAMES = {"cityblock": "manhattan", "l1": "manhattan", "l2": "euclidean"}


def nearest_neighbors(
    queries: Array, points: Array, k: int, *, metric: str = "euclidean", p: float = 2.0, block_size: int | None = None
) -> tuple[Array, Array]:
    """The k points nearest to each query.

    Parameters
    ----------
    queries : array (n_queries, n_features)
    points : array (n_points, n_features)
    k : int
        From 1 to n_points.
    metric : str
        One of `portml.backends.kernels.neighbors.METRICS`.
    p : float
        The power of minkowski.
    block_size : int, optional
        Bytes of distances held at a time, though at least one row of them; None takes 32 MiB on the host and 512 MiB on
        a device.

    Returns
    -------
    distances : array (n_queries, k)
        Ascending.
    indices : array (n_queries, k), int64
        Of equally near points the one with the lower index is first.
    """
    if block_size is None:
        block_size = HOST_BLOCK if backend_of(points).host else DEVICE_BLOCK
    xp = namespace(queries, points)
    bytes_of_row = points.shape[0] * xp.finfo(points.dtype).bits // 8
    height = max(1, block_size // bytes_of_row)
    metric, p = _plainest(metric, p)
    if metric == "euclidean":
        near = _nearest_euclidean(queries, points, k, height)
    else:
        near = xp.concat(
            [
                k_smallest(pairwise_distances(queries[rows, :], points, metric=metric, p=p), k=k)
                for rows in row_blocks(queries.shape[0], height)
            ],
            axis=0,
        )
    # Of these, too, there are k n_features numbers a query.
    height = max(1, block_size // (bytes_of_row // points.shape[0] * k * points.shape[1]))
    distances = [
        distances_of_pairs(queries[rows, :], points, near[rows, :], metric=metric, p=p)
        for rows in row_blocks(queries.shape[0], height)
    ]
    return _in_order(xp.concat(distances, axis=0), near)


class _KNeighbors(Estimator):
    """What both share: the training data, and the search in it."""

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        weights: str | Callable[[Array], Array] | None = "uniform",
        algorithm: str = "auto",
        p: float = 2,
        metric: str = "minkowski",
        block_size: int | None = None,
        backend: Any = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.algorithm = algorithm
        self.p = p
        self.metric = metric
        self.block_size = block_size
        self.backend = backend

    def kneighbors(
        self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> tuple[Array, Array] | Array:
        """The nearest training samples.

        Parameters
        ----------
        X : array (n_queries, n_features), optional
            None asks for the neighbours of each training sample, itself not counted.
        n_neighbors : int, optional
            None takes that of the constructor.
        return_distance : bool

        Returns
        -------
        distances : array (n_queries, n_neighbors)
            Ascending; only where asked for.
        indices : array (n_queries, n_neighbors), int64

        Raises
        ------
        ArgumentError
            If there are not as many training samples.
        """
        require_fitted(self)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        if not isinstance(k, Integral) or isinstance(k, bool):
            raise TypeError(f"n_neighbors does not take {type(k)} value, enter integer value")
        if k < 1:
            raise ArgumentError(f"Expected n_neighbors > 0. Got {k}")
        own = X is None
        queries = self._fit_X if own else read_data(self, X)
        n = self.n_samples_fit_
        if k + own > n:
            asked = f"n_neighbors = {k}, n_samples_fit = {n}, n_samples = {queries.shape[0]}"
            raise ArgumentError(f"Expected n_neighbors {'<' if own else '<='} n_samples_fit, but {asked}")
        xp = namespace(self._fit_X)
        queries = xp.astype(queries, self._fit_X.dtype, copy=False)
        distances, indices = nearest_neighbors(
            queries, self._fit_X, int(k) + own, metric=self.effective_metric_, p=self.p, block_size=self.block_size
        )
        if own:
            distances, indices = _without_self(distances, indices)
        return (distances, indices) if return_distance else indices

    def _remember(self, X: Array) -> None:
        check_parameter(
            self,
            "n_neighbors",
            isinstance(self.n_neighbors, Integral) and not isinstance(self.n_neighbors, bool) and self.n_neighbors > 0,
            "an int in the range [1, inf)",
        )
        known = self.weights in ("uniform", "distance", None) if not callable(self.weights) else True
        check_parameter(self, "weights", known, "a str among {'distance', 'uniform'}, a callable or None")
        check_parameter(self, "algorithm", self.algorithm in ("auto", "brute"), "a str among {'auto', 'brute'}")
        known = isinstance(self.metric, str) and (self.metric in METRICS or self.metric in NAMES)
        check_parameter(self, "metric", known, f"a str among {sorted({*METRICS, *NAMES})}")
        check_parameter(self, "p", isinstance(self.p, Real) and self.p > 0, "a float in the range (0.0, inf]")
        check_parameter(
            self,
            "block_size",
            self.block_size is None or (isinstance(self.block_size, Integral) and self.block_size > 0),
            "a number of bytes above 0 or None",
        )
        self._fit_X = X
        self.n_samples_fit_ = X.shape[0]
        self.effective_metric_ = _plainest(NAMES.get(self.metric, self.metric), self.p)[0]

    def _weights_of(self, distances: Array) -> Array:
        xp = namespace(distances)
        if self.weights in ("uniform", None):
            return xp.ones_like(distances)
        if callable(self.weights):
            return self.weights(distances)
        # Of a query that is one of the samples, only those at distance 0 count.
        same = distances == 0
        some = xp.any(same, axis=1, keepdims=True)
        return xp.where(some, xp.astype(same, distances.dtype), 1 / xp.where(same, 1.0, distances))


class KNeighborsClassifier(_KNeighbors, Classifier):
    """The label that most of the nearest training samples have.

    Parameters
    ----------
    n_neighbors : int
    weights : {"uniform", "distance"} or callable, optional
        What a neighbour's vote counts: 1, 1 / distance, or what ``weights(distances)`` gives for an array of distances
        (n_queries, n_neighbors).
    algorithm : {"auto", "brute"}
        Both search by brute force, in blocks.
    p : float
        The power of the metric "minkowski".
    metric : str
        "minkowski", "euclidean", "sqeuclidean", "manhattan", "chebyshev" or "cosine".
    block_size : int, optional
        Bytes of distances held at a time; None takes 32 MiB on the host and 512 MiB on a device.
    backend : str or Backend, optional
        Where X goes if it arrives on the host.

    Attributes
    ----------
    classes_ : array (n_classes,)
    effective_metric_ : str
        The metric in its plainest form: minkowski with p = 2 is euclidean.
    n_samples_fit_ : int
    n_features_in_ : int
    feature_names_in_ : array (n_features,) of str
        Where X was a data frame.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Remember X (n_samples, n_features) and its labels y (n_samples,)."""
        data = read_training_data(self, X, y, labels=True)
        self._remember(data.X)
        self.classes_, self._y = data.classes, data.y
        return self

    def predict(self, X: Any) -> Array:
        """The labels (n_queries,) with the most votes, of equal ones the first; see `predict_proba`."""
        votes = self._votes(X)
        return labels_of(namespace(votes).argmax(votes, axis=1), self.classes_)

    def predict_proba(self, X: Any) -> Array:
        """The share of each class in the votes.

        Parameters
        ----------
        X : array (n_queries, n_features)
            None predicts each training sample from the others.

        Returns
        -------
        array (n_queries, n_classes)
        """
        votes = self._votes(X)
        xp = namespace(votes)
        total = xp.sum(votes, axis=1, keepdims=True)
        return votes / xp.where(total == 0, 1.0, total)

    def _votes(self, X: Any) -> Array:
        """Sums of weights (n_queries, n_classes)."""
        require_fitted(self)
        distances, indices = self.kneighbors(X)
        xp, (n, k), classes = namespace(indices), indices.shape, self.classes_.shape[0]
        codes = xp.reshape(xp.take(self._y, xp.reshape(indices, (-1,))), (n, k))
        rows = xp.arange(n, dtype=codes.dtype, device=device_of(codes))
        places = xp.expand_dims(rows, axis=1) * classes + codes
        votes = index_add(xp.reshape(self._weights_of(distances), (-1,)), xp.reshape(places, (-1,)), n=n * classes)
        return xp.reshape(votes, (n, classes))


class KNeighborsRegressor(_KNeighbors, Regressor):
    """The mean of the targets of the nearest training samples.

    Parameters
    ----------
    n_neighbors, weights, algorithm, p, metric, block_size, backend
        As of `KNeighborsClassifier`.

    Attributes
    ----------
    effective_metric_, n_samples_fit_, n_features_in_, feature_names_in_
        As of `KNeighborsClassifier`.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Remember X (n_samples, n_features) and its targets y, (n_samples,) or (n_samples, n_outputs)."""
        data = read_training_data(self, X, y, multi_output=True)
        self._remember(data.X)
        self._y = data.y
        return self

    def predict(self, X: Any) -> Array:
        """Numbers (n_queries,) or (n_queries, n_outputs); with None those of each training sample from the others."""
        require_fitted(self)
        distances, indices = self.kneighbors(X)
        xp, y = namespace(indices), self._y
        near = xp.reshape(xp.take(y, xp.reshape(indices, (-1,)), axis=0), (*indices.shape, *y.shape[1:]))
        if self.weights in ("uniform", None):
            return xp.mean(near, axis=1)
        weights = self._weights_of(distances)
        shares = weights / xp.sum(weights, axis=1, keepdims=True)
        return xp.sum(near * (shares if y.ndim == 1 else xp.expand_dims(shares, axis=2)), axis=1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _plainest(metric: str, p: float) -> tuple[str, float]:
    """Minkowski with a power that has a name of its own by that name."""
    if metric == "minkowski":
        return {1: "manhattan", 2: "euclidean", math.inf: "chebyshev"}.get(p, metric), float(p)
    return metric, float(p)


def _nearest_euclidean(queries: Array, points: Array, k: int, height: int) -> Array:
    xp = namespace(queries, points)
    # A row of the points as the origin keeps the products small, and whole numbers whole.
    origin = points[:1, :]
    moved = points - origin
    half_norms = 0.5 * xp.vecdot(moved, moved)
    return nearest_by_products(queries - origin, moved, half_norms, k=k, height=height)


def _in_order(distances: Array, indices: Array) -> tuple[Array, Array]:
    """Ascending distances; of equal ones the lower index is first."""
    xp = namespace(distances, indices)
    order = xp.argsort(indices, axis=1)
    distances, indices = (xp.take_along_axis(each, order, axis=1) for each in (distances, indices))
    order = xp.argsort(distances, axis=1, stable=True)
    return xp.take_along_axis(distances, order, axis=1), xp.take_along_axis(indices, order, axis=1)


def _without_self(distances: Array, indices: Array) -> tuple[Array, Array]:
    """Neighbours of the training samples without themselves; among many duplicates without the first of them."""
    xp, (n, k), device = namespace(indices), indices.shape, device_of(indices)
    own = indices == xp.expand_dims(xp.arange(n, dtype=indices.dtype, device=device), axis=1)
    place = xp.argmax(xp.astype(own, xp.int8), axis=1, keepdims=True)
    kept = xp.arange(k - 1, dtype=place.dtype, device=device)
    kept = kept + xp.astype(kept >= place, place.dtype)
    return xp.take_along_axis(distances, kept, axis=1), xp.take_along_axis(indices, kept, axis=1)
