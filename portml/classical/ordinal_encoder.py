"""Ordinal encoding: every category by its position among the sorted ones."""

from __future__ import annotations

from typing import Any, Self

from portml.backends import Array, dtype_kind, namespace
from portml.classical import host
from portml.classical.categories import category_lists, codes_of, has_nan, refuse_unknown, take_categories
from portml.classical.one_hot_encoder import table_of
from portml.classical.transformer import OneToOneTransformer
from portml.classical.validation import check_parameter, read_columns, read_data
from portml.errors import ArgumentError, DtypeError

__all__ = ["OrdinalEncoder"]


class OrdinalEncoder(OneToOneTransformer):
    """Encode text or numbers that name categories as 0, 1, 2, ...

    Parameters
    ----------
    categories : "auto" or list of arrays
        The categories of each feature, sorted if they are numbers; "auto" takes those that occur.
    dtype : str or dtype
        Of the result.
    handle_unknown : {"error", "use_encoded_value"}
        Whether a category that was not there in fit is an error, or becomes `unknown_value`.
    unknown_value : int or NaN, optional
        No code of a category.
    encoded_missing_value : int or NaN
        What a missing value (NaN) becomes.
    backend : str or Backend, optional
        Where the result goes if X arrives on the host.

    Attributes
    ----------
    categories_ : list of arrays (n_categories,)
        On X's backend, or on the host if they are text.
    n_features_in_ : int
    feature_names_in_ : array (n_features,) of str
        Where X was a data frame.
    """

    def __init__(
        self,
        *,
        categories: Any = "auto",
        dtype: Any = "float64",
        handle_unknown: str = "error",
        unknown_value: Any = None,
        encoded_missing_value: Any = float("nan"),
        backend: Any = None,
    ) -> None:
        self.categories = categories
        self.dtype = dtype
        self.handle_unknown = handle_unknown
        self.unknown_value = unknown_value
        self.encoded_missing_value = encoded_missing_value
        self.backend = backend

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the categories of every feature of X (n_samples, n_features); `y` is not looked at."""
        self._check_parameters()
        columns, backend = read_columns(self, X, reset=True)
        self.categories_ = category_lists(columns, backend, self.categories, refuse=self.handle_unknown == "error")
        longest = max(categories.shape[0] - has_nan(categories) for categories in self.categories_)
        for name in ("unknown_value", "encoded_missing_value"):
            value = getattr(self, name)
            if value is not None and not host.is_nan(value) and 0 <= value < longest:
                raise ArgumentError(
                    f"The used value for {name} {value} is one of the values already used for encoding."
                )
        floating = host.dtype_name(self.dtype).startswith("float")
        if not floating and host.is_nan(self.encoded_missing_value) and any(map(has_nan, self.categories_)):
            missing = [index for index, each in enumerate(self.categories_) if has_nan(each)]
            raise ArgumentError(
                f"There are missing values in features {missing}. For OrdinalEncoder to encode missing values with "
                f"dtype: {self.dtype}, set encoded_missing_value to a non-nan value, or set dtype to a float dtype"
            )
        return self

    def transform(self, X: Any) -> Array:
        """X (n_samples, n_features) as codes, of the same shape."""
        columns, backend = read_columns(self, X)
        coded = [codes_of(*pair, backend) for pair in zip(columns, self.categories_, strict=True)]
        if self.handle_unknown == "error":
            refuse_unknown(columns, coded, "transform")
        xp, dtype = backend.xp, backend.dtype(host.dtype_name(self.dtype))
        encoded = []
        for (codes, known), categories in zip(coded, self.categories_, strict=True):
            values = xp.astype(codes, dtype)
            if has_nan(categories):
                values = xp.where(codes == categories.shape[0] - 1, _number(self.encoded_missing_value, dtype), values)
            if self.handle_unknown != "error":
                values = xp.where(known, values, _number(self.unknown_value, dtype))
            encoded.append(values)
        return xp.stack(encoded, axis=1)

    def inverse_transform(self, X: Any) -> Array:
        """The categories of encoded X, of the same shape; of objects on the host where some are text.

        What was unknown is None, or NaN among numbers.
        """
        X = read_data(self, X, allow_nan=True, columns=getattr(self, "n_features_in_", None))
        xp = namespace(X)
        columns = []
        for index, categories in enumerate(self.categories_):
            values, n = X[:, index], categories.shape[0]
            if has_nan(categories):
                missing = _equals(values, self.encoded_missing_value)
                values = xp.where(missing, float(n - 1), values)
            known = (values >= 0) & (values < n)
            if self.unknown_value is not None:
                known = known & ~_equals(values, self.unknown_value)
            codes = xp.astype(xp.where(known, values, 0.0), xp.int64)
            columns.append(take_categories(categories, codes, known))
        return table_of(columns)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _check_parameters(self) -> None:
        known = self.handle_unknown in ("error", "use_encoded_value")
        check_parameter(self, "handle_unknown", known, "a str among {'error', 'use_encoded_value'}")
        value = self.unknown_value
        if self.handle_unknown == "error":
            if value is not None:
                raise DtypeError(
                    f"unknown_value should only be set when handle_unknown is 'use_encoded_value', got {value!r}."
                )
        elif host.is_nan(value):
            if not host.dtype_name(self.dtype).startswith("float"):
                raise ArgumentError(
                    f"When unknown_value is np.nan, the dtype parameter should be a float dtype. Got {self.dtype}."
                )
        elif not isinstance(value, int):
            raise DtypeError(
                "unknown_value should be an integer or np.nan when handle_unknown is 'use_encoded_value', "
                f"got {value!r}."
            )


def _equals(values: Array, number: float) -> Array:
    xp = namespace(values)
    return xp.isnan(values) if host.is_nan(number) else values == number


def _number(value: Any, dtype: Any) -> Any:
    return float(value) if dtype_kind(dtype) == "float" else int(value)
