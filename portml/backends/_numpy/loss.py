"""Losses of a prediction and a target, number by number, on NumPy: blocks that stay in the cache, summed as they go."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.activation import write_sigmoid
from portml.backends._numpy.blocks import flat_blocks, given, maximum
from portml.backends.kernels.loss import (
    binary_cross_entropy,
    binary_cross_entropy_backward,
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_backward,
    mse_loss,
    mse_loss_backward,
)
from portml.backends.kernels.reduction import (
    refuse_unfit_targets,
    refuse_unknown_reduction,
    refuse_values_outside_unit_interval,
)

__all__ = ["divisor", "gradients_of_difference", "reduced"]

Floats = NDArray[Any]
Needs = tuple[bool, ...]
Pair = tuple[Any, Any]


@mse_loss.on("numpy")
def _(prediction: Floats, target: Floats, *, reduction: str = "mean", out: Floats | None = None) -> Any:
    refuse_unfit_targets(prediction, target, "mse_loss")

    def squares(p: Floats, y: Floats, losses: Floats) -> None:
        np.subtract(p, y, out=losses)
        np.multiply(losses, losses, out=losses)

    return reduced(squares, prediction, target, reduction, out)


@mse_loss_backward.on("numpy")
def _(
    g: Any, y: Any, prediction: Floats, target: Floats, *, needs: Needs, reduction: str, out: Pair | None = None
) -> Pair:
    def difference(p: Floats, y: Floats, result: Floats) -> None:
        np.subtract(p, y, out=result)

    return gradients_of_difference(difference, g * prediction.dtype.type(2), prediction, target, needs, reduction, out)


@binary_cross_entropy.on("numpy")
def _(prediction: Floats, target: Floats, *, reduction: str = "mean", out: Floats | None = None) -> Any:
    refuse_unfit_targets(prediction, target, "binary_cross_entropy")
    for values, argument in ((prediction, "prediction"), (target, "target")):
        if values.size and (values.min() < 0 or values.max() > 1):
            refuse_values_outside_unit_interval(values, "binary_cross_entropy", argument)

    def surprise(p: Floats, y: Floats, losses: Floats) -> None:
        if_one, if_zero = _logarithms(p)
        np.subtract(if_zero, if_one, out=if_one)
        np.multiply(if_one, y, out=losses)
        np.subtract(losses, if_zero, out=losses)

    return reduced(surprise, prediction, target, reduction, out)


@binary_cross_entropy_backward.on("numpy")
def _(
    g: Any, y: Any, prediction: Floats, target: Floats, *, needs: Needs, reduction: str, out: Pair | None = None
) -> Pair:
    if needs[1]:
        both: Pair = binary_cross_entropy_backward.agnostic(g, y, prediction, target, needs=needs, reduction=reduction)
        return both if out is None else (given(both[0], out[0]), given(both[1], out[1]))

    def slope(p: Floats, y: Floats, result: Floats) -> None:
        spread = p * p
        np.subtract(p, spread, out=spread)
        maximum(spread, 1e-12, out=spread)
        np.subtract(p, y, out=result)
        np.divide(result, spread, out=result)

    return gradients_of_difference(slope, g, prediction, target, needs, reduction, out)


@binary_cross_entropy_with_logits.on("numpy")
def _(prediction: Floats, target: Floats, *, reduction: str = "mean", out: Floats | None = None) -> Any:
    refuse_unfit_targets(prediction, target, "binary_cross_entropy_with_logits")

    def surprise(z: Floats, y: Floats, losses: Floats) -> None:
        linear = (z > 0).astype(z.dtype)
        linear -= y
        linear *= z
        np.abs(z, out=losses)
        np.negative(losses, out=losses)
        np.exp(losses, out=losses)
        np.log1p(losses, out=losses)
        np.add(losses, linear, out=losses)

    return reduced(surprise, prediction, target, reduction, out)


@binary_cross_entropy_with_logits_backward.on("numpy")
def _(
    g: Any, y: Any, prediction: Floats, target: Floats, *, needs: Needs, reduction: str, out: Pair | None = None
) -> Pair:
    if needs[1]:
        twin = binary_cross_entropy_with_logits_backward.agnostic
        both: Pair = twin(g, y, prediction, target, needs=needs, reduction=reduction)
        return both if out is None else (given(both[0], out[0]), given(both[1], out[1]))

    def slope(z: Floats, y: Floats, result: Floats) -> None:
        write_sigmoid(z, result)
        np.subtract(result, y, out=result)

    return gradients_of_difference(slope, g, prediction, target, needs, reduction, out)


def divisor(total: Any) -> Any:
    """What the mean is divided by: the mean of nothing is NaN."""
    return total if total else np.nan


def _logarithms(p: Floats) -> tuple[Floats, Floats]:
    """Logarithms of p and 1 - p, at least -100."""
    with np.errstate(divide="ignore"):
        if_one, if_zero = np.log(p), np.log1p(-p)
    maximum(if_one, -100, out=if_one)
    maximum(if_zero, -100, out=if_zero)
    return if_one, if_zero


def reduced(write: Any, prediction: Floats, target: Floats, reduction: str, out: Floats | None) -> Any:
    """``write(p, y, losses)`` on blocks, and their sum or mean; for "none" the losses themselves."""
    refuse_unknown_reduction(reduction)
    target = target.astype(prediction.dtype, copy=False)
    if reduction == "none":
        losses = np.empty(prediction.shape, prediction.dtype) if out is None else out
        for p, y, block in flat_blocks(prediction, target, losses):
            write(p, y, block)
        return losses
    total: Any = prediction.dtype.type(0)
    for p, y in flat_blocks(prediction, target):
        losses = np.empty(p.shape, p.dtype)
        write(p, y, losses)
        total = total + losses.sum()
    return given(total / divisor(prediction.size) if reduction == "mean" else total, out)


def gradients_of_difference(
    write: Any, g: Any, prediction: Floats, target: Floats, needs: Needs, reduction: str, out: Pair | None
) -> Pair:
    """``write(p, y, slope)`` on blocks, times the share of each element; for the target the same with a minus."""
    to_prediction, to_target = (None, None) if out is None else out
    target = target.astype(prediction.dtype, copy=False)
    slopes = to_prediction if needs[0] else to_target
    if slopes is None:
        slopes = np.empty(prediction.shape, prediction.dtype)
    if reduction == "none":
        for p, y, share, slope in flat_blocks(prediction, target, g, slopes):
            write(p, y, slope)
            np.multiply(slope, share, out=slope)
    else:
        share = np.asarray(g / divisor(prediction.size) if reduction == "mean" else g, prediction.dtype)
        for p, y, slope in flat_blocks(prediction, target, slopes):
            write(p, y, slope)
            np.multiply(slope, share, out=slope)
    if not needs[1]:
        return slopes if needs[0] else None, None
    if not needs[0]:
        return None, np.negative(slopes, out=slopes)
    return slopes, np.negative(slopes, out=to_target)
