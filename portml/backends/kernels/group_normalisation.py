"""Group normalisation: zero mean and unit variance over groups of channels of one sample.

One group is layer normalisation of all channels, a group for each channel instance normalisation.
"""

from __future__ import annotations

import math

from portml.backends.kernel import kernel
from portml.backends.kernels.normalisation import (
    all_but_channels,
    per_channel,
    refuse_unfit_channels,
    standardised,
    through_statistics,
)
from portml.backends.namespaces import Array, namespace
from portml.errors import ShapeError

__all__ = ["group_norm", "group_norm_backward", "group_norm_saving", "refuse_unfit_groups"]

Needs = tuple[bool, ...]
Saved = tuple[Array, Array]


@kernel
def group_norm(x: Array, weight: Array | None, bias: Array | None, *, groups: int, eps: float = 1e-5) -> Array:
    """Group norm: y = (x - mean) / sqrt(var + eps) * weight + bias, over a group of channels.  [Wu & He 2018, eq. 7]

    Parameters
    ----------
    x : array (n, channels) or (n, channels, d1, ...)
    weight, bias : array (channels,) or None
    groups : int
        A divisor of the number of channels; neighbouring channels make a group.
    eps : float

    Returns
    -------
    array of x's shape

    Raises
    ------
    ShapeError
        If x has no channels, the groups do not divide them, or weight and bias do not fit them.
    """
    return group_norm_saving.agnostic(x, weight, bias, groups=groups, eps=eps)[0]


@kernel
def group_norm_saving(
    x: Array, weight: Array | None, bias: Array | None, *, groups: int, eps: float
) -> tuple[Array, Saved]:
    """The result of `group_norm`, and for its gradient x̂ and, (n, groups), 1 / sqrt(var + eps)."""
    refuse_unfit_groups(x, weight, bias, groups)
    xp = namespace(x, weight, bias)
    normalised, inverse_std, _, _ = standardised(_in_groups(x, groups), 2, eps)
    normalised = y = xp.reshape(normalised, x.shape)
    if weight is not None:
        y = y * per_channel(weight, x)
    if bias is not None:
        y = y + per_channel(bias, x)
    return y, (normalised, xp.reshape(inverse_std, (x.shape[0], groups)))


@kernel
def group_norm_backward(
    g: Array,
    saved: Saved,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    needs: Needs,
    groups: int,
    eps: float,
) -> tuple[Array | None, ...]:
    """With h = g weight: dx = (h - mean h - x̂ mean(h x̂)) / sqrt(var + eps), means over a group.

    dweight = Σ g x̂, dbias = Σ g.
    """
    normalised, inverse_std = saved
    xp, axes = namespace(g, normalised), all_but_channels(x)
    dx = None
    if needs[0]:
        h = _in_groups(g if weight is None else g * per_channel(weight, x), groups)
        inverse_std = xp.expand_dims(inverse_std, axis=2)
        dx = xp.reshape(through_statistics(h, _in_groups(normalised, groups), inverse_std, 2), x.shape)
    dweight = xp.sum(g * normalised, axis=axes) if needs[1] and weight is not None else None
    dbias = xp.sum(g, axis=axes) if needs[2] and bias is not None else None
    return dx, dweight, dbias


group_norm.gradient(saving=group_norm_saving, backward=group_norm_backward)


def refuse_unfit_groups(x: Array, weight: Array | None, bias: Array | None, groups: int) -> None:
    """Raise ShapeError unless x has channels that the groups divide, and weight and bias one value for each."""
    refuse_unfit_channels(x, weight, bias, "group_norm")
    if groups < 1 or x.shape[1] % groups:
        raise ShapeError(
            f"group_norm: x has shape {tuple(x.shape)}; expected groups that divide its {x.shape[1]} channels, "
            f"got {groups}"
        )


def _in_groups(x: Array, groups: int) -> Array:
    """(n, channels, d1, ...) as (n, groups, values of a group)."""
    return namespace(x).reshape(x, (x.shape[0], groups, math.prod(x.shape[1:]) // groups))
