"""What a measure is given: arrays as they are, anything else from the host brought to where the arrays are.

Labels may be text, which lives on the host alone.  The classes that occur are looked for on the host, which waits for a
device; with ``labels=`` they are given and nothing is waited for.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

from portml.backends import Array, backend_of, device_of, dtype_kind, get_backend, namespace, to_numpy
from portml.backends.operations import unique_values
from portml.errors import ArgumentError, MixedBackendsError, ShapeError, UndefinedMetricWarning

__all__ = [
    "Labels",
    "codes_of",
    "divided",
    "float_type",
    "gathered",
    "is_text",
    "read_labels",
    "refuse_unequal_lengths",
    "sorted_labels",
    "warn_undefined",
    "weights_like",
]

HOST = get_backend("numpy")


class Labels(NamedTuple):
    """Two sets of labels as codes.

    Attributes
    ----------
    true, predicted : array (n_samples,), int64
        Positions in `classes`; ``len(classes)`` for a label that is none of them.
    classes : array (n_classes,)
    """

    true: Array
    predicted: Array
    classes: Array


def gathered(*values: Any) -> tuple[Array, ...]:
    """Each value as an array; lists, series and numbers on the backend of the arrays among them, else on the host.

    Text stays on the host.  None stays None.
    """
    arrays = [value for value in values if _is_array(value)]
    home = next((array for array in arrays if not is_text(array)), None)
    return tuple(value if value is None or _is_array(value) else _array_of(value, home) for value in values)


def refuse_unequal_lengths(**arrays: Array) -> None:
    """Raise ShapeError unless all arrays that are not None have one length, of at least 1."""
    found = {name: tuple(array.shape) for name, array in arrays.items() if array is not None}
    lengths = {shape[:1] for shape in found.values()}
    if () in lengths:
        name = next(name for name, shape in found.items() if shape == ())
        raise ShapeError(f"{name}: expected one value a sample, got a single number")
    if len(lengths) > 1:
        raise ShapeError(f"Found input variables with inconsistent numbers of samples: {found}")
    if lengths == {(0,)}:
        raise ShapeError(f"{next(iter(found))}: expected at least one sample, got none")


def read_labels(y_true: Array, y_pred: Array, labels: Array | None = None) -> Labels:
    """Codes of labels (n_samples,), and the classes they stand for.

    Parameters
    ----------
    y_true, y_pred : array (n_samples,)
        Whole numbers, truth values or text.
    labels : array (n_classes,), optional
        The classes in an order of the caller's; None takes those that occur in either, sorted.

    Raises
    ------
    ArgumentError
        If a label is no whole number, or text and numbers are mixed.
    ShapeError
        If they are not one-dimensional.
    """
    for name, y in (("y_true", y_true), ("y_pred", y_pred)):
        if len(y.shape) != 1:
            raise ShapeError(
                f"{name}: expected one label a sample, (n_samples,), got {tuple(y.shape)}; multilabel is not supported"
            )
    if is_text(y_true) != is_text(y_pred):
        raise ArgumentError("Mix of label input types (string and number): y_true and y_pred must be of one kind")
    classes = sorted_labels(y_true, y_pred) if labels is None else labels
    return Labels(codes_of(y_true, classes), codes_of(y_pred, classes), classes)


def sorted_labels(*ys: Array) -> Array:
    """The labels that occur, sorted, where the arrays are; they are looked for on the host."""
    found = unique_values(HOST.xp.concat([unique_values(to_numpy(y)) for y in ys]))
    if dtype_kind(found.dtype) == "float" and bool((found != HOST.xp.floor(found)).any()):
        raise ArgumentError("continuous is not supported: labels must be whole numbers, truth values or text")
    return found if is_text(found) else backend_of(ys[0]).asarray(found)


def codes_of(y: Array, classes: Array) -> Array:
    """Positions (n_samples,) of labels in `classes`; ``len(classes)`` for what is not among them."""
    if is_text(y) != is_text(classes):
        raise ArgumentError(f"labels: expected the kind of the targets, {y.dtype}, got {classes.dtype}")
    xp, n = namespace(y, classes), classes.shape[0]
    if not is_text(y):
        y, classes = _comparable(xp, y, classes)
    order = xp.argsort(classes)
    ascending = xp.take(classes, order)
    places = xp.searchsorted(ascending, y)
    places = xp.where(places == n, n - 1, places)
    codes = xp.where(xp.take(ascending, places) == y, xp.take(order, places), n)
    return xp.astype(codes, xp.int64)


def is_text(array: Array) -> bool:
    """Whether an array holds text, or other objects that are no numbers."""
    return dtype_kind(array.dtype) == "other"


def weights_like(sample_weight: Array | None, like: Array, dtype: Any) -> Array:
    """Weights (n_samples,) of a data type: those given, or ones on the device of `like`."""
    xp = namespace(like)
    if sample_weight is None:
        return xp.ones(like.shape[:1], dtype=dtype, device=device_of(like))
    if tuple(sample_weight.shape) != tuple(like.shape[:1]):
        raise ShapeError(
            f"sample_weight: expected one number a sample, {tuple(like.shape[:1])}, got {tuple(sample_weight.shape)}"
        )
    namespace(like, sample_weight)  # refuses another backend
    return xp.astype(sample_weight, dtype, copy=False)


def float_type(*arrays: Array) -> Any:
    """The data type to compute in: that of the floating-point arrays, float64 where there are none."""
    xp = namespace(*arrays)
    floats = [array.dtype for array in arrays if array is not None and dtype_kind(array.dtype) == "float"]
    return xp.result_type(*floats) if floats else xp.float64


def warn_undefined(message: str) -> None:
    """Warn that a measure has no value, and say what stands in its place."""
    warnings.warn(message, UndefinedMetricWarning, stacklevel=4)


def _is_array(value: Any) -> bool:
    """Whether it is an array already; data frames and series, which have shapes too, are not."""
    return hasattr(value, "shape") and hasattr(value, "dtype") and not hasattr(value, "to_numpy")


def _array_of(value: Any, home: Array | None) -> Array:
    found = HOST.xp.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value)
    if is_text(found):
        if home is not None and not backend_of(home).host:
            raise MixedBackendsError("text lives on the host; give numbers where the other arrays are on a device")
        return found
    return found if home is None else backend_of(home).asarray(found)


def _comparable(xp: Any, *arrays: Array) -> tuple[Array, ...]:
    """Labels in one data type that holds them all."""
    floats = any(dtype_kind(array.dtype) == "float" for array in arrays)
    common = xp.float64 if floats else xp.int64
    return tuple(xp.astype(array, common, copy=False) for array in arrays)


def divided(numerator: Array, denominator: Array, otherwise: float = math.nan) -> Array:
    """numerator / denominator, and another number where the denominator is zero; nothing warns."""
    xp = namespace(numerator, denominator)
    nothing = denominator == 0
    return xp.where(nothing, otherwise, numerator / xp.where(nothing, 1.0, denominator))
