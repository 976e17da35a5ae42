"""Classes as clusters about the corners of a hypercube, hidden among redundant and meaningless features.

[Guyon 2003, "Design of experiments for the NIPS 2003 variable selection benchmark"]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from portml.backends import Array
from portml.data.generated import HostArray, checked_count, delivered, host_generator, shuffled_rows
from portml.errors import ArgumentError
from portml.random import Generator

__all__ = ["make_classification"]


def make_classification(
    n_samples: int = 100,
    n_features: int = 20,
    *,
    n_informative: int = 2,
    n_redundant: int = 2,
    n_repeated: int = 0,
    n_classes: int = 2,
    n_clusters_per_class: int = 2,
    weights: Sequence[float] | None = None,
    flip_y: float = 0.01,
    class_sep: float = 1.0,
    hypercube: bool = True,
    shift: float | None = 0.0,
    scale: float | None = 1.0,
    shuffle: bool = True,
    random_state: Any = None,
    backend: Any = None,
    dtype: str = "float64",
) -> tuple[Array, Array]:
    """Draw a classification problem of chosen difficulty.

    Unless shuffled, the informative features come first, then redundant ones (linear combinations of those), repeated
    ones and noise.

    Parameters
    ----------
    n_samples, n_features, n_informative, n_redundant, n_repeated, n_classes, n_clusters_per_class : int
    weights : sequence of float, optional
        The share of each class, the last of which can be left out; None makes all equal.
    flip_y : float in [0, 1]
        The share of samples whose label is drawn at random.
    class_sep : float
        Half the side of the hypercube: larger is easier.
    hypercube : bool
        Whether clusters are at its corners, or at random places inside.
    shift, scale : float or None
        Added to and multiplied with every feature; None draws one for each, in [-class_sep, class_sep) and [1, 100).
    shuffle : bool
        Whether samples and features are in random order.
    random_state : None, int or Generator
    backend : str or Backend, optional
        Where the arrays go; the bits are the same everywhere.
    dtype : {"float64", "float32"}

    Returns
    -------
    X : array (n_samples, n_features)
    y : array (n_samples,) of int64

    Raises
    ------
    ArgumentError
        If the features do not add up, or there are more clusters than corners.
    """
    n, m = checked_count("n_samples", n_samples), checked_count("n_features", n_features)
    clusters = checked_count("n_classes", n_classes) * checked_count("n_clusters_per_class", n_clusters_per_class)
    _check_features(m, n_informative, n_redundant, n_repeated, clusters)
    generator = host_generator(random_state)
    counts = _samples_of_clusters(n, _shares(weights, n_classes), n_clusters_per_class)
    centres = (2.0 * _corners(generator, clusters, n_informative) - 1.0) * class_sep
    if not hypercube:
        centres = centres * generator.random((clusters, 1), "float64") * generator.random((1, n_informative), "float64")
    cluster = np.repeat(np.arange(clusters), counts)
    X = np.asarray(generator.normal(0.0, 1.0, (n, m), "float64"))
    y = cluster % n_classes
    for number in range(clusters):
        # A random linear map gives each cluster covariances of its own.
        members = cluster == number
        mixing = generator.uniform(-1.0, 1.0, (n_informative, n_informative), "float64")
        X[members, :n_informative] = X[members, :n_informative] @ mixing + centres[number]
    used = n_informative + n_redundant
    combining = generator.uniform(-1.0, 1.0, (n_informative, n_redundant), "float64")
    X[:, n_informative:used] = X[:, :n_informative] @ combining
    X[:, used : used + n_repeated] = X[:, np.asarray(generator.integers(0, max(used, 1), (n_repeated,)))]
    flipped = np.asarray(generator.random((n,), "float64")) < flip_y
    y = np.where(flipped, np.asarray(generator.integers(0, n_classes, (n,))), y)
    X = X + (generator.uniform(-class_sep, class_sep, (m,), "float64") if shift is None else shift)
    X = X * (generator.uniform(1.0, 100.0, (m,), "float64") if scale is None else scale)
    if shuffle:
        X, y = shuffled_rows(generator, X, y)
        X = X[:, np.asarray(generator.permutation(m))]
    X_there, y_there = delivered(backend, dtype, X, y)
    return X_there, y_there


def _check_features(m: int, n_informative: int, n_redundant: int, n_repeated: int, clusters: int) -> None:
    parts = {"n_informative": n_informative, "n_redundant": n_redundant, "n_repeated": n_repeated}
    for name, value in parts.items():
        checked_count(name, value, least=int(name == "n_informative"))
    if sum(parts.values()) > m:
        raise ArgumentError(
            "Number of informative, redundant and repeated features must sum to less than the number of total "
            f"features: {n_informative} + {n_redundant} + {n_repeated} > {m}"
        )
    if clusters > 2**n_informative:
        raise ArgumentError(
            f"n_classes * n_clusters_per_class = {clusters} must be smaller or equal 2**n_informative({n_informative})="
            f"{2**n_informative}"
        )


def _shares(weights: Sequence[float] | None, n_classes: int) -> list[float]:
    if weights is None:
        return [1.0 / n_classes] * n_classes
    shares = [float(weight) for weight in weights]
    if len(shares) == n_classes - 1:
        shares.append(1.0 - sum(shares))
    if len(shares) != n_classes:
        raise ArgumentError("Weights specified but incompatible with number of classes.")
    return shares


def _samples_of_clusters(n: int, shares: list[float], n_clusters_per_class: int) -> list[int]:
    """How many samples each cluster has; cluster k is of class k modulo the number of classes."""
    k = len(shares)
    # A share such as 1 - 0.9 is a little less than it should be.
    counts = [int(n * shares[number % k] / n_clusters_per_class + 1e-9) for number in range(k * n_clusters_per_class)]
    for number in range(n - sum(counts)):
        counts[number % len(counts)] += 1
    return counts


def _corners(generator: Generator, count: int, dimensions: int) -> HostArray:
    """Different corners of a hypercube, (count, dimensions) of 0 and 1, in ascending order.

    So where there is a cluster at every corner, two classes are divided by a plane.
    """
    corners: dict[tuple[int, ...], None] = {}
    while len(corners) < count:
        drawn = np.asarray(generator.integers(0, 2, (count, dimensions)))
        corners.update(dict.fromkeys(map(tuple, drawn.tolist())))
    return np.asarray(sorted(list(corners)[:count]), dtype=np.float64)
