"""Layers that give images another size: interpolation, and channels laid out as pixels."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real

from portml.backends import Array, operations
from portml.backends.kernels.resampling import resample
from portml.errors import ArgumentError, ShapeError
from portml.nn.module import Module
from portml.nn.spatial import Size, per_axis

__all__ = ["PixelShuffle", "PixelUnshuffle", "Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"]

_MODES = {
    # PyTorch's name: ours, and for how many spatial axes
    "nearest": ("nearest", (1, 2, 3)),
    "nearest-exact": ("nearest-exact", (1, 2, 3)),
    "linear": ("linear", (1,)),
    "bilinear": ("linear", (2,)),
    "trilinear": ("linear", (3,)),
    "bicubic": ("cubic", (2,)),
    "area": ("area", (1, 2, 3)),
}


class Upsample(Module):
    """Images of another size, larger or smaller.

    Input: (N, C, L), (N, C, H, W) or (N, C, D, H, W).  Output: the same with other spatial lengths.

    Parameters
    ----------
    size : int or one for each axis, optional
        Of the result.
    scale_factor : float or one for each axis, optional
        In its place: how much longer each axis becomes, rounded down.
    mode : {"nearest", "nearest-exact", "linear", "bilinear", "trilinear", "bicubic", "area"}
        See `portml.backends.kernels.resampling.resample`.
    align_corners : bool, optional
        For the linear and cubic ones: whether the outermost elements stand on each other, rather than the outer edges.
    recompute_scale_factor : bool, optional
        Whether the factor that the size came out with counts, rather than the one given.
    """

    def __init__(
        self,
        size: Size | None = None,
        scale_factor: float | tuple[float, ...] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        if (size is None) == (scale_factor is None):
            raise ArgumentError(
                f"size, scale_factor: expected one of the two, got size={size} and scale_factor={scale_factor}"
            )
        if mode not in _MODES:
            raise ArgumentError(f"mode: expected one of {tuple(_MODES)}, got {mode!r}")
        if align_corners is not None and _MODES[mode][0] not in ("linear", "cubic"):
            raise ArgumentError(f"align_corners: it is for the linear and cubic modes, not for {mode!r}; leave it out")
        if recompute_scale_factor and scale_factor is None:
            raise ArgumentError("recompute_scale_factor: there is no scale_factor to work out anew")
        self.size = size
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, x: Array) -> Array:
        """Interpolate (N, C, ...)."""
        mode, ranks = _MODES[self.mode]
        spatial = x.ndim - 2
        if spatial not in ranks:
            expected = " or ".join(str(rank + 2) for rank in ranks)
            raise ShapeError(
                f"{type(self).__name__}: mode {self.mode!r} takes inputs of {expected} axes, (N, C, ...), got "
                f"{tuple(x.shape)}"
            )
        size, scale = self._target(tuple(x.shape[2:]))
        if min(size) < 1:
            raise ShapeError(f"{type(self).__name__}: {self.extra_repr()} leaves nothing of {tuple(x.shape)}")
        return resample(x, size=size, mode=mode, align_corners=bool(self.align_corners), scale=scale)

    def _target(self, lengths: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
        """The size of the result, and by how much each axis becomes longer where the size does not say it."""
        unknown = (None,) * len(lengths)
        if self.size is not None:
            return per_axis(self.size, "size", len(lengths), 1), unknown
        given = self.scale_factor
        factors = tuple(given) if isinstance(given, Iterable) else (given,) * len(lengths)
        if len(factors) != len(lengths) or not all(isinstance(one, Real) and one > 0 for one in factors):
            raise ArgumentError(
                f"scale_factor: expected a positive number, or one for each of {len(lengths)} axes, got {given!r}"
            )
        scale = tuple(float(factor) for factor in factors if factor is not None)
        size = tuple(int(length * factor) for length, factor in zip(lengths, scale, strict=True))
        return size, unknown if self.recompute_scale_factor or self.mode == "area" else scale

    def extra_repr(self) -> str:
        """The size or the factor, and the mode."""
        target = f"size={self.size}" if self.size is not None else f"scale_factor={self.scale_factor}"
        return f"{target}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """`Upsample` of images (N, C, H, W) in mode "nearest"."""

    def __init__(self, size: Size | None = None, scale_factor: float | tuple[float, ...] | None = None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """`Upsample` of images (N, C, H, W) in mode "bilinear", corners aligned."""

    def __init__(self, size: Size | None = None, scale_factor: float | tuple[float, ...] | None = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)


class PixelShuffle(Module):
    """Channels laid out as pixels: (..., C r², H, W) to (..., C, H r, W r).  [Shi et al. 2016, eq. 4]

    Parameters
    ----------
    upscale_factor : int
        r.
    """

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = _positive(upscale_factor, "upscale_factor")

    def forward(self, x: Array) -> Array:
        """Rearrange (..., C r², H, W)."""
        r = self.upscale_factor
        *batch, channels, height, width = _image_shape(self, x)
        if channels % (r * r):
            raise ShapeError(
                f"PixelShuffle: expected channels that are a multiple of {r}² = {r * r}, got {channels} in "
                f"{tuple(x.shape)}"
            )
        n, c = len(batch), channels // (r * r)
        x = operations.reshape(x, (*batch, c, r, r, height, width))
        x = operations.permute_dims(x, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
        return operations.reshape(x, (*batch, c, height * r, width * r))

    def extra_repr(self) -> str:
        """The factor."""
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Pixels laid out as channels, the reverse of `PixelShuffle`: (..., C, H r, W r) to (..., C r², H, W).

    Parameters
    ----------
    downscale_factor : int
        r.
    """

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = _positive(downscale_factor, "downscale_factor")

    def forward(self, x: Array) -> Array:
        """Rearrange (..., C, H r, W r)."""
        r = self.downscale_factor
        *batch, channels, height, width = _image_shape(self, x)
        if height % r or width % r:
            raise ShapeError(f"PixelUnshuffle: expected a height and a width divisible by {r}, got {tuple(x.shape)}")
        n = len(batch)
        x = operations.reshape(x, (*batch, channels, height // r, r, width // r, r))
        x = operations.permute_dims(x, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
        return operations.reshape(x, (*batch, channels * r * r, height // r, width // r))

    def extra_repr(self) -> str:
        """The factor."""
        return f"downscale_factor={self.downscale_factor}"


def _positive(factor: int, name: str) -> int:
    if not isinstance(factor, Integral) or factor < 1:
        raise ArgumentError(f"{name}: expected an integer of at least 1, got {factor!r}")
    return int(factor)


def _image_shape(module: Module, x: Array) -> tuple[int, ...]:
    if x.ndim < 3:
        raise ShapeError(f"{type(module).__name__}: expected an input of shape (..., C, H, W), got {tuple(x.shape)}")
    return tuple(x.shape)
