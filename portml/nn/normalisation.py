"""Normalisation layers."""

from __future__ import annotations

from portml.autograd import Tensor
from portml.autograd.parameter import Parameter
from portml.backends import Array, Backend, get_backend, operations, to_numpy
from portml.backends.kernels import normalisation as kernels
from portml.errors import ArgumentError, ShapeError
from portml.nn.module import Module
from portml.random.arguments import checked_count, checked_shape

__all__ = ["BatchNorm1d", "BatchNorm2d", "LayerNorm"]


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
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        shape = checked_shape(normalized_shape)
        if not shape:
            raise ArgumentError("normalized_shape: expected at least one axis, got none")
        opened = get_backend(backend)
        self.normalized_shape = shape
        self.eps = eps
        self.weight = Parameter(opened.full(shape, 1.0, dtype)) if elementwise_affine else None
        self.bias = Parameter(opened.zeros(shape, dtype)) if elementwise_affine and bias else None

    def forward(self, x: Array) -> Array:
        """Normalise (..., *normalized_shape)."""
        n = len(self.normalized_shape)
        if tuple(x.shape[-n:]) != self.normalized_shape:
            raise ShapeError(f"LayerNorm: expected an input of (..., {self.normalized_shape}), got {tuple(x.shape)}")
        return kernels.layer_norm(x, self.weight, self.bias, axes=tuple(range(-n, 0)), eps=self.eps)

    def extra_repr(self) -> str:
        """The shape and epsilon."""
        return f"{self.normalized_shape}, eps={self.eps}"


class _BatchNorm(Module):
    """What batch normalisation of one or two dimensions shares; see `BatchNorm1d`."""

    running_mean: Array | None
    running_var: Array | None
    num_batches_tracked: Array | None
    _dimensions: tuple[int, ...]
    _expected: str

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        if checked_count("num_features", num_features) < 1:
            raise ArgumentError(f"num_features: expected at least 1, got {num_features}")
        opened = get_backend(backend)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.weight = Parameter(opened.full((num_features,), 1.0, dtype)) if affine else None
        self.bias = Parameter(opened.zeros((num_features,), dtype)) if affine else None
        self.register_buffer("running_mean", opened.zeros((num_features,), dtype) if track_running_stats else None)
        self.register_buffer("running_var", opened.full((num_features,), 1.0, dtype) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", opened.zeros((), "int64") if track_running_stats else None)

    def forward(self, x: Array) -> Array:
        """Normalise a batch."""
        if len(x.shape) not in self._dimensions or x.shape[1] != self.num_features:
            expected = self._expected.format(self.num_features)
            raise ShapeError(f"{type(self).__name__}: expected an input of shape {expected}, got {tuple(x.shape)}")
        if not self.training and self.running_mean is not None:
            return kernels.batch_norm_inference(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        n = x.size // self.num_features if self.num_features else 0
        if self.training and n < 2:
            raise ShapeError(
                f"{type(self).__name__}: a batch of {n} values a channel has no variance to train on; use eval(), or "
                "batches of at least two"
            )
        y, mean, var = kernels.batch_norm_train(x, self.weight, self.bias, eps=self.eps)
        if self.training and self.running_mean is not None:
            self._follow(mean, var, n)
        return y

    def extra_repr(self) -> str:
        """The number of channels and the constants."""
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"

    def _follow(self, mean: Array, var: Array, n: int) -> None:
        """Write the running statistics in place."""
        mean, var = (value.value if isinstance(value, Tensor) else value for value in (mean, var))
        operations.write_into(self.num_batches_tracked, operations.add(self.num_batches_tracked, 1))
        momentum = self.momentum
        if momentum is None:
            momentum = 1 / int(to_numpy(self.num_batches_tracked))  # the plain mean needs the count on the host
        kernels.update_running(self.running_mean, self.running_var, mean, var, momentum=momentum, n=n)


class BatchNorm1d(_BatchNorm):
    r"""Normalise each channel over the batch, in training by the batch's own statistics.

    Input and output: (N, num_features) or (N, num_features, L).

    .. math:: y = (x - \mu_c) / \sqrt{\sigma_c^2 + \epsilon} \cdot \gamma_c + \beta_c

    Running statistics follow by :math:`r \leftarrow (1 - m) r + m s`, with the unbiased variance; they serve in
    evaluation.  Parameters: ``weight``, ``bias``; buffers: ``running_mean``, ``running_var`` (num_features,),
    ``num_batches_tracked`` ().  [Ioffe & Szegedy 2015]

    Parameters
    ----------
    num_features : int
    eps : float
    momentum : float or None
        m; None keeps the plain mean over all batches, whose count is read from the device at each.
    affine : bool
        Whether there are a scale and a shift.
    track_running_stats : bool
        Without, evaluation too uses the batch's own statistics.
    backend : str or Backend, optional
    dtype : str
    """

    _dimensions = (2, 3)
    _expected = "(N, {0}) or (N, {0}, L)"


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (N, num_features, H, W); see the formula of `BatchNorm1d`."""

    _dimensions = (4,)
    _expected = "(N, {0}, H, W)"
