"""Normalisation: zero mean and unit variance over a layer's features, or over a batch, then a learnt scale and shift.

Variances are biased (divided by n) and worked out from centred values, in two passes: the shortcut E[x²] - E[x]² loses
every digit in float32 where the mean is large.
"""

from __future__ import annotations

import math

from portml.backends.kernel import kernel
from portml.backends.kernels.real_numbers import refuse_unless_real
from portml.backends.namespaces import Array, namespace
from portml.errors import ArgumentError, ShapeError

__all__ = [
    "all_but_channels",
    "batch_norm_inference",
    "batch_norm_inference_backward",
    "batch_norm_train",
    "batch_norm_train_backward",
    "batch_norm_train_saving",
    "layer_norm",
    "layer_norm_backward",
    "layer_norm_saving",
    "mean_over",
    "per_channel",
    "refuse_unfit_channels",
    "refuse_unfit_layer",
    "refuse_unfit_running",
    "standardised",
    "sum_to",
    "through_statistics",
    "update_running",
]

Needs = tuple[bool, ...]
Axes = int | tuple[int, ...]
Gradients = tuple[Array | None, ...]
Three = tuple[Array, Array, Array]


@kernel
def layer_norm(x: Array, weight: Array | None, bias: Array | None, *, axes: Axes = -1, eps: float = 1e-5) -> Array:
    """Layer norm: y = (x - mean) / sqrt(var + eps) * weight + bias.  [Ba, Kiros & Hinton 2016, eq. 4]

    Parameters
    ----------
    x : array (...)
    weight, bias : array or None
        They broadcast against x; for trailing axes, as in PyTorch, they have the lengths of these axes.
    axes : int or tuple of int
        What the statistics are over.
    eps : float

    Returns
    -------
    array (...)

    Raises
    ------
    ShapeError
        If weight or bias do not broadcast to the shape of x.
    """
    refuse_unfit_layer(x, weight, bias)
    return _scaled_and_shifted(standardised(x, axes, eps)[0], weight, bias)


@kernel
def layer_norm_saving(
    x: Array, weight: Array | None, bias: Array | None, *, axes: Axes, eps: float
) -> tuple[Array, tuple[Array, Array]]:
    """The result of `layer_norm`, and for its gradient x̂ = (x - mean) / sqrt(var + eps) and 1 / sqrt(var + eps)."""
    refuse_unfit_layer(x, weight, bias)
    normalised, inverse_std, _, _ = standardised(x, axes, eps)
    return _scaled_and_shifted(normalised, weight, bias), (normalised, inverse_std)


@kernel
def layer_norm_backward(
    g: Array,
    saved: tuple[Array, Array],
    x: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    needs: Needs,
    axes: Axes,
    eps: float,
) -> Gradients:
    """With h = g weight: dx = (h - mean h - x̂ mean(h x̂)) / sqrt(var + eps); dweight = Σ g x̂, dbias = Σ g."""
    normalised, inverse_std = saved
    dx = None
    if needs[0]:
        dx = through_statistics(g if weight is None else g * weight, normalised, inverse_std, axes)
    dweight = sum_to(g * normalised, weight.shape) if needs[1] and weight is not None else None
    dbias = sum_to(g, bias.shape) if needs[2] and bias is not None else None
    return dx, dweight, dbias


@kernel
def batch_norm_train(x: Array, weight: Array | None, bias: Array | None, *, eps: float = 1e-5) -> Three:
    """Batch norm: y = (x - mean) / sqrt(var + eps) * weight + bias, channel by channel.  [Ioffe & Szegedy 2015, alg. 1]

    Parameters
    ----------
    x : array (n, channels) or (n, channels, d1, ...)
    weight, bias : array (channels,) or None
    eps : float

    Returns
    -------
    y : array of x's shape
    mean, var : array (channels,)
        The batch's own, the variance biased; `update_running` takes them.

    Raises
    ------
    ShapeError
        If x has no channels, or weight and bias do not fit them.
    """
    refuse_unfit_channels(x, weight, bias, "batch_norm_train")
    normalised, _, mean, var = standardised(x, all_but_channels(x), eps)
    y = _scaled_and_shifted(normalised, per_channel(weight, x), per_channel(bias, x))
    return y, _flat(mean), _flat(var)


@kernel
def batch_norm_train_saving(
    x: Array, weight: Array | None, bias: Array | None, *, eps: float
) -> tuple[Three, tuple[Array, Array]]:
    """The results of `batch_norm_train`, and for its gradient x̂ and, for each channel, 1 / sqrt(var + eps)."""
    refuse_unfit_channels(x, weight, bias, "batch_norm_train")
    normalised, inverse_std, mean, var = standardised(x, all_but_channels(x), eps)
    y = _scaled_and_shifted(normalised, per_channel(weight, x), per_channel(bias, x))
    return (y, _flat(mean), _flat(var)), (normalised, _flat(inverse_std))


@kernel
def batch_norm_train_backward(
    g: Three,
    saved: tuple[Array, Array],
    x: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    needs: Needs,
    eps: float,
) -> Gradients:
    """As `layer_norm_backward`, plus what comes through the mean and the variance that were handed out.

    ``g = (g_y, g_mean, g_var)``; with n values a channel, g_mean adds g_mean / n and g_var adds
    2 (x - mean) g_var / n to dx.
    """
    g_y, g_mean, g_var = g
    normalised, inverse_std = saved
    axes, inverse_std = all_but_channels(x), per_channel(inverse_std, x)
    dx = None
    if needs[0]:
        scaled = g_y if weight is None else g_y * per_channel(weight, x)
        count = max(_values_per_channel(x), 1)
        through_var = normalised * (per_channel(g_var, x) * (2 / count) / inverse_std)
        dx = through_statistics(scaled, normalised, inverse_std, axes) + (per_channel(g_mean, x) / count + through_var)
    xp = namespace(g_y, normalised)
    dweight = xp.sum(g_y * normalised, axis=axes) if needs[1] and weight is not None else None
    dbias = xp.sum(g_y, axis=axes) if needs[2] and bias is not None else None
    return dx, dweight, dbias


@kernel
def batch_norm_inference(
    x: Array, mean: Array, var: Array, weight: Array | None, bias: Array | None, *, eps: float = 1e-5
) -> Array:
    """Given statistics: y = (x - mean) / sqrt(var + eps) * weight + bias.  [Ioffe & Szegedy 2015, alg. 2]

    Parameters
    ----------
    x : array (n, channels) or (n, channels, d1, ...)
    mean, var : array (channels,)
    weight, bias : array (channels,) or None
    eps : float

    Returns
    -------
    array of x's shape

    Raises
    ------
    ShapeError
        If x has no channels, or another argument does not fit them.
    """
    refuse_unfit_channels(x, weight, bias, "batch_norm_inference")
    refuse_unfit_running(mean, var, x)
    xp = namespace(x, mean, var, weight, bias)
    scale = 1 / xp.sqrt(var + eps)
    if weight is not None:
        scale = scale * weight
    y = (x - per_channel(mean, x)) * per_channel(scale, x)
    return y if bias is None else y + per_channel(bias, x)


@kernel
def batch_norm_inference_backward(
    g: Array,
    y: Array,
    x: Array,
    mean: Array,
    var: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    needs: Needs,
    eps: float,
) -> Gradients:
    """Gradient: dx = g s with s = weight / sqrt(var + eps); dmean = -Σ dx, dvar = -Σ g (x - mean) s / (2 (var + eps)).

    dweight = Σ g (x - mean) / sqrt(var + eps), dbias = Σ g; sums over all axes but the channels'.
    """
    xp, axes = namespace(g, x, mean, var), all_but_channels(x)
    inverse_std = 1 / xp.sqrt(var + eps)
    scale = inverse_std if weight is None else inverse_std * weight
    total = xp.sum(g, axis=axes) if needs[1] or needs[4] else None
    matched = xp.sum(g * (x - per_channel(mean, x)), axis=axes) if needs[2] or needs[3] else None
    return (
        g * per_channel(scale, x) if needs[0] else None,
        -scale * total if needs[1] else None,
        -0.5 * (matched * scale) * (inverse_std * inverse_std) if needs[2] else None,
        matched * inverse_std if needs[3] and weight is not None else None,
        total if needs[4] and bias is not None else None,
    )


@kernel(kind="write", differentiable=False)
def update_running(
    running_mean: Array, running_var: Array, mean: Array, var: Array, *, momentum: float, n: int, unbiased: bool = True
) -> tuple[Array, Array]:
    """Exponential average in place: running = (1 - momentum) running + momentum batch; var unbiased by n / (n - 1).

    Parameters
    ----------
    running_mean, running_var : array (channels,)
        Written.
    mean, var : array (channels,)
        Of the batch, the variance biased, as `batch_norm_train` gives them.
    momentum : float
        The weight of the batch (PyTorch's meaning of the word).
    n : int
        Values per channel in the batch.
    unbiased : bool
        Without, the variance is averaged as it comes.

    Returns
    -------
    running_mean, running_var : the same arrays

    Raises
    ------
    ArgumentError
        If n is less than 2: one value has no variance.
    """
    if n < 2:
        raise ArgumentError(f"n: a variance needs at least 2 values per channel, got {n}; train on a larger batch")
    running_mean[...] = (1 - momentum) * running_mean + momentum * mean
    running_var[...] = (1 - momentum) * running_var + (momentum * (n / (n - 1) if unbiased else 1.0)) * var
    return running_mean, running_var


layer_norm.gradient(saving=layer_norm_saving, backward=layer_norm_backward)
batch_norm_train.gradient(saving=batch_norm_train_saving, backward=batch_norm_train_backward)
batch_norm_inference.gradient(backward=batch_norm_inference_backward)


def refuse_unfit_layer(x: Array, weight: Array | None, bias: Array | None, name: str = "layer_norm") -> None:
    """Raise ShapeError unless weight and bias broadcast to the shape of x, DtypeError unless x is real."""
    refuse_unless_real(name, x)
    for argument, parameter in (("weight", weight), ("bias", bias)):
        if parameter is None:
            continue
        lengths, shape = x.shape, parameter.shape
        fits = len(shape) <= len(lengths) and all(
            length in (1, wide) for length, wide in zip(reversed(shape), reversed(lengths), strict=False)
        )
        if not fits:
            raise ShapeError(
                f"{name}: {argument} has shape {tuple(shape)} and x {tuple(lengths)}; "
                f"expected the last axes of x, as {tuple(lengths[-len(shape) :])}"
            )


def refuse_unfit_channels(x: Array, weight: Array | None, bias: Array | None, name: str) -> None:
    """Raise ShapeError unless x has channels, and weight and bias one value for each; DtypeError unless it is real."""
    refuse_unless_real(name, x)
    if x.ndim < 2:
        raise ShapeError(f"{name}: x has shape {tuple(x.shape)}; expected (n, channels) or (n, channels, d1, ...)")
    for argument, parameter in (("weight", weight), ("bias", bias)):
        _refuse_unfit(argument, parameter, x, name)


def refuse_unfit_running(mean: Array, var: Array, x: Array) -> None:
    """Raise ShapeError unless running statistics have one value for each channel of x."""
    for argument, statistic in (("mean", mean), ("var", var)):
        _refuse_unfit(argument, statistic, x, "batch_norm_inference")


def _refuse_unfit(argument: str, values: Array | None, x: Array, name: str) -> None:
    if values is not None and tuple(values.shape) != (x.shape[1],):
        raise ShapeError(
            f"{name}: {argument} has shape {tuple(values.shape)} and x {tuple(x.shape)}; "
            f"expected one value a channel, ({x.shape[1]},)"
        )


def standardised(x: Array, axes: Axes, eps: float) -> tuple[Array, Array, Array, Array]:
    """What x̂, 1 / sqrt(var + eps), mean and var are; the statistics keep the summed axes with length 1."""
    mean = mean_over(x, axes)
    centred = x - mean
    # What rounding left of a large mean is found and taken away in a second step.
    rest = mean_over(centred, axes)
    mean, centred = mean + rest, centred - rest
    var = mean_over(centred * centred, axes)
    inverse_std = 1 / namespace(x).sqrt(var + eps)
    return centred * inverse_std, inverse_std, mean, var


def through_statistics(h: Array, normalised: Array, inverse_std: Array, axes: Axes) -> Array:
    """The gradient of x̂ to x, through the mean and the variance as well."""
    return inverse_std * (h - mean_over(h, axes) - normalised * mean_over(h * normalised, axes))


def _scaled_and_shifted(normalised: Array, weight: Array | None, bias: Array | None) -> Array:
    y = normalised if weight is None else normalised * weight
    return y if bias is None else y + bias


def mean_over(x: Array, axes: Axes) -> Array:
    """The mean, axes kept; NaN where there is nothing to average, and no warning of it."""
    along = (axes,) if isinstance(axes, int) else axes
    count = math.prod(x.shape[axis] for axis in along)
    return namespace(x).sum(x, axis=axes, keepdims=True) / (count or math.nan)


def sum_to(x: Array, shape: tuple[int, ...]) -> Array:
    """Sum over the axes along which an array of `shape` was broadcast to x."""
    xp, extra = namespace(x), x.ndim - len(shape)
    repeated = tuple(axis for axis in range(x.ndim) if axis < extra or (shape[axis - extra] == 1 != x.shape[axis]))
    return xp.reshape(xp.sum(x, axis=repeated) if repeated else x, shape)


def all_but_channels(x: Array) -> tuple[int, ...]:
    """The axes of x over which a channel extends."""
    return (0, *range(2, x.ndim))


def _values_per_channel(x: Array) -> int:
    return math.prod(x.shape[axis] for axis in all_but_channels(x))


def per_channel(values: Array | None, x: Array) -> Array:
    """(channels,) as (1, channels, 1, ...); None stays None."""
    if values is None:
        return None
    return namespace(values).reshape(values, (1, -1, *(1,) * (x.ndim - 2)))


def _flat(statistic: Array) -> Array:
    return namespace(statistic).reshape(statistic, (-1,))
