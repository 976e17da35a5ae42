"""Pooling layers: the largest or the mean of each window of an image."""

from __future__ import annotations

from portml.backends import Array
from portml.backends.kernels.pooling import avg_pool, max_pool
from portml.nn.convolution import pair
from portml.nn.module import Module

__all__ = ["AvgPool2d", "MaxPool2d"]


class MaxPool2d(Module):
    """The largest number of each window; nothing outside the image counts, and NaN wins.

    Input: (N, C, H, W).  Output: (N, C, H', W').

    Parameters
    ----------
    kernel_size : int or pair of int
    stride : int or pair of int, optional
        None takes `kernel_size`, so that windows do not overlap.
    padding, dilation : int or pair of int
    ceil_mode : bool
        Whether a last window that reaches beyond the image counts.
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        *,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else pair(stride, "stride", 1)
        self.padding = pair(padding, "padding", 0)
        self.dilation = pair(dilation, "dilation", 1)
        self.ceil_mode = ceil_mode

    def forward(self, x: Array) -> Array:
        """Pool images (N, C, H, W)."""
        return max_pool(
            x,
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            ceil_mode=self.ceil_mode,
        )

    def extra_repr(self) -> str:
        """Sizes of the window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """The mean of each window.

    Input: (N, C, H, W).  Output: (N, C, H', W').

    Parameters
    ----------
    kernel_size : int or pair of int
    stride : int or pair of int, optional
        None takes `kernel_size`.
    padding : int or pair of int
    ceil_mode : bool
    count_include_pad : bool
        Whether the zeros around the image count as numbers.
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else pair(stride, "stride", 1)
        self.padding = pair(padding, "padding", 0)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, x: Array) -> Array:
        """Pool images (N, C, H, W)."""
        return avg_pool(
            x,
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            ceil_mode=self.ceil_mode,
            count_include_pad=self.count_include_pad,
        )

    def extra_repr(self) -> str:
        """Sizes of the window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
