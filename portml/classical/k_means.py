r"""K-means: k centres such that the squared distances of the samples to their nearest centre are small.

.. math:: \min_{c_1 \dots c_k} \sum_i w_i \min_j \lVert x_i - c_j \rVert^2

Lloyd's algorithm ("Least squares quantization in PCM", 1982) repeats two steps, each of which lowers the sum: assign
every sample to its nearest centre, and move every centre to the mean of its samples.  What it ends in depends on where
it begins; the first centres are drawn by k-means++ (Arthur & Vassilvitskii 2007), each with probability proportional to
the squared distance from those drawn before, the best of a few candidates (greedy).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple, Self

from portml.backends import Array, backend_of, device_of, namespace, to_numpy
from portml.backends.kernels.clustering import lloyd_step, nearest_centers
from portml.backends.kernels.neighbors import distances_of_pairs, pairwise_distances, row_blocks
from portml.backends.kernels.rows import one_hot
from portml.backends.operations import argsort, count_nonzero
from portml.classical import host
from portml.classical.estimator import Clusterer, Estimator
from portml.classical.scikit_learn import warn
from portml.classical.transformer import Transformer, input_names
from portml.classical.validation import (
    TrainingData,
    check_parameter,
    generator_of,
    read_data,
    read_training_data,
    require_fitted,
)
from portml.errors import ArgumentError, ConvergenceWarning, ShapeError
from portml.random import Generator

__all__ = ["KMeans", "first_centers", "k_means_plus_plus", "squared_distances_to"]

Initial = str | Array | Callable[..., Array]

BLOCK = 1 << 20
"""Numbers in differences from centres that are held at a time."""


class Clusters(NamedTuple):
    """What one run of Lloyd's algorithm ends in."""

    labels: Array
    centers: Array
    inertia: float
    iterations: int


class CenterBased(Clusterer, Transformer):
    """What k-means in whole and in small batches share: parameters, prediction, distances."""

    _estimator_type = "clusterer"
    n_clusters: int
    init: Any
    n_init: Any
    cluster_centers_: Array
    _origin: Array

    def predict(self, X: Any) -> Array:
        """The number of the nearest centre of each sample, (n_samples,)."""
        return nearest_centers(*self._centred(X))

    def transform(self, X: Any) -> Any:
        """Distances of the samples to the centres, (n_samples, n_clusters)."""
        X, centers = self._centred(X)
        return pairwise_distances(X, centers, metric="euclidean", p=2.0)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Minus the weighted sum of squared distances to the nearest centres; `y` is not looked at."""
        require_fitted(self)
        X, centers = self._centred(X)
        weight = read_training_data(Estimator(), X, None, sample_weight).sample_weight
        return -inertia_of(X, weight, centers, nearest_centers(X, centers))

    def get_feature_names_out(self, input_features: Any = None) -> host.HostArray:
        """Names of the columns of `transform`: the class and a number."""
        input_names(self, input_features)
        name = type(self).__name__.lower()
        return host.names_array([f"{name}{index}" for index in range(self.cluster_centers_.shape[0])])

    def _centred(self, X: Any) -> tuple[Array, Array]:
        """Samples and centres from the mean of the samples fitted: products of small numbers round less."""
        require_fitted(self)
        X = read_data(self, X)
        X = namespace(X).astype(X, self.cluster_centers_.dtype, copy=False)
        return X - self._origin, self.cluster_centers_ - self._origin

    def _check(self, data: TrainingData) -> None:
        for name in ("n_clusters", "max_iter"):
            value = getattr(self, name)
            valid = isinstance(value, Integral) and not isinstance(value, bool) and int(value) > 0
            check_parameter(self, name, valid, "an int in the range [1, inf)")
        tol = getattr(self, "tol", 0)
        check_parameter(self, "tol", isinstance(tol, Real) and float(tol) >= 0, "a float in the range [0.0, inf)")
        valid = self.n_init == "auto" or (isinstance(self.n_init, Integral) and int(self.n_init) > 0)
        check_parameter(self, "n_init", valid, "a str among {'auto'} or an int in the range [1, inf)")
        known = not isinstance(self.init, str) or self.init in ("k-means++", "random")
        check_parameter(self, "init", known, "a str among {'k-means++', 'random'}, a callable or an array-like")
        if data.X.shape[0] < self.n_clusters:
            raise ArgumentError(f"n_samples={data.X.shape[0]} should be >= n_clusters={self.n_clusters}.")

    def _runs(self, several: int) -> int:
        """How often to begin anew: with given centres there is nothing to draw again."""
        if not isinstance(self.init, str) and not callable(self.init):
            return 1
        if self.n_init != "auto":
            return int(self.n_init)
        return 1 if self.init == "k-means++" else several


class KMeans(CenterBased):
    """K-means by Lloyd's algorithm.

    Parameters
    ----------
    n_clusters : int
    init : {"k-means++", "random"}, array (n_clusters, n_features), or callable
        The first centres: drawn by k-means++, samples drawn at random, given, or what
        ``init(X, n_clusters, random_state)`` gives.
    n_init : int or "auto"
        How often to begin anew; the run with the smallest inertia counts.  "auto" is 10 for "random" and callables and
        1 otherwise.
    max_iter : int
    tol : float
        A run ends when the centres move, in squared distance, by no more than this share of the mean variance of the
        features, or when no sample changes its cluster.
    random_state : None, int or Generator
    algorithm : {"lloyd"}
    backend : str or Backend, optional
        Where X goes if it arrives on the host.

    Attributes
    ----------
    cluster_centers_ : array (n_clusters, n_features)
    labels_ : array (n_samples,), int64
    inertia_ : float
        The weighted sum of squared distances of the samples to their centres.
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : array (n_features,) of str
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Initial = "k-means++",
        n_init: int | str = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        random_state: Any = None,
        algorithm: str = "lloyd",
        backend: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.algorithm = algorithm
        self.backend = backend

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Find the centres of X (n_samples, n_features) with weights (n_samples,); `y` is not looked at."""
        data = read_training_data(self, X, None, sample_weight)
        self._check(data)
        check_parameter(self, "algorithm", self.algorithm == "lloyd", "a str among {'lloyd'}")
        xp, generator = data.xp, generator_of(self.random_state, data.X)
        self._origin = xp.mean(data.X, axis=0)
        X, weight = data.X - self._origin, data.sample_weight
        mean_variance = float(to_numpy(xp.sum(xp.vecdot(X, X)))) / math.prod(X.shape)
        best: Clusters | None = None
        for _ in range(self._runs(several=10)):
            first = first_centers(self.init, self.n_clusters, X, weight, generator, self._origin)
            found = lloyd(X, weight, first, self.max_iter, self.tol * mean_variance)
            if best is None or found.inertia < best.inertia:
                best = found
        assert best is not None
        self.cluster_centers_ = best.centers + self._origin
        self.labels_, self.inertia_, self.n_iter_ = best.labels, best.inertia, best.iterations
        _warn_of_few(best.labels, self.n_clusters)
        return self


def lloyd(X: Array, weight: Array | None, centers: Array, max_iter: int, least_move: float) -> Clusters:
    """Lloyd's algorithm from given centres.

    Parameters
    ----------
    X : array (n_samples, n_features)
    weight : array (n_samples,) or None
    centers : array (n_clusters, n_features)
    max_iter : int
    least_move : float
        The squared distance, summed over the centres, that ends the run.
    """
    xp = namespace(X)
    labels, settled, iterations = None, False, 0
    while iterations < max_iter and not settled:
        iterations += 1
        before, (labels, sums, counts) = labels, lloyd_step(X, weight, centers)
        moved = _means(sums, counts, centers)
        changed = xp.asarray(1, dtype=X.dtype, device=device_of(X))
        if before is not None:
            changed = xp.astype(xp.any(labels != before), X.dtype)
        # The one look at the device in a step.
        fewest, change, shift = to_numpy(xp.stack([xp.min(counts), changed, xp.sum((moved - centers) ** 2)])).tolist()
        if fewest == 0:
            moved = _means(*fill_empty(X, weight, labels, centers, sums, counts), centers)
            shift = float(to_numpy(xp.sum((moved - centers) ** 2)))
        centers = moved
        settled = change == 0
        if shift <= least_move:
            break
    if not settled:
        labels = nearest_centers(X, centers)
    return Clusters(labels, centers, inertia_of(X, weight, centers, labels), iterations)


def fill_empty(
    X: Array, weight: Array | None, labels: Array, centers: Array, sums: Array, counts: Array
) -> tuple[Array, Array]:
    """Give each empty cluster the sample that is farthest from its centre, and take it from its own.

    Returns
    -------
    sums : array (n_clusters, n_features)
    counts : array (n_clusters,)
    """
    xp, k = namespace(X), centers.shape[0]
    empty = [place for place, count in enumerate(to_numpy(counts).tolist()) if count == 0]
    distances = squared_distances_to(X, centers, labels)
    if float(to_numpy(xp.max(distances))) == 0:
        return sums, counts  # there are not as many different samples
    far = argsort(distances, descending=True)[: len(empty)]
    heavy = xp.ones_like(distances)[: len(empty)] if weight is None else xp.take(weight, far)
    dtype = str(X.dtype).rpartition(".")[2]
    gain = one_hot(backend_of(X).asarray(empty[: far.shape[0]], "int64"), n=k, dtype=dtype)
    change = xp.matrix_transpose(gain - one_hot(xp.take(labels, far), n=k, dtype=dtype)) * heavy
    return sums + change @ xp.take(X, far, axis=0), counts + xp.sum(change, axis=1)


def first_centers(init: Any, k: int, X: Array, weight: Array | None, generator: Generator, origin: Array) -> Array:
    """The centres to begin with, (k, n_features), from the origin of X.

    Raises
    ------
    ShapeError
        If centres that were given are not as many, or have other features.
    """
    xp = namespace(X)
    if isinstance(init, str):
        if init == "k-means++":
            return k_means_plus_plus(X, k, weight, generator)
        return xp.take(X, drawn_samples(X, k, weight, generator), axis=0)
    given = init(X + origin, k, random_state=generator) if callable(init) else init
    given = backend_of(X).asarray(given)
    if len(given.shape) != 2 or tuple(given.shape) != (k, X.shape[1]):
        raise ShapeError(
            f"The shape of the initial centers {tuple(given.shape)} does not match the number of clusters {k} and the "
            f"number of features of the data {X.shape[1]}."
        )
    return xp.astype(given, X.dtype) - origin


def drawn_samples(X: Array, k: int, weight: Array | None, generator: Generator) -> Array:
    """Numbers (k,) of different samples, drawn by weight."""
    return generator.choice(X.shape[0], k, replace=False, p=None if weight is None else _shares(weight))


def k_means_plus_plus(X: Array, k: int, weight: Array | None, generator: Generator) -> Array:
    r"""Samples (k, n_features) that are far apart: greedy k-means++.

    Each next centre is drawn with probability :math:`w_i D_i^2 / \sum w D^2`, where D is the distance to the centres so
    far; of :math:`2 + \lfloor \ln k \rfloor` candidates the one that lowers :math:`\sum w D^2` most is taken.

    Parameters
    ----------
    X : array (n_samples, n_features)
    k : int
    weight : array (n_samples,) or None
    generator : Generator
    """
    xp, n, trials = namespace(X), X.shape[0], 2 + int(math.log(k))
    squares = xp.vecdot(X, X)
    weights = xp.ones_like(squares) if weight is None else weight
    uniform = generator.random((k, trials), "float64")
    chosen = _drawn(xp.astype(weights, xp.float64), uniform[0, :1])
    closest = _squared_distances(X, squares, chosen)[0, :]
    centers = [xp.take(X, chosen, axis=0)]
    for step in range(1, k):
        candidates = _drawn(xp.astype(weights * closest, xp.float64), uniform[step, :])
        lower = xp.minimum(closest, _squared_distances(X, squares, candidates))
        best = xp.reshape(xp.argmin(lower @ weights), (1,))
        closest = xp.reshape(xp.take(lower, best, axis=0), (n,))
        centers.append(xp.take(X, xp.take(candidates, best), axis=0))
    return xp.concat(centers, axis=0)


def squared_distances_to(X: Array, centers: Array, labels: Array) -> Array:
    """Squared distances (n_samples,) of the samples to their own centres, from the differences."""
    xp = namespace(X)
    height = max(1, BLOCK // X.shape[1])
    own = xp.expand_dims(labels, axis=1)
    found = [
        distances_of_pairs(X[rows, :], centers, own[rows, :], metric="sqeuclidean", p=2.0)
        for rows in row_blocks(X.shape[0], height)
    ]
    return xp.concat(found)[:, 0]


def inertia_of(X: Array, weight: Array | None, centers: Array, labels: Array) -> float:
    """The weighted sum of squared distances of the samples to their own centres."""
    xp, squares = namespace(X), squared_distances_to(X, centers, labels)
    return float(to_numpy(xp.sum(squares if weight is None else squares * weight)))


def _means(sums: Array, counts: Array, before: Array) -> Array:
    """Means of the clusters; an empty one stays where it was."""
    xp = namespace(sums)
    some = xp.expand_dims(counts > 0, axis=1)
    return xp.where(some, sums / xp.where(some, xp.expand_dims(counts, axis=1), 1.0), before)


def _drawn(weights: Array, uniform: Array) -> Array:
    """Positions drawn with probabilities proportional to weights (n,), one for each uniform number."""
    xp = namespace(weights, uniform)
    upto = xp.cumulative_sum(weights)
    places = xp.searchsorted(upto, uniform * upto[-1], side="right")
    return xp.where(places >= weights.shape[0], weights.shape[0] - 1, places)


def _squared_distances(X: Array, squares: Array, samples: Array) -> Array:
    """Squared distances (n_chosen, n_samples) of a few of the samples to all."""
    xp = namespace(X)
    products = xp.take(X, samples, axis=0) @ xp.matrix_transpose(X)
    distances = squares - 2 * products + xp.expand_dims(xp.take(squares, samples), axis=1)
    return xp.where(distances < 0, 0.0, distances)


def _shares(weight: Array) -> Any:
    weights = to_numpy(weight).astype("float64")
    return weights / weights.sum()


def _warn_of_few(labels: Array, k: int) -> None:
    xp = namespace(labels)
    members = xp.sum(one_hot(labels, n=k, dtype="int64"), axis=0)
    distinct = int(to_numpy(count_nonzero(members)))
    if distinct < k:
        warn(
            ConvergenceWarning,
            f"Number of distinct clusters ({distinct}) found smaller than n_clusters ({k}). Possibly due to duplicate "
            "points in X.",
            stacklevel=3,
        )
