"""Losses over classes on NumPy: labels pick by index instead of by a one-hot product, nothing is worked out twice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.blocks import given
from portml.backends._numpy.loss import divisor
from portml.backends._numpy.reductions import maximum_along, sum_along
from portml.backends.kernels.class_loss import (
    cross_entropy,
    cross_entropy_backward,
    cross_entropy_saving,
    nll_loss,
    nll_loss_backward,
)
from portml.backends.kernels.labels import refuse_unfit_labels
from portml.backends.kernels.reduction import refuse_unknown_reduction

__all__: list[str] = []

Floats = NDArray[Any]
Needs = tuple[bool, ...]
Pair = tuple[Any, Any]


@cross_entropy.on("numpy")
def _(
    logits: Floats,
    labels: NDArray[Any],
    class_weight: Floats | None,
    *,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    out: Floats | None = None,
) -> Any:
    statics = {"reduction": reduction, "label_smoothing": label_smoothing, "ignore_index": ignore_index}
    loss, _ = cross_entropy_saving.kernel.table["numpy"](logits, labels, class_weight, **statics)
    return given(loss, out)


@cross_entropy_saving.on("numpy")
def _(
    logits: Floats,
    labels: NDArray[Any],
    class_weight: Floats | None,
    *,
    reduction: str,
    label_smoothing: float,
    ignore_index: int,
    out: Pair | None = None,
) -> Pair:
    refuse_unknown_reduction(reduction)
    counts = _counted(logits, labels, class_weight, ignore_index)
    to_loss, to_probabilities = (None, None) if out is None else out
    probabilities = np.empty(logits.shape, logits.dtype) if to_probabilities is None else to_probabilities
    if logits.size == 0:
        statics = {"reduction": reduction, "label_smoothing": label_smoothing, "ignore_index": ignore_index}
        loss, probabilities = cross_entropy_saving.agnostic(logits, labels, class_weight, **statics)
        return given(loss, to_loss), probabilities

    axis = _class_axis(logits)
    below = logits - maximum_along(logits, axis)
    np.exp(below, out=probabilities)
    total = sum_along(probabilities, axis)
    np.multiply(probabilities, 1 / total, out=probabilities)

    log_total = np.log(total).reshape(labels.shape)
    safe = labels if counts is None else labels * counts
    weights = _label_weights(logits, safe, class_weight, counts)
    losses = log_total - _picked(below, safe, axis)
    if counts is not None:
        losses = np.where(counts, losses, logits.dtype.type(0))
    if weights is not None:
        losses = losses * weights
    if label_smoothing:
        every = below if class_weight is None else below * _along_classes(class_weight.astype(logits.dtype), logits)
        scale = logits.shape[axis] if class_weight is None else class_weight.sum()
        smooth = log_total * logits.dtype.type(scale) - sum_along(every, axis).reshape(labels.shape)
        if counts is not None:
            smooth = np.where(counts, smooth, logits.dtype.type(0))
        losses = (1 - label_smoothing) * losses + (label_smoothing / logits.shape[axis]) * smooth
    if reduction == "none":
        return given(losses, to_loss), probabilities
    loss = losses.sum()
    if reduction == "mean":
        loss = loss / divisor(labels.size if weights is None else weights.sum())
    return given(loss.astype(logits.dtype), to_loss), probabilities


@cross_entropy_backward.on("numpy")
def _(
    g: Any,
    probabilities: Floats,
    logits: Floats,
    labels: NDArray[Any],
    class_weight: Floats | None,
    *,
    needs: Needs,
    reduction: str,
    label_smoothing: float,
    ignore_index: int,
    out: tuple[Any, Any, Any] | None = None,
) -> tuple[Floats, None, None]:
    dlogits = np.empty(logits.shape, logits.dtype) if out is None else out[0]
    if logits.size == 0:
        return dlogits, None, None
    axis, dtype = _class_axis(logits), logits.dtype
    counts = _counted(logits, labels, class_weight, ignore_index)
    safe = labels if counts is None else labels * counts
    weights = _label_weights(logits, safe, class_weight, counts)
    share: Any = g
    if reduction == "mean":
        share = g / divisor(labels.size if weights is None else weights.sum())
    share = np.asarray(share, dtype)
    if counts is not None:
        share = np.where(counts, share, dtype.type(0))

    at_label = share if weights is None else share * weights
    if label_smoothing:
        uniform = label_smoothing / logits.shape[axis]
        spread = logits.shape[axis] if class_weight is None else class_weight.astype(dtype).sum()
        at_label = (1 - label_smoothing) * at_label
        everywhere = _kept((at_label + (uniform * dtype.type(spread)) * share), axis)
    else:
        everywhere = _kept(at_label, axis)
    np.multiply(probabilities, everywhere, out=dlogits)
    if label_smoothing:
        flat = uniform if class_weight is None else uniform * _along_classes(class_weight.astype(dtype), logits)
        np.subtract(dlogits, _kept(share, axis) * flat, out=dlogits)
    _subtract_at(dlogits, safe, np.broadcast_to(at_label, labels.shape), axis)
    return dlogits, None, None


@nll_loss.on("numpy")
def _(
    log_probabilities: Floats,
    labels: NDArray[Any],
    class_weight: Floats | None,
    *,
    reduction: str = "mean",
    ignore_index: int = -100,
    out: Floats | None = None,
) -> Any:
    refuse_unknown_reduction(reduction)
    statics: dict[str, Any] = {"reduction": reduction, "ignore_index": ignore_index}
    if log_probabilities.size == 0:
        return given(nll_loss.agnostic(log_probabilities, labels, class_weight, **statics), out)
    counts, dtype = _counted(log_probabilities, labels, class_weight, ignore_index, "nll_loss"), log_probabilities.dtype
    safe = labels if counts is None else labels * counts
    weights = _label_weights(log_probabilities, safe, class_weight, counts)
    losses = -_picked(log_probabilities, safe, _class_axis(log_probabilities))
    if counts is not None:
        losses = np.where(counts, losses, dtype.type(0))
    if weights is not None:
        losses = losses * weights
    if reduction == "none":
        return given(losses, out)
    loss = losses.sum()
    if reduction == "mean":
        loss = loss / divisor(labels.size if weights is None else weights.sum())
    return given(np.asarray(loss, dtype), out)


@nll_loss_backward.on("numpy")
def _(
    g: Any,
    y: Any,
    log_probabilities: Floats,
    labels: NDArray[Any],
    class_weight: Floats | None,
    *,
    needs: Needs,
    reduction: str,
    ignore_index: int,
    out: tuple[Any, Any, Any] | None = None,
) -> tuple[Floats, None, None]:
    shape, dtype = log_probabilities.shape, log_probabilities.dtype
    gradient = np.empty(shape, dtype) if out is None else out[0]
    if log_probabilities.size == 0:
        return gradient, None, None
    counts = _counted(log_probabilities, labels, class_weight, ignore_index, "nll_loss")
    safe = labels if counts is None else labels * counts
    weights = _label_weights(log_probabilities, safe, class_weight, counts)
    share: Any = g
    if reduction == "mean":
        share = g / divisor(labels.size if weights is None else weights.sum())
    share = np.asarray(share if weights is None else share * weights, dtype)
    if counts is not None:
        share = np.where(counts, share, dtype.type(0))
    axis = _class_axis(log_probabilities)
    gradient[...] = _kept(share * dtype.type(0), axis)  # 0, or NaN
    _subtract_at(gradient, safe, np.broadcast_to(share, labels.shape), axis)
    return gradient, None, None


def _counted(
    logits: Floats,
    labels: NDArray[Any],
    class_weight: Floats | None,
    ignore_index: int,
    name: str = "cross_entropy",
) -> NDArray[np.bool_] | None:
    """Which labels are not ignored, None if none is; everything checked."""
    usual = logits.ndim == 2 and labels.shape == logits.shape[:1] and labels.dtype == np.int64 and labels.size
    if usual and class_weight is None and not 0 <= ignore_index < logits.shape[1]:
        # Seen without a sign, a negative label is a large one: one pass finds whatever is out of range.
        fits = np.maximum.reduce(labels.view(np.uint64)) < logits.shape[1]
        if fits:
            return None
    refuse_unfit_labels(logits, labels, class_weight, ignore_index, name)
    ignored = labels == ignore_index
    return np.logical_not(ignored) if ignored.any() else None


def _label_weights(
    logits: Floats, labels: NDArray[Any], class_weight: Floats | None, counts: NDArray[np.bool_] | None
) -> Floats | None:
    """The weight of each sample, 0 where ignored; None if all are 1."""
    if class_weight is None:
        return None if counts is None else counts.astype(logits.dtype)
    weights: Floats = class_weight.astype(logits.dtype)[labels]
    return weights if counts is None else weights * counts


def _picked(values: Floats, labels: NDArray[Any], axis: int) -> Floats:
    """The values at the labels."""
    picked: Floats
    if values.ndim == 2:
        picked = values[np.arange(len(labels)), labels]
    else:
        picked = np.take_along_axis(values, np.expand_dims(labels.astype(np.int64), axis), axis).reshape(labels.shape)
    return picked


def _subtract_at(values: Floats, labels: NDArray[Any], amounts: Floats, axis: int) -> None:
    """Subtract at the labels; no two labels meet at one place."""
    if values.ndim == 2:
        values[np.arange(len(labels)), labels] -= amounts
        return
    places = np.expand_dims(labels.astype(np.int64), axis)
    picked = np.take_along_axis(values, places, axis) - np.expand_dims(amounts, axis)
    np.put_along_axis(values, places, picked, axis)


def _class_axis(logits: Floats) -> int:
    return 0 if logits.ndim == 1 else 1


def _along_classes(vector: Floats, like: Floats) -> Floats:
    return vector.reshape(-1, *(1,) * max(like.ndim - 2, 0))


def _kept(values: Floats, axis: int) -> Floats:
    """With the class axis back; a number for all samples stays one."""
    return values if values.ndim == 0 else np.expand_dims(values, axis)
