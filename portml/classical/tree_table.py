"""A table as trees see it: codes of its columns, and the thresholds that splits between codes stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from portml.backends import Array, device_of, namespace, to_numpy
from portml.backends.kernels.binning import bin_columns, rank_columns, sort_columns

__all__ = ["MOST_BINS", "TreeTable", "column_edges", "make_table"]

MOST_BINS = 255
"""As many bins leave one code of a byte for missing values."""
ROWS_FOR_EDGES = 20_000
"""Quantiles are taken of so many rows at most, evenly spaced."""


@dataclass(frozen=True, eq=False)
class TreeTable:
    """Codes of a table's columns.

    Attributes
    ----------
    codes : integer array (n_features, n_samples)
    orders : array (n_features, n_samples) of int32, or None
        The samples by code; None for bins.
    values : array (n_features, n_codes)
        The value of each rank, or the upper edge of each bin.
    n_codes : int
        With `missing` the last code means that the value is missing.
    missing : bool
    """

    codes: Array
    orders: Array
    values: Array
    n_codes: int
    missing: bool

    def thresholds(self, feature: Array, code: Array, following: Array) -> Array:
        """Between which values splits divide: halfway in a table of ranks, at the edge in one of bins; of float64.

        A split between values and missing values is infinite.
        """
        xp = namespace(self.values)
        flat, row, last = xp.reshape(self.values, (-1,)), feature * self.values.shape[1], self.values.shape[1] - 1
        lower, upper = (
            xp.astype(xp.take(flat, row + xp.where(each < last, each, last)), xp.float64) for each in (code, following)
        )
        middle = lower / 2.0 + upper / 2.0 if self.orders is not None else lower
        return xp.where(following == self.n_codes - 1, xp.inf, middle) if self.missing else middle


def make_table(X: Array, max_bins: int | None, weights: Array | None = None) -> TreeTable:
    """Number the values of each column.

    Parameters
    ----------
    X : array (n_samples, n_features)
        NaN: missing.  Compared in float32, as scikit-learn does.
    max_bins : int, optional
        Into how many bins of about as many samples each column is divided; None: every value for itself.
    weights : array (n_samples,), optional
        Bins have about the same weight each; samples of weight zero have no say in where they end.

    Returns
    -------
    TreeTable
    """
    xp = namespace(X)
    X = xp.astype(X, xp.float32, copy=False)
    missing = bool(to_numpy(xp.any(xp.isnan(X))))
    if max_bins is None:
        codes, orders, values = rank_columns(X)
        return TreeTable(codes, orders, values, X.shape[0] + missing, missing)
    edges = column_edges(X, max_bins, ROWS_FOR_EDGES, weights)
    codes = bin_columns(X, edges, missing_code=max_bins)
    return TreeTable(codes, None, edges, max_bins + missing, missing)


def column_edges(X: Array, max_bins: int, n_rows: int, weights: Array | None = None) -> Array:
    """Where the bins of each column end, (n_features, max_bins - 1).

    A column with at most `max_bins` different values gets a bin for each, divided halfway; another gets bins with about
    as many samples each, divided at quantiles.

    Parameters
    ----------
    X : array (n_samples, n_features)
        NaN: missing.
    max_bins : int
    n_rows : int
        Of a longer table so many rows are looked at, evenly spaced.
    weights : array (n_samples,) of float64, optional
        A sample of weight 2 counts as two.
    """
    xp = namespace(X)
    if X.shape[0] > n_rows:
        row = xp.arange(n_rows, dtype=xp.int64, device=device_of(X)) * X.shape[0] // n_rows
        X, weights = xp.take(X, row, axis=0), None if weights is None else xp.take(weights, row)
    if weights is not None:
        X = xp.where(weights[:, None] > 0, X, xp.nan)
    columns = sort_columns(X)
    is_missing = xp.isinf(columns)
    n_known = xp.sum(xp.astype(xp.logical_not(is_missing), xp.int64), axis=1, keepdims=True)
    number = xp.arange(1, max_bins, dtype=xp.int64, device=device_of(X))[None, :]
    if weights is None:
        quantiles = _quantiles(columns, n_known, number, max_bins)
    else:
        quantiles = _weighted_quantiles(X, columns, weights, number, max_bins)

    is_new = xp.astype(columns[:, 1:] > columns[:, :-1], xp.int64)
    is_known = xp.logical_not(xp.any(is_missing, axis=1, keepdims=True))
    n_distinct = xp.sum(is_new, axis=1, keepdims=True) + xp.astype(is_known, xp.int64)
    has_few = n_distinct <= max_bins
    if not bool(to_numpy(xp.any(has_few))):
        return quantiles
    ranks = xp.cumulative_sum(is_new, axis=1, include_initial=True)
    rows: list[Any] = [xp.searchsorted(ranks[j, :], number[0, :]) for j in range(ranks.shape[0])]
    first = xp.stack(rows)
    last = columns.shape[1] - 1
    upper = xp.take_along_axis(columns, xp.clip(first, 0, last), axis=1)
    lower = xp.take_along_axis(columns, xp.clip(first - 1, 0, last), axis=1)
    halfway = xp.where(number < n_distinct, lower / 2.0 + upper / 2.0, xp.inf)
    return xp.where(has_few, halfway, quantiles)


def _quantiles(columns: Array, n_known: Array, number: Array, max_bins: int) -> Array:
    """Quantiles number / max_bins of the first n_known values of each sorted row.

    The inverse of the empirical distribution function, and the mean of two values where it steps there.
    [Hyndman & Fan 1996, "Sample quantiles in statistical packages", definition 2]
    """
    xp = namespace(columns)
    rank = number * n_known
    upper = rank // max_bins
    lower = xp.where(rank % max_bins == 0, upper - 1, upper)
    last = columns.shape[1] - 1
    lower, upper = (xp.take_along_axis(columns, xp.clip(place, 0, last), axis=1) for place in (lower, upper))
    return lower / 2.0 + upper / 2.0


def _weighted_quantiles(X: Array, columns: Array, weights: Array, number: Array, max_bins: int) -> Array:
    """As `_quantiles`, where each sample (n_samples, n_features) counts as often as its weight says.

    Whole weights give exactly what samples repeated as often would.
    """
    xp = namespace(X)
    values = xp.permute_dims(X, (1, 0))
    order = xp.argsort(xp.where(xp.isnan(values), xp.inf, values), axis=1, stable=True)
    heavy = xp.where(xp.isnan(values), 0.0, weights[None, :])
    upto = xp.cumulative_sum(xp.take_along_axis(heavy, order, axis=1), axis=1)
    wanted = xp.astype(number, xp.float64) * upto[:, -1:]
    places = [
        xp.stack([xp.searchsorted(upto[j, :] * max_bins, wanted[j, :], side=side) for j in range(upto.shape[0])])
        for side in ("left", "right")
    ]
    last = columns.shape[1] - 1
    lower, upper = (xp.take_along_axis(columns, xp.clip(place, 0, last), axis=1) for place in places)
    return lower / 2.0 + upper / 2.0
