"""Losses of a prediction and a target on NumPy: what is written on one block, summed over all blocks and registered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.activation import write_sigmoid
from portml.backends._numpy.blocks import given, maximum, minimum
from portml.backends._numpy.loss import gradients_of_difference, reduced
from portml.backends.kernel import KernelFunction
from portml.backends.kernels.distribution_loss import kl_div, kl_div_backward
from portml.backends.kernels.imbalance_loss import (
    balanced_binary_cross_entropy_with_logits,
    balanced_binary_cross_entropy_with_logits_backward,
    refuse_negative_gamma,
    sigmoid_focal_loss,
    sigmoid_focal_loss_backward,
)
from portml.backends.kernels.loss import (
    hinge_loss,
    hinge_loss_backward,
    huber_loss,
    huber_loss_backward,
    l1_loss,
    l1_loss_backward,
)
from portml.backends.kernels.margin_loss import (
    hinge_embedding_loss,
    hinge_embedding_loss_backward,
    soft_margin_loss,
    soft_margin_loss_backward,
)
from portml.backends.kernels.reduction import (
    reduce_losses,
    refuse_unfit_targets,
    refuse_values_outside_unit_interval,
    share_of_each,
)
from portml.backends.overriding import under_signature_of

__all__: list[str] = []

Floats = NDArray[Any]
Write = Callable[..., None]
Pair = tuple[Any, Any]


def loss(twin: KernelFunction, refuse: Callable[..., None] | None = None) -> Callable[[Write], Write]:
    """Register ``write(p, y, losses, **statics)`` as the override of ``twin(prediction, target)``.

    ``refuse(target, **statics)`` is asked before.
    """

    def register(write: Write) -> Write:
        def override(
            prediction: Floats, target: Floats, *, reduction: str, out: Floats | None = None, **statics: Any
        ) -> Any:
            refuse_unfit_targets(prediction, target, twin.kernel.name)
            if refuse is not None:
                refuse(target, **statics)
            if prediction.dtype.kind != "f":
                return given(twin.agnostic(prediction, target, reduction=reduction, **statics), out)

            def of_block(p: Floats, y: Floats, losses: Floats) -> None:
                write(p, y, losses, **statics)

            return reduced(of_block, prediction, target, reduction, out)

        twin.on("numpy")(under_signature_of(twin, __name__)(override))
        return write

    return register


def slope(twin: KernelFunction, of_difference: bool = False) -> Callable[[Write], Write]:
    """Register ``write(p, y, slope, **statics)``, the slope to the prediction, as the override of a gradient.

    The slope to the target is its opposite if the loss is one `of_difference`; else the twin finds it.
    """

    def register(write: Write) -> Write:
        def override(
            g: Any,
            saved: Any,
            prediction: Floats,
            target: Floats,
            *,
            needs: Any,
            reduction: str,
            out: Pair | None = None,
            **statics: Any,
        ) -> Pair:
            if prediction.dtype.kind != "f" or (needs[1] and not of_difference):
                options = {"needs": needs, "reduction": reduction, **statics}
                both = twin.agnostic(g, saved, prediction, target, **options)
                return both if out is None else (given(both[0], out[0]), given(both[1], out[1]))

            def of_block(p: Floats, y: Floats, result: Floats) -> None:
                write(p, y, result, **statics)

            return gradients_of_difference(of_block, g, prediction, target, needs, reduction, out)

        twin.on("numpy")(under_signature_of(twin, __name__)(override))
        return write

    return register


@loss(l1_loss)
def _(p: Floats, y: Floats, losses: Floats) -> None:
    np.subtract(p, y, out=losses)
    np.abs(losses, out=losses)


@slope(l1_loss_backward, of_difference=True)
def _(p: Floats, y: Floats, result: Floats) -> None:
    # np.sign is four times as slow, but it knows NaN.
    difference = p - y
    np.subtract(difference > 0, difference < 0, out=result, dtype=result.dtype)
    unknown = difference != difference
    if unknown.any():
        result[unknown] = np.nan


@loss(huber_loss)
def _(p: Floats, y: Floats, losses: Floats, delta: float) -> None:
    size = np.subtract(p, y)
    np.abs(size, out=size)
    near = np.empty(size.shape, size.dtype)
    minimum(size, delta, out=near)
    np.multiply(near, -0.5, out=losses)
    losses += size
    np.multiply(losses, near, out=losses)


@slope(huber_loss_backward, of_difference=True)
def _(p: Floats, y: Floats, result: Floats, delta: float) -> None:
    np.subtract(p, y, out=result)
    maximum(result, -delta, out=result)
    minimum(result, delta, out=result)


@loss(hinge_loss)
def _(p: Floats, y: Floats, losses: Floats) -> None:
    np.multiply(p, y, out=losses)
    np.subtract(1, losses, out=losses)
    maximum(losses, 0, out=losses)


@slope(hinge_loss_backward)
def _(p: Floats, y: Floats, result: Floats) -> None:
    np.multiply(-y, p * y < 1, out=result)


@loss(soft_margin_loss)
def _(p: Floats, y: Floats, losses: Floats) -> None:
    lead = p * y
    np.negative(lead, out=lead)
    np.abs(lead, out=losses)
    np.negative(losses, out=losses)
    np.exp(losses, out=losses)
    np.log1p(losses, out=losses)
    maximum(lead, 0, out=lead)
    np.add(losses, lead, out=losses)


@slope(soft_margin_loss_backward)
def _(p: Floats, y: Floats, result: Floats) -> None:
    lead = p * y
    np.negative(lead, out=lead)
    write_sigmoid(lead, result)
    np.multiply(result, -y, out=result)


@loss(hinge_embedding_loss)
def _(p: Floats, y: Floats, losses: Floats, margin: float) -> None:
    short = margin - p
    maximum(short, 0, out=short)
    short *= y != 1
    np.multiply(p, y != -1, out=losses)
    np.add(losses, short, out=losses)


@slope(hinge_embedding_loss_backward)
def _(p: Floats, y: Floats, result: Floats, margin: float) -> None:
    result[...] = y != -1
    np.subtract(result, (y != 1) & (p <= margin), out=result)


def _refuse_no_probabilities(target: Floats, log_target: bool) -> None:
    if not log_target:
        refuse_values_outside_unit_interval(target, "kl_div", "target")


@loss(kl_div, _refuse_no_probabilities)
def _(p: Floats, y: Floats, losses: Floats, log_target: bool) -> None:
    if log_target:
        np.subtract(y, p, out=losses)
        np.multiply(losses, np.exp(y), out=losses)
        return
    log = np.log(y, out=np.zeros(y.shape, y.dtype), where=y > 0)
    log -= p
    np.multiply(y, log, out=losses)


@slope(kl_div_backward)
def _(p: Floats, y: Floats, result: Floats, log_target: bool) -> None:
    np.negative(np.exp(y) if log_target else y, out=result)


def _refuse_gamma(target: Floats, alpha: float, gamma: float) -> None:
    refuse_negative_gamma(gamma, "sigmoid_focal_loss")


@loss(sigmoid_focal_loss, _refuse_gamma)
def _(z: Floats, y: Floats, losses: Floats, alpha: float, gamma: float) -> None:
    miss, surprise = _miss_and_surprise(z, y)
    losses[...] = _weighted(_power(miss, gamma) * surprise, y, alpha)


@slope(sigmoid_focal_loss_backward)
def _(z: Floats, y: Floats, result: Floats, alpha: float, gamma: float) -> None:
    miss, surprise = _miss_and_surprise(z, y)
    rising, falling = _both_sigmoids(z)
    total = _power(miss, gamma) * (rising * (1 - y) - falling * y)
    if gamma:
        total += gamma * _power(miss, gamma - 1) * (1 - 2 * y) * rising * falling * surprise
    result[...] = _weighted(total, y, alpha)


def _miss_and_surprise(z: Floats, y: Floats) -> tuple[Floats, Floats]:
    """1 - p_t and the binary cross-entropy."""
    rising, falling = _both_sigmoids(z)
    soft = np.log1p(np.exp(-np.abs(z)))
    return y * falling + (1 - y) * rising, soft + z * ((z > 0).astype(z.dtype) - y)


def _both_sigmoids(z: Floats) -> tuple[Floats, Floats]:
    rising, falling = np.empty(z.shape, z.dtype), np.empty(z.shape, z.dtype)
    write_sigmoid(z, rising)
    write_sigmoid(-z, falling)
    return rising, falling


def _power(m: Floats, exponent: float) -> Floats:
    if exponent == 0:
        return m * 0 + 1
    if exponent == 2:
        return m * m
    if exponent > 0:
        return m**exponent
    safe = m + (m == 0)  # where m = 0 what it is multiplied with is 0 too
    power: Floats = safe**exponent
    power *= m != 0
    return power


@balanced_binary_cross_entropy_with_logits.on("numpy")
def _(
    prediction: Floats, target: Floats, pos_weight: Floats, *, reduction: str = "mean", out: Floats | None = None
) -> Any:
    for other in (target, pos_weight):
        refuse_unfit_targets(prediction, other, "balanced_binary_cross_entropy_with_logits")
    below, above = _both_softplus(prediction)
    target = target.astype(prediction.dtype, copy=False)
    below *= target * pos_weight.astype(prediction.dtype, copy=False)
    above *= 1 - target
    return given(reduce_losses(np.add(below, above, out=below), reduction), out)


@balanced_binary_cross_entropy_with_logits_backward.on("numpy")
def _(
    g: Any,
    y: Any,
    prediction: Floats,
    target: Floats,
    pos_weight: Floats,
    *,
    needs: tuple[bool, ...],
    reduction: str,
    out: Any = None,
) -> tuple[Any, Any, Any]:
    dtype, to = prediction.dtype, (None, None, None) if out is None else out
    target, weight = target.astype(dtype, copy=False), pos_weight.astype(dtype, copy=False)
    share: Any = np.asarray(share_of_each(g, prediction, reduction), dtype)
    dprediction = dtarget = dweight = None
    if needs[0]:
        dprediction, falling = _both_sigmoids(prediction)
        falling *= target * weight
        dprediction *= 1 - target
        dprediction -= falling
        dprediction *= share
    if needs[1] or needs[2]:
        below, above = _both_softplus(prediction)
        dtarget = share * (weight * below - above) if needs[1] else None
        dweight = share * target * below if needs[2] else None
    found = dprediction, dtarget, dweight
    first, second, third = (each if each is None else given(each, at) for each, at in zip(found, to, strict=True))
    return first, second, third


def _both_softplus(z: Floats) -> tuple[Floats, Floats]:
    """log(1 + exp(-z)) and log(1 + exp z)."""
    soft = np.asarray(np.abs(z))
    np.negative(soft, out=soft)
    np.exp(soft, out=soft)
    np.log1p(soft, out=soft)
    above: Floats = np.asarray(np.maximum(z, z.dtype.type(0)) + soft)
    below: Floats = np.asarray(np.maximum(-z, z.dtype.type(0)) + soft)
    return below, above


def _weighted(losses: Floats, y: Floats, alpha: float) -> Floats:
    if alpha >= 0:
        losses *= (2 * alpha - 1) * y + (1 - alpha)
    return losses
