"""Measures for predicted numbers.

Several outputs are measured one by one and then averaged: ``multioutput`` says how.
"""

from __future__ import annotations

import math
from typing import Any

from portml.backends import Array, namespace
from portml.errors import ArgumentError, ShapeError
from portml.metrics.inputs import (
    divided,
    float_type,
    gathered,
    refuse_unequal_lengths,
    warn_undefined,
    weights_like,
)

__all__ = ["mean_absolute_error", "mean_squared_error", "r2_score", "root_mean_squared_error"]


def mean_squared_error(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: Any = "uniform_average"
) -> Array:
    r"""The mean of the squared errors, :math:`\sum_i w_i (y_i - \hat y_i)^2 / \sum_i w_i`.

    Parameters
    ----------
    y_true, y_pred : array (n_samples,) or (n_samples, n_outputs)
    sample_weight : array (n_samples,), optional
    multioutput : {"uniform_average", "raw_values"} or array (n_outputs,) of weights

    Returns
    -------
    array () or, of raw values, (n_outputs,)
        In the floating-point type of the arguments, on their backend.

    Raises
    ------
    ShapeError
        If the shapes differ, or there are no samples.
    """
    y_true, y_pred, weight = _read(y_true, y_pred, sample_weight)
    return _over_outputs(_mean((y_true - y_pred) ** 2, weight), multioutput)


def root_mean_squared_error(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: Any = "uniform_average"
) -> Array:
    """The root of `mean_squared_error`, taken for each output before they are averaged."""
    y_true, y_pred, weight = _read(y_true, y_pred, sample_weight)
    xp = namespace(y_true)
    return _over_outputs(xp.sqrt(_mean((y_true - y_pred) ** 2, weight)), multioutput)


def mean_absolute_error(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: Any = "uniform_average"
) -> Array:
    r"""The mean of the absolute errors, :math:`\sum_i w_i |y_i - \hat y_i| / \sum_i w_i`; see `mean_squared_error`."""
    y_true, y_pred, weight = _read(y_true, y_pred, sample_weight)
    return _over_outputs(_mean(namespace(y_true).abs(y_true - y_pred), weight), multioutput)


def r2_score(
    y_true: Any,
    y_pred: Any,
    *,
    sample_weight: Any = None,
    multioutput: Any = "uniform_average",
    force_finite: bool = True,
) -> Array:
    r"""The coefficient of determination: the share of the variance that is explained.

    .. math:: R^2 = 1 - \frac{\sum_i w_i (y_i - \hat y_i)^2}{\sum_i w_i (y_i - \bar y)^2}

    Parameters
    ----------
    y_true, y_pred : array (n_samples,) or (n_samples, n_outputs)
    sample_weight : array (n_samples,), optional
    multioutput : {"uniform_average", "raw_values", "variance_weighted"} or array (n_outputs,) of weights
    force_finite : bool
        Whether a constant target scores 1 where it is predicted exactly and 0 elsewhere, instead of NaN and -inf.

    Returns
    -------
    array () or, of raw values, (n_outputs,)
        NaN, with a warning, where there are less than two samples.
    """
    y_true, y_pred, weight = _read(y_true, y_pred, sample_weight)
    xp = namespace(y_true)
    if y_true.shape[0] < 2:
        warn_undefined("R^2 score is not well-defined with less than two samples.")
        return xp.sum(y_true * math.nan)
    weight = xp.expand_dims(weight, axis=1)
    mean = xp.sum(weight * y_true, axis=0) / xp.sum(weight)
    residual = xp.sum(weight * (y_true - y_pred) ** 2, axis=0)
    total = xp.sum(weight * (y_true - mean) ** 2, axis=0)
    if force_finite:
        constant = xp.astype(residual == 0, y_true.dtype)
        scores = xp.where(total == 0, constant, 1 - divided(residual, total, 0.0))
    else:
        infinite = xp.full_like(total, math.inf)
        scores = xp.where(total == 0, xp.where(residual == 0, math.nan, -infinite), 1 - divided(residual, total, 0.0))
    if isinstance(multioutput, str) and multioutput == "variance_weighted":
        multioutput = xp.where(xp.any(total != 0), total, xp.ones_like(total))
    return _over_outputs(scores, multioutput)


def _read(y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Array, Array, Array]:
    """Both as (n_samples, n_outputs) and the weights (n_samples,), all in one floating-point type."""
    y_true, y_pred, sample_weight = gathered(y_true, y_pred, sample_weight)
    refuse_unequal_lengths(y_true=y_true, y_pred=y_pred, sample_weight=sample_weight)
    xp, dtype = namespace(y_true, y_pred), float_type(y_true, y_pred)
    y_true, y_pred = (
        xp.astype(xp.expand_dims(y, axis=1) if len(y.shape) == 1 else y, dtype, copy=False) for y in (y_true, y_pred)
    )
    if y_true.shape != y_pred.shape or len(y_true.shape) != 2:
        raise ShapeError(f"y_true and y_pred have different number of output: {y_true.shape} and {y_pred.shape}")
    return y_true, y_pred, weights_like(sample_weight, y_true, dtype)


def _mean(errors: Array, weight: Array) -> Array:
    """Weighted means (n_outputs,) of errors (n_samples, n_outputs)."""
    xp = namespace(errors, weight)
    return xp.sum(errors * xp.expand_dims(weight, axis=1), axis=0) / xp.sum(weight)


def _over_outputs(values: Array, multioutput: Any) -> Array:
    xp = namespace(values)
    if isinstance(multioutput, str):
        if multioutput not in ("uniform_average", "raw_values"):
            raise ArgumentError(
                f"multioutput: expected 'raw_values', 'uniform_average' or weights, got {multioutput!r}"
            )
        return values if multioutput == "raw_values" else xp.mean(values)
    weight = xp.astype(gathered(values, multioutput)[1], values.dtype, copy=False)
    if weight.shape != values.shape:
        raise ShapeError(f"multioutput: expected a weight for each of {values.shape[0]} outputs, got {weight.shape}")
    return xp.sum(weight * values) / xp.sum(weight)
