"""U-Net: an image in, an image of the same size out, seen at every scale."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from portml.backends import Array, Backend, operations
from portml.errors import ArgumentError, ShapeError
from portml.nn.activation import ReLU
from portml.nn.batch_normalisation import BatchNorm2d
from portml.nn.containers import ModuleList, Sequential
from portml.nn.convolution import Conv2d, ConvTranspose2d
from portml.nn.initialisation import generator_for
from portml.nn.module import Module
from portml.nn.pooling import MaxPool2d
from portml.random import Generator

__all__ = ["UNet"]


class UNet(Module):
    """A way down through pooled images, a way up again, and at each scale a bridge between the two.

    Input: (N, in_channels, H, W), H and W divisible by 2 ** (len(widths) - 1).  Output: (N, out_channels, H, W).
    [Ronneberger, Fischer & Brox 2015, figure 1]; convolutions keep the size here, so that nothing is cropped, and are
    normalised.

    Parameters
    ----------
    in_channels, out_channels : int
    widths : sequence of int
        Channels at each scale, from the full size down.
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        widths: Sequence[int] = (16, 32, 64),
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        if not widths or min(widths) < 1:
            raise ArgumentError(f"widths: expected channels, at least 1, for every scale, got {list(widths)}")
        rng = generator_for(rng, backend)
        self.down = ModuleList(
            _two_convolutions(before, width, rng, dtype) for before, width in pairwise((in_channels, *widths))
        )
        self.pool = MaxPool2d(2)
        rising = list(pairwise(widths[::-1]))
        self.wider = ModuleList(ConvTranspose2d(low, high, 2, stride=2, rng=rng, dtype=dtype) for low, high in rising)
        self.up = ModuleList(_two_convolutions(2 * high, high, rng, dtype) for _, high in rising)
        self.head = Conv2d(widths[0], out_channels, 1, rng=rng, dtype=dtype)

    def forward(self, x: Array) -> Array:
        """An output for every pixel of `x`."""
        divisor = 2 ** (len(self.down) - 1)
        if len(x.shape) != 4 or x.shape[2] % divisor or x.shape[3] % divisor:
            raise ShapeError(
                f"UNet: expected images (N, C, H, W) with H and W divisible by {divisor}, got {tuple(x.shape)}; "
                "pad them"
            )
        bridges: list[Array] = []
        for scale, convolutions in enumerate(self.down):
            x = convolutions(x if scale == 0 else self.pool(x))
            bridges.append(x)
        bridges.pop()
        for wider, convolutions in zip(self.wider, self.up, strict=True):
            x = convolutions(operations.concat([bridges.pop(), wider(x)], axis=1))
        return self.head(x)


def _two_convolutions(in_channels: int, out_channels: int, rng: Generator, dtype: str) -> Sequential:
    layers: list[Module] = []
    for channels in (in_channels, out_channels):
        layers += [
            Conv2d(channels, out_channels, 3, padding=1, bias=False, rng=rng, dtype=dtype),
            BatchNorm2d(out_channels, backend=rng.backend, dtype=dtype),
            ReLU(),
        ]
    return Sequential(*layers)
