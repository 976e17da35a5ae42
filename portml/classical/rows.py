"""Rows of whatever holds a table: an array of any backend, a data frame, a list."""

from __future__ import annotations

from typing import Any

from portml.backends import to_numpy
from portml.classical import host
from portml.errors import DtypeError, ShapeError

__all__ = ["labels_on_host", "number_of_rows", "rows_of"]


def number_of_rows(*tables: Any) -> int:
    """How many rows they have, all as many; None is passed over.

    Raises
    ------
    ShapeError
        If they differ.
    """
    lengths = [_length(table) for table in tables if table is not None]
    if not lengths:
        raise ShapeError("At least one array required as input")
    if len({*lengths}) > 1:
        raise ShapeError(f"Found input variables with inconsistent numbers of samples: {lengths}")
    return lengths[0]


def rows_of(table: Any, places: host.HostArray) -> Any:
    """The rows at `places` (n,), in that order, in a container of the same kind; None stays None."""
    if table is None:
        return None
    backend = host.device_backend(table)
    if backend is not None:
        table = backend.asarray(table)
        return backend.xp.take(table, backend.asarray(places), axis=0)
    if hasattr(table, "iloc"):
        return table.iloc[places]
    if isinstance(table, list | tuple):
        return [table[place] for place in places.tolist()]
    if hasattr(table, "toarray") or hasattr(table, "columns") or hasattr(table, "to_numpy"):  # sparse, or of polars
        return table[places]
    return host.host_array(table, "arrays")[places]


def labels_on_host(y: Any, name: str = "y") -> host.HostArray:
    """Labels (n_samples,) as an array of NumPy, whatever they came as."""
    array = host.host_array(y if host.device_backend(y) is None else to_numpy(y), name)
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _length(table: Any) -> int:
    shape = getattr(table, "shape", None)
    if shape is not None:
        if not shape:
            raise DtypeError(f"Singleton array {table!r} cannot be considered a valid collection.")
        return int(shape[0])
    if not hasattr(table, "__len__"):
        raise DtypeError(f"Expected sequence or array-like, got {type(table)}")
    return len(table)
