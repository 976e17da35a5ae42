"""Convolution layers and their transposes."""

from __future__ import annotations

import math

from portml.autograd.parameter import Parameter
from portml.backends import Array, Backend
from portml.backends.kernels.convolution import convolution
from portml.backends.kernels.convolution_transpose import convolution_transpose
from portml.backends.kernels.padding import PADDING_MODES, pad_with_itself
from portml.backends.kernels.windows import Pairs
from portml.errors import ArgumentError, ShapeError
from portml.nn.initialisation import generator_for, uniform_fan_in
from portml.nn.spatial import AXES, Size, SpatialModule
from portml.random import Generator
from portml.random.arguments import checked_count

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]


class _Filters(SpatialModule):
    """What convolution and its transpose share: filters, a bias, and how the filters move."""

    def _set_up(
        self,
        channels: tuple[int, int],
        kernel_size: Size,
        stride: Size,
        dilation: Size,
        groups: int,
        bias: bool,
        transposed: bool,
        rng: Generator | int | None,
        backend: str | Backend | None,
        dtype: str,
    ) -> None:
        n_in, n_out = channels
        for name, number in (("in_channels", n_in), ("out_channels", n_out), ("groups", groups)):
            if checked_count(name, number) < 1:
                raise ArgumentError(f"{name}: expected an integer of at least 1, got {number}")
        if n_in % groups or n_out % groups:
            raise ArgumentError(
                f"groups: expected a divisor of in_channels={n_in} and out_channels={n_out}, got {groups}"
            )
        self.in_channels, self.out_channels = channels
        self.kernel_size = self._sizes(kernel_size, "kernel_size", 1)
        self.stride = self._sizes(stride, "stride", 1)
        self.dilation = self._sizes(dilation, "dilation", 1)
        self.groups = groups
        rng = generator_for(rng, backend)
        first, second = (n_in, n_out) if transposed else (n_out, n_in)
        shape = (first, second // groups, *self.kernel_size)
        fan_in = math.prod(shape[1:])
        self.weight = Parameter(uniform_fan_in(shape, fan_in=fan_in, rng=rng, dtype=dtype))
        self.bias = Parameter(uniform_fan_in((n_out,), fan_in=fan_in, rng=rng, dtype=dtype)) if bias else None

    def _refuse_other_channels(self, x: Array) -> None:
        if x.shape[1] != self.in_channels:
            expected = f"(N, {self.in_channels}, {AXES[self._spatial]})"
            raise ShapeError(f"{type(self).__name__}: expected an input of shape {expected}, got {tuple(x.shape)}")

    def _described(self, *extra: tuple[str, object]) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        optional = (*extra, ("dilation", (1,) * self._spatial), ("groups", 1))
        for name, default in optional:
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)!r}"
        return text if self.bias is not None else f"{text}, bias=False"


class _Convolution(_Filters):
    """Convolution over any number of axes; see `Conv2d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        if padding_mode not in ("zeros", *PADDING_MODES):
            raise ArgumentError(f"padding_mode: expected one of {('zeros', *PADDING_MODES)}, got {padding_mode!r}")
        channels = (in_channels, out_channels)
        self._set_up(channels, kernel_size, stride, dilation, groups, bias, False, rng, backend, dtype)
        self.padding = padding if isinstance(padding, str) else self._sizes(padding, "padding", 0)
        self.padding_mode = padding_mode
        self._widths = self._padding_widths()

    def forward(self, x: Array) -> Array:
        """Filter a batch, or a single sample."""
        return self._over_batch(self._on_batch, x)

    def _on_batch(self, x: Array) -> Array:
        self._refuse_other_channels(x)
        widths = self._widths
        if self.padding_mode != "zeros":
            x = pad_with_itself(x, widths=((0, 0), (0, 0), *widths), mode=self.padding_mode)
            widths = ((0, 0),) * self._spatial
        return convolution(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=widths,
            dilation=self.dilation,
            groups=self.groups,
        )

    def _padding_widths(self) -> Pairs:
        """How much is added before and after along each axis; "same" puts an odd rest after."""
        if self.padding == "valid":
            return ((0, 0),) * self._spatial
        if self.padding == "same":
            if any(s != 1 for s in self.stride):
                raise ArgumentError(f"padding: 'same' keeps the size for a stride of 1 only, got stride={self.stride}")
            total = [d * (k - 1) for k, d in zip(self.kernel_size, self.dilation, strict=True)]
            return tuple((both // 2, both - both // 2) for both in total)
        if isinstance(self.padding, str):
            raise ArgumentError(f"padding: expected integers, 'same' or 'valid', got {self.padding!r}")
        return tuple((width, width) for width in self.padding)

    def extra_repr(self) -> str:
        """Sizes, and what is not the default."""
        return self._described(("padding", (0,) * self._spatial), ("padding_mode", "zeros"))


class Conv1d(_Convolution):
    """Convolution of signals (N, in_channels, L) with filters (out_channels, in_channels // groups, k).

    See `Conv2d` for the formula and the parameters.
    """

    _spatial = 1


class Conv2d(_Convolution):
    r"""Cross-correlation of images with learnt filters.

    .. math:: y_{n,o,i,j} = b_o + \sum_{c,k,l} w_{o,c,k,l} \, x_{n,\, c,\, s i + d k - p,\, s j + d l - p}

    Input: (N, in_channels, H, W) or (in_channels, H, W).  Output: (N, out_channels, H', W') with
    :math:`H' = \lfloor (H + 2p - d (k - 1) - 1) / s \rfloor + 1`.
    Parameters: ``weight`` (out_channels, in_channels // groups, *kernel_size), ``bias`` (out_channels,), both uniform
    in ±1/√fan_in.  [LeCun et al. 1998]

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or one for each axis
    padding : int, one for each axis, "valid" or "same"
        What is added around the image; "same" keeps its size, for a stride of 1.
    groups : int
        Channels in as many groups that do not see each other; as many groups as channels filter each by itself.
    bias : bool
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What is added: zeros, or the image itself as `portml.nn.ReflectionPad2d` and its neighbours do.
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str
    """

    _spatial = 2


class Conv3d(_Convolution):
    """Convolution of volumes (N, in_channels, D, H, W) with filters (out_channels, in_channels // groups, k, l, m).

    See `Conv2d` for the formula and the parameters.
    """

    _spatial = 3


class _ConvolutionTranspose(_Filters):
    """Transposed convolution over any number of axes; see `ConvTranspose2d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        channels = (in_channels, out_channels)
        self._set_up(channels, kernel_size, stride, dilation, groups, bias, True, rng, backend, dtype)
        self.padding = self._sizes(padding, "padding", 0)
        self.output_padding = self._sizes(output_padding, "output_padding", 0)

    def forward(self, x: Array, output_size: tuple[int, ...] | None = None) -> Array:
        """Spread a batch or a single sample; `output_size` chooses the output padding by the size of the result."""

        def spread(x: Array) -> Array:
            self._refuse_other_channels(x)
            return convolution_transpose(
                x,
                self.weight,
                self.bias,
                stride=self.stride,
                padding=tuple((width, width) for width in self.padding),
                output_padding=self._output_padding(x, output_size),
                dilation=self.dilation,
                groups=self.groups,
            )

        return self._over_batch(spread, x)

    def _output_padding(self, x: Array, output_size: tuple[int, ...] | None) -> tuple[int, ...]:
        if output_size is None:
            return self.output_padding
        wanted = tuple(output_size)[-self._spatial :]
        least = tuple(
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                x.shape[2:], self.stride, self.padding, self.dilation, self.kernel_size, strict=True
            )
        )
        most = tuple(low + s - 1 for low, s in zip(least, self.stride, strict=True))
        if len(wanted) != self._spatial or not all(
            low <= size <= high for low, size, high in zip(least, wanted, most, strict=True)
        ):
            raise ShapeError(
                f"{type(self).__name__}: output_size={output_size} is not between {least} and {most}, what "
                f"an input of {tuple(x.shape)} can give"
            )
        return tuple(size - low for size, low in zip(wanted, least, strict=True))

    def extra_repr(self) -> str:
        """Sizes, and what is not the default."""
        zeros = (0,) * self._spatial
        return self._described(("padding", zeros), ("output_padding", zeros))


class ConvTranspose1d(_ConvolutionTranspose):
    """Transposed convolution of signals (N, in_channels, L); see `ConvTranspose2d`."""

    _spatial = 1


class ConvTranspose2d(_ConvolutionTranspose):
    r"""The transpose of `Conv2d`: every element of the input is spread over a window of the result.

    .. math:: y_{n,o,\, s i + d k - p,\, s j + d l - p} \mathrel{+}= \sum_c w_{c,o,k,l} \, x_{n,c,i,j}

    Input: (N, in_channels, H, W) or (in_channels, H, W).  Output: (N, out_channels, H', W') with
    :math:`H' = (H - 1) s - 2p + d (k - 1) + q + 1` for an output padding q.
    Parameters: ``weight`` (in_channels, out_channels // groups, *kernel_size), ``bias`` (out_channels,), both uniform
    in ±1/√fan_in, with the fan that PyTorch takes, out_channels // groups × kernel size.  [Zeiler et al. 2010]

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int or one for each axis
    padding : int or one for each axis
        How much is cut off around the result.
    output_padding : int or one for each axis
        By how much the result is longer at the end, less than the stride or the dilation.
    groups : int
    bias : bool
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str
    """

    _spatial = 2


class ConvTranspose3d(_ConvolutionTranspose):
    """Transposed convolution of volumes (N, in_channels, D, H, W); see `ConvTranspose2d`."""

    _spatial = 3
