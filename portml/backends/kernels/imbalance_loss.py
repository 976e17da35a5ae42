"""Losses for rare classes: the rare ones weigh more, or the easy samples less.

What holds for all losses is said in `portml.backends.kernels.loss`.
"""

from __future__ import annotations

from portml.backends.kernel import kernel
from portml.backends.kernels.activation import log_softmax, sigmoid, softplus
from portml.backends.kernels.labels import class_axis, in_dtype_of, is_label, label_weights, refuse_unfit_labels
from portml.backends.kernels.reduction import (
    fit_target,
    reduce_losses,
    refuse_values_outside_unit_interval,
    share_of_each,
)
from portml.backends.namespaces import Array, namespace
from portml.errors import ArgumentError, ShapeError

__all__ = [
    "balanced_binary_cross_entropy_with_logits",
    "balanced_binary_cross_entropy_with_logits_backward",
    "dice_loss",
    "focal_loss",
    "refuse_negative_gamma",
    "sigmoid_focal_loss",
    "sigmoid_focal_loss_backward",
]

Needs = tuple[bool, ...]
Pair = tuple[Array | None, Array | None]


@kernel
def balanced_binary_cross_entropy_with_logits(
    prediction: Array, target: Array, pos_weight: Array, *, reduction: str = "mean"
) -> Array:
    """Binary cross-entropy of logits with weights w of the positive answers: -w y log σ(z) - (1 - y) log(1 - σ(z)).

    Parameters
    ----------
    prediction, target : array (...)
        Logits z, and y in [0, 1].
    pos_weight : array (...)
        One weight for each element; broadcast it before.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    array () or, for "none", (...)

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    name = "balanced_binary_cross_entropy_with_logits"
    target, weight = fit_target(prediction, target, name), fit_target(prediction, pos_weight, name)
    below, above = _softplus(-prediction), _softplus(prediction)
    return reduce_losses(weight * target * below + (1 - target) * above, reduction)


@kernel
def balanced_binary_cross_entropy_with_logits_backward(
    g: Array, y: Array, prediction: Array, target: Array, pos_weight: Array, *, needs: Needs, reduction: str
) -> tuple[Array | None, Array | None, Array | None]:
    """Gradient: dz = g ((1 - y) σ(z) - w y σ(-z)), dy = g (w s(-z) - s(z)), dw = g y s(-z), s(z) = log(1 + exp z)."""
    target, weight = in_dtype_of(prediction, target), in_dtype_of(prediction, pos_weight)
    share = share_of_each(g, prediction, reduction)
    dprediction = dtarget = dweight = None
    if needs[0]:
        rising, falling = sigmoid.agnostic(prediction), sigmoid.agnostic(-prediction)
        dprediction = share * ((1 - target) * rising - weight * target * falling)
    if needs[1]:
        dtarget = share * (weight * _softplus(-prediction) - _softplus(prediction))
    if needs[2]:
        dweight = share * target * _softplus(-prediction)
    return dprediction, dtarget, dweight


@kernel
def sigmoid_focal_loss(
    prediction: Array, target: Array, *, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "none"
) -> Array:
    """Focal loss of two classes: α_t (1 - p_t)^γ times the binary cross-entropy.  [Lin et al. 2017, eq. 5]

    p = σ(z), p_t = y p + (1 - y) (1 - p) and α_t = y α + (1 - y) (1 - α).

    Parameters
    ----------
    prediction, target : array (...)
        Logits z, and y in [0, 1].
    alpha : float
        Weight of the positive class; below 0 nothing is weighed.
    gamma : float
        How much less a sample counts that is right already; at least 0.
    reduction : {"none", "mean", "sum"}

    Returns
    -------
    array () or, for "none", (...)

    Raises
    ------
    ShapeError
        If the shapes differ.
    ArgumentError
        If `gamma` is below 0.
    """
    refuse_negative_gamma(gamma, "sigmoid_focal_loss")
    target = fit_target(prediction, target, "sigmoid_focal_loss")
    losses = _class_share(target, alpha) * _power(_miss(prediction, target), gamma) * _surprise(prediction, target)
    return reduce_losses(losses, reduction)


@kernel
def sigmoid_focal_loss_backward(
    g: Array,
    y: Array,
    prediction: Array,
    target: Array,
    *,
    needs: Needs,
    alpha: float,
    gamma: float,
    reduction: str,
) -> Pair:
    """Gradient: dz = g α_t (m^γ (p - y) + γ m^(γ - 1) m' c) with m = 1 - p_t, m' = (1 - 2y) p (1 - p), c the surprise.

    dy = g (m^γ (α_t' c - α_t z) + α_t γ m^(γ - 1) (1 - 2p) c).
    """
    target, share = in_dtype_of(prediction, target), share_of_each(g, prediction, reduction)
    weight, miss, surprise = _class_share(target, alpha), _miss(prediction, target), _surprise(prediction, target)
    rising, falling = sigmoid.agnostic(prediction), sigmoid.agnostic(-prediction)
    factor, steep = _power(miss, gamma), gamma * _power(miss, gamma - 1) if gamma else 0.0
    dprediction = dtarget = None
    if needs[0]:
        of_surprise = (1 - target) * rising - target * falling
        of_miss = (1 - 2 * target) * rising * falling
        dprediction = share * weight * (factor * of_surprise + steep * of_miss * surprise)
    if needs[1]:
        of_weight = 0.0 if alpha < 0 else 2 * alpha - 1
        dtarget = factor * (of_weight * surprise - weight * prediction)
        dtarget = share * (dtarget + weight * steep * (falling - rising) * surprise)
    return dprediction, dtarget


@kernel
def focal_loss(
    logits: Array,
    labels: Array,
    class_weight: Array | None,
    *,
    gamma: float = 2.0,
    reduction: str = "mean",
    ignore_index: int = -100,
) -> Array:
    """Focal loss of many classes: -α_label (1 - p_label)^γ log p_label with p = softmax(z).  [Lin et al. 2017, eq. 5]

    Parameters
    ----------
    logits : array (n, K), (n, K, d1, ...) or (K,)
    labels : integer array (n,), (n, d1, ...) or ()
    class_weight : array (K,) or None
        α.
    gamma : float
        At least 0; with 0 it is cross-entropy but for the mean.
    reduction : {"mean", "sum", "none"}
        The mean is over the samples that are not ignored, whatever they weigh.
    ignore_index : int

    Returns
    -------
    array () or, for "none", of the labels' shape

    Raises
    ------
    ArgumentError
        If `gamma` is below 0.
    ShapeError, DtypeError, RangeError
        As in `cross_entropy`, if labels or weights do not fit.
    """
    refuse_negative_gamma(gamma, "focal_loss")
    refuse_unfit_labels(logits, labels, class_weight, ignore_index, "focal_loss")
    xp, axis = namespace(logits, labels), class_axis(logits)
    chosen = is_label(logits, labels)
    counts, weights = label_weights(logits, labels, class_weight, ignore_index)
    log_p = xp.sum(xp.where(chosen, log_softmax(logits, axis=axis), 0), axis=axis)
    losses = xp.where(counts, -weights * _power(-xp.expm1(log_p), gamma) * log_p, 0)
    if reduction != "mean":
        return reduce_losses(losses, reduction)
    counted = xp.sum(xp.astype(counts, logits.dtype))
    return xp.where(counted == 0, float("nan"), xp.sum(losses) / xp.where(counted == 0, 1, counted))


@kernel
def dice_loss(prediction: Array, target: Array, *, smooth: float = 1.0, reduction: str = "mean") -> Array:
    """1 - (2 Σ p y + s) / (Σ p + Σ y + s) of each sample: how little regions overlap.  [Sudre et al. 2017]

    Parameters
    ----------
    prediction, target : array (n, ...)
        Probabilities p that an element belongs to the region, and y in [0, 1].
    smooth : float
        s; 1 makes two empty regions equal.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    array () or, for "none", (n,)

    Raises
    ------
    ShapeError
        If the shapes differ or there are no samples' axis.
    RangeError
        On the host, if a probability is outside [0, 1].
    """
    target = fit_target(prediction, target, "dice_loss")
    if prediction.ndim == 0:
        raise ShapeError("dice_loss: prediction has no axis; expected (n_samples, ...)")
    refuse_values_outside_unit_interval(prediction, "dice_loss")
    xp, axes = namespace(prediction), tuple(range(1, prediction.ndim))
    both = xp.sum(prediction * target, axis=axes)
    either = xp.sum(prediction, axis=axes) + xp.sum(target, axis=axes)
    return reduce_losses(1 - (2 * both + smooth) / (either + smooth), reduction)


balanced_binary_cross_entropy_with_logits.gradient(backward=balanced_binary_cross_entropy_with_logits_backward)
sigmoid_focal_loss.gradient(backward=sigmoid_focal_loss_backward)


def refuse_negative_gamma(gamma: float, name: str) -> None:
    """Raise ArgumentError unless the focusing exponent is at least 0."""
    if not gamma >= 0:
        raise ArgumentError(f"{name}: gamma must be at least 0, got {gamma!r}")


def _softplus(z: Array) -> Array:
    return softplus.agnostic(z, beta=1.0, threshold=float("inf"))


def _surprise(z: Array, target: Array) -> Array:
    """The binary cross-entropy of each element."""
    return target * _softplus(-z) + (1 - target) * _softplus(z)


def _miss(z: Array, target: Array) -> Array:
    """1 - p_t, each of its terms with all its digits."""
    return target * sigmoid.agnostic(-z) + (1 - target) * sigmoid.agnostic(z)


def _class_share(target: Array, alpha: float) -> Array | float:
    """α_t, or 1 where nothing is weighed."""
    return 1.0 if alpha < 0 else alpha * target + (1 - alpha) * (1 - target)


def _power(m: Array, exponent: float) -> Array:
    """m^exponent, and 0 where m = 0: what it is multiplied with is 0 there too, faster than any power grows."""
    xp = namespace(m)
    if exponent == 0:
        return m * 0 + 1
    return xp.where(m == 0, 0, xp.where(m == 0, 1, m) ** exponent)
