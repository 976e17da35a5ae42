"""The scores that estimators give themselves: the targets follow the predictions to their backend."""

from __future__ import annotations

import math
from typing import Any

from portml.backends import Array, backend_of, namespace, to_numpy
from portml.classical import host
from portml.classical.rows import labels_on_host
from portml.classical.scikit_learn import warn
from portml.classical.validation import check_lengths, read_targets, read_weights
from portml.errors import ShapeError, UndefinedMetricWarning

__all__ = ["accuracy_of", "r2_of"]


def accuracy_of(y: Any, predicted: Array, sample_weight: Any = None) -> float:
    """The weighted share of labels (n_samples,) predicted rightly; text is compared on the host."""
    y = labels_on_host(y) if host.is_text(predicted) else _labels_beside(predicted, y)
    check_lengths(predicted, y)
    xp = namespace(predicted)
    if y.dtype != predicted.dtype and not host.is_text(predicted):
        y, predicted = xp.astype(y, xp.float64), xp.astype(predicted, xp.float64)
    right = xp.astype(predicted == y, xp.float64)
    if sample_weight is None:
        return float(to_numpy(xp.mean(right)))
    weight = read_weights(sample_weight, right, non_negative=False)
    return float(to_numpy(xp.sum(weight * right) / xp.sum(weight)))


def r2_of(y: Any, predicted: Array, sample_weight: Any = None) -> float:
    """The coefficient of determination, in float64; a constant target predicted exactly has 1, else 0."""
    xp = namespace(predicted)
    predicted = xp.astype(predicted, xp.float64)
    y = read_targets(y, predicted, multi_output=True)
    check_lengths(predicted, y)
    if y.shape[0] < 2:
        warn(UndefinedMetricWarning, "R^2 score is not well-defined with less than two samples.")
        return math.nan
    y, predicted = (xp.reshape(each, (each.shape[0], -1)) for each in (y, predicted))
    if y.shape != predicted.shape:
        raise ShapeError(f"y: expected the shape of the predictions, {predicted.shape}, got {y.shape}")
    weight = xp.ones_like(y[:, :1])
    if sample_weight is not None:
        weight = read_weights(sample_weight, predicted, non_negative=False)[:, None]
    mean = xp.sum(weight * y, axis=0) / xp.sum(weight)
    residual = to_numpy(xp.sum(weight * (y - predicted) ** 2, axis=0))
    total = to_numpy(xp.sum(weight * (y - mean) ** 2, axis=0))
    scores = [1.0 - float(r) / float(t) if t > 0 else float(r == 0) for r, t in zip(residual, total, strict=True)]
    return math.fsum(scores) / len(scores)


def _labels_beside(predicted: Array, y: Any) -> Array:
    """Labels (n_samples,), of their own data type, on the backend of the predictions."""
    if host.device_backend(y) is None:
        y = labels_on_host(y)
    y = backend_of(predicted).asarray(y)
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
