"""Normalisation of a sample's features in other ways: by their root mean square, by their standard deviation plus a
constant, and by the channels nearby.
"""

from __future__ import annotations

from portml.backends.kernel import kernel
from portml.backends.kernels.normalisation import mean_over, refuse_unfit_layer, sum_to
from portml.backends.namespaces import Array, device_of, namespace
from portml.errors import ArgumentError, ShapeError

__all__ = [
    "layer_norm_by_deviation",
    "layer_norm_by_deviation_backward",
    "layer_norm_by_deviation_saving",
    "local_response_norm",
    "local_response_norm_backward",
    "local_response_norm_saving",
    "refuse_unfit_response",
    "rms_norm",
    "rms_norm_backward",
    "rms_norm_saving",
]

Needs = tuple[bool, ...]
Axes = int | tuple[int, ...]
Three = tuple[Array, Array, Array]


@kernel
def rms_norm(x: Array, weight: Array | None, *, axes: Axes = -1, eps: float = 1e-5) -> Array:
    """y = x / sqrt(mean(x²) + eps) * weight: no mean is taken away.  [Zhang & Sennrich 2019, eq. 4]

    Parameters
    ----------
    x : array (...)
    weight : array or None
        It broadcasts against x; for trailing axes, as in PyTorch, it has the lengths of these axes.
    axes : int or tuple of int
        What the mean is over.
    eps : float

    Returns
    -------
    array (...)

    Raises
    ------
    ShapeError
        If weight does not broadcast to the shape of x.
    """
    return rms_norm_saving.agnostic(x, weight, axes=axes, eps=eps)[0]


@kernel
def rms_norm_saving(x: Array, weight: Array | None, *, axes: Axes, eps: float) -> tuple[Array, tuple[Array, Array]]:
    """The result of `rms_norm`, and for its gradient x̂ = x r and r = 1 / sqrt(mean(x²) + eps)."""
    refuse_unfit_layer(x, weight, None, "rms_norm")
    inverse = 1 / namespace(x).sqrt(mean_over(x * x, axes) + eps)
    normalised = x * inverse
    return normalised if weight is None else normalised * weight, (normalised, inverse)


@kernel
def rms_norm_backward(
    g: Array,
    saved: tuple[Array, Array],
    x: Array,
    weight: Array | None,
    *,
    needs: Needs,
    axes: Axes,
    eps: float,
) -> tuple[Array | None, Array | None]:
    """With h = g weight: dx = r (h - x̂ mean(h x̂)); dweight = Σ g x̂."""
    normalised, inverse = saved
    dx = None
    if needs[0]:
        h = g if weight is None else g * weight
        dx = inverse * (h - normalised * mean_over(h * normalised, axes))
    dweight = sum_to(g * normalised, weight.shape) if needs[1] and weight is not None else None
    return dx, dweight


rms_norm.gradient(saving=rms_norm_saving, backward=rms_norm_backward)


@kernel
def layer_norm_by_deviation(
    x: Array, weight: Array | None, bias: Array | None, *, axes: Axes = -1, eps: float = 1e-6
) -> Array:
    """Layer norm with eps outside the root: y = (x - mean) / (std + eps) * weight + bias, std with the factor 1 / n.

    Arguments, result and errors are those of `layer_norm`.  Where the deviation is zero the result is the bias and the
    gradient of the deviation is taken as zero.
    """
    return layer_norm_by_deviation_saving.agnostic(x, weight, bias, axes=axes, eps=eps)[0]


@kernel
def layer_norm_by_deviation_saving(
    x: Array, weight: Array | None, bias: Array | None, *, axes: Axes, eps: float
) -> tuple[Array, Three]:
    """The result of `layer_norm_by_deviation`; for its gradient x̂, 1 / (std + eps), and (std + eps) / std or 0."""
    refuse_unfit_layer(x, weight, bias, "layer_norm_by_deviation")
    xp = namespace(x)
    centred = x - mean_over(x, axes)
    centred = centred - mean_over(centred, axes)  # what rounding left of a large mean
    std = xp.sqrt(mean_over(centred * centred, axes))
    inverse = 1 / (std + eps)
    zero = std == 0
    stretch = xp.where(zero, xp.zeros_like(std), (std + eps) / xp.where(zero, xp.ones_like(std), std))
    normalised = y = centred * inverse
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    return y, (normalised, inverse, stretch)


@kernel
def layer_norm_by_deviation_backward(
    g: Array,
    saved: Three,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    needs: Needs,
    axes: Axes,
    eps: float,
) -> tuple[Array | None, ...]:
    """With h = g weight: dx = (h - mean h - x̂ (std + eps) / std mean(h x̂)) / (std + eps).

    dweight = Σ g x̂, dbias = Σ g.
    """
    normalised, inverse, stretch = saved
    dx = None
    if needs[0]:
        h = g if weight is None else g * weight
        dx = inverse * (h - mean_over(h, axes) - normalised * (stretch * mean_over(h * normalised, axes)))
    dweight = sum_to(g * normalised, weight.shape) if needs[1] and weight is not None else None
    dbias = sum_to(g, bias.shape) if needs[2] and bias is not None else None
    return dx, dweight, dbias


layer_norm_by_deviation.gradient(saving=layer_norm_by_deviation_saving, backward=layer_norm_by_deviation_backward)


@kernel
def local_response_norm(x: Array, *, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Array:
    """y = x / d**beta with d = k + alpha / size Σ x² over the channels nearby.  [Krizhevsky et al. 2012, section 3.3]

    Parameters
    ----------
    x : array (n, channels, ...)
    size : int
        Channels c - size // 2 to c + (size - 1) // 2 are near to channel c; those beyond the ends count as zero.
    alpha, beta, k : float
        As in PyTorch; the paper's alpha is not divided by `size`.

    Returns
    -------
    array of x's shape

    Raises
    ------
    ShapeError
        If x has no channels.
    ArgumentError
        If `size` is less than 1.
    """
    return local_response_norm_saving.agnostic(x, size=size, alpha=alpha, beta=beta, k=k)[0]


@kernel
def local_response_norm_saving(x: Array, *, size: int, alpha: float, beta: float, k: float) -> tuple[Array, Array]:
    """The result of `local_response_norm`, and d for its gradient."""
    refuse_unfit_response(x, size)
    d = _sum_nearby(x * x, size // 2, (size - 1) // 2) * (alpha / size) + k
    return x * d**-beta, d


@kernel
def local_response_norm_backward(
    g: Array, saved: Array, x: Array, *, needs: Needs, size: int, alpha: float, beta: float, k: float
) -> tuple[Array]:
    """Gradient: dx = g / d**beta - 2 alpha beta / size x Σ g x / d**(beta + 1), over the channels that x is near to."""
    d = saved
    scale = d**-beta
    through = _sum_nearby(g * x * scale / d, (size - 1) // 2, size // 2)
    return (g * scale - (2 * alpha * beta / size) * x * through,)


local_response_norm.gradient(saving=local_response_norm_saving, backward=local_response_norm_backward)


def refuse_unfit_response(x: Array, size: int) -> None:
    """Raise unless x has channels and a window of `size` of them exists."""
    if size < 1:
        raise ArgumentError(f"size: expected a number of channels of at least 1, got {size}")
    if x.ndim < 2:
        raise ShapeError(f"local_response_norm: x has shape {tuple(x.shape)}; expected (n, channels, ...)")


def _sum_nearby(x: Array, before: int, after: int) -> Array:
    """The sum over channels c - before to c + after, channels on axis 1."""
    xp, channels = namespace(x), x.shape[1]
    before, after = min(before, channels), min(after, channels)
    ends = [
        xp.zeros((x.shape[0], width, *x.shape[2:]), dtype=x.dtype, device=device_of(x)) for width in (before, after)
    ]
    wide = xp.concat([ends[0], x, ends[1]], axis=1)
    total = wide[:, :channels, ...]
    for shift in range(1, before + after + 1):
        total = total + wide[:, shift : shift + channels, ...]
    return total
