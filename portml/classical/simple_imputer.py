"""Imputation: missing values replaced by a statistic of their column."""

from __future__ import annotations

import warnings
from typing import Any, Self

from portml.backends import Array, namespace, operations, to_numpy
from portml.classical import host
from portml.classical.transformer import Transformer, input_names
from portml.classical.validation import check_parameter, read_columns, read_data, read_training_data
from portml.errors import ArgumentError

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
        self._text = host.device_backend(X) is None and host.holds_text(X)
        blocks = self._blocks(X, reset=True)
        missing = [self._missing(block) for block in blocks]
        self.indicator_features_ = _positions([to_numpy(namespace(each).any(each, axis=0)) for each in missing])
        full = _positions([~to_numpy(namespace(each).all(each, axis=0)) for each in missing])
        self._kept = [*range(self.n_features_in_)] if self.keep_empty_features else full
        found = [self._statistics(*pair) for pair in zip(blocks, missing, strict=True)]
        self.statistics_ = side_by_side(found)[0, :]
        return self

    def transform(self, X: Any) -> Array:
        """X (n_samples, n_features) with its missing values replaced; features that are left out are not in it."""
        blocks = self._blocks(X, reset=False)
        if len(self._kept) < self.n_features_in_:
            names = input_names(self)
            left_out = [str(name) for index, name in enumerate(names) if index not in self._kept]
            warnings.warn(
                f"Skipping features without any observed values: {left_out}. At least one non-missing value is needed "
                f"for imputation with strategy={self.strategy!r}.",
                UserWarning,
                stacklevel=3,
            )
        missing = [self._missing(block) for block in blocks]
        filled, start = [], 0
        for block, mask in zip(blocks, missing, strict=True):
            filled.append(_filled(block, mask, self.statistics_[start : start + block.shape[1]]))
            start += block.shape[1]
        table = _columns_of(side_by_side(filled), self._kept)
        if not self.add_indicator:
            return table
        flags = _columns_of(side_by_side(missing), self.indicator_features_)
        if not host.is_text(table):
            flags = namespace(flags).astype(flags, table.dtype)
        return side_by_side([table, flags])

    def inverse_transform(self, X: Any) -> Array:
        """The table before: what the columns of `add_indicator` say, and features left out, are missing again."""
        if not self.add_indicator:
            raise ArgumentError(
                "'inverse_transform' works only when 'SimpleImputer' is instantiated with 'add_indicator=True'. "
                f"Got 'add_indicator={self.add_indicator}' instead."
            )
        table = X if host.device_backend(X) is not None else host.host_array(X, "X")
        columns: list[Array] = []
        for index in range(self.n_features_in_):
            if index not in self._kept:
                nothing = table[:, :1]
                flag, column = nothing == nothing, nothing
            else:
                place = self._kept.index(index)
                column = table[:, place : place + 1]
                if index not in self.indicator_features_:
                    columns.append(column)
                    continue
                place = len(self._kept) + self.indicator_features_.index(index)
                flag = table[:, place : place + 1] == 1
            if host.is_text(table):
                columns.append(host.filled(column, flag, self.missing_values))
            else:
                columns.append(namespace(column).where(flag, self.missing_values, column))
        return side_by_side(columns)

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

    def _blocks(self, X: Any, *, reset: bool) -> list[Array]:
        """X as a table of floats, or, where there is text, as tables of a column each."""
        if not self._text:
            if reset:
                return [read_training_data(self, X, allow_nan=True).X]
            return [read_data(self, X, allow_nan=True)]
        columns, backend = read_columns(self, X, reset=reset)
        xp = backend.xp
        return [
            column[:, None] if host.is_text(column) else xp.astype(column, xp.float64)[:, None] for column in columns
        ]

    def _missing(self, block: Array) -> Array:
        """Where the values of a table are missing, an array of bool beside it."""
        wanted = self.missing_values
        if host.is_text(block):
            return host.missing_mask(block) if host.is_nan(wanted) else host.equal_mask(block, wanted)
        xp = namespace(block)
        if host.is_nan(wanted):
            return xp.isnan(block)
        if bool(to_numpy(xp.any(xp.isnan(block)))):
            raise ArgumentError(f"Input X contains NaN, and missing_values={wanted!r} says it is no missing value.")
        return xp.zeros_like(block, dtype=xp.bool) if wanted is None or isinstance(wanted, str) else block == wanted

    def _statistics(self, block: Array, missing: Array) -> Array:
        """What replaces the missing values of a table (n_samples, k), as an array (1, k)."""
        of_none: Any = 0.0 if self.keep_empty_features else float("nan")
        if host.is_text(block):
            if self.strategy in ("mean", "median"):
                raise ArgumentError(
                    f"Cannot use {self.strategy} strategy with non-numeric data: a column of X holds text; "
                    "use strategy='most_frequent' or 'constant'"
                )
            values = block[~missing]
            constant = "missing_value" if self.fill_value is None else self.fill_value
            if self.strategy == "constant":
                return host.objects([constant if len(values) or self.keep_empty_features else of_none])[None, :]
            return host.objects([host.most_frequent_object(values, of_none)])[None, :]
        xp = namespace(block)
        if self.strategy == "constant":
            constant = 0 if self.fill_value is None else self.fill_value
            if isinstance(constant, str):
                raise ArgumentError(f"fill_value={constant!r} cannot be cast to the input data that is {block.dtype}.")
            found, of_none = (
                xp.full_like(block[:1, :], float(constant)),
                constant if self.keep_empty_features else of_none,
            )
        else:
            found = {"mean": mean, "median": median, "most_frequent": most_frequent}[self.strategy](block, missing)
        return xp.where(xp.all(missing, axis=0, keepdims=True), float(of_none), found)


def mean(X: Array, missing: Array) -> Array:
    """The mean of the values of each column of X (n_samples, k) that are not missing, as an array (1, k)."""
    xp = namespace(X)
    total = xp.sum(xp.where(missing, 0.0, X), axis=0, keepdims=True, dtype=xp.float64)
    count = xp.sum(xp.astype(~missing, xp.float64), axis=0, keepdims=True)
    return xp.astype(total / xp.where(count == 0, 1.0, count), X.dtype)


def median(X: Array, missing: Array) -> Array:
    """The middle of the values of each column that are not missing, or the mean of the two in the middle, (1, k)."""
    xp = namespace(X)
    ordered = xp.sort(xp.where(missing, xp.inf, X), axis=0)
    count = xp.sum(xp.astype(~missing, xp.int64), axis=0, keepdims=True)
    last = X.shape[0] - 1
    low, high = (
        operations.take_along_axis(ordered, xp.clip(place // 2, 0, last), axis=0) for place in (count - 1, count)
    )
    return 0.5 * low + 0.5 * high


def most_frequent(X: Array, missing: Array) -> Array:
    """The value of each column that occurs most often among those not missing, of several the least, (1, k)."""
    xp = namespace(X)
    ordered = xp.sort(xp.where(missing, xp.inf, X), axis=0)
    found = []
    for index in range(X.shape[1]):
        column = ordered[:, index]
        times = xp.searchsorted(column, column, side="right") - xp.searchsorted(column, column, side="left")
        times = xp.where(column == xp.inf, 0, xp.astype(times, xp.int64))
        found.append(operations.take(column, xp.argmax(times, keepdims=True), axis=0))
    return xp.stack(found, axis=1)


def side_by_side(blocks: list[Array]) -> Array:
    """Tables as one: of objects on the host where one is text, else of numbers."""
    if len(blocks) == 1:
        return blocks[0]
    if any(host.is_text(block) for block in blocks):
        return host.hstack_objects([block if host.is_host_array(block) else to_numpy(block) for block in blocks])
    return namespace(*blocks).concat(blocks, axis=1)


def _filled(block: Array, missing: Array, values: Array) -> Array:
    """A table (n_samples, k) with `values` (k,) where it is missing."""
    if host.is_text(values):
        if host.is_text(block):
            return host.filled(block, missing, values[0])
        only = values[0]
        if isinstance(only, str):  # a column of text, of which all are missing this time
            return host.filled(to_numpy(block), to_numpy(missing), only)
        return namespace(block).where(missing, float(only), block)
    xp = namespace(block)
    return xp.where(missing, xp.astype(values, block.dtype, copy=False)[None, :], block)


def _columns_of(table: Array, positions: list[int]) -> Array:
    """Some columns of a table; itself if all are wanted."""
    if positions == [*range(table.shape[1])]:
        return table
    if not positions:
        return table[:, :0]
    if host.is_host_array(table):
        return table[:, positions]
    xp = namespace(table)
    return xp.take(table, xp.asarray(positions, dtype=xp.int64, device=table.device), axis=1)


def _positions(flags: list[Array]) -> list[int]:
    """Where arrays of truth values on the host, one after the other, are true."""
    return [index for index, flag in enumerate(flag for each in flags for flag in each.tolist()) if flag]
