"""Losses that ask for a margin: a right answer has to be better than a wrong one by so much, and more costs nothing.

What holds for all losses is said in `portml.backends.kernels.loss`.
"""

from __future__ import annotations

from portml.backends.kernel import kernel
from portml.backends.kernels.activation import sigmoid, softplus
from portml.backends.kernels.labels import class_axis, in_dtype_of, is_label, label_weights, refuse_unfit_labels
from portml.backends.kernels.reduction import fit_target, reduce_losses, share_of_each
from portml.backends.namespaces import Array, namespace
from portml.errors import ArgumentError, ShapeError

__all__ = [
    "hinge_embedding_loss",
    "hinge_embedding_loss_backward",
    "margin_ranking_loss",
    "multi_margin_loss",
    "soft_margin_loss",
    "soft_margin_loss_backward",
]

Needs = tuple[bool, ...]
Pair = tuple[Array | None, Array | None]


@kernel
def soft_margin_loss(prediction: Array, target: Array, *, reduction: str = "mean") -> Array:
    """Logistic loss log(1 + exp(-y ŷ)) for targets y of -1 and 1.

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
    target = fit_target(prediction, target, "soft_margin_loss")
    return reduce_losses(softplus.agnostic(-target * prediction, beta=1.0, threshold=float("inf")), reduction)


@kernel
def soft_margin_loss_backward(
    g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str
) -> Pair:
    """Gradient: dŷ = -g y σ(-y ŷ), dy = -g ŷ σ(-y ŷ); both over n for the mean."""
    target = in_dtype_of(prediction, target)
    slope = -share_of_each(g, prediction, reduction) * sigmoid.agnostic(-target * prediction)
    return slope * target if needs[0] else None, slope * prediction if needs[1] else None


@kernel
def hinge_embedding_loss(prediction: Array, target: Array, *, margin: float = 1.0, reduction: str = "mean") -> Array:
    """x where y = 1, max(0, margin - x) where y = -1, for distances x; all else as in `soft_margin_loss`."""
    xp, target = namespace(prediction), fit_target(prediction, target, "hinge_embedding_loss")
    short = margin - prediction
    apart = xp.where(target == 1, 0, xp.where(short < 0, 0, short))
    return reduce_losses(apart + xp.where(target == -1, 0, prediction), reduction)


@kernel
def hinge_embedding_loss_backward(
    g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, margin: float, reduction: str
) -> Pair:
    """Gradient: dx = g where y = 1, -g where y = -1 and x <= margin; 0 to the target."""
    xp, target = namespace(prediction), in_dtype_of(prediction, target)
    together = xp.astype(target != -1, prediction.dtype)
    apart = xp.astype((target != 1) & (prediction <= margin), prediction.dtype)
    dprediction = share_of_each(g, prediction, reduction) * (together - apart) if needs[0] else None
    return dprediction, xp.zeros_like(prediction) if needs[1] else None


@kernel
def margin_ranking_loss(
    first: Array, second: Array, target: Array, *, margin: float = 0.0, reduction: str = "mean"
) -> Array:
    """max(0, margin - y (a - b)): where y = 1 the first ought to be larger, where y = -1 the second.

    Parameters
    ----------
    first, second, target : array (...)
    margin : float
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    array () or, for "none", (...)

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    if first.shape != second.shape:
        raise ShapeError(
            f"margin_ranking_loss: the arrays to rank have shapes {tuple(first.shape)} and {tuple(second.shape)}; "
            "expected equal shapes"
        )
    target = fit_target(first, target, "margin_ranking_loss")
    short = margin - target * (first - second)
    return reduce_losses(namespace(first).where(short < 0, 0, short), reduction)


@kernel
def multi_margin_loss(
    scores: Array,
    labels: Array,
    class_weight: Array | None,
    *,
    p: int = 1,
    margin: float = 1.0,
    reduction: str = "mean",
) -> Array:
    """Hinge loss of many classes: Σ_c w_label max(0, margin - z_label + z_c)^p / K over the other classes c.

    [Crammer & Singer 2001; the sum over classes: Weston & Watkins 1999, eq. 6]

    Parameters
    ----------
    scores : array (n, K) or (K,)
    labels : integer array (n,) or ()
    class_weight : array (K,) or None
    p : {1, 2}
    margin : float
    reduction : {"mean", "sum", "none"}
        The mean is over samples, whatever they weigh.

    Returns
    -------
    array () or, for "none", (n,)

    Raises
    ------
    ArgumentError
        If `p` is neither 1 nor 2.
    ShapeError, DtypeError, RangeError
        As in `cross_entropy`, if labels or weights do not fit.
    """
    if p not in (1, 2):
        raise ArgumentError(f"multi_margin_loss: p must be 1 or 2, got {p!r}")
    if scores.ndim > 2:
        raise ShapeError(
            f"multi_margin_loss: scores have shape {tuple(scores.shape)}; expected (n, n_classes) or (n_classes,)"
        )
    refuse_unfit_labels(scores, labels, class_weight, None, "multi_margin_loss")
    xp, axis = namespace(scores, labels), class_axis(scores)
    chosen = is_label(scores, labels)
    of_label = xp.sum(xp.where(chosen, scores, 0), axis=axis, keepdims=True)
    short = margin - of_label + scores
    short = xp.where(chosen | (short <= 0), 0, short)
    _, weights = label_weights(scores, labels, class_weight, None)
    losses = weights * xp.sum(short if p == 1 else short * short, axis=axis) / scores.shape[axis]
    return reduce_losses(losses, reduction)


soft_margin_loss.gradient(backward=soft_margin_loss_backward)
hinge_embedding_loss.gradient(backward=hinge_embedding_loss_backward)
