"""Losses over classes, from labels or from distributions: cross-entropy and its kin, with PyTorch's semantics.

Classes lie along axis 1, (n, K, d1, ...), or along axis 0 of a single sample, (K,).  What holds for all losses is said
in `portml.backends.kernels.loss`.
"""

from __future__ import annotations

import math

from portml.backends.kernel import kernel
from portml.backends.kernels.activation import log_softmax
from portml.backends.kernels.labels import (
    class_axis,
    class_weights,
    in_dtype_of,
    is_label,
    label_weights,
    refuse_unfit_labels,
    share_of_labels,
    weighted_targets,
)
from portml.backends.kernels.loss import log_of
from portml.backends.kernels.reduction import (
    fit_target,
    reduce_losses,
    refuse_unknown_reduction,
    refuse_values_outside_unit_interval,
)
from portml.backends.namespaces import Array, namespace
from portml.errors import ShapeError

__all__ = [
    "categorical_cross_entropy",
    "categorical_cross_entropy_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "cross_entropy_of_distributions",
    "cross_entropy_of_distributions_backward",
    "cross_entropy_of_distributions_saving",
    "cross_entropy_saving",
    "fit_distributions",
    "nll_loss",
    "nll_loss_backward",
]

Needs = tuple[bool, ...]
Pair = tuple[Array | None, Array | None]


@kernel
def cross_entropy(
    logits: Array,
    labels: Array,
    class_weight: Array | None,
    *,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
) -> Array:
    r"""Cross-entropy of softmax(logits) and integer labels, in one stable step.

    With t = (1 - ε) one_hot(label) + ε / K, the loss of a sample is ``-Σ_c t_c w_c log softmax(z)_c``.  The mean is
    weighted: Σ loss / Σ w_label over the samples that are not ignored, as in PyTorch.  [Szegedy et al. 2016, section 7]

    Parameters
    ----------
    logits : array (n, K), (n, K, d1, ...) or (K,)
    labels : array (n,), (n, d1, ...) or ()
        Integers in 0 ... K - 1, or `ignore_index`.
    class_weight : array (K,) or None
    reduction : {"mean", "sum", "none"}
    label_smoothing : float
        ε in [0, 1].
    ignore_index : int
        Samples of this label cost nothing and have no gradient.

    Returns
    -------
    array () or, for "none", of the labels' shape

    Raises
    ------
    ShapeError
        If labels or class weights do not fit the logits.
    DtypeError
        If the labels are no integers.
    RangeError
        On the host, if a label is out of range; elsewhere the loss of its row is NaN.
    """
    refuse_unfit_labels(logits, labels, class_weight, ignore_index, "cross_entropy")
    log_probabilities = log_softmax.agnostic(logits, axis=class_axis(logits))
    return _expected_surprise(log_probabilities, labels, class_weight, reduction, label_smoothing, ignore_index)


@kernel
def cross_entropy_saving(
    logits: Array,
    labels: Array,
    class_weight: Array | None,
    *,
    reduction: str,
    label_smoothing: float,
    ignore_index: int,
) -> tuple[Array, Array]:
    """The result of `cross_entropy`, and softmax(logits) for its gradient."""
    refuse_unfit_labels(logits, labels, class_weight, ignore_index, "cross_entropy")
    log_probabilities = log_softmax.agnostic(logits, axis=class_axis(logits))
    loss = _expected_surprise(log_probabilities, labels, class_weight, reduction, label_smoothing, ignore_index)
    return loss, namespace(logits).exp(log_probabilities)


@kernel
def cross_entropy_backward(
    g: Array,
    probabilities: Array,
    logits: Array,
    labels: Array,
    class_weight: Array | None,
    *,
    needs: Needs,
    reduction: str,
    label_smoothing: float,
    ignore_index: int,
) -> tuple[Array, None, None]:
    """Gradient: dz = g (p Σ_c t_c w_c - t w), over Σ w_label for the mean; zero where ignored."""
    xp, axis = namespace(g, probabilities), class_axis(probabilities)
    weighted = weighted_targets(probabilities, labels, class_weight, label_smoothing)
    total = xp.sum(weighted, axis=axis, keepdims=True)
    scale = share_of_labels(g, probabilities, labels, class_weight, reduction, ignore_index)
    return scale * (probabilities * total - weighted), None, None


@kernel
def cross_entropy_of_distributions(
    logits: Array,
    target: Array,
    class_weight: Array | None,
    *,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    r"""Cross-entropy of softmax(logits) and a distribution y over the classes, ``-Σ_c t_c w_c log softmax(z)_c``.

    t = (1 - ε) y + ε / K.  The mean is over the samples, whatever they weigh, as in PyTorch.

    Parameters
    ----------
    logits, target : array (n, K), (n, K, d1, ...) or (K,)
    class_weight : array (K,) or None
    reduction : {"mean", "sum", "none"}
    label_smoothing : float
        ε in [0, 1].

    Returns
    -------
    array () or, for "none", of the shape without the class axis

    Raises
    ------
    ShapeError
        If the shapes differ, or class weights do not fit.
    RangeError
        On the host, if a probability of the target is outside [0, 1].
    """
    saving = cross_entropy_of_distributions_saving.agnostic
    return saving(logits, target, class_weight, reduction=reduction, label_smoothing=label_smoothing)[0]


@kernel
def cross_entropy_of_distributions_saving(
    logits: Array, target: Array, class_weight: Array | None, *, reduction: str, label_smoothing: float
) -> tuple[Array, Array]:
    """The result of `cross_entropy_of_distributions`, and log softmax(logits) for its gradient."""
    target = fit_distributions(logits, target, class_weight)
    xp, axis = namespace(logits), class_axis(logits)
    log_probabilities = log_softmax.agnostic(logits, axis=axis)
    weighted = _weighted_distributions(target, class_weight, label_smoothing)
    # A class that is impossible costs nothing where it is not asked for.
    losses = -xp.sum(xp.where(weighted == 0, 0, weighted * log_probabilities), axis=axis)
    return reduce_losses(losses, reduction), log_probabilities


@kernel
def cross_entropy_of_distributions_backward(
    g: Array,
    log_probabilities: Array,
    logits: Array,
    target: Array,
    class_weight: Array | None,
    *,
    needs: Needs,
    reduction: str,
    label_smoothing: float,
) -> tuple[Array | None, Array | None, None]:
    """Gradient: dz = g (p Σ_c t_c w_c - t w), dy = -g (1 - ε) w log p; both over n for the mean."""
    xp, axis = namespace(g, log_probabilities), class_axis(log_probabilities)
    share = _share_of_samples(g, log_probabilities, axis, reduction)
    dlogits = dtarget = None
    if needs[0]:
        weighted = _weighted_distributions(in_dtype_of(logits, target), class_weight, label_smoothing)
        total = xp.sum(weighted, axis=axis, keepdims=True)
        dlogits = share * (xp.exp(log_probabilities) * total - weighted)
    if needs[1]:
        weights = class_weights(log_probabilities, class_weight)
        dtarget = share * ((label_smoothing - 1) * weights * log_probabilities)
    return dlogits, dtarget, None


@kernel
def nll_loss(
    log_probabilities: Array,
    labels: Array,
    class_weight: Array | None,
    *,
    reduction: str = "mean",
    ignore_index: int = -100,
) -> Array:
    """-w_label log p_label, given log-probabilities; everything else as in `cross_entropy`."""
    refuse_unfit_labels(log_probabilities, labels, class_weight, ignore_index, "nll_loss")
    return _expected_surprise(log_probabilities, labels, class_weight, reduction, 0.0, ignore_index)


@kernel
def nll_loss_backward(
    g: Array,
    y: Array,
    log_probabilities: Array,
    labels: Array,
    class_weight: Array | None,
    *,
    needs: Needs,
    reduction: str,
    ignore_index: int,
) -> tuple[Array, None, None]:
    """-g w_label at the label, else 0; over Σ w_label for the mean."""
    scale = share_of_labels(g, log_probabilities, labels, class_weight, reduction, ignore_index)
    return -scale * weighted_targets(log_probabilities, labels, class_weight, 0.0), None, None


@kernel
def categorical_cross_entropy(prediction: Array, target: Array, *, reduction: str = "mean") -> Array:
    """-Σ_c y_c log p_c for probabilities p and one-hot (or soft) targets y, each logarithm cut off at -100.

    Parameters
    ----------
    prediction : array (n, K), (n, K, d1, ...) or (K,)
        Probabilities over the classes, axis 1.
    target : array of the same shape
    reduction : {"mean", "sum", "none"}
        The mean is over samples (and d1, ...), not over classes.

    Returns
    -------
    array () or, for "none", of the shape without the class axis

    Raises
    ------
    ShapeError
        If the shapes differ.
    RangeError
        On the host, if a probability is outside [0, 1]; elsewhere the loss of its row is NaN.
    """
    target = fit_target(prediction, target, "categorical_cross_entropy")
    refuse_values_outside_unit_interval(prediction, "categorical_cross_entropy")
    xp = namespace(prediction)
    inside = xp.where(prediction > 1, math.nan, prediction)
    return reduce_losses(-xp.sum(target * log_of(inside), axis=class_axis(prediction)), reduction)


@kernel
def categorical_cross_entropy_backward(
    g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str
) -> Pair:
    """Gradient: dp = -g y / p, p at least 1e-12; dy = -g log p; both over n for the mean."""
    xp = namespace(prediction)
    share = _share_of_samples(g, prediction, class_axis(prediction), reduction)
    dprediction = -share * (in_dtype_of(prediction, target) / xp.maximum(prediction, 1e-12)) if needs[0] else None
    dtarget = -share * log_of(prediction) if needs[1] else None
    return dprediction, dtarget


cross_entropy.gradient(saving=cross_entropy_saving, backward=cross_entropy_backward)
nll_loss.gradient(backward=nll_loss_backward)
cross_entropy_of_distributions.gradient(
    saving=cross_entropy_of_distributions_saving, backward=cross_entropy_of_distributions_backward
)
categorical_cross_entropy.gradient(backward=categorical_cross_entropy_backward)


def fit_distributions(logits: Array, target: Array, class_weight: Array | None) -> Array:
    """The target in the dtype of the logits, once shapes and probabilities are known to be right."""
    name = "cross_entropy"
    target = fit_target(logits, target, name)
    classes = logits.shape[class_axis(logits)] if logits.ndim else 0
    if not logits.ndim or (class_weight is not None and tuple(class_weight.shape) != (classes,)):
        weights = None if class_weight is None else tuple(class_weight.shape)
        raise ShapeError(
            f"{name}: logits have shape {tuple(logits.shape)} and class_weight {weights}; expected (n, n_classes) or "
            "(n, n_classes, d1, ...), and one weight a class"
        )
    refuse_values_outside_unit_interval(target, name, "target")
    return target


def _weighted_distributions(target: Array, class_weight: Array | None, label_smoothing: float) -> Array:
    """Smoothed targets times class weights, t w."""
    if label_smoothing:
        target = (1 - label_smoothing) * target + label_smoothing / target.shape[class_axis(target)]
    return target if class_weight is None else target * class_weights(target, class_weight)


def _share_of_samples(g: Array, like: Array, axis: int, reduction: str) -> Array:
    """What one sample has of the gradient, to meet an array with the class axis."""
    if reduction == "mean":
        classes = like.shape[axis]
        return g / (math.prod(like.shape) // classes if classes and math.prod(like.shape) else math.nan)
    return namespace(g).expand_dims(g, axis=axis) if reduction == "none" else g


def _expected_surprise(
    log_probabilities: Array,
    labels: Array,
    class_weight: Array | None,
    reduction: str,
    label_smoothing: float,
    ignore_index: int,
) -> Array:
    """-Σ_c t_c w_c log p_c of each sample, reduced."""
    refuse_unknown_reduction(reduction)
    xp, axis = namespace(log_probabilities, labels), class_axis(log_probabilities)
    counts, weights = label_weights(log_probabilities, labels, class_weight, ignore_index)
    # Chosen by where, not by a product: a class of probability zero that is not the label costs nothing.
    picked = xp.sum(xp.where(is_label(log_probabilities, labels), log_probabilities, 0), axis=axis)
    losses = -xp.where(counts, weights * picked, 0)
    if label_smoothing:
        everywhere = xp.sum(log_probabilities * class_weights(log_probabilities, class_weight), axis=axis)
        share = label_smoothing / log_probabilities.shape[axis]
        losses = (1 - label_smoothing) * losses - share * xp.where(counts, everywhere, 0)
    if reduction != "mean":
        return reduce_losses(losses, reduction)
    total = xp.sum(weights)
    return xp.where(total == 0, math.nan, xp.sum(losses) / xp.where(total == 0, 1, total))
