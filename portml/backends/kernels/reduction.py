"""What losses share: shapes that must be equal, probabilities that must be some, and the sum or mean in the end."""

from __future__ import annotations

import math

from portml.backends.kernels.labels import in_dtype_of, readable
from portml.backends.namespaces import Array, namespace
from portml.errors import ArgumentError, RangeError, ShapeError

__all__ = [
    "fit_target",
    "reduce_losses",
    "refuse_unfit_targets",
    "refuse_unknown_reduction",
    "refuse_values_outside_unit_interval",
    "share_of_each",
]


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


def refuse_values_outside_unit_interval(values: Array, name: str, argument: str = "prediction") -> None:
    """Raise RangeError if a probability on the host is outside [0, 1]; NaN passes."""
    if not readable(values) or 0 in values.shape:
        return
    xp = namespace(values)
    outside = (values < 0) | (values > 1)
    if xp.any(outside):
        first = values[outside].flat[0]
        mend = "; apply sigmoid or softmax first, or use the loss that takes logits" if argument == "prediction" else ""
        raise RangeError(f"{name}: {argument} contains {first}, expected probabilities in [0, 1]{mend}")


def fit_target(prediction: Array, target: Array, name: str) -> Array:
    """The target in the dtype of the prediction, once the shapes are known to be equal."""
    refuse_unfit_targets(prediction, target, name)
    return in_dtype_of(prediction, target)


def reduce_losses(losses: Array, reduction: str) -> Array:
    """Sum or average; the mean of nothing is NaN, as in PyTorch."""
    refuse_unknown_reduction(reduction)
    if reduction == "none":
        return losses
    total = namespace(losses).sum(losses)
    return total if reduction == "sum" else total / (math.prod(losses.shape) or math.nan)


def share_of_each(g: Array, prediction: Array, reduction: str) -> Array:
    """What one element has of the gradient."""
    return g / (math.prod(prediction.shape) or math.nan) if reduction == "mean" else g
