"""Layers that normalise each sample by itself: over its features, its groups of channels, or the channels nearby."""

from __future__ import annotations

from portml.autograd.parameter import Parameter
from portml.backends import Array, Backend, get_backend, namespace
from portml.backends.kernels.feature_normalisation import layer_norm_by_deviation, local_response_norm, rms_norm
from portml.backends.kernels.group_normalisation import group_norm
from portml.backends.kernels.normalisation import layer_norm
from portml.backends.kernels.real_numbers import refuse_unless_real
from portml.errors import ArgumentError, ShapeError
from portml.nn.module import Module
from portml.random.arguments import checked_count, checked_shape

__all__ = ["GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


class LayerNorm(Module):
    r"""Normalise each sample over its last dimensions.

    .. math:: y = (x - \mathrm{E}[x]) / \sqrt{\mathrm{Var}[x] + \epsilon} \cdot \gamma + \beta

    Input and output: (..., *normalized_shape).  Parameters: ``weight``, ``bias``, (*normalized_shape), ones and zeros.
    [Ba, Kiros & Hinton 2016]

    Parameters
    ----------
    normalized_shape : int or tuple of int
    eps : float
    elementwise_affine, bias : bool
        Whether there is a scale, and with it a shift.
    eps_on : {"variance", "deviation"}
        "deviation" divides by :math:`\sqrt{\mathrm{Var}[x]} + \epsilon` instead, as many textbooks write it; with it
        `eps` is best 1e-6.
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        eps_on: str = "variance",
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        shape = _at_least_one_axis(normalized_shape)
        if eps_on not in ("variance", "deviation"):
            raise ArgumentError(f"eps_on: expected 'variance' or 'deviation', got {eps_on!r}")
        opened = get_backend(backend)
        self.normalized_shape = shape
        self.eps = eps
        self.eps_on = eps_on
        self.weight = Parameter(opened.full(shape, 1.0, dtype)) if elementwise_affine else None
        self.bias = Parameter(opened.zeros(shape, dtype)) if elementwise_affine and bias else None

    def forward(self, x: Array) -> Array:
        """Normalise (..., *normalized_shape)."""
        axes = _last_axes(self, x, self.normalized_shape)
        normalise = layer_norm if self.eps_on == "variance" else layer_norm_by_deviation
        return normalise(x, self.weight, self.bias, axes=axes, eps=self.eps)

    def extra_repr(self) -> str:
        """The shape and epsilon."""
        return f"{self.normalized_shape}, eps={self.eps}"


class RMSNorm(Module):
    r"""Divide each sample by the root mean square over its last dimensions.

    .. math:: y = x / \sqrt{\mathrm{E}[x^2] + \epsilon} \cdot \gamma

    Input and output: (..., *normalized_shape).  Parameter: ``weight``, (*normalized_shape), ones.
    [Zhang & Sennrich 2019]

    Parameters
    ----------
    normalized_shape : int or tuple of int
    eps : float, optional
        None takes the spacing of the input's data type at 1.
    elementwise_affine : bool
        Whether there is a scale.
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        shape = _at_least_one_axis(normalized_shape)
        self.normalized_shape = shape
        self.eps = eps
        self.weight = Parameter(get_backend(backend).full(shape, 1.0, dtype)) if elementwise_affine else None

    def forward(self, x: Array) -> Array:
        """Normalise (..., *normalized_shape)."""
        axes = _last_axes(self, x, self.normalized_shape)
        refuse_unless_real("RMSNorm", x)
        eps = float(namespace(x).finfo(x.dtype).eps) if self.eps is None else self.eps
        return rms_norm(x, self.weight, axes=axes, eps=eps)

    def extra_repr(self) -> str:
        """The shape and epsilon."""
        return f"{self.normalized_shape}, eps={self.eps}"


class GroupNorm(Module):
    r"""Normalise each sample over groups of neighbouring channels.

    .. math:: y = (x - \mathrm{E}[x]) / \sqrt{\mathrm{Var}[x] + \epsilon} \cdot \gamma_c + \beta_c

    Input and output: (N, num_channels, *).  Parameters: ``weight``, ``bias``, (num_channels,), ones and zeros.
    [Wu & He 2018]

    Parameters
    ----------
    num_groups : int
        A divisor of `num_channels`: 1 is layer normalisation of all channels, `num_channels` instance normalisation.
    num_channels : int
    eps : float
    affine, bias : bool
        Whether there is a scale, and with it a shift.
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        bias: bool = True,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        groups, channels = checked_count("num_groups", num_groups), checked_count("num_channels", num_channels)
        if groups < 1 or channels < 1 or channels % groups:
            raise ArgumentError(
                f"num_groups: expected a divisor of num_channels={num_channels}, got {num_groups}; "
                "each group has as many channels"
            )
        opened = get_backend(backend)
        self.num_groups = groups
        self.num_channels = channels
        self.eps = eps
        self.weight = Parameter(opened.full((channels,), 1.0, dtype)) if affine else None
        self.bias = Parameter(opened.zeros((channels,), dtype)) if affine and bias else None

    def forward(self, x: Array) -> Array:
        """Normalise (N, num_channels, *)."""
        if len(x.shape) < 2 or x.shape[1] != self.num_channels:
            raise ShapeError(f"GroupNorm: expected an input of (N, {self.num_channels}, *), got {tuple(x.shape)}")
        return group_norm(x, self.weight, self.bias, groups=self.num_groups, eps=self.eps)

    def extra_repr(self) -> str:
        """Groups, channels and epsilon."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}"


class LocalResponseNorm(Module):
    r"""Damp each number by its neighbours at the same place in other channels.

    .. math:: y_c = x_c \Big/ \Big(k + \frac{\alpha}{n} \sum_{c'} x_{c'}^2\Big)^\beta

    over the n = `size` channels around c.  Input and output: (N, C, *).  [Krizhevsky, Sutskever & Hinton 2012]

    Parameters
    ----------
    size : int
    alpha, beta, k : float
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        if checked_count("size", size) < 1:
            raise ArgumentError(f"size: expected a number of channels of at least 1, got {size}")
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, x: Array) -> Array:
        """Damp (N, C, *)."""
        return local_response_norm(x, size=self.size, alpha=self.alpha, beta=self.beta, k=self.k)

    def extra_repr(self) -> str:
        """The constants."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def _at_least_one_axis(normalized_shape: int | tuple[int, ...]) -> tuple[int, ...]:
    shape = checked_shape(normalized_shape)
    if not shape:
        raise ArgumentError("normalized_shape: expected at least one axis, got none")
    return shape


def _last_axes(layer: Module, x: Array, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes to normalise over, if the input has them."""
    n = len(shape)
    if tuple(x.shape[-n:]) != shape:
        raise ShapeError(f"{type(layer).__name__}: expected an input of (..., {shape}), got {tuple(x.shape)}")
    return tuple(range(-n, 0))
