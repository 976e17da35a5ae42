"""What arrives on the host: lists, NumPy arrays, data frames, labels that are text.

Text and tables of mixed types exist only here.  Algorithms see numbers on a backend (`portml.classical.validation`).
"""

from __future__ import annotations

import numbers
from collections import Counter
from collections.abc import Iterable
from itertools import repeat
from typing import Any

import numpy as np

from portml.backends import Backend, backend_of
from portml.errors import ArgumentError, DtypeError, ShapeError

__all__ = [
    "HostArray",
    "as_floats",
    "codes_of_labels",
    "column_names",
    "device_backend",
    "host_array",
    "is_host_array",
    "is_text",
    "names_array",
    "seed_from_numpy",
]

HostArray = np.ndarray[Any, Any]


def device_backend(data: Any) -> Backend | None:
    """The backend of an array of some library, or None of anything that is on the host: NumPy, lists, data frames."""
    if data is None or isinstance(data, np.ndarray | np.generic | list | tuple | str | numbers.Number):
        return None
    if hasattr(data, "columns") or hasattr(data, "iloc") or not hasattr(data, "shape"):
        return None
    try:
        backend = backend_of(data)
    except ArgumentError:  # something else that NumPy may know how to read
        return None
    return None if backend.host and not hasattr(data, "__portml_evaluate__") else backend


def is_host_array(array: Any) -> bool:
    """Whether an array is NumPy's."""
    return isinstance(array, np.ndarray)


def is_text(array: Any) -> bool:
    """Whether an array holds text, or other objects that are no numbers."""
    return isinstance(array, np.ndarray) and array.dtype.kind in "OUS"


def is_scalar(value: Any) -> bool:
    """Whether a value is a number or truth value of NumPy."""
    return isinstance(value, np.number | np.bool_)


def scalar(value: Any, dtype: str) -> Any:
    """A number or truth value of NumPy."""
    return np.asarray(value, dtype=dtype)[()]


def host_array(data: Any, name: str) -> HostArray:
    """`data` as a NumPy array of whatever it holds.

    Parameters
    ----------
    data : list, array, data frame, or anything NumPy reads
        Columns of a data frame with missing values become floats with NaN.
    name : str
        What the messages call it.

    Raises
    ------
    DtypeError
        If `data` is sparse or a ``numpy.matrix``.
    ShapeError
        If its rows differ in length.
    ArgumentError
        If it holds complex numbers.
    """
    if hasattr(data, "toarray") and hasattr(data, "nnz"):
        raise DtypeError(
            f"Sparse data was passed for {name}, but dense data is required. "
            "Use '.toarray()' to convert to a dense numpy array."
        )
    if isinstance(data, np.matrix):
        raise DtypeError(f"{name}: np.matrix is not supported. Please convert to a numpy array with np.asarray.")
    if isinstance(data, np.ma.MaskedArray):
        raise DtypeError(f"{name}: the mask of a masked array would be lost; fill it with NaN first, x.filled(nan)")
    try:
        array = np.asarray(_with_nan_for_missing(data))
    except ValueError as error:
        raise ShapeError(f"{name}: expected rows of the same length; {error}") from error
    if array.dtype.kind == "c":
        raise ArgumentError(f"Complex data not supported\n{array}\n")
    return array


def as_floats(array: HostArray, name: str) -> HostArray:
    """`array` in float32 or float64: those stay, whatever else is a number becomes float64.

    Raises
    ------
    ArgumentError
        If it holds text.
    DtypeError
        If it holds objects that are no numbers.
    """
    if array.dtype in (np.float32, np.float64):
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind in "USV":
        raise ArgumentError(
            f"dtype='numeric' is not compatible with arrays of bytes/strings. {name} holds {array.dtype}: "
            "convert your data to numeric values explicitly instead, as with OneHotEncoder."
        )
    if array.dtype.kind in "mM":
        raise DtypeError(f"{name}: expected numbers, got {array.dtype}; convert dates and durations to numbers first")
    try:
        return array.astype(np.float64)
    except TypeError as error:
        raise DtypeError(f"{name}: {error}") from error
    except ValueError as error:
        raise ArgumentError(f"{name}: {error}") from error


def column_names(data: Any) -> HostArray | None:
    """The names of a data frame's columns as an array (n_features,) of text, or None if it has none that are text.

    Raises
    ------
    DtypeError
        If some names are text and some are not.
    """
    columns = getattr(data, "columns", None)
    if columns is None or isinstance(data, np.ndarray):
        return None
    names = np.asarray(list(columns), dtype=object)
    types = sorted({type(name).__qualname__ for name in names})
    if len(types) > 1 and "str" in types:
        raise DtypeError(
            "Feature names are only supported if all input features have string names, "
            f"but your input has {types} as feature name / column name types. "
            "If you want feature names to be stored and validated, you must convert them all to strings, by using "
            "X.columns = X.columns.astype(str) for example."
        )
    return names if types == ["str"] else None


def names_array(names: Any) -> HostArray:
    """Names as an array (n_features,) of text, the kind that `feature_names_in_` is."""
    return np.asarray([str(name) for name in names], dtype=object)


def codes_of_labels(y: HostArray, classes: HostArray | None = None) -> tuple[HostArray, HostArray]:
    """Labels as positions in the sorted classes.

    Parameters
    ----------
    y : array (n_samples,)
        Whole numbers, truth values or text.
    classes : array (n_classes,), optional
        The classes, where they are known already; None takes those that occur.

    Returns
    -------
    codes : array (n_samples,) of int64
    classes : array (n_classes,) of y's dtype

    Raises
    ------
    ArgumentError
        If `y` is continuous, holds missing values, mixes text and numbers, or has a label that is not in `classes`.
    """
    _refuse_what_is_no_label(y)
    if classes is None:
        return _codes_of_what_occurs(y)
    classes = np.unique(classes)
    codes = np.searchsorted(classes, y)
    unknown = np.unique(y[classes[np.minimum(codes, len(classes) - 1)] != y])
    if len(unknown):
        raise ArgumentError(f"y: got labels {unknown.tolist()} that are not in classes {classes.tolist()}")
    return codes.astype(np.int64), classes


def host_columns(X: Any) -> list[HostArray]:
    """The columns (n_samples,) of a table on the host, each in its own data type.

    A column of objects that are all numbers becomes one of numbers; text stays, missing values in it as None or NaN.

    Raises
    ------
    ShapeError
        If X has not two dimensions.
    DtypeError
        If a column mixes text and numbers.
    """
    if hasattr(X, "iloc") and hasattr(X, "columns"):
        columns = [host_array(X.iloc[:, index], "X") for index in range(X.shape[1])]
    elif hasattr(X, "get_columns"):
        columns = [host_array(column, "X") for column in X.get_columns()]
    else:
        table = host_array(X, "X")
        if table.dtype.kind in "US" and not hasattr(X, "dtype"):
            table = np.asarray(X, dtype=object)  # numbers beside text would have become text
        columns = [table] if table.ndim != 2 else [*table.T]
        if table.ndim != 2 or not table.size:
            raise ShapeError(_shape_expected(table))
    return [_uniform(column) for column in columns]


def sorted_categories(column: HostArray) -> HostArray:
    """The values that occur, sorted; None and NaN, where they do, at the end."""
    if column.dtype.kind != "O":
        return np.unique(column)
    found = {*column.tolist()}
    missing = [value for value in (None, np.nan) if any(_same_missing(value, each) for each in found)]
    return objects([*sorted(each for each in found if not is_missing(each)), *missing])


def positions_in(column: HostArray, categories: HostArray) -> HostArray:
    """Where each value of a column of text stands among the categories, -1 of those that are not there; int64."""
    places = {value: index for index, value in enumerate(categories.tolist()) if not is_nan(value)}
    values = column.tolist()
    codes = np.fromiter(map(places.get, values, repeat(-1)), dtype=np.int64, count=len(values))
    if len(places) < len(categories):  # NaN is one of them, and equals nothing
        for index in np.flatnonzero(codes < 0).tolist():
            codes[index] = len(categories) - 1 if is_nan(values[index]) else -1
    return codes


def objects(values: list[Any]) -> HostArray:
    """An array (n,) of objects."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def holds_text(X: Any) -> bool:
    """Whether a table on the host has columns of text."""
    if isinstance(X, np.ndarray) and X.dtype.kind in "biuf":
        return False
    return any(is_text(column) for column in host_columns(X))


def missing_mask(table: HostArray) -> HostArray:
    """Where text is None or NaN, an array of bool of the same shape."""
    flags = [is_missing(value) for value in table.ravel().tolist()]
    return np.asarray(flags, dtype=bool).reshape(table.shape)


def equal_mask(table: HostArray, value: Any) -> HostArray:
    """Where text has one value, an array of bool of the same shape."""
    flags = [each is value or each == value for each in table.ravel().tolist()]
    return np.asarray(flags, dtype=bool).reshape(table.shape)


def filled(table: HostArray, mask: HostArray, value: Any) -> HostArray:
    """A table as objects, with `value` where `mask` says."""
    table = table.astype(object)
    table[mask] = value
    return table


def most_frequent_object(values: HostArray, of_none: Any) -> Any:
    """The text that occurs most often, of several the first in order; `of_none` where there is none."""
    counts = Counter(values.tolist())
    return min(counts, key=lambda value: (-counts[value], value)) if counts else of_none


def objects_of_kind(values: list[Any], shape: list[int], kind: str) -> HostArray:
    """An array of objects ("O") or of text as wide as its longest ("U", "S")."""
    array = objects(values).reshape(shape)
    return array if kind == "O" else array.astype(kind)


def float_array(values: list[float]) -> HostArray:
    """Numbers (n,) as float64."""
    return np.asarray(values, dtype=np.float64)


def stack_objects(columns: list[HostArray]) -> HostArray:
    """Columns (n_samples,) as a table (n_samples, n_features) of objects."""
    return np.stack([column.astype(object) for column in columns], axis=1)


def hstack_objects(tables: list[HostArray]) -> HostArray:
    """Tables side by side as one of objects."""
    return np.concatenate([table.astype(object) for table in tables], axis=1)


def is_nan(value: Any) -> bool:
    """Whether a value is the number NaN."""
    return isinstance(value, float | np.floating) and value != value


def is_missing(value: Any) -> bool:
    """Whether a value stands for a missing one."""
    return value is None or is_nan(value)


def dtype_name(dtype: Any) -> str:
    """The name of a data type: "float32" of ``numpy.float32``, "float64" of ``float``."""
    return dtype if isinstance(dtype, str) else np.dtype(dtype).name


def seed_from_numpy(random_state: Any) -> int | None:
    """A seed drawn from a generator of NumPy, or None if `random_state` is none."""
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(0, 2**31 - 1))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(0, 2**63 - 1))
    return None


def _uniform(column: HostArray) -> HostArray:
    """A column of objects as numbers if it has nothing else, or as text."""
    if column.dtype.kind in "mMV":
        return as_floats(column, "X")
    if column.dtype.kind != "O":
        return column
    values = column.tolist()
    try:
        distinct: Iterable[Any] = {*values}
    except TypeError:  # of objects that are no categories either; refused below
        distinct = values
    if any(type(value).__name__ == "NAType" for value in distinct):
        return _uniform(objects([np.nan if type(value).__name__ == "NAType" else value for value in values]))
    kinds = {type(value) for value in distinct if not is_missing(value)}
    if kinds and all(issubclass(kind, numbers.Real | np.bool_) for kind in kinds):
        return column.astype(np.float64) if any(value is None for value in distinct) else np.asarray(values)
    if not all(issubclass(kind, str) for kind in kinds) and not all(issubclass(kind, bytes) for kind in kinds):
        names = sorted(kind.__qualname__ for kind in kinds)
        raise DtypeError(
            f"Encoders require their input argument must be uniformly strings or numbers. Got {names} in a column of X"
        )
    return column


def _same_missing(value: Any, other: Any) -> bool:
    return value is other or (is_nan(value) and is_nan(other))


def _shape_expected(table: HostArray) -> str:
    if table.ndim == 2:
        what = "sample" if table.shape[0] == 0 else "feature"
        return f"Found array with 0 {what}(s) (shape={table.shape}) while a minimum of 1 is required."
    found = {0: "scalar array", 1: "1D array"}.get(table.ndim, f"array with dim {table.ndim}")
    return (
        f"Expected 2D array, got {found} instead:\narray={table}.\nReshape your data either using array.reshape(-1, 1) "
        "if your data has a single feature or array.reshape(1, -1) if it contains a single sample."
    )


def _codes_of_what_occurs(y: HostArray) -> tuple[HostArray, HostArray]:
    """Codes and sorted classes; without sorting the samples where that can be spared."""
    if y.dtype.kind == "O":
        values = y.tolist()
        labels = sorted({*values})
        places = {label: code for code, label in enumerate(labels)}
        return np.fromiter(map(places.__getitem__, values), dtype=np.int64, count=len(values)), objects(labels)
    if y.dtype.kind in "iu" and len(y) and int(y.max()) - int(y.min()) < 2 * len(y):
        offsets = y.astype(np.int64) - y.min(keepdims=True).astype(np.int64)
        occurs = np.bincount(offsets) > 0
        return (np.cumsum(occurs) - 1)[offsets], np.flatnonzero(occurs).astype(y.dtype) + y.min(keepdims=True)
    classes, codes = np.unique(y, return_inverse=True)
    return codes.astype(np.int64), classes


def _refuse_what_is_no_label(y: HostArray) -> None:
    if y.dtype.kind == "O":
        kinds = {type(label) for label in y}
        if type(None) in kinds or any(isinstance(label, float) and label != label for label in y):
            raise ArgumentError("Input y contains NaN.")
        if not all(issubclass(kind, str) for kind in kinds):
            if any(issubclass(kind, str) for kind in kinds):
                names = sorted(kind.__name__ for kind in kinds)
                raise ArgumentError(f"y: labels must be uniformly strings or numbers, got {names}")
            raise ArgumentError(_unknown_label_type("unknown"))
    elif y.dtype.kind == "f":
        if not np.all(np.isfinite(y)):
            what = "NaN" if np.any(np.isnan(y)) else f"infinity or a value too large for {y.dtype!r}"
            raise ArgumentError(f"Input y contains {what}.")
        if np.any(y != np.floor(y)):
            raise ArgumentError(_unknown_label_type("continuous"))
    elif y.dtype.kind not in "biuUS":
        raise ArgumentError(_unknown_label_type("unknown"))


def _unknown_label_type(kind: str) -> str:
    return (
        f"Unknown label type: {kind}. Maybe you are trying to fit a classifier, "
        "which expects discrete classes on a regression target with continuous values."
    )


def _with_nan_for_missing(data: Any) -> Any:
    """Nullable columns of pandas as floats, where NumPy alone would make objects of them."""
    if hasattr(getattr(data, "dtype", None), "numpy_dtype"):  # a nullable series
        return (
            data.to_numpy(dtype=np.float64, na_value=np.nan)
            if data.isna().any()
            else data.to_numpy(dtype=data.dtype.numpy_dtype)
        )
    dtypes = getattr(data, "dtypes", None)
    if dtypes is None or not hasattr(data, "iloc") or not hasattr(dtypes, "items"):
        return data
    nullable = {column: np.float64 for column, dtype in dtypes.items() if hasattr(dtype, "numpy_dtype")}
    return data.astype(nullable) if nullable else data
