"""A linear relation with noise, in which only some features have a part."""

from __future__ import annotations

from typing import Any

import numpy as np

from portml.backends import Array
from portml.data.generated import checked_count, delivered, host_generator

__all__ = ["make_regression"]


def make_regression(
    n_samples: int = 100,
    n_features: int = 100,
    *,
    n_informative: int = 10,
    n_targets: int = 1,
    bias: float = 0.0,
    noise: float = 0.0,
    shuffle: bool = True,
    coef: bool = False,
    random_state: Any = None,
    backend: Any = None,
    dtype: str = "float64",
) -> tuple[Array, ...]:
    r"""Draw :math:`y = X w + b + \varepsilon` with normal X, and w uniform in [0, 100) for `n_informative` features.

    Parameters
    ----------
    n_samples, n_features, n_informative, n_targets : int
    bias : float
    noise : float
        The standard deviation of :math:`\varepsilon`.
    shuffle : bool
        Whether samples and features are in random order; otherwise the informative features come first.
    coef : bool
        Whether to return w too.
    random_state : None, int or Generator
    backend : str or Backend, optional
        Where the arrays go; the bits are the same everywhere.
    dtype : {"float64", "float32"}

    Returns
    -------
    X : array (n_samples, n_features)
    y : array (n_samples,) or (n_samples, n_targets)
    coef : array (n_features,) or (n_features, n_targets)
        Where asked for.
    """
    n, m = checked_count("n_samples", n_samples), checked_count("n_features", n_features)
    targets, informative = checked_count("n_targets", n_targets), checked_count("n_informative", n_informative, least=0)
    generator = host_generator(random_state)
    X = np.asarray(generator.normal(0.0, 1.0, (n, m), "float64"))
    weights = np.zeros((m, targets))
    used = min(m, informative)
    weights[:used] = generator.uniform(0.0, 100.0, (used, targets), "float64")
    if shuffle:
        X = X[np.asarray(generator.permutation(n))]
        columns = np.asarray(generator.permutation(m))
        X, weights = X[:, columns], weights[columns]
    y = X @ weights + bias
    if noise > 0.0:
        y = y + generator.normal(0.0, noise, y.shape, "float64")
    if targets == 1:
        y, weights = y[:, 0], weights[:, 0]
    return delivered(backend, dtype, X, y, *([weights] if coef else []))
