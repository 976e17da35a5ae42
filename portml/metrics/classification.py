"""Measures for predicted classes and for their probabilities."""

from __future__ import annotations

import math
import warnings
from typing import Any

from portml.backends import Array, namespace, to_numpy
from portml.backends.kernels.rows import one_hot
from portml.backends.operations import clip
from portml.errors import ArgumentError, ShapeError
from portml.metrics.inputs import (
    codes_of,
    float_type,
    gathered,
    is_text,
    refuse_unequal_lengths,
    sorted_labels,
    weights_like,
)

__all__ = ["accuracy", "accuracy_score", "log_loss"]


def accuracy(y_true: Array, y_pred: Array) -> Array:
    """The part of the samples whose predicted class is the true one.

    Parameters
    ----------
    y_true : array (n_samples,), integers
    y_pred : array (n_samples,) of classes, or (n_samples, n_classes) of scores, of which the largest counts

    Returns
    -------
    array (), float32
        On the arrays' backend; reading it there waits for the device.

    Raises
    ------
    ShapeError
        If the shapes do not fit, or there are no samples.
    """
    xp = namespace(y_true, y_pred)
    if len(y_pred.shape) == len(y_true.shape) + 1 > 1:
        y_pred = xp.argmax(y_pred, axis=1)
    if y_pred.shape != y_true.shape or y_true.shape[:1] in ((), (0,)):
        raise ShapeError(
            f"y_pred: expected classes of shape {y_true.shape}, at least one, or scores with one more axis, "
            f"got {y_pred.shape}"
        )
    return xp.mean(xp.astype(y_true == y_pred, xp.float32))


def accuracy_score(y_true: Any, y_pred: Any, *, normalize: bool = True, sample_weight: Any = None) -> Array:
    """The weighted share of the samples whose predicted label is the true one.

    Parameters
    ----------
    y_true, y_pred : array (n_samples,)
        Numbers, truth values, or text on the host.
    normalize : bool
        False gives the sum of the weights of what was right instead.
    sample_weight : array (n_samples,), optional

    Returns
    -------
    array (), float64

    Raises
    ------
    ShapeError
        If the lengths differ, or there are no samples.
    ArgumentError
        If text and numbers are mixed.
    """
    y_true, y_pred, sample_weight = gathered(y_true, y_pred, sample_weight)
    refuse_unequal_lengths(y_true=y_true, y_pred=y_pred, sample_weight=sample_weight)
    if y_true.shape != y_pred.shape or len(y_true.shape) != 1:
        raise ShapeError(f"y_pred: expected labels (n_samples,) as y_true, got {y_pred.shape} and {y_true.shape}")
    if is_text(y_true) != is_text(y_pred):
        raise ArgumentError("Mix of label input types (string and number): y_true and y_pred must be of one kind")
    xp = namespace(y_true, y_pred)
    right = xp.astype(y_true == y_pred, xp.float64)
    weight = weights_like(sample_weight, right, xp.float64)
    total = xp.sum(weight * right)
    return total / xp.sum(weight) if normalize else total


def log_loss(
    y_true: Any, y_proba: Any, *, normalize: bool = True, sample_weight: Any = None, labels: Any = None
) -> Array:
    r"""The mean negative logarithm of the probability that was given to the true class.

    .. math:: -\frac{\sum_i w_i \log p_{i, y_i}}{\sum_i w_i}

    Probabilities are clipped to :math:`[\epsilon, 1 - \epsilon]` with the precision :math:`\epsilon` of their type.

    Parameters
    ----------
    y_true : array (n_samples,)
    y_proba : array (n_samples, n_classes), or (n_samples,) of the second of two classes
        The classes in sorted order.
    normalize : bool
        False gives the sum instead of the mean.
    sample_weight : array (n_samples,), optional
    labels : array (n_classes,), optional
        All classes, where not all occur in `y_true`; without them they are looked for, which waits for a device.

    Returns
    -------
    array () of the type of `y_proba`

    Raises
    ------
    ArgumentError
        If a probability is not in [0, 1], a label is not in `labels`, or the classes are not as many as columns.
    """
    y_true, y_proba, labels, sample_weight = gathered(y_true, y_proba, labels, sample_weight)
    refuse_unequal_lengths(y_proba=y_proba, y_true=y_true, sample_weight=sample_weight)
    xp = namespace(y_proba)
    y_proba = _columns(xp.astype(y_proba, float_type(y_proba), copy=False))
    classes = sorted_labels(y_true if labels is None else labels)
    _refuse_unfit_classes(classes, y_proba.shape[1], labels is None)
    codes = codes_of(y_true, classes)
    epsilon = float(xp.finfo(y_proba.dtype).eps)
    _refuse_unfit_probabilities(y_proba, codes, epsilon)
    surely = clip(y_proba, epsilon, 1 - epsilon)
    hot = one_hot(codes, n=y_proba.shape[1], dtype=str(y_proba.dtype).rpartition(".")[2])
    loss = -xp.sum(hot * xp.log(surely), axis=1)
    weight = weights_like(sample_weight, loss, loss.dtype)
    total = xp.sum(weight * loss)
    return total / xp.sum(weight) if normalize else total


def _columns(y_proba: Array) -> Array:
    """Probabilities with a column for each class."""
    xp = namespace(y_proba)
    if len(y_proba.shape) == 1:
        y_proba = xp.expand_dims(y_proba, axis=1)
    if len(y_proba.shape) != 2:
        raise ShapeError(f"y_proba: expected probabilities (n_samples, n_classes), got {y_proba.shape}")
    return xp.concat([1 - y_proba, y_proba], axis=1) if y_proba.shape[1] == 1 else y_proba


def _refuse_unfit_classes(classes: Array, columns: int, found: bool) -> None:
    n, shown = classes.shape[0], to_numpy(classes).tolist()
    if n == 1 and found:
        raise ArgumentError(
            f"y_true contains only one label ({shown[0]}). Please provide the list of all expected class labels "
            "explicitly through the labels argument."
        )
    if n == 1:
        raise ArgumentError(f"The labels array needs to contain at least two labels, got {shown}.")
    if n != columns:
        raise ArgumentError(
            f"y_true and y_proba contain different number of classes: {n} vs {columns}. Please provide the true labels "
            f"explicitly through the labels argument. Classes found: {shown}"
        )


def _refuse_unfit_probabilities(y_proba: Array, codes: Array, epsilon: float) -> None:
    """One look at the device for all that can be wrong with the values."""
    xp = namespace(y_proba)
    off = xp.max(xp.abs(xp.sum(y_proba, axis=1) - 1))
    strange = xp.astype(xp.any(codes == y_proba.shape[1]), y_proba.dtype)
    low, high, away, unknown = to_numpy(xp.stack([xp.min(y_proba), xp.max(y_proba), off, strange])).tolist()
    if not (low >= 0 and high <= 1):
        worst = low if not low >= 0 else high
        raise ArgumentError(f"y_proba: expected probabilities from 0 to 1, got {worst}")
    if unknown:
        raise ArgumentError("y_true contains values not belonging to the passed labels")
    if away > math.sqrt(epsilon):
        warnings.warn(
            "The y_proba values do not sum to one. Make sure to pass probabilities.", UserWarning, stacklevel=3
        )
