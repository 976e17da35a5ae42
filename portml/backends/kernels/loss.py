"""Losses: how far predictions are from targets, PyTorch's semantics and the textbook's formulas.

Every loss takes ``reduction``: "mean" (over what counts), "sum", or "none" (one loss for each element or sample).
Predictions and targets must have the same shape: ``(4,)`` never broadcasts against ``(4, 1)``.  Targets are taken in
the dtype of the predictions, so float32 stays float32.

Labels and probabilities outside their range raise RangeError where looking at a value costs nothing (on the host);
elsewhere they make the loss of their row NaN, and nobody waits for the device.
"""

from __future__ import annotations

import math

from portml.backends.kernel import kernel
from portml.backends.kernels.activation import log_softmax, sigmoid
from portml.backends.kernels.labels import (
    class_axis,
    class_weights,
    in_dtype_of,
    is_label,
    label_weights,
    readable,
    refuse_unfit_labels,
    share_of_labels,
    weighted_targets,
)
from portml.backends.namespaces import Array, namespace
from portml.errors import ArgumentError, RangeError, ShapeError

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_backward",
    "binary_cross_entropy_with_logits",
    "binary_cross_entropy_with_logits_backward",
    "categorical_cross_entropy",
    "categorical_cross_entropy_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "cross_entropy_saving",
    "hinge_loss",
    "hinge_loss_backward",
    "huber_loss",
    "huber_loss_backward",
    "l1_loss",
    "l1_loss_backward",
    "mse_loss",
    "mse_loss_backward",
    "nll_loss",
    "nll_loss_backward",
    "refuse_unfit_labels",
    "refuse_unfit_targets",
    "refuse_unknown_reduction",
    "refuse_values_outside_unit_interval",
]

Needs = tuple[bool, ...]
Pair = tuple[Array | None, Array | None]


# Regression


@kernel
def mse_loss(prediction: Array, target: Array, *, reduction: str = "mean") -> Array:
    """Squared error (ŷ - y)², its mean over all elements by default.

    Parameters
    ----------
    prediction, target : array (...)
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    array () or, for "none", (...)

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    difference = prediction - _fit(prediction, target, "mse_loss")
    return _reduce(difference * difference, reduction)


@kernel
def mse_loss_backward(g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str) -> Pair:
    """Gradient: dŷ = 2 g (ŷ - y), over n for the mean; dy = -dŷ."""
    difference = prediction - in_dtype_of(prediction, target)
    return _signed(difference * (2 * _share(g, prediction, reduction)), needs)


@kernel
def l1_loss(prediction: Array, target: Array, *, reduction: str = "mean") -> Array:
    """Absolute error |ŷ - y|; parameters and errors as in `mse_loss`."""
    return _reduce(namespace(prediction).abs(prediction - _fit(prediction, target, "l1_loss")), reduction)


@kernel
def l1_loss_backward(g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str) -> Pair:
    """Gradient: dŷ = g sign(ŷ - y), over n for the mean; dy = -dŷ."""
    sign = namespace(prediction).sign(prediction - in_dtype_of(prediction, target))
    return _signed(sign * _share(g, prediction, reduction), needs)


@kernel
def huber_loss(prediction: Array, target: Array, *, reduction: str = "mean", delta: float = 1.0) -> Array:
    """Huber loss: d²/2 where |d| <= delta, else delta (|d| - delta/2), with d = ŷ - y.  [Huber 1964]

    Parameters and errors as in `mse_loss`.
    """
    xp = namespace(prediction)
    size = xp.abs(prediction - _fit(prediction, target, "huber_loss"))
    near = xp.minimum(size, delta)
    return _reduce(near * (size - 0.5 * near), reduction)


@kernel
def huber_loss_backward(
    g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str, delta: float
) -> Pair:
    """Gradient: dŷ = g d cut off at ±delta, over n for the mean; dy = -dŷ."""
    cut = namespace(prediction).clip(prediction - in_dtype_of(prediction, target), -delta, delta)
    return _signed(cut * _share(g, prediction, reduction), needs)


# Two classes


@kernel
def binary_cross_entropy(prediction: Array, target: Array, *, reduction: str = "mean") -> Array:
    """-(y log p + (1 - y) log(1 - p)), each logarithm cut off at -100 as in PyTorch, so that p = 0 and 1 stay finite.

    Parameters
    ----------
    prediction : array (...)
        Probabilities p in [0, 1].
    target : array (...)
        y in [0, 1].
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    array () or, for "none", (...)

    Raises
    ------
    ShapeError
        If the shapes differ.
    RangeError
        On the host, if a probability is outside [0, 1]; elsewhere its loss is NaN.
    """
    target = _fit(prediction, target, "binary_cross_entropy")
    refuse_values_outside_unit_interval(prediction, "binary_cross_entropy")
    return _reduce(-(target * _log(prediction) + (1 - target) * _log_of_rest(prediction)), reduction)


@kernel
def binary_cross_entropy_backward(
    g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str
) -> Pair:
    """Gradient: dp = g (p - y) / (p (1 - p)), the denominator at least 1e-12; dy = g (log(1 - p) - log p)."""
    xp = namespace(prediction)
    target, share = in_dtype_of(prediction, target), _share(g, prediction, reduction)
    spread = xp.maximum(prediction * (1 - prediction), 1e-12)
    dprediction = share * ((prediction - target) / spread) if needs[0] else None
    dtarget = share * (_log_of_rest(prediction) - _log(prediction)) if needs[1] else None
    return dprediction, dtarget


@kernel
def binary_cross_entropy_with_logits(prediction: Array, target: Array, *, reduction: str = "mean") -> Array:
    """Cross-entropy of y and σ(z), as log(1 + exp z) - z y: nothing overflows and nothing is cut off.

    Parameters
    ----------
    prediction : array (...)
        Logits z.
    target : array (...)
        y in [0, 1].
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    array () or, for "none", (...)

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    target = _fit(prediction, target, "binary_cross_entropy_with_logits")
    xp = namespace(prediction)
    # Where z > 0 the sum is written log(1 + exp -z) + z (1 - y): z - z y would lose the digits of a small loss.
    positive = prediction > 0
    soft = xp.log1p(xp.exp(xp.where(positive, -prediction, prediction)))
    return _reduce(soft + prediction * xp.where(positive, 1 - target, -target), reduction)


@kernel
def binary_cross_entropy_with_logits_backward(
    g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str
) -> Pair:
    """Gradient: dz = g (σ(z) - y), dy = -g z; both over n for the mean."""
    share = _share(g, prediction, reduction)
    dprediction = share * (sigmoid.agnostic(prediction) - in_dtype_of(prediction, target)) if needs[0] else None
    dtarget = share * -prediction if needs[1] else None
    return dprediction, dtarget


@kernel
def hinge_loss(prediction: Array, target: Array, *, reduction: str = "mean") -> Array:
    """Hinge loss max(0, 1 - y ŷ) for targets y of -1 and 1; parameters and errors as in `mse_loss`."""
    target = _fit(prediction, target, "hinge_loss")
    return _reduce(namespace(prediction).maximum(1 - target * prediction, 0), reduction)


@kernel
def hinge_loss_backward(g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str) -> Pair:
    """Gradient: dŷ = -g y and dy = -g ŷ where y ŷ < 1, else 0; both over n for the mean."""
    xp = namespace(prediction)
    target = in_dtype_of(prediction, target)
    inside = -_share(g, prediction, reduction) * xp.astype(target * prediction < 1, prediction.dtype)
    return inside * target if needs[0] else None, inside * prediction if needs[1] else None


# Many classes


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
    target = _fit(prediction, target, "categorical_cross_entropy")
    refuse_values_outside_unit_interval(prediction, "categorical_cross_entropy")
    xp = namespace(prediction)
    inside = xp.where(prediction > 1, math.nan, prediction)
    return _reduce(-xp.sum(target * _log(inside), axis=class_axis(prediction)), reduction)


@kernel
def categorical_cross_entropy_backward(
    g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str
) -> Pair:
    """Gradient: dp = -g y / p, p at least 1e-12; dy = -g log p; both over n for the mean."""
    xp, axis = namespace(prediction), class_axis(prediction)
    if reduction == "mean":
        classes = prediction.shape[axis]
        share = g / (math.prod(prediction.shape) // classes if classes else math.nan)
    else:
        share = xp.expand_dims(g, axis=axis) if reduction == "none" else g
    dprediction = -share * (in_dtype_of(prediction, target) / xp.maximum(prediction, 1e-12)) if needs[0] else None
    dtarget = -share * _log(prediction) if needs[1] else None
    return dprediction, dtarget


mse_loss.gradient(backward=mse_loss_backward)
l1_loss.gradient(backward=l1_loss_backward, takes_complex=True)
huber_loss.gradient(backward=huber_loss_backward)
binary_cross_entropy.gradient(backward=binary_cross_entropy_backward)
binary_cross_entropy_with_logits.gradient(backward=binary_cross_entropy_with_logits_backward)
hinge_loss.gradient(backward=hinge_loss_backward)
cross_entropy.gradient(saving=cross_entropy_saving, backward=cross_entropy_backward)
nll_loss.gradient(backward=nll_loss_backward)
categorical_cross_entropy.gradient(backward=categorical_cross_entropy_backward)


# What every loss refuses


def refuse_unknown_reduction(reduction: str) -> None:
    """Raise ArgumentError unless `reduction` is one of the three."""
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def refuse_unfit_targets(prediction: Array, target: Array, name: str) -> None:
    """Raise ShapeError unless both shapes are equal."""
    if prediction.shape != target.shape:
        raise ShapeError(
            f"{name}: prediction has shape {tuple(prediction.shape)} and target {tuple(target.shape)}; "
            "expected equal shapes, as losses never broadcast: reshape one of them"
        )


def refuse_values_outside_unit_interval(prediction: Array, name: str) -> None:
    """Raise RangeError if a probability on the host is outside [0, 1]; NaN passes."""
    if not readable(prediction) or 0 in prediction.shape:
        return
    xp = namespace(prediction)
    outside = (prediction < 0) | (prediction > 1)
    if xp.any(outside):
        first = prediction[outside].flat[0]
        raise RangeError(
            f"{name}: prediction contains {first}, expected probabilities in [0, 1]; "
            "apply sigmoid or softmax first, or use the loss that takes logits"
        )


# What every loss shares


def _fit(prediction: Array, target: Array, name: str) -> Array:
    """The target in the dtype of the prediction, once the shapes are known to be equal."""
    refuse_unfit_targets(prediction, target, name)
    return in_dtype_of(prediction, target)


def _reduce(losses: Array, reduction: str) -> Array:
    """Sum or average; the mean of nothing is NaN, as in PyTorch."""
    refuse_unknown_reduction(reduction)
    if reduction == "none":
        return losses
    total = namespace(losses).sum(losses)
    return total if reduction == "sum" else total / (math.prod(losses.shape) or math.nan)


def _share(g: Array, prediction: Array, reduction: str) -> Array:
    """What one element has of the gradient."""
    return g / (math.prod(prediction.shape) or math.nan) if reduction == "mean" else g


def _signed(gradient: Array, needs: Needs) -> Pair:
    """The gradient of a function of the difference: the same for both arguments but for the sign."""
    return gradient if needs[0] else None, -gradient if needs[1] else None


def _log(p: Array) -> Array:
    """Logarithm of p, at least -100; NaN below 0."""
    xp = namespace(p)
    # Zero and what is below are replaced before the logarithm sees them: it would warn.
    log = xp.log(xp.where(p <= 0, 1, p))
    return xp.where(p < 0, math.nan, xp.where(p == 0, -100, xp.where(log < -100, -100, log)))


def _log_of_rest(p: Array) -> Array:
    """Logarithm of 1 - p, at least -100; NaN above 1."""
    xp = namespace(p)
    log = xp.log1p(-xp.where(p >= 1, 0, p))
    return xp.where(p > 1, math.nan, xp.where(p == 1, -100, log))


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
        return _reduce(losses, reduction)
    total = xp.sum(weights)
    return xp.where(total == 0, math.nan, xp.sum(losses) / xp.where(total == 0, 1, total))
