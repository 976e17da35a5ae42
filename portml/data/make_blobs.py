"""Round clusters: samples drawn normally about centres."""

from __future__ import annotations

from typing import Any

import numpy as np

from portml.backends import Array
from portml.data.generated import checked_count, delivered, host_generator, shuffled_rows
from portml.errors import ArgumentError, ShapeError

__all__ = ["make_blobs"]


def make_blobs(
    n_samples: Any = 100,
    n_features: int = 2,
    *,
    centers: Any = None,
    cluster_std: Any = 1.0,
    center_box: tuple[float, float] = (-10.0, 10.0),
    shuffle: bool = True,
    random_state: Any = None,
    return_centers: bool = False,
    backend: Any = None,
    dtype: str = "float64",
) -> tuple[Array, ...]:
    """Draw normal clusters.

    Parameters
    ----------
    n_samples : int or sequence of int
        In all, divided evenly, or of each cluster.
    n_features : int
        Not looked at where `centers` are given.
    centers : int or array (n_centers, n_features), optional
        How many, drawn uniformly from `center_box`, or which; None is 3, or one for each entry of `n_samples`.
    cluster_std : float or sequence of float
        The standard deviation, of all or of each cluster.
    center_box : (float, float)
    shuffle : bool
    random_state : None, int or Generator
    return_centers : bool
    backend : str or Backend, optional
        Where the arrays go; the bits are the same everywhere.
    dtype : {"float64", "float32"}

    Returns
    -------
    X : array (n_samples, n_features)
    y : array (n_samples,) of int64
        The number of the cluster.
    centers : array (n_centers, n_features)
        Where asked for.

    Raises
    ------
    ArgumentError, ShapeError
        If sizes, centres and deviations do not fit together.
    """
    generator = host_generator(random_state)
    several = not np.isscalar(n_samples)
    if centers is None:
        centers = len(n_samples) if several else 3
    if np.isscalar(centers):
        low, high = center_box
        shape = (checked_count("centers", centers), checked_count("n_features", n_features))
        places = np.asarray(generator.uniform(low, high, shape, "float64"))
    else:
        places = np.asarray(centers, dtype=np.float64)
        if places.ndim != 2:
            raise ShapeError(f"centers: expected an integer or an array (n_centers, n_features), got {places.shape}")
    k = len(places)
    if several:
        counts = [checked_count("n_samples", n, least=0) for n in n_samples]
        if len(counts) != k:
            raise ArgumentError(
                "Length of `n_samples` not consistent with number of centers. "
                f"Got n_samples = {n_samples} and {k} centers"
            )
    else:
        total = checked_count("n_samples", n_samples)
        counts = [total // k + (index < total % k) for index in range(k)]
    deviations = np.broadcast_to(np.asarray(cluster_std, dtype=np.float64), (k,)) if np.isscalar(cluster_std) else None
    if deviations is None:
        deviations = np.asarray(cluster_std, dtype=np.float64)
        if deviations.shape != (k,):
            raise ArgumentError(
                "Length of `clusters_std` not consistent with number of centers. "
                f"Got {k} centers and cluster_std = {cluster_std}"
            )
    y = np.repeat(np.arange(k), counts)
    X = places[y] + deviations[y, None] * generator.normal(0.0, 1.0, (len(y), places.shape[1]), "float64")
    if shuffle:
        X, y = shuffled_rows(generator, X, y)
    return delivered(backend, dtype, X, y, *([places] if return_centers else []))
