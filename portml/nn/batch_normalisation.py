"""Layers that normalise channel by channel and keep running statistics: over the batch, or over each sample."""

from __future__ import annotations

import math

from portml.autograd import Tensor
from portml.autograd.parameter import Parameter
from portml.backends import Array, Backend, get_backend, operations, to_numpy
from portml.backends.kernels.group_normalisation import group_norm
from portml.backends.kernels.normalisation import batch_norm_inference, batch_norm_train, update_running
from portml.errors import ArgumentError, ShapeError
from portml.nn.module import Module
from portml.random.arguments import checked_count

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"]


class _ChannelNorm(Module):
    """What batch and instance normalisation share: parameters, buffers and shapes."""

    running_mean: Array | None
    running_var: Array | None
    num_batches_tracked: Array | None
    _dimensions: tuple[int, ...]
    _expected: str

    def _build(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        bias: bool,
        track_running_stats: bool,
        backend: str | Backend | None,
        dtype: str,
    ) -> None:
        if checked_count("num_features", num_features) < 1:
            raise ArgumentError(f"num_features: expected at least 1, got {num_features}")
        opened, shape = get_backend(backend), (num_features,)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.weight = Parameter(opened.full(shape, 1.0, dtype)) if affine else None
        self.bias = Parameter(opened.zeros(shape, dtype)) if affine and bias else None
        self.register_buffer("running_mean", opened.zeros(shape, dtype) if track_running_stats else None)
        self.register_buffer("running_var", opened.full(shape, 1.0, dtype) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", opened.zeros((), "int64") if track_running_stats else None)

    def extra_repr(self) -> str:
        """The number of channels and the constants."""
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"

    def _refuse_unfit(self, x: Array, channels: int) -> None:
        """Raise ShapeError unless x has the dimensions, and its axis `channels` the number of channels."""
        if len(x.shape) not in self._dimensions or x.shape[channels] != self.num_features:
            expected = self._expected.format(self.num_features)
            raise ShapeError(f"{type(self).__name__}: expected an input of shape {expected}, got {tuple(x.shape)}")

    def _by_running_statistics(self, x: Array) -> Array:
        return batch_norm_inference(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class _BatchNorm(_ChannelNorm):
    """What batch normalisation of one to three dimensions shares; see `BatchNorm1d`."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        unbiased: bool = True,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        self._build(num_features, eps, momentum, affine, bias, track_running_stats, backend, dtype)
        self.unbiased = unbiased

    def forward(self, x: Array) -> Array:
        """Normalise a batch."""
        self._refuse_unfit(x, 1)
        if not self.training and self.running_mean is not None:
            return self._by_running_statistics(x)
        n = x.size // self.num_features
        if self.training and n < 2:
            raise ShapeError(
                f"{type(self).__name__}: a batch of {n} values a channel has no variance to train on; use eval(), or "
                "batches of at least two"
            )
        y, mean, var = batch_norm_train(x, self.weight, self.bias, eps=self.eps)
        if self.training and self.running_mean is not None:
            self._follow(_raw(mean), _raw(var), n)
        return y

    def _follow(self, mean: Array, var: Array, n: int) -> None:
        """Write the running statistics in place."""
        operations.write_into(self.num_batches_tracked, operations.add(self.num_batches_tracked, 1))
        momentum = self.momentum
        if momentum is None:
            momentum = 1 / int(to_numpy(self.num_batches_tracked))  # the plain mean needs the count on the host
        statistics = (self.running_mean, self.running_var, mean, var)
        update_running(*statistics, momentum=momentum, n=n, unbiased=self.unbiased)


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
        m, the weight of the new value: where a text gives that of the old one, 0.9, this is 0.1.  None keeps the plain
        mean over all batches, whose count is read from the device at each.
    affine, bias : bool
        Whether there is a scale, and with it a shift.
    track_running_stats : bool
        Without, evaluation too uses the batch's own statistics.
    unbiased : bool
        Whether the running variance follows that divided by n - 1; without, the one divided by n.
    backend : str or Backend, optional
    dtype : str
    """

    _dimensions = (2, 3)
    _expected = "(N, {0}) or (N, {0}, L)"


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (N, num_features, H, W); see the formula of `BatchNorm1d`."""

    _dimensions = (4,)
    _expected = "(N, {0}, H, W)"


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of (N, num_features, D, H, W); see the formula of `BatchNorm1d`."""

    _dimensions = (5,)
    _expected = "(N, {0}, D, H, W)"


class _InstanceNorm(_ChannelNorm):
    """What instance normalisation of one to three dimensions shares; see `InstanceNorm1d`."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        self._build(num_features, eps, momentum, affine, bias, track_running_stats, backend, dtype)

    def forward(self, x: Array) -> Array:
        """Normalise each sample, or the only one."""
        batched = len(x.shape) == max(self._dimensions)
        self._refuse_unfit(x, 1 if batched else 0)
        batch = x if batched else operations.expand_dims(x, axis=0)
        if not self.training and self.running_mean is not None:
            y = self._by_running_statistics(batch)
        else:
            y = self._by_own_statistics(batch)
        return y if batched else operations.squeeze(y, axis=0)

    def _by_own_statistics(self, x: Array) -> Array:
        n = math.prod(x.shape[2:])
        if n < 2:
            raise ShapeError(
                f"{type(self).__name__}: {n} values a channel have no variance; expected more places than one, got an "
                f"input of shape {tuple(x.shape)}"
            )
        if not self.training or self.running_mean is None:
            return group_norm(x, self.weight, self.bias, groups=self.num_features, eps=self.eps)
        # A batch of one sample whose channels are those of all samples.
        samples = x.shape[0]
        weight, bias = (
            None if parameter is None else operations.tile(parameter, (samples,))
            for parameter in (self.weight, self.bias)
        )
        flat = operations.reshape(x, (1, samples * self.num_features, *x.shape[2:]))
        y, mean, var = batch_norm_train(flat, weight, bias, eps=self.eps)
        mean, var = (
            operations.mean(operations.reshape(_raw(each), (samples, self.num_features)), axis=0)
            for each in (mean, var)
        )
        update_running(self.running_mean, self.running_var, mean, var, momentum=self.momentum, n=n)
        return operations.reshape(y, x.shape)


class InstanceNorm1d(_InstanceNorm):
    r"""Normalise each channel of each sample.

    Input and output: (N, num_features, L) or, for one sample, (num_features, L).

    .. math:: y = (x - \mu_{nc}) / \sqrt{\sigma_{nc}^2 + \epsilon} \cdot \gamma_c + \beta_c

    With `track_running_stats` the means over the batch of each sample's mean and unbiased variance are averaged as in
    batch normalisation, and serve in evaluation.  Parameters and buffers are those of `BatchNorm1d`.
    [Ulyanov, Vedaldi & Lempitsky 2016]

    Parameters
    ----------
    num_features : int
    eps : float
    momentum : float
    affine, bias : bool
        Whether there is a scale, and with it a shift.
    track_running_stats : bool
    backend : str or Backend, optional
    dtype : str
    """

    _dimensions = (2, 3)
    _expected = "(N, {0}, L) or ({0}, L)"


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of (N, num_features, H, W) or (num_features, H, W); see `InstanceNorm1d`."""

    _dimensions = (3, 4)
    _expected = "(N, {0}, H, W) or ({0}, H, W)"


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of (N, num_features, D, H, W) or (num_features, D, H, W); see `InstanceNorm1d`."""

    _dimensions = (4, 5)
    _expected = "(N, {0}, D, H, W) or ({0}, D, H, W)"


def _raw(x: Array) -> Array:
    return x.value if isinstance(x, Tensor) else x
