"""Convolution layers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral

from portml.autograd.parameter import Parameter
from portml.backends import Array, Backend
from portml.backends.kernels.convolution import convolution
from portml.errors import ArgumentError, ShapeError
from portml.nn.initialisation import generator_for, uniform_fan_in
from portml.nn.module import Module
from portml.random import Generator

__all__ = ["Conv2d", "pair"]


class Conv2d(Module):
    r"""Cross-correlation of images with learnt filters.

    .. math:: y_{n,o,i,j} = b_o + \sum_{c,k,l} w_{o,c,k,l} \, x_{n,\, c,\, s i + d k - p,\, s j + d l - p}

    Input: (N, in_channels, H, W).  Output: (N, out_channels, H', W') with
    :math:`H' = \lfloor (H + 2p - d (k - 1) - 1) / s \rfloor + 1`.
    Parameters: ``weight`` (out_channels, in_channels // groups, *kernel_size), ``bias`` (out_channels,), both uniform
    in ±1/√fan_in.  [LeCun et al. 1998]

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or pair of int
    padding : int, pair of int, "valid" or "same"
        Zeros around the image; "same" keeps its size, for a stride of 1.
    groups : int
        Channels in as many groups that do not see each other.
    bias : bool
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        if in_channels < 1 or out_channels < 1:
            raise ArgumentError(
                f"in_channels, out_channels: expected sizes of at least 1, got {in_channels} and {out_channels}"
            )
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"groups: expected a divisor of in_channels={in_channels} and out_channels={out_channels}, got {groups}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        self.stride = pair(stride, "stride", 1)
        self.padding = padding
        self.dilation = pair(dilation, "dilation", 1)
        self.groups = groups
        self._widths = _padding_widths(padding, self.kernel_size, self.stride, self.dilation)
        rng = generator_for(rng, backend)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        fan_in = math.prod(shape[1:])
        self.weight = Parameter(uniform_fan_in(shape, fan_in=fan_in, rng=rng, dtype=dtype))
        self.bias = Parameter(uniform_fan_in((out_channels,), fan_in=fan_in, rng=rng, dtype=dtype)) if bias else None

    def forward(self, x: Array) -> Array:
        """Filter images (N, in_channels, H, W)."""
        if len(x.shape) != 4 or x.shape[1] != self.in_channels:
            raise ShapeError(f"Conv2d: expected an input of shape (N, {self.in_channels}, H, W), got {tuple(x.shape)}")
        return convolution(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self._widths,
            dilation=self.dilation,
            groups=self.groups,
        )

    def extra_repr(self) -> str:
        """Sizes, and what is not the default."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        for name, default in (("padding", 0), ("dilation", (1, 1)), ("groups", 1)):
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)!r}"
        return text if self.bias is not None else f"{text}, bias=False"


def pair(value: int | tuple[int, int], name: str, least: int) -> tuple[int, int]:
    """A number for both axes of an image, or one for each; refused below `least`."""
    both = (value, value) if isinstance(value, Integral) else tuple(value) if isinstance(value, Iterable) else ()
    if len(both) != 2 or not all(isinstance(one, Integral) and one >= least for one in both):
        raise ArgumentError(f"{name}: expected an integer of at least {least}, or a pair of them, got {value!r}")
    return int(both[0]), int(both[1])


def _padding_widths(
    padding: int | tuple[int, int] | str, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Zeros before and after along each axis."""
    if padding == "same":
        if stride != (1, 1):
            raise ArgumentError(f"padding: 'same' keeps the size for a stride of 1 only, got stride={stride}")
        total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return (total[0] // 2, total[0] - total[0] // 2), (total[1] // 2, total[1] - total[1] // 2)
    if padding == "valid":
        return (0, 0), (0, 0)
    if isinstance(padding, str):
        raise ArgumentError(f"padding: expected integers, 'same' or 'valid', got {padding!r}")
    high, wide = pair(padding, "padding", 0)
    return (high, high), (wide, wide)
