"""What is drawn is brought to the host first, explicitly, from whatever backend it is on."""

from __future__ import annotations

from typing import Any

import numpy as np

from portml.backends import to_numpy
from portml.classical.host import HostArray, device_backend, host_array
from portml.errors import ArgumentError, DtypeError, ShapeError

__all__ = ["HostArray", "host_labels", "host_numbers", "host_table"]


def host_numbers(data: Any, name: str, ndim: int | None = None) -> HostArray:
    """Numbers of any backend, of a list or of a data frame, as an array of float64 on the host.

    Parameters
    ----------
    data : array, Tensor, list or data frame
    name : str
        What the messages call it.
    ndim : int, optional
        How many axes it must have.

    Raises
    ------
    DtypeError
        If it holds text or other objects.
    ShapeError
        If it has another number of axes.
    ArgumentError
        If it is empty, or holds a value that is not finite.
    """
    array = _host(data, name)
    if array.dtype.kind not in "biufO":
        raise DtypeError(f"{name}: expected numbers, got {array.dtype}")
    array = array.astype(np.float64)
    if ndim is not None and array.ndim != ndim:
        raise ShapeError(f"{name}: expected {ndim} axes, got shape {array.shape}")
    if not array.size:
        raise ArgumentError(f"{name}: expected something to draw, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ArgumentError(f"{name}: expected finite numbers, got NaN or infinity, which cannot be drawn")
    return array


def host_table(X: Any, n_features: int) -> HostArray:
    """Samples (n_samples, n_features) on the host.

    Raises
    ------
    ShapeError
        If they have another number of features than can be drawn.
    """
    table = host_numbers(X, "X", ndim=2)
    if table.shape[1] != n_features:
        columns = "column" if n_features == 1 else "columns"
        raise ShapeError(
            f"X: expected {n_features} {'feature' if n_features == 1 else 'features'} to draw, got {table.shape[1]}; "
            f"fit on {n_features} {columns} of it"
        )
    return table


def host_labels(y: Any, name: str, n_samples: int | None = None) -> HostArray:
    """Labels (n_samples,) on the host, numbers or text.

    Raises
    ------
    ShapeError
        If there is not one for each sample.
    """
    labels = _host(y, name)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or n_samples not in (None, len(labels)):
        raise ShapeError(f"{name}: expected a label for each of {n_samples or 'the'} samples, got shape {labels.shape}")
    return labels


def _host(data: Any, name: str) -> HostArray:
    return host_array(data, name) if device_backend(data) is None else to_numpy(data)
