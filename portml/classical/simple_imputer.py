"""Imputation: missing values replaced by a statistic of their column."""

from __future__ import annotations

import warnings
from typing import Any, Self

from portml.backends import Array, namespace, operations, to_numpy
from portml.classical import host
from portml.classical.one_hot_encoder import table_of
from portml.classical.transformer import Transformer, input_names
from portml.classical.validation import check_parameter, read_columns
from portml.errors import ArgumentError, ShapeError

__all__ = ["SimpleImputer", "mean", "median", "most_frequent"]

STRATEGIES = ("mean", "median", "most_frequent", "constant")


class SimpleImputer(Transformer):
    """Replace missing values.

    Parameters
    ----------
    missing_values : float, int, str or None
        What stands for a missing value; NaN by default, and then None among text too.
    strategy : {"mean", "median", "most_frequent", "constant"}
        Of ties the least value is the most frequent one; text has no mean and no median.
    fill_value : float, int or str, optional
        The constant; None is 0 of numbers and "missing_value" of text.
    add_indicator : bool
        Whether to append a column of zeros and ones, 1 where the value was missing, for each feature that had missing
        values in fit.
    keep_empty_features : bool
        Whether a feature that was always missing in fit stays, as zeros (the constant with "constant"), or is left out.
    backend : str or Backend, optional
        Where the result goes if X arrives on the host.

    Attributes
    ----------
    statistics_ : array (n_features,)
        What replaces missing values: on X's backend, or of objects on the host if a feature is text.  NaN of features
        that are left out.
    indicator_features_ : list of int
        The features that had missing values.
    n_features_in_ : int
    feature_names_in_ : array (n_features,) of str
        Where X was a data frame.
    """

    def __init__(
        self,
        *,
        missing_values: Any = float("nan"),
        strategy: str = "mean",
        fill_value: Any = None,
        add_indicator: bool = False,
        keep_empty_features: bool = False,
        backend: Any = None,
    ) -> None:
        self.missing_values = missing_values
        self.strategy = strategy
        self.fill_value = fill_value
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.backend = backend

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the statistic of every feature of X (n_samples, n_features); `y` is not looked at."""
        check_parameter(self, "strategy", self.strategy in STRATEGIES, f"a str among {set(STRATEGIES)}")
        columns, _ = read_columns(self, X, reset=True)
        missing = [self._missing(column) for column in columns]
        self.indicator_features_ = [index for index, each in enumerate(missing) if _any(each)]
        found = [self._statistic(*pair) for pair in zip(columns, missing, strict=True)]
        self._kept = [index for index, (_, empty) in enumerate(found) if self.keep_empty_features or not empty]
        self.statistics_ = table_of([statistic for statistic, _ in found])[0, :]
        return self

    def transform(self, X: Any) -> Array:
        """X (n_samples, n_features) with its missing values replaced; features that are left out are not in it."""
        columns, backend = read_columns(self, X)
        if len(self._kept) < self.n_features_in_:
            left_out = [name for index, name in enumerate(self._names()) if index not in self._kept]
            warnings.warn(
                f"Skipping features without any observed values: {left_out}. At least one non-missing value is needed "
                f"for imputation with strategy={self.strategy!r}.",
                UserWarning,
                stacklevel=3,
            )
        missing = [self._missing(column) for column in columns]
        filled = [_filled(columns[index], missing[index], self.statistics_[index]) for index in self._kept]
        if self.add_indicator:
            xp = backend.xp
            dtype = filled[0].dtype if filled and not host.is_text(filled[0]) else xp.float64
            for index in self.indicator_features_:
                filled.append(xp.astype(backend.asarray(missing[index]), dtype))
        if not filled:
            raise ShapeError("X: every feature was always missing in fit; keep_empty_features=True keeps them as zeros")
        return table_of(filled)

    def inverse_transform(self, X: Any) -> Array:
        """The table before, with what the columns of `add_indicator` say was missing; features left out stay NaN."""
        if not self.add_indicator:
            raise ArgumentError(
                "'inverse_transform' works only when 'SimpleImputer' is instantiated with 'add_indicator=True'. "
                f"Got 'add_indicator={self.add_indicator}' instead."
            )
        table = X if host.device_backend(X) is not None else host.host_array(X, "X")
        columns: list[Array] = []
        for index in range(self.n_features_in_):
            if index not in self._kept:
                columns.append(_missing_like(table[:, 0]))
                continue
            column = table[:, self._kept.index(index)]
            if index in self.indicator_features_:
                flag = table[:, len(self._kept) + self.indicator_features_.index(index)] == 1
                column = _filled(column, flag, self.missing_values)
            columns.append(column)
        return table_of(columns)

    def get_feature_names_out(self, input_features: Any = None) -> host.HostArray:
        """The names of the columns of the result; those of `add_indicator` are ``missingindicator_feature``."""
        names = input_names(self, input_features)
        found = [names[index] for index in self._kept]
        if self.add_indicator:
            found += [f"missingindicator_{names[index]}" for index in self.indicator_features_]
        return host.names_array(found)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = host.is_nan(self.missing_values)
        return tags

    def _names(self) -> list[str]:
        return [str(name) for name in input_names(self)]

    def _missing(self, column: Array) -> Array:
        """Where a column's values are missing, (n_samples,) of bool beside it."""
        if host.is_text(column):
            wanted = self.missing_values
            if host.is_nan(wanted):
                return host.missing_mask(column)
            return host.equal_mask(column, wanted)
        xp = namespace(column)
        if host.is_nan(self.missing_values):
            return (
                xp.isnan(column) if xp.isdtype(column.dtype, "real floating") else xp.zeros_like(column, dtype=xp.bool)
            )
        if isinstance(self.missing_values, str) or self.missing_values is None:
            return xp.zeros_like(column, dtype=xp.bool)
        if xp.isdtype(column.dtype, "real floating") and _any(xp.isnan(column)):
            raise ArgumentError(
                f"Input X contains NaN, and missing_values={self.missing_values!r} says it is no missing value."
            )
        return column == self.missing_values

    def _statistic(self, column: Array, missing: Array) -> tuple[Array, bool]:
        """What replaces missing values in a column, as an array (1,), and whether all of them are missing."""
        empty = not _any(~missing)
        if host.is_text(column):
            if self.strategy in ("mean", "median"):
                raise ArgumentError(
                    f"Cannot use {self.strategy} strategy with non-numeric data: a column of X holds text; "
                    "use strategy='most_frequent' or 'constant'"
                )
            constant = "missing_value" if self.fill_value is None else self.fill_value
            if self.strategy == "constant":
                value = constant if self.keep_empty_features or not empty else float("nan")
            else:
                value = host.most_frequent_object(column[~missing], 0 if self.keep_empty_features else float("nan"))
            return host.objects([value]), empty
        xp = namespace(column)
        if not xp.isdtype(column.dtype, "real floating"):
            column = xp.astype(column, xp.float64)
        if self.strategy == "constant":
            constant = 0 if self.fill_value is None else self.fill_value
            if isinstance(constant, str):
                raise ArgumentError(f"fill_value={constant!r} cannot be cast to the input data that is {column.dtype}.")
            value = float(constant) if self.keep_empty_features or not empty else float("nan")
            return xp.full_like(column[:1], value), empty
        if empty:
            return xp.full_like(column[:1], 0.0 if self.keep_empty_features else xp.nan), True
        return {"mean": mean, "median": median, "most_frequent": most_frequent}[self.strategy](column, missing), False


def mean(column: Array, missing: Array) -> Array:
    """The mean of the values of a column (n_samples,) that are not missing, as an array (1,)."""
    xp = namespace(column)
    total = xp.sum(xp.where(missing, 0.0, column), keepdims=True, dtype=xp.float64)
    return xp.astype(total / xp.sum(xp.astype(~missing, xp.float64), keepdims=True), column.dtype)


def median(column: Array, missing: Array) -> Array:
    """The middle of the values that are not missing, or the mean of the two in the middle, as an array (1,)."""
    xp = namespace(column)
    ordered = xp.sort(xp.where(missing, xp.inf, column))
    count = xp.sum(xp.astype(~missing, xp.int64), keepdims=True)
    low, high = (operations.take(ordered, place, axis=0) for place in ((count - 1) // 2, count // 2))
    return 0.5 * (low + high)


def most_frequent(column: Array, missing: Array) -> Array:
    """The value that occurs most often among those not missing, of several the least, as an array (1,)."""
    xp = namespace(column)
    ordered = xp.sort(xp.where(missing, xp.inf, column))
    times = xp.searchsorted(ordered, ordered, side="right") - xp.searchsorted(ordered, ordered, side="left")
    times = xp.where(ordered == xp.inf, 0, xp.astype(times, xp.int64))
    return operations.take(ordered, xp.argmax(times, keepdims=True), axis=0)


def _filled(column: Array, missing: Array, value: Any) -> Array:
    """A column with `value`, a scalar or an array of one, where it is missing."""
    if host.is_text(column):
        return host.filled(column, missing, value)
    xp = namespace(column)
    if not xp.isdtype(column.dtype, "real floating"):
        column = xp.astype(column, xp.float64)
    if hasattr(value, "dtype") and not host.is_text(value) and hasattr(value, "ndim"):
        value = xp.astype(xp.asarray(value, device=column.device), column.dtype)
    return xp.where(missing, value, column)


def _missing_like(column: Array) -> Array:
    if host.is_text(column):
        return host.objects([float("nan")] * len(column))
    return namespace(column).full_like(column, float("nan"))


def _any(mask: Array) -> bool:
    return bool(to_numpy(namespace(mask).any(mask)))
