"""One-hot encoding: a column of zeros and ones for every category."""

from __future__ import annotations

import warnings
from typing import Any, Self

from portml.backends import Array, namespace, to_numpy
from portml.classical import host
from portml.classical.categories import category_lists, codes_of, refuse_unknown, take_categories, unknown_values
from portml.classical.transformer import Transformer, input_names
from portml.classical.validation import check_parameter, read_columns, read_data
from portml.errors import ArgumentError, ShapeError

__all__ = ["OneHotEncoder"]


class OneHotEncoder(Transformer):
    """Encode text or numbers that name categories as columns of which exactly one is 1.

    Parameters
    ----------
    categories : "auto" or list of arrays
        The categories of each feature, sorted if they are numbers; "auto" takes those that occur, missing values
        among them.
    drop : {"first", "if_binary"}, list or None
        A category of each feature that gets no column: the first, the first of features with two, or the one listed.
    sparse_output : False
        Results are dense; there to be read, as scikit-learn's default differs.
    dtype : str or dtype
        Of the result.
    handle_unknown : {"error", "ignore"}
        Whether a category that was not there in fit is an error, or all zeros.
    backend : str or Backend, optional
        Where the result goes if X arrives on the host.

    Attributes
    ----------
    categories_ : list of arrays (n_categories,)
        On X's backend, or on the host if they are text.
    drop_idx_ : array (n_features,) of objects, or None
        The position of the category dropped, None of features where none is.
    n_features_in_ : int
    feature_names_in_ : array (n_features,) of str
        Where X was a data frame.
    """

    def __init__(
        self,
        *,
        categories: Any = "auto",
        drop: Any = None,
        sparse_output: bool = False,
        dtype: Any = "float64",
        handle_unknown: str = "error",
        backend: Any = None,
    ) -> None:
        self.categories = categories
        self.drop = drop
        self.sparse_output = sparse_output
        self.dtype = dtype
        self.handle_unknown = handle_unknown
        self.backend = backend

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the categories of every feature of X (n_samples, n_features); `y` is not looked at."""
        check_parameter(self, "sparse_output", not self.sparse_output, "False, as results are dense")
        known = self.handle_unknown in ("error", "ignore")
        check_parameter(self, "handle_unknown", known, "a str among {'error', 'ignore'}")
        columns, backend = read_columns(self, X, reset=True)
        self.categories_ = category_lists(columns, backend, self.categories, refuse=self.handle_unknown == "error")
        self.drop_idx_ = self._find_dropped()
        return self

    def transform(self, X: Any) -> Array:
        """X (n_samples, n_features) as zeros and ones, (n_samples, n_encoded_features)."""
        columns, backend = read_columns(self, X)
        coded = [codes_of(*pair, backend) for pair in zip(columns, self.categories_, strict=True)]
        if self.handle_unknown == "error":
            refuse_unknown(columns, coded, "transform")
        elif self.drop is not None:
            self._warn_of_unknown(columns, coded)
        xp, dtype = backend.xp, backend.dtype(host.dtype_name(self.dtype))
        blocks = []
        for (codes, known), kept in zip(coded, self._kept(), strict=True):
            places = xp.asarray(kept, dtype=xp.int64, device=backend.device)
            blocks.append(xp.astype((codes[:, None] == places[None, :]) & known[:, None], dtype))
        return xp.concat(blocks, axis=1)

    def inverse_transform(self, X: Any) -> Array:
        """The categories of encoded X: (n_samples, n_features), of objects on the host where some are text.

        Of a row of zeros the dropped category; where none is, None, or NaN among numbers.

        Raises
        ------
        ShapeError
            If X has not the columns that `transform` gives.
        """
        kept = self._kept() if hasattr(self, "categories_") else []
        X = read_data(self, X, columns=sum(map(len, kept)))
        xp = namespace(X)
        columns, start = [], 0
        for index, places in enumerate(kept):
            block, start = X[:, start : start + len(places)], start + len(places)
            categories, dropped = self.categories_[index], None if self.drop_idx_ is None else self.drop_idx_[index]
            if not places:  # the only category is dropped
                columns.append(take_categories(categories, xp.zeros(X.shape[0], dtype=xp.int64, device=X.device)))
                continue
            codes = xp.take(xp.asarray(places, dtype=xp.int64, device=X.device), xp.argmax(block, axis=1), axis=0)
            some = xp.any(block != 0, axis=1)
            if dropped is None:
                columns.append(take_categories(categories, codes, some))
            else:
                columns.append(take_categories(categories, xp.where(some, codes, dropped)))
        return table_of(columns)

    def get_feature_names_out(self, input_features: Any = None) -> host.HostArray:
        """The names of the columns of the result: ``feature_category``."""
        names = input_names(self, input_features)
        found = []
        for name, categories, kept in zip(names, self.categories_, self._kept(), strict=True):
            values = to_numpy(categories) if not host.is_text(categories) else categories
            found += [f"{name}_{values[place]}" for place in kept]
        return host.names_array(found)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _kept(self) -> list[list[int]]:
        """The positions of the categories that have a column, for each feature."""
        dropped = [None] * len(self.categories_) if self.drop_idx_ is None else self.drop_idx_
        return [
            [place for place in range(categories.shape[0]) if place != without]
            for categories, without in zip(self.categories_, dropped, strict=True)
        ]

    def _find_dropped(self) -> Any:
        """The position of the category to drop, for each feature."""
        if self.drop is None:
            return None
        sizes = [categories.shape[0] for categories in self.categories_]
        if isinstance(self.drop, str):
            check_parameter(self, "drop", self.drop in ("first", "if_binary"), "'first', 'if_binary', a list or None")
            return host.objects([0 if self.drop == "first" or size == 2 else None for size in sizes])
        drop = list(self.drop)
        if len(drop) != len(sizes):
            raise ShapeError(
                f"`drop` should have length equal to the number of features ({len(sizes)}), got {len(drop)}"
            )
        found, missing = [], []
        for index, (value, categories) in enumerate(zip(drop, self.categories_, strict=True)):
            values = (categories if host.is_text(categories) else to_numpy(categories)).tolist()
            places = [
                place for place, each in enumerate(values) if each == value or host.is_nan(each) & host.is_nan(value)
            ]
            found.append(places[0] if places else None)
            missing += [] if places else [f"Category: {value}, Feature: {index}"]
        if missing:
            raise ArgumentError(
                "The following categories were supposed to be dropped, but were not found in the training data.\n"
                + "\n".join(missing)
            )
        return host.objects(found)

    def _warn_of_unknown(self, columns: list[Array], coded: list[tuple[Array, Array]]) -> None:
        with_unknown = [
            index
            for index, (column, (_, known)) in enumerate(zip(columns, coded, strict=True))
            if unknown_values(column, known)
        ]
        if with_unknown:
            warnings.warn(
                f"Found unknown categories in columns {with_unknown} during transform. "
                "These unknown categories will be encoded as all zeros",
                UserWarning,
                stacklevel=4,
            )


def table_of(columns: list[Array]) -> Array:
    """Columns (n_samples,) as a table: of objects on the host where one is text, else of numbers."""
    if any(host.is_text(column) for column in columns):
        return host.stack_objects([column if host.is_host_array(column) else to_numpy(column) for column in columns])
    xp = namespace(*columns)
    if len({str(column.dtype) for column in columns}) > 1:
        columns = [xp.astype(column, xp.float64) for column in columns]
    return xp.stack(columns, axis=1)
