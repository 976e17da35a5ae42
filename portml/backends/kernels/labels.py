"""Labels of classes: where a class is the label, what each label weighs, and which labels are refused.

Logits and probabilities have their classes along axis 1, (n, K, d1, ...), or along axis 0 where there is one sample,
(K,).  Labels have the same shape without that axis.
"""

from __future__ import annotations

import math
from typing import Any

from portml.backends.namespaces import Array, is_tensor, library_of, namespace
from portml.errors import DtypeError, RangeError, ShapeError

__all__ = [
    "class_axis",
    "class_weights",
    "in_dtype_of",
    "is_label",
    "label_weights",
    "readable",
    "refuse_unfit_labels",
    "share_of_labels",
    "weighted_targets",
]


def class_axis(logits: Array) -> int:
    """The axis along which the classes lie."""
    return 0 if logits.ndim == 1 else 1


def _along_classes(vector: Array, like: Array) -> Array:
    """(K,) as (K, 1, ...), to meet (n, K, d1, ...)."""
    return namespace(vector).reshape(vector, (-1, *(1,) * max(like.ndim - 2, 0)))


def is_label(probabilities: Array, labels: Array) -> Array:
    """Where the class is the label: bool, of the probabilities' shape."""
    xp, axis = namespace(probabilities, labels), class_axis(probabilities)
    classes = xp.arange(probabilities.shape[axis], dtype=xp.int64, device=probabilities.device)
    return xp.expand_dims(xp.astype(labels, xp.int64), axis=axis) == _along_classes(classes, probabilities)


def class_weights(like: Array, class_weight: Array | None) -> Any:
    """The weights (K,) as they meet an array of classes; 1 where there are none."""
    return 1.0 if class_weight is None else _along_classes(in_dtype_of(like, class_weight), like)


def weighted_targets(probabilities: Array, labels: Array, class_weight: Array | None, label_smoothing: float) -> Array:
    """Smoothed one-hot targets times class weights, t w."""
    one_hot = namespace(probabilities).astype(is_label(probabilities, labels), probabilities.dtype)
    if label_smoothing:
        one_hot = (1 - label_smoothing) * one_hot + label_smoothing / probabilities.shape[class_axis(probabilities)]
    return one_hot if class_weight is None else one_hot * class_weights(probabilities, class_weight)


def label_weights(
    like: Array, labels: Array, class_weight: Array | None, ignore_index: int | None
) -> tuple[Array, Array]:
    """Which labels count, and the weight of each: NaN where out of range, 0 where ignored."""
    xp, axis = namespace(like, labels), class_axis(like)
    labels = xp.astype(labels, xp.int64)
    counts = labels == labels if ignore_index is None else labels != ignore_index
    inside = (labels >= 0) & (labels < like.shape[axis])
    one_hot = xp.astype(is_label(like, labels), like.dtype)
    weights = xp.sum(one_hot * class_weights(like, class_weight), axis=axis)
    return counts, xp.where(counts, xp.where(inside, weights, math.nan), 0)


def share_of_labels(
    g: Array, like: Array, labels: Array, class_weight: Array | None, reduction: str, ignore_index: int
) -> Array:
    """What one sample has of the gradient, with the class axis kept: 0 where ignored, NaN where out of range."""
    xp, axis = namespace(g, like, labels), class_axis(like)
    counts, weights = label_weights(like, labels, class_weight, ignore_index)
    if reduction == "mean":
        total = xp.sum(weights)
        g = xp.where(total == 0, math.nan, g / xp.where(total == 0, 1, total))
    out_of_range = xp.where(weights == weights, 0, weights)
    return xp.expand_dims(xp.where(counts, g + out_of_range, 0), axis=axis)


def in_dtype_of(prediction: Array, target: Array) -> Array:
    """The target in the data type of the prediction."""
    if target.dtype == prediction.dtype:
        return target
    return namespace(prediction, target).astype(target, prediction.dtype)


def refuse_unfit_labels(
    logits: Array, labels: Array, class_weight: Array | None, ignore_index: int | None, name: str
) -> None:
    """Raise unless labels are integers of a fitting shape and, on the host, in range; and class weights fit."""
    shape = tuple(logits.shape)
    if not shape or shape[: class_axis(logits)] + shape[class_axis(logits) + 1 :] != tuple(labels.shape):
        raise ShapeError(
            f"{name}: logits have shape {shape} and labels {tuple(labels.shape)}; expected (n, n_classes) and (n,), "
            "or (n, n_classes, d1, ...) and (n, d1, ...)"
        )
    classes = shape[class_axis(logits)]
    if class_weight is not None and tuple(class_weight.shape) != (classes,):
        raise ShapeError(
            f"{name}: class_weight has shape {tuple(class_weight.shape)}; expected one weight a class, ({classes},)"
        )
    if not namespace(labels).isdtype(labels.dtype, "integral"):
        raise DtypeError(f"{name}: labels have dtype {labels.dtype}; expected integers, as by astype(labels, int64)")
    if readable(labels):
        _refuse_labels_out_of_range(labels, classes, ignore_index, name)


def _refuse_labels_out_of_range(labels: Array, classes: int, ignore_index: int | None, name: str) -> None:
    outside = (labels < 0) | (labels >= classes)
    if ignore_index is not None:
        outside = outside & (labels != ignore_index)
    if outside.any():
        ignored = "" if ignore_index is None else f", or ignore_index = {ignore_index}"
        raise RangeError(
            f"{name}: labels contain {labels[outside].flat[0]}; expected 0 to {classes - 1} for {classes} classes"
            f"{ignored}"
        )


def readable(array: Array) -> bool:
    """Whether looking at a value costs nothing: a raw array on the host."""
    return not is_tensor(array) and library_of(array).name == "numpy"
