"""The categories of a table's columns, and where values stand among them: what the encoders share.

Categories of numbers live on X's backend, sorted, with NaN at the end; those of text on the host.
"""

from __future__ import annotations

from typing import Any

from portml.backends import Array, Backend, dtype_kind, namespace, to_numpy
from portml.classical import host
from portml.errors import ArgumentError, ShapeError

__all__ = ["category_lists", "codes_of", "has_nan", "refuse_unknown", "take_categories", "unknown_values"]


def category_lists(columns: list[Array], backend: Backend, categories: Any, *, refuse: bool) -> list[Array]:
    """The categories of each column.

    Parameters
    ----------
    columns : list of arrays (n_samples,)
    backend : Backend
        Where categories of numbers are kept.
    categories : "auto" or list of arrays
        Those that occur, or those given: numbers sorted, text in any order.
    refuse : bool
        Whether a value that is not among the categories given is an error.

    Raises
    ------
    ShapeError
        If the categories given are not as many as the columns.
    ArgumentError
        If they are unsorted or repeat one, or values are unknown.
    """
    if isinstance(categories, str) and categories == "auto":
        return [_categories_that_occur(column, backend) for column in columns]
    if len(categories) != len(columns):
        raise ShapeError(
            f"Shape mismatch: if categories is an array, it has to be of shape (n_features,). Got {len(categories)} "
            f"lists for {len(columns)} features."
        )
    given = [_categories_given(column, backend, categories[index], index) for index, column in enumerate(columns)]
    if refuse:
        refuse_unknown(columns, [codes_of(*pair, backend) for pair in zip(columns, given, strict=True)], "fit")
    return given


def codes_of(column: Array, categories: Array, backend: Backend) -> tuple[Array, Array]:
    """Where the values of a column stand among its categories.

    Returns
    -------
    codes : array (n_samples,) of int64 on the backend
        Within the range of the categories also where the value is unknown.
    known : array (n_samples,) of bool
    """
    xp, n = backend.xp, categories.shape[0]
    if host.is_text(categories):
        codes = backend.asarray(host.positions_in(column if host.is_text(column) else to_numpy(column), categories))
        return xp.clip(codes, 0, n - 1), codes >= 0
    if host.is_text(column):  # of no number
        return xp.zeros(column.shape[0], dtype=xp.int64, device=backend.device), backend.zeros(column.shape[0], "bool")
    if column.dtype != categories.dtype:
        column, categories = xp.astype(column, xp.float64), xp.astype(categories, xp.float64)
    numbers, nan = n - has_nan(categories), None
    if dtype_kind(column.dtype) == "float":
        nan = xp.isnan(column)
        column = xp.where(nan, 0.0, column)
    if numbers == 0:
        return xp.zeros_like(column, dtype=xp.int64), nan
    codes = xp.astype(xp.searchsorted(categories[:numbers], column), xp.int64)
    codes = xp.clip(codes, 0, numbers - 1)
    known = xp.take(categories, codes, axis=0) == column
    if nan is not None:
        known = xp.where(nan, numbers < n, known)
        codes = xp.where(nan, n - 1, codes)
    return codes, known


def refuse_unknown(columns: list[Array], coded: list[tuple[Array, Array]], when: str) -> None:
    """Raise `ArgumentError` that names the values of a column that are not among its categories."""
    for index, (column, (_, known)) in enumerate(zip(columns, coded, strict=True)):
        unknown = unknown_values(column, known)
        if unknown:
            raise ArgumentError(f"Found unknown categories {unknown} in column {index} during {when}")


def unknown_values(column: Array, known: Array) -> list[Any]:
    """The different values that are not known, sorted; none is found by reading one truth value."""
    if bool(to_numpy(namespace(known).all(known))):
        return []
    values = column if host.is_text(column) else to_numpy(column)
    return list(host.sorted_categories(values[~to_numpy(known)]).tolist())


def take_categories(categories: Array, codes: Array, known: Array | None = None) -> Array:
    """The categories that codes (n_samples,) stand for; unknown ones are None among text and NaN among numbers."""
    if host.is_text(categories):
        values = categories[to_numpy(codes)]
        if known is not None and not to_numpy(known).all():
            values = values.astype(object)
            values[~to_numpy(known)] = None
        return values
    xp = namespace(codes)
    values = xp.take(categories, codes, axis=0)
    if known is not None and not bool(to_numpy(xp.all(known))):
        values = xp.where(known, xp.astype(values, xp.float64), xp.nan)
    return values


def has_nan(categories: Array) -> bool:
    """Whether the last category is NaN."""
    if categories.shape[0] == 0:
        return False
    if host.is_text(categories):
        return host.is_nan(categories[-1])
    return dtype_kind(categories.dtype) == "float" and bool(to_numpy(namespace(categories).isnan(categories[-1])))


def _categories_that_occur(column: Array, backend: Backend) -> Array:
    if host.is_text(column):
        return host.sorted_categories(column)
    return backend.asarray(host.sorted_categories(to_numpy(column)))


def _categories_given(column: Array, backend: Backend, categories: Any, index: int) -> Array:
    given = list(to_numpy(categories)) if hasattr(categories, "shape") else list(categories)
    if any(host.is_nan(value) for value in given[:-1]):
        raise ArgumentError(
            f"Nan should be the last element in user provided categories, see categories {given} in column #{index}"
        )
    if len({*given}) < len(given):
        raise ArgumentError(f"In column {index}, the predefined categories contain duplicate elements.")
    if host.is_text(column) or any(isinstance(value, str | bytes) or value is None for value in given):
        return host.objects(given)
    numbers = [value for value in given if not host.is_nan(value)]
    if sorted(numbers) != numbers:
        raise ArgumentError("Unsorted categories are not supported for numerical categories")
    return backend.asarray(given)
