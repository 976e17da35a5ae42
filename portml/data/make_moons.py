"""Two half circles that reach into each other: two classes that no straight line divides."""

from __future__ import annotations

from typing import Any

import numpy as np

from portml.backends import Array
from portml.data.generated import checked_count, delivered, host_generator, shuffled_rows
from portml.errors import ArgumentError

__all__ = ["make_moons"]


def make_moons(
    n_samples: int | tuple[int, int] = 100,
    *,
    shuffle: bool = True,
    noise: float | None = None,
    random_state: Any = None,
    backend: Any = None,
    dtype: str = "float64",
) -> tuple[Array, Array]:
    r"""Draw two interleaving half circles.

    Class 0 is :math:`(\cos t, \sin t)`, class 1 is :math:`(1 - \cos t, \frac12 - \sin t)`, with t evenly spaced in
    :math:`[0, \pi]`.

    Parameters
    ----------
    n_samples : int or (int, int)
        In all, or of each class.
    shuffle : bool
    noise : float, optional
        The standard deviation of normal noise.
    random_state : None, int or Generator
    backend : str or Backend, optional
        Where the arrays go; the bits are the same everywhere.
    dtype : {"float64", "float32"}

    Returns
    -------
    X : array (n_samples, 2)
    y : array (n_samples,) of int64
    """
    if isinstance(n_samples, tuple):
        if len(n_samples) != 2:
            raise ArgumentError(f"n_samples: expected an integer or one of each of two classes, got {n_samples}")
        n_outer, n_inner = (checked_count("n_samples", n, least=0) for n in n_samples)
    else:
        total = checked_count("n_samples", n_samples)
        n_outer, n_inner = total // 2, total - total // 2
    generator = host_generator(random_state)
    outer, inner = np.linspace(0, np.pi, n_outer), np.linspace(0, np.pi, n_inner)
    X = np.stack(
        [
            np.concatenate([np.cos(outer), 1 - np.cos(inner)]),
            np.concatenate([np.sin(outer), 0.5 - np.sin(inner)]),
        ],
        axis=1,
    )
    y = np.repeat(np.arange(2), [n_outer, n_inner])
    if shuffle:
        X, y = shuffled_rows(generator, X, y)
    if noise is not None:
        X = X + generator.normal(0.0, noise, X.shape, "float64")
    X_there, y_there = delivered(backend, dtype, X, y)
    return X_there, y_there
