"""Losses as functions whose arrays may be left out, in PyTorch's words; kernels take every array, or None."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from portml.backends import Array, backend_of, dtype_kind, operations, to_numpy
from portml.backends.kernels import class_loss, distribution_loss, imbalance_loss, margin_loss, sequence_loss
from portml.backends.kernels import loss as kernels
from portml.backends.kernels.labels import in_dtype_of
from portml.backends.kernels.reduction import reduce_losses
from portml.errors import ArgumentError, RangeError, ShapeError

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "ctc_loss",
    "focal_loss",
    "kl_div",
    "multi_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "smooth_l1_loss",
]

Lengths = Array | Sequence[int] | int


def cross_entropy(
    logits: Array,
    target: Array,
    weight: Array | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """Cross-entropy of softmax(logits) with labels, or with distributions over the classes.

    Parameters
    ----------
    logits : array (n, K), (n, K, d1, ...) or (K,)
    target : integer array (n,), (n, d1, ...) or (); or floating-point array of the logits' shape
        Labels, or probabilities of the classes.
    weight : array (K,), optional
        Weights of the classes.  The mean over labels is weighted with them, that over distributions is not.
    ignore_index : int
        Samples of this label count for nothing.
    reduction : {"mean", "sum", "none"}
    label_smoothing : float
        Part of each target that is spread over all classes.

    Returns
    -------
    array () or, for "none", of the logits' shape without the classes
    """
    if target.shape == logits.shape and dtype_kind(target.dtype) == "float":
        return class_loss.cross_entropy_of_distributions(
            logits, target, weight, reduction=reduction, label_smoothing=label_smoothing
        )
    return class_loss.cross_entropy(
        logits, target, weight, reduction=reduction, label_smoothing=label_smoothing, ignore_index=ignore_index
    )


def nll_loss(
    log_probabilities: Array,
    labels: Array,
    weight: Array | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Array:
    """-w_label log p_label, given log-probabilities; everything else as for labels in `cross_entropy`."""
    return class_loss.nll_loss(log_probabilities, labels, weight, reduction=reduction, ignore_index=ignore_index)


def focal_loss(
    logits: Array,
    labels: Array,
    weight: Array | None = None,
    *,
    gamma: float = 2.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Array:
    """-w_label (1 - p_label)^gamma log p_label with p = softmax(logits); `weight` is α.  [Lin et al. 2017]"""
    statics: dict[str, Any] = {"gamma": gamma, "reduction": reduction, "ignore_index": ignore_index}
    return imbalance_loss.focal_loss(logits, labels, weight, **statics)


def multi_margin_loss(
    scores: Array,
    labels: Array,
    weight: Array | None = None,
    *,
    p: int = 1,
    margin: float = 1.0,
    reduction: str = "mean",
) -> Array:
    """Hinge loss of many classes; see `portml.backends.kernels.margin_loss`."""
    return margin_loss.multi_margin_loss(scores, labels, weight, p=p, margin=margin, reduction=reduction)


def binary_cross_entropy(
    prediction: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean"
) -> Array:
    """-(y log p + (1 - y) log(1 - p)) times `weight`, which is broadcast; the mean divides by the number of losses."""
    if weight is None:
        return kernels.binary_cross_entropy(prediction, target, reduction=reduction)
    losses = kernels.binary_cross_entropy(prediction, target, reduction="none")
    return _weighted(losses, weight, reduction)


def binary_cross_entropy_with_logits(
    prediction: Array,
    target: Array,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    *,
    reduction: str = "mean",
) -> Array:
    """The same for logits; `pos_weight`, one for each class, multiplies what positive answers cost."""
    within = reduction if weight is None else "none"
    if pos_weight is None:
        losses = kernels.binary_cross_entropy_with_logits(prediction, target, reduction=within)
    else:
        spread = _broadcast("pos_weight", pos_weight, prediction)
        losses = imbalance_loss.balanced_binary_cross_entropy_with_logits(prediction, target, spread, reduction=within)
    return losses if weight is None else _weighted(losses, weight, reduction)


def multilabel_soft_margin_loss(
    prediction: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean"
) -> Array:
    """Binary cross-entropy of logits, averaged over the classes of each sample: (n, K) or (K,)."""
    losses = binary_cross_entropy_with_logits(prediction, target, weight, reduction="none")
    if len(losses.shape) == 0:
        raise ShapeError("multilabel_soft_margin_loss: prediction has no axis; expected (n, n_classes) or (n_classes,)")
    return reduce_losses(operations.mean(losses, axis=-1), reduction)


def smooth_l1_loss(prediction: Array, target: Array, *, reduction: str = "mean", beta: float = 1.0) -> Array:
    """d²/(2 beta) where |d| < beta, else |d| - beta/2: Huber's loss over its delta, and |d| for 0.  [Girshick 2015]"""
    if beta < 0:
        raise ArgumentError(f"smooth_l1_loss: beta must be at least 0, got {beta!r}")
    if beta == 0:
        return kernels.l1_loss(prediction, target, reduction=reduction)
    return kernels.huber_loss(prediction, target, reduction=reduction, delta=beta) / beta


def kl_div(prediction: Array, target: Array, *, reduction: str = "mean", log_target: bool = False) -> Array:
    """Kullback-Leibler divergence of log-probabilities from probabilities, element by element.

    The reduction "batchmean" is the sum over the number of samples: the divergence itself, averaged.
    """
    if reduction != "batchmean":
        return distribution_loss.kl_div(prediction, target, reduction=reduction, log_target=log_target)
    total = distribution_loss.kl_div(prediction, target, reduction="sum", log_target=log_target)
    return total / (prediction.shape[0] or math.nan) if prediction.shape else total


def ctc_loss(
    log_probabilities: Array,
    targets: Array,
    input_lengths: Lengths,
    target_lengths: Lengths,
    *,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Array:
    """Connectionist temporal classification; see `portml.backends.kernels.sequence_loss`.

    Parameters
    ----------
    log_probabilities : array (n_steps, n_samples, n_classes) or (n_steps, n_classes)
    targets : integer array (n_samples, S), or all targets one after the other
    input_lengths, target_lengths : integers, or integer array, (n_samples,)
    blank : int
    reduction : {"mean", "sum", "none"}
    zero_infinity : bool

    Returns
    -------
    array () or, for "none", (n_samples,)
    """
    backend = backend_of(log_probabilities)
    lengths = [each if hasattr(each, "dtype") else backend.asarray(each) for each in (input_lengths, target_lengths)]
    lengths = [operations.reshape(each, (-1,)) for each in lengths]
    alone = len(log_probabilities.shape) == 2
    if alone:
        log_probabilities = operations.expand_dims(log_probabilities, axis=1)
    if len(targets.shape) == 1:
        targets = operations.expand_dims(targets, axis=0) if alone else _side_by_side(targets, lengths[1])
    statics: dict[str, Any] = {"blank": blank, "zero_infinity": zero_infinity}
    if alone and reduction == "none":
        return sequence_loss.ctc_loss(log_probabilities, targets, *lengths, reduction="sum", **statics)
    return sequence_loss.ctc_loss(log_probabilities, targets, *lengths, reduction=reduction, **statics)


def _side_by_side(targets: Array, lengths: Array) -> Array:
    """Targets that stand one after the other as rows of one length."""
    each = [int(length) for length in to_numpy(lengths)]
    if min(each, default=0) < 0 or sum(each) != targets.shape[0]:
        raise RangeError(
            f"ctc_loss: targets have {targets.shape[0]} labels and target_lengths sum to {sum(each)}; expected as many"
        )
    widest, start, rows = max(each, default=0), 0, []
    for length in each:
        padding = operations.zeros_like(targets[:1], dtype=targets.dtype) if length < widest else targets[:0]
        padding = operations.broadcast_to(padding, (widest - length,)) if length < widest else padding
        rows.append(operations.concat([targets[start : start + length], padding], axis=0))
        start += length
    if not rows:
        return operations.reshape(targets, (0, 0))
    return operations.stack(rows, axis=0)


def _broadcast(name: str, weight: Array, like: Array) -> Array:
    """The weight in the shape of the prediction."""
    shape, wanted = tuple(weight.shape), tuple(like.shape)
    fits = len(shape) <= len(wanted) and all(
        one in (1, other) for one, other in zip(shape[::-1], wanted[::-1], strict=False)
    )
    if not fits:
        raise ShapeError(f"{name} has shape {shape} and the prediction {wanted}; expected one that broadcasts to it")
    return operations.broadcast_to(in_dtype_of(like, weight), wanted)


def _weighted(losses: Array, weight: Array, reduction: str) -> Array:
    return reduce_losses(losses * _broadcast("weight", weight, losses), reduction)
