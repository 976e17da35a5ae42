r"""K-means in small batches: each batch pulls the centres of its samples towards it, by ever smaller steps.

.. math:: c \leftarrow c + \frac{1}{n_c} \sum_{i \in c} w_i (x_i - c), \quad n_c \leftarrow n_c + \sum_{i \in c} w_i

where the sum is over the samples of the batch that are nearest to the centre c: each centre is the mean of all samples
it was ever given.  [Sculley, "Web-scale k-means clustering", 2010]
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any, Self

from portml.backends import Array, device_of, namespace, to_numpy
from portml.backends.kernels.clustering import lloyd_step, nearest_centers
from portml.classical.k_means import CenterBased, Initial, first_centers, inertia_of
from portml.classical.validation import check_parameter, generator_of, read_training_data
from portml.random import Generator

__all__ = ["MiniBatchKMeans"]


class MiniBatchKMeans(CenterBased):
    """K-means in small batches.

    Parameters
    ----------
    n_clusters : int
    init : {"k-means++", "random"}, array (n_clusters, n_features), or callable
        As of `KMeans`.
    max_iter : int
        How often to go over the data.
    batch_size : int
    compute_labels : bool
        Whether to assign all samples after the last step.
    random_state : None, int or Generator
    tol : float
        `fit` ends when the centres move in a step, in squared distance, by no more than this share of the mean variance
        of the features; 0 never does.
    max_no_improvement : int, optional
        `fit` ends when the smoothed inertia of the batches has not fallen for so many batches; None never does.
    init_size : int, optional
        Of how many samples the first centres are chosen; None takes three batches, or three times the clusters.
    n_init : int or "auto"
        How many first centres to try; "auto" is 3 for "random" and callables and 1 otherwise.
    reassignment_ratio : float
        A centre with less than this share of the samples of the largest cluster is moved to a sample of the batch.
    backend : str or Backend, optional
        Where X goes if it arrives on the host.

    Attributes
    ----------
    cluster_centers_ : array (n_clusters, n_features)
    labels_ : array (n_samples,), int64
        After `fit` of all samples, after `partial_fit` of the last batch.
    inertia_ : float
        Of the samples of `labels_`.
    n_iter_ : int
        How often the data was gone over.
    n_steps_ : int
        How many batches were taken.
    n_features_in_ : int
    feature_names_in_ : array (n_features,) of str
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Initial = "k-means++",
        max_iter: int = 100,
        batch_size: int = 1024,
        compute_labels: bool = True,
        random_state: Any = None,
        tol: float = 0.0,
        max_no_improvement: int | None = 10,
        init_size: int | None = None,
        n_init: int | str = "auto",
        reassignment_ratio: float = 0.01,
        backend: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.compute_labels = compute_labels
        self.random_state = random_state
        self.tol = tol
        self.max_no_improvement = max_no_improvement
        self.init_size = init_size
        self.n_init = n_init
        self.reassignment_ratio = reassignment_ratio
        self.backend = backend

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Find the centres of X (n_samples, n_features) with weights (n_samples,); `y` is not looked at."""
        data = read_training_data(self, X, None, sample_weight)
        self._check_all(data)
        xp, n = data.xp, data.X.shape[0]
        generator = generator_of(self.random_state, data.X)
        self._begin(data.X, data.sample_weight, generator)
        X, weight = data.X - self._origin, data.sample_weight
        size = min(int(self.batch_size), n)
        least_move = self.tol * float(to_numpy(xp.sum(xp.vecdot(X, X)))) / math.prod(X.shape)
        patience = _Patience(self.max_no_improvement, min(1.0, 2 * size / (n + 1)))
        steps = self.max_iter * n // size
        taken = 0
        while taken < steps:
            taken += 1
            rows = generator.integers(0, n, size)
            batch = xp.take(X, rows, axis=0)
            inertia, shift = self._step(batch, None if weight is None else xp.take(weight, rows), generator)
            # The first batch is judged by centres that were chosen from its like.
            if taken > 1 and ((shift <= least_move and self.tol > 0) or patience.ends(inertia / size)):
                break
        self.n_steps_, self.n_iter_ = taken, math.ceil(taken * size / n)
        if self.compute_labels:
            self._label(X, weight)
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn from one batch X (n_samples, n_features); the first one chooses the first centres."""
        first = not hasattr(self, "cluster_centers_")
        data = read_training_data(self, X, None, sample_weight, reset=first)
        if first:
            self._check_all(data)
            self._generator = generator_of(self.random_state, data.X)
            self._begin(data.X, data.sample_weight, self._generator)
            self.n_steps_ = 0
        batch = data.xp.astype(data.X, self.cluster_centers_.dtype, copy=False) - self._origin
        if not hasattr(self, "_generator"):
            self._generator = generator_of(self.random_state, data.X)
        self._step(batch, data.sample_weight, self._generator)
        self.n_steps_ += 1
        if self.compute_labels:
            self._label(batch, data.sample_weight)
        return self

    def _check_all(self, data: Any) -> None:
        self._check(data)
        valid = isinstance(self.batch_size, Integral) and int(self.batch_size) > 0
        check_parameter(self, "batch_size", valid, "an int in the range [1, inf)")
        ratio = self.reassignment_ratio
        check_parameter(
            self, "reassignment_ratio", isinstance(ratio, Real) and ratio >= 0, "a float in the range [0.0, inf)"
        )
        for name in ("max_no_improvement", "init_size"):
            value = getattr(self, name)
            valid = value is None or (isinstance(value, Integral) and int(value) >= 0)
            check_parameter(self, name, valid, "an int in the range [0, inf) or None")

    def _begin(self, X: Array, weight: Array | None, generator: Generator) -> None:
        """The first centres, the best of several by the inertia of samples drawn for it."""
        xp, n = namespace(X), X.shape[0]
        self._origin = xp.mean(X, axis=0)
        size = self.init_size or max(3 * int(self.batch_size), 3 * self.n_clusters)
        size = min(max(size, self.n_clusters), n)
        rows = generator.choice(n, size, replace=False)
        sample = xp.take(X, rows, axis=0) - self._origin
        heavy = None if weight is None else xp.take(weight, rows)
        best, least = None, math.inf
        for _ in range(self._runs(several=3)):
            centers = first_centers(self.init, self.n_clusters, sample, heavy, generator, self._origin)
            inertia = inertia_of(sample, heavy, centers, nearest_centers(sample, centers))
            if best is None or inertia < least:
                best, least = centers, inertia
        self.cluster_centers_ = best + self._origin
        self._counts = xp.zeros((self.n_clusters,), dtype=X.dtype, device=device_of(X))
        self._since_reassigned = 0

    def _step(self, batch: Array, weight: Array | None, generator: Generator) -> tuple[float, float]:
        """Take one batch; its inertia with the centres before, and the squared distance that they moved."""
        xp = namespace(batch)
        centers = self.cluster_centers_ - self._origin
        labels, sums, counts = lloyd_step(batch, weight, centers)
        inertia = inertia_of(batch, weight, centers, labels)
        self._counts = self._counts + counts
        divisor = xp.expand_dims(xp.where(self._counts == 0, 1.0, self._counts), axis=1)
        moved = centers + (sums - xp.expand_dims(counts, axis=1) * centers) / divisor
        self._since_reassigned += batch.shape[0]
        if self.reassignment_ratio > 0 and self._is_due():
            moved = self._reassigned(moved, batch, generator)
        self.cluster_centers_ = moved + self._origin
        return inertia, float(to_numpy(xp.sum((moved - centers) ** 2)))

    def _is_due(self) -> bool:
        """Whether to look for small clusters: one is empty, or ten samples a cluster came since the last look."""
        if self._since_reassigned < 10 * self.n_clusters:
            return bool(to_numpy(namespace(self._counts).any(self._counts == 0)))
        self._since_reassigned = 0
        return True

    def _reassigned(self, centers: Array, batch: Array, generator: Generator) -> Array:
        """Centres of small clusters moved to samples of the batch, of no more clusters than half its samples."""
        xp, n = namespace(batch), batch.shape[0]
        order = xp.argsort(self._counts)
        rank = xp.argsort(order)
        small = (self._counts < self.reassignment_ratio * xp.max(self._counts)) & (rank < max(n // 2, 1))
        # Different samples, as far as there are as many; drawn for all centres, whichever are moved.
        drawn = xp.take(batch, xp.take(generator.permutation(n), xp.remainder(rank, n)), axis=0)
        least = xp.min(xp.where(small, xp.max(self._counts), self._counts))
        self._counts = xp.where(small, least, self._counts)
        return xp.where(xp.expand_dims(small, axis=1), drawn, centers)

    def _label(self, X: Array, weight: Array | None) -> None:
        centers = self.cluster_centers_ - self._origin
        self.labels_ = nearest_centers(X, centers)
        self.inertia_ = inertia_of(X, weight, centers, self.labels_)


class _Patience:
    """Ends a fit when the exponentially smoothed inertia of the batches has not fallen for a number of them."""

    def __init__(self, batches: int | None, share: float) -> None:
        self.batches = batches
        self.share = share
        self.smoothed = self.least = math.inf
        self.waited = 0

    def ends(self, inertia: float) -> bool:
        """Take the mean inertia of one more batch."""
        before = inertia if self.smoothed == math.inf else self.smoothed
        self.smoothed = before * (1 - self.share) + inertia * self.share
        self.waited = 0 if self.smoothed < self.least else self.waited + 1
        self.least = min(self.least, self.smoothed)
        return self.batches is not None and self.waited >= self.batches
