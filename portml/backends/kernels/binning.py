"""Codes for the columns of a table: the rank of a value among those of its column, or the number of its bin.

Trees ask only which of two values is greater, so they look at codes.  Few codes can be counted instead of sorted, and a
code is shorter than a number.
"""

from __future__ import annotations

from portml.backends.kernel import kernel
from portml.backends.namespaces import Array, device_of, namespace

__all__ = ["NEGLIGIBLE", "bin_columns", "code_dtype", "rank_columns", "sort_columns"]

NEGLIGIBLE = 1e-7
"""Values that differ by no more than this count as one value, as in other implementations of trees."""


@kernel(differentiable=False)
def rank_columns(X: Array) -> tuple[Array, Array, Array]:
    """Sort each column and number its distinct values.

    Parameters
    ----------
    X : array (n_samples, n_features) of float32
        NaN: missing.

    Returns
    -------
    codes : integer array (n_features, n_samples)
        Ranks from 0; n_samples where the value is missing.
    orders : array (n_features, n_samples) of int32
        The samples in the order of their values, those that miss it last, and equal ones as they came.
    values : array (n_features, n_samples) of float32
        The least value of each rank; what lies beyond the last rank is infinite.
    """
    xp = namespace(X)
    columns = xp.permute_dims(X, (1, 0))
    is_missing = xp.isnan(columns)
    columns = xp.where(is_missing, xp.inf, columns)
    n = columns.shape[1]
    orders = xp.argsort(columns, axis=1, stable=True)
    in_order = xp.take_along_axis(columns, orders, axis=1)
    is_new = in_order[:, 1:] > in_order[:, :-1] + NEGLIGIBLE
    is_new = xp.concat([xp.zeros_like(is_new[:, :1]), is_new], axis=1) if n > 1 else xp.zeros_like(is_missing)
    ranks = xp.cumulative_sum(xp.astype(is_new, xp.int64), axis=1)
    codes = xp.take_along_axis(ranks, xp.argsort(orders, axis=1), axis=1)
    number = xp.arange(n, dtype=xp.int64, device=device_of(X))
    places = [xp.searchsorted(ranks[j, :], number) for j in range(columns.shape[0])]
    beyond = xp.full((columns.shape[0], 1), xp.inf, dtype=X.dtype, device=device_of(X))
    values = xp.take_along_axis(xp.concat([in_order, beyond], axis=1), xp.stack(places), axis=1)
    codes = xp.where(is_missing, xp.asarray(n, dtype=codes.dtype, device=device_of(X)), codes)
    return xp.astype(codes, getattr(xp, code_dtype(n + 1))), xp.astype(orders, xp.int32), values


@kernel(differentiable=False)
def sort_columns(X: Array) -> Array:
    """Each column in increasing order, with infinity for what is missing.

    Parameters
    ----------
    X : array (n_samples, n_features)
        NaN: missing.

    Returns
    -------
    array (n_features, n_samples)
    """
    xp = namespace(X)
    columns = xp.permute_dims(X, (1, 0))
    return xp.sort(xp.where(xp.isnan(columns), xp.inf, columns), axis=1)


@kernel(differentiable=False)
def bin_columns(X: Array, edges: Array, *, missing_code: int) -> Array:
    """The bin of each value: how many edges lie below it.

    Parameters
    ----------
    X : array (n_samples, n_features)
        NaN: missing.
    edges : array (n_features, n_edges)
        Of X's dtype and increasing; infinite where a column has fewer.
    missing_code : int
        The code of a missing value; at least n_edges + 1.

    Returns
    -------
    integer array (n_features, n_samples)
    """
    xp = namespace(X, edges)
    columns = []
    for j in range(X.shape[1]):
        column = X[:, j]
        is_missing = xp.isnan(column)
        known = xp.where(is_missing, xp.zeros_like(column), column)
        found = xp.searchsorted(edges[j, :], known, side="left")
        columns.append(xp.where(is_missing, missing_code, found))
    return xp.astype(xp.stack(columns), getattr(xp, code_dtype(missing_code + 1)))


def code_dtype(n_codes: int) -> str:
    """The name of the shortest integer type that holds codes from 0 to n_codes - 1."""
    return "uint8" if n_codes <= 1 << 8 else "uint16" if n_codes <= 1 << 16 else "int32"
