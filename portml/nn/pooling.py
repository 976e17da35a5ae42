"""Pooling layers: the largest, the mean or another norm of each window."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from portml.backends import Array, operations
from portml.backends.kernels.adaptive_pooling import adaptive_max_pool
from portml.backends.kernels.pooling import avg_pool, max_pool, max_pool_with_indices
from portml.backends.kernels.resampling import resample
from portml.errors import ArgumentError
from portml.nn.spatial import Size, SpatialModule

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
]


class _MaxPool(SpatialModule):
    """The largest element of each window; see `MaxPool2d`."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size = self._sizes(kernel_size, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else self._sizes(stride, "stride", 1)
        self.padding = self._sizes(padding, "padding", 0)
        self.dilation = self._sizes(dilation, "dilation", 1)
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, x: Array) -> Any:
        """Pool a batch, or a single sample."""
        return self._over_batch(self._on_batch, x)

    def _on_batch(self, x: Array) -> Any:
        pool = max_pool_with_indices if self.return_indices else max_pool
        return pool(
            x,
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            ceil_mode=self.ceil_mode,
        )

    def extra_repr(self) -> str:
        """Sizes of the window."""
        text = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return f"{text}, dilation={self.dilation}, ceil_mode={self.ceil_mode}"


class MaxPool1d(_MaxPool):
    """The largest element of each window of a signal (N, C, L); see `MaxPool2d`."""

    _spatial = 1


class MaxPool2d(_MaxPool):
    """The largest element of each window; nothing outside the image counts, and NaN wins.

    Input: (N, C, H, W) or (C, H, W).  Output: (N, C, H', W').

    Parameters
    ----------
    kernel_size : int or one for each axis
    stride : int or one for each axis, optional
        None takes `kernel_size`, so that windows do not overlap.
    padding, dilation : int or one for each axis
    return_indices : bool
        Give (y, indices): where in its image, counted in row-major order, each element stands.
    ceil_mode : bool
        Whether a last window that reaches beyond the image counts.
    """

    _spatial = 2


class MaxPool3d(_MaxPool):
    """The largest element of each window of a volume (N, C, D, H, W); see `MaxPool2d`."""

    _spatial = 3


class _AvgPool(SpatialModule):
    """The mean of each window; see `AvgPool2d`."""

    divisor_override: int | None = None

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size = self._sizes(kernel_size, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else self._sizes(stride, "stride", 1)
        self.padding = self._sizes(padding, "padding", 0)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, x: Array) -> Array:
        """Pool a batch, or a single sample."""
        return self._over_batch(self._on_batch, x)

    def _on_batch(self, x: Array) -> Array:
        return avg_pool(
            x,
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            ceil_mode=self.ceil_mode,
            count_include_pad=self.count_include_pad,
            divisor_override=self.divisor_override,
        )

    def extra_repr(self) -> str:
        """Sizes of the window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """The mean of each window of a signal (N, C, L); see `AvgPool2d`, but for the divisor."""

    _spatial = 1


class _DividingAvgPool(_AvgPool):
    """The mean of each window, or its sum by another divisor; see `AvgPool2d`."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        if divisor_override == 0:
            raise ArgumentError("divisor_override: expected another integer than 0, or None for the size of the window")
        self.divisor_override = divisor_override


class AvgPool2d(_DividingAvgPool):
    """The mean of each window.

    Input: (N, C, H, W) or (C, H, W).  Output: (N, C, H', W').

    Parameters
    ----------
    kernel_size : int or one for each axis
    stride : int or one for each axis, optional
        None takes `kernel_size`.
    padding : int or one for each axis
    ceil_mode : bool
        Whether a last window that reaches beyond the image counts.
    count_include_pad : bool
        Whether the zeros around the image count as numbers.
    divisor_override : int, optional
        What each sum is divided by, in the place of the number of elements.
    """

    _spatial = 2


class AvgPool3d(_DividingAvgPool):
    """The mean of each window of a volume (N, C, D, H, W); see `AvgPool2d`."""

    _spatial = 3


class _LPPool(SpatialModule):
    """The p-norm of each window; see `LPPool2d`."""

    def __init__(
        self, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
    ) -> None:
        if not norm_type > 0:
            raise ArgumentError(f"norm_type: expected a positive number, got {norm_type!r}")
        self.norm_type = norm_type
        self.kernel_size = self._sizes(kernel_size, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else self._sizes(stride, "stride", 1)
        self.ceil_mode = ceil_mode

    def forward(self, x: Array) -> Array:
        """Pool a batch, or a single sample."""
        return self._over_batch(self._on_batch, x)

    def _on_batch(self, x: Array) -> Array:
        means = avg_pool(
            operations.pow(x, self.norm_type),
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=(0,) * self._spatial,
            ceil_mode=self.ceil_mode,
            count_include_pad=True,
        )
        sums = operations.multiply(means, math.prod(self.kernel_size))
        # The root has no slope at 0: a window of zeros is left out of it, and gets a gradient of zero.
        nothing = operations.equal(sums, 0.0)
        root = operations.pow(operations.where(nothing, 1.0, sums), 1 / self.norm_type)
        return operations.where(nothing, 0.0, root)

    def extra_repr(self) -> str:
        """The norm and the sizes of the window."""
        return f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}"


class LPPool1d(_LPPool):
    """The p-norm of each window of a signal (N, C, L); see `LPPool2d`."""

    _spatial = 1


class LPPool2d(_LPPool):
    r"""The p-norm of each window.

    .. math:: y = \Bigl(\sum_{x \in \text{window}} x^p\Bigr)^{1/p}

    without absolute values, as in PyTorch.  A window that reaches over the end counts for a whole one; where the sum is
    0, so is the gradient.
    Input: (N, C, H, W) or (C, H, W).  Output: (N, C, H', W').

    Parameters
    ----------
    norm_type : float
        p.
    kernel_size : int or one for each axis
    stride : int or one for each axis, optional
        None takes `kernel_size`.
    ceil_mode : bool
    """

    _spatial = 2


class LPPool3d(_LPPool):
    """The p-norm of each window of a volume (N, C, D, H, W); see `LPPool2d`."""

    _spatial = 3


class _AdaptivePool(SpatialModule):
    """Pooling to a size of the result."""

    def __init__(self, output_size: int | tuple[int | None, ...] | None) -> None:
        sizes = tuple(output_size) if isinstance(output_size, Iterable) else (output_size,) * self._spatial
        known = self._sizes(tuple(1 if size is None else size for size in sizes), "output_size", 1)
        self.output_size = tuple(None if size is None else integer for size, integer in zip(sizes, known, strict=True))

    def _size_for(self, x: Array) -> tuple[int, ...]:
        """The size of the result; None keeps the length of the axis."""
        return tuple(
            length if size is None else size for size, length in zip(self.output_size, x.shape[2:], strict=True)
        )

    def extra_repr(self) -> str:
        """The size of the result."""
        return f"output_size={self.output_size}"


class _AdaptiveAvgPool(_AdaptivePool):
    """The mean of windows that share the image evenly; see `AdaptiveAvgPool2d`."""

    def forward(self, x: Array) -> Array:
        """Pool a batch, or a single sample."""
        return self._over_batch(self._on_batch, x)

    def _on_batch(self, x: Array) -> Array:
        no_scale = (None,) * self._spatial
        return resample(x, size=self._size_for(x), mode="area", align_corners=False, scale=no_scale)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The mean of windows that share a signal (N, C, L) evenly; see `AdaptiveAvgPool2d`."""

    _spatial = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The mean of windows that share the image evenly: window i of p along H reaches from ⌊i H/p⌋ to ⌈(i + 1) H/p⌉.

    Input: (N, C, H, W) or (C, H, W).  Output: (N, C, *output_size); a size of 1 is the mean of each channel.

    Parameters
    ----------
    output_size : int or one for each axis
        None leaves an axis as it is.
    """

    _spatial = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The mean of windows that share a volume (N, C, D, H, W) evenly; see `AdaptiveAvgPool2d`."""

    _spatial = 3


class _AdaptiveMaxPool(_AdaptivePool):
    """The largest element of windows that share the image evenly; see `AdaptiveMaxPool2d`."""

    def __init__(self, output_size: int | tuple[int | None, ...] | None, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, x: Array) -> Any:
        """Pool a batch, or a single sample."""
        return self._over_batch(self._on_batch, x)

    def _on_batch(self, x: Array) -> Any:
        y, indices = adaptive_max_pool(x, output_size=self._size_for(x))
        return (y, indices) if self.return_indices else y


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest element of windows that share a signal (N, C, L) evenly; see `AdaptiveMaxPool2d`."""

    _spatial = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest element of windows that share the image evenly, as those of `AdaptiveAvgPool2d`.

    Input: (N, C, H, W) or (C, H, W).  Output: (N, C, *output_size).

    Parameters
    ----------
    output_size : int or one for each axis
        None leaves an axis as it is.
    return_indices : bool
        Give (y, indices): where in its image, counted in row-major order, each element stands.
    """

    _spatial = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest element of windows that share a volume (N, C, D, H, W) evenly; see `AdaptiveMaxPool2d`."""

    _spatial = 3
