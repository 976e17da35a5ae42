"""What goes into an estimator, checked once and brought to one backend.

Everything follows X: its backend is where targets and weights are brought, where the algorithm runs, and where the
results stay.  ``estimator.backend`` says where X itself goes when it arrives on the host.  Messages are worded as
scikit-learn's, which a user of these interfaces knows.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from portml.backends import Array, Backend, backend_of, dtype_kind, get_backend, namespace, to_numpy
from portml.classical import host
from portml.classical.feature_names import check_names
from portml.classical.scikit_learn import also_theirs, warn
from portml.errors import (
    ArgumentError,
    DataConversionWarning,
    DtypeError,
    MixedBackendsError,
    NotFittedError,
    ShapeError,
)
from portml.random import Generator

__all__ = [
    "TrainingData",
    "check_lengths",
    "check_parameter",
    "fitted_backend",
    "generator_of",
    "labels_of",
    "read_columns",
    "read_data",
    "read_targets",
    "read_training_data",
    "read_weights",
    "refuse_negative",
    "require_fitted",
]

RESHAPE = (
    "Reshape your data either using array.reshape(-1, 1) if your data has a single feature or array.reshape(1, -1) "
    "if it contains a single sample."
)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What an algorithm learns from, all on one backend.

    Attributes
    ----------
    X : array (n_samples, n_features), float32 or float64
    y : array or None
        Targets (n_samples,) or (n_samples, n_outputs) of X's dtype; codes (n_samples,) of int64 where labels were
        asked for; None where there is no target.
    classes : array (n_classes,) or None
        The sorted labels that the codes stand for, on X's backend, or on the host if they are text.
    sample_weight : array (n_samples,) of X's dtype, or None
    xp : module
        The namespace of X.
    backend : Backend
    """

    X: Array
    y: Array
    classes: Array
    sample_weight: Array
    xp: Any
    backend: Backend


def read_training_data(
    estimator: Any,
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    labels: bool = False,
    multi_output: bool = False,
    allow_nan: bool = False,
    minimum_samples: int = 1,
    dtype: str = "float",
    classes: Any = None,
    non_negative_weights: bool = False,
    reset: bool = True,
) -> TrainingData:
    """Check what `fit` was given, and bring it to X's backend.

    Sets `n_features_in_`, and `feature_names_in_` where X is a data frame with names.

    Parameters
    ----------
    estimator : Estimator
    X : array, list or data frame (n_samples, n_features)
    y : array, list or series (n_samples,) or (n_samples, n_outputs), optional
        Estimators that are classifiers or regressors need it; others pass None.
    sample_weight : array (n_samples,) or float, optional
    labels : bool
        Whether `y` holds labels: they become codes, and `classes` says of what.
    multi_output : bool
        Whether `y` may have two dimensions; otherwise a single column is flattened with a warning.
    allow_nan : bool
        Whether X may have missing values as NaN.
    minimum_samples : int
    dtype : {"float", "float32", "float64"}
        "float" keeps float32 and float64 and makes float64 of other numbers.
    classes : array (n_classes,), optional
        The labels there can be, where they are known before (partial_fit).
    non_negative_weights : bool
    reset : bool
        False checks the features of X against those of the first call instead of recording them (partial_fit).

    Raises
    ------
    ArgumentError, ShapeError, DtypeError
        In scikit-learn's words: missing or infinite values, text, complex or sparse data, wrong shapes, different
        numbers of samples, all weights zero, continuous labels.
    MixedBackendsError
        If X is on another device than ``estimator.backend`` says.
    """
    name = type(estimator).__name__
    check_names(estimator, X, reset=reset)
    backend = _backend_for(estimator, X)
    X = _read_table(X, backend, name, allow_nan=allow_nan, minimum_samples=minimum_samples, dtype=dtype)
    if reset:
        estimator.n_features_in_ = X.shape[1]
        estimator._fitted_on = (backend.name, str(backend.device))
    else:
        _check_features(estimator, X.shape[1])
    if y is None and (labels or getattr(estimator, "_requires_y", False)):
        raise ArgumentError(f"This {name} estimator requires y to be passed, but the target y is None.")
    targets = kinds = None
    if y is not None:
        targets, kinds = _read_labels(y, backend, classes) if labels else (read_targets(y, X, multi_output), None)
        check_lengths(X, targets)
    weight = None if sample_weight is None else read_weights(sample_weight, X, non_negative_weights)
    return TrainingData(X, targets, kinds, weight, namespace(X), backend)


def read_data(
    estimator: Any, X: Any, *, allow_nan: bool = False, dtype: str = "float", columns: int | None = None
) -> Array:
    """Check what a fitted estimator is asked about, and bring it to the backend on which it was fitted.

    Parameters
    ----------
    estimator : Estimator
    X : array, list or data frame (n_samples, n_features)
    allow_nan : bool
    dtype : {"float", "float32", "float64"}
    columns : int, optional
        How many columns X has where it is no table of the features fitted but one of results (inverse_transform);
        their names are not looked at.

    Returns
    -------
    array (n_samples, n_features), float32 or float64

    Raises
    ------
    NotFittedError
    ArgumentError
        If X has other features than those fitted, or as for `read_training_data`.
    MixedBackendsError
        If X is not where the estimator was fitted, and ``estimator.backend`` does not say to bring it there.
    """
    require_fitted(estimator)
    if columns is None:
        check_names(estimator, X, reset=False)
    backend = fitted_backend(estimator, X)
    X = _read_table(X, backend, type(estimator).__name__, allow_nan=allow_nan, dtype=dtype)
    if columns is None:
        _check_features(estimator, X.shape[1])
    elif X.shape[1] != columns:
        raise ShapeError(f"X has {X.shape[1]} columns, but {type(estimator).__name__} is expecting {columns}.")
    return X


def fitted_backend(estimator: Any, X: Any) -> Backend:
    """The backend on which an estimator was fitted, where X is or is to be brought.

    Raises
    ------
    MixedBackendsError
        If X is elsewhere.
    """
    backend = _backend_for(estimator, X)
    fitted_on = getattr(estimator, "_fitted_on", None)
    if fitted_on is not None and fitted_on != (backend.name, str(backend.device)):
        raise MixedBackendsError(
            f"X: {type(estimator).__name__} was fitted on {fitted_on[0]} ({fitted_on[1]}) and X is on {backend.name} "
            f"({backend.device}); move it with portml.backends.to(X, {fitted_on[0]!r})"
        )
    return backend


def read_columns(estimator: Any, X: Any, *, reset: bool = False) -> tuple[list[Array], Backend]:
    """Check a table whose columns may be text, and take it apart.

    Parameters
    ----------
    estimator : Estimator
    X : array, list or data frame (n_samples, n_features)
        Missing values, as NaN or None, are allowed.
    reset : bool
        Whether to record the features of X, as fit does, instead of checking them.

    Returns
    -------
    columns : list of arrays (n_samples,)
        Numbers on the backend, text on the host.
    backend : Backend
        That of X, or the one asked for.
    """
    if not reset:
        require_fitted(estimator)
    check_names(estimator, X, reset=reset)
    backend = _backend_for(estimator, X) if reset else fitted_backend(estimator, X)
    if host.device_backend(X) is None:
        columns = [column if host.is_text(column) else backend.asarray(column) for column in host.host_columns(X)]
    else:
        table = _read_table(X, backend, type(estimator).__name__, allow_nan=True)
        columns = [table[:, index] for index in range(table.shape[1])]
    for column in columns:
        if not host.is_text(column) and dtype_kind(column.dtype) == "float":
            _refuse_nonfinite(column, "X", allow_nan=True)
    if reset:
        estimator.n_features_in_ = len(columns)
        estimator._fitted_on = (backend.name, str(backend.device))
    else:
        _check_features(estimator, len(columns))
    return columns, backend


def require_fitted(estimator: Any) -> None:
    """Raise `NotFittedError` unless the estimator has learnt something."""
    if not any(name.endswith("_") and not name.startswith("__") for name in vars(estimator)):
        raise also_theirs(NotFittedError)(
            f"This {type(estimator).__name__} instance is not fitted yet. "
            "Call 'fit' with appropriate arguments before using this estimator."
        )


def check_parameter(estimator: Any, name: str, valid: bool, expected: str) -> None:
    """Raise `ArgumentError` unless a parameter is valid: "The 'alpha' parameter of Ridge must be `expected`. Got -1".

    `expected` in scikit-learn's words: "a float in the range [0.0, inf)", "a str among {'l2', 'none'}".
    """
    if not valid:
        value = getattr(estimator, name)
        kind = type(estimator).__name__
        raise ArgumentError(f"The {name!r} parameter of {kind} must be {expected}. Got {value!r} instead.")


def refuse_negative(X: Array, whom: str) -> None:
    """Raise `ArgumentError` if a value is below zero; `whom` is as "MultinomialNB (input X)"."""
    if _says(namespace(X).any(X < 0)):
        raise ArgumentError(f"Negative values in data passed to {whom}.")


def labels_of(codes: Array, classes: Array) -> Array:
    """The labels that codes (n_samples,) stand for: on the host if they are text, else where the codes are."""
    if host.is_host_array(classes):
        return classes[to_numpy(codes)]
    return namespace(codes, classes).take(classes, codes, axis=0)


def generator_of(random_state: Any, like: Array) -> Generator:
    """A generator on the backend of an array.

    Parameters
    ----------
    random_state : None, int, Generator, or generator of NumPy
        None draws a seed from the system; from a generator of NumPy a seed is drawn; a `portml.random.Generator` is
        used as it is.
    like : array

    Raises
    ------
    ArgumentError
        If it is none of these.
    MixedBackendsError
        If the generator draws on another backend.
    """
    backend = backend_of(like)
    if isinstance(random_state, Generator):
        if (random_state.backend.name, str(random_state.backend.device)) != (backend.name, str(backend.device)):
            raise MixedBackendsError(
                f"random_state: draws on {random_state.backend.name}, but the data is on {backend.name}; "
                f"make it with Generator(seed, backend={backend.name!r}), or pass an integer"
            )
        return random_state
    seed = secrets.randbits(63) if random_state is None else host.seed_from_numpy(random_state)
    if seed is None:
        if not isinstance(random_state, Integral) or isinstance(random_state, bool) or random_state < 0:
            raise ArgumentError(
                f"random_state: expected None, an integer of at least 0 or a generator, got {random_state!r}"
            )
        seed = int(random_state)
    return Generator(seed, backend=backend)


def _read_table(
    data: Any, backend: Backend, name: str, *, allow_nan: bool = False, minimum_samples: int = 1, dtype: str = "float"
) -> Array:
    """X as floats (n_samples, n_features) on a backend."""
    series = hasattr(data, "iloc") and len(getattr(data, "shape", ())) == 1
    X = _floats(data, backend, "X", dtype, finite=False)
    if X.ndim == 0:
        raise ShapeError(f"Expected 2D array, got scalar array instead:\narray={to_numpy(X)}.\n{RESHAPE}")
    if X.ndim == 1:
        if series:
            raise ShapeError(
                f"Expected a 2-dimensional container but got {type(data)} instead. Pass a DataFrame containing a "
                "single row (i.e. single sample) or a single column (i.e. single feature) instead. " + RESHAPE
            )
        raise ShapeError(f"Expected 2D array, got 1D array instead:\narray={to_numpy(X)}.\n{RESHAPE}")
    if X.ndim > 2:
        raise ShapeError(f"Found array with dim {X.ndim}, while dim <= 2 is required by {name}.")
    _refuse_nonfinite(X, "X", allow_nan, name)
    for length, least, what in ((X.shape[0], minimum_samples, "sample"), (X.shape[1], 1, "feature")):
        if length < least:
            raise ShapeError(
                f"Found array with {length} {what}(s) (shape={tuple(X.shape)}) while a minimum of {least} is required "
                f"by {name}."
            )
    return X


def read_targets(y: Any, X: Array, multi_output: bool) -> Array:
    """Targets of regression (n_samples,) or (n_samples, n_outputs), on X's backend and in its dtype."""
    y = _floats(y, backend_of(X), "y", X.dtype)
    if multi_output and y.ndim == 2:
        return y
    return _flat(y)


def _read_labels(y: Any, backend: Backend, known: Any) -> tuple[Array, Array]:
    """Codes on the backend, and the classes they stand for."""
    given = _flat(host.host_array(_on_host(y), "y"))
    if known is not None:
        known = host.host_array(_on_host(known), "classes")
    codes, classes = host.codes_of_labels(given, known)
    if known is None and len(given) > 20 and len(classes) > max(2, round(0.5 * len(given))):
        warn(
            UserWarning,
            "The number of unique classes is greater than 50% of the number of samples. "
            "`y` could represent a regression problem, not a classification problem.",
            stacklevel=4,
        )
    return backend.asarray(codes), classes if host.is_text(classes) else backend.asarray(classes)


def read_weights(sample_weight: Any, X: Array, non_negative: bool) -> Array:
    """Weights (n_samples,) on X's backend and in its dtype."""
    xp, n = namespace(X), X.shape[0]
    if isinstance(sample_weight, Real):
        sample_weight = [float(sample_weight)] * n
    weight = _floats(sample_weight, backend_of(X), "sample_weight", X.dtype)
    if weight.ndim != 1:
        raise ShapeError(
            f"Sample weights must be 1D array or scalar, got {weight.ndim}D array. "
            f"Expected either a scalar value or a 1D array of length {n}."
        )
    if weight.shape[0] != n:
        raise ShapeError(f"sample_weight.shape == {tuple(weight.shape)}, expected {(n,)}!")
    if not _says(xp.any(weight != 0)):
        raise ArgumentError("Sample weights must contain at least one non-zero number.")
    if non_negative:
        refuse_negative(weight, "`sample_weight`")
    return weight


def _floats(data: Any, backend: Backend, name: str, dtype: Any, *, finite: bool = True) -> Array:
    """Numbers on a backend as floats: float32 and float64 stay with "float", otherwise `dtype`."""
    xp = backend.xp
    if host.device_backend(data) is None:
        array = backend.asarray(host.as_floats(host.host_array(data, name), name))
    else:
        array = backend.asarray(data)
        kind = dtype_kind(array.dtype)
        if kind == "complex":
            raise ArgumentError(f"Complex data not supported\n{array}\n")
        if kind == "other":
            raise DtypeError(f"{name}: expected numbers, got {array.dtype}")
        if array.dtype not in (xp.float32, xp.float64):
            array = xp.astype(array, xp.float64)
    if finite:
        _refuse_nonfinite(array, name)
    return array if isinstance(dtype, str) and dtype == "float" else xp.astype(array, backend.dtype(dtype), copy=False)


def _refuse_nonfinite(array: Array, name: str, allow_nan: bool = False, estimator: str = "") -> None:
    xp = namespace(array)
    if _says(xp.all(xp.isfinite(array))):
        return
    if not allow_nan and _says(xp.any(xp.isnan(array))):
        advice = (
            f"\n{estimator} does not accept missing values encoded as NaN natively. For supervised learning, you might "
            "want to consider HistGradientBoostingClassifier and Regressor, which accept them. Alternatively, it is "
            "possible to preprocess the data, for instance with SimpleImputer in a pipeline, or drop samples with "
            "missing values."
        )
        raise ArgumentError(f"Input {name} contains NaN.{advice if estimator else ''}")
    if _says(xp.any(xp.isinf(array))):
        words = str(array.dtype).rpartition(".")[2]
        raise ArgumentError(f"Input {name} contains infinity or a value too large for dtype('{words}').")


def _check_features(estimator: Any, n_features: int) -> None:
    expected = getattr(estimator, "n_features_in_", n_features)
    if n_features != expected:
        raise ShapeError(
            f"X has {n_features} features, but {type(estimator).__name__} is expecting {expected} features as input."
        )


def check_lengths(*arrays: Array) -> None:
    """Raise `ShapeError` unless all have as many rows."""
    lengths = [array.shape[0] for array in arrays]
    if len({*lengths}) > 1:
        raise ShapeError(f"Found input variables with inconsistent numbers of samples: {lengths}")


def _backend_for(estimator: Any, data: Any) -> Backend:
    """Where the data is, or, of data on the host, where the estimator says."""
    wanted, found = getattr(estimator, "backend", None), host.device_backend(data)
    if found is None:
        return get_backend(wanted)
    if wanted is not None:
        asked = get_backend(wanted)
        if (asked.name, str(asked.device)) != (found.name, str(found.device)):
            raise MixedBackendsError(
                f"X is on {found.name} ({found.device}), but {type(estimator).__name__} has backend={wanted!r}; "
                f"move it with portml.backends.to(X, {wanted!r}), or leave the backend out: it follows X"
            )
    return found


def _on_host(data: Any) -> Any:
    """An array of a device copied to the host; whatever is there already as it is."""
    return data if host.device_backend(data) is None else to_numpy(data)


def _flat(y: Array) -> Array:
    """`y` in one dimension; a single column with a warning."""
    if y.ndim == 2 and y.shape[1] == 1:
        warn(
            DataConversionWarning,
            "A column-vector y was passed when a 1d array was expected. Please change the shape of y to "
            "(n_samples, ), for example using ravel().",
            stacklevel=5,
        )
        return y[:, 0]
    if y.ndim != 1:
        raise ShapeError(f"y should be a 1d array, got an array of shape {tuple(y.shape)} instead.")
    return y


def _says(answer: Array) -> bool:
    """Read a truth value, which waits for a device."""
    return bool(to_numpy(answer))
