"""Padding layers: a frame of a constant, or of the input itself.

Widths come as in PyTorch, the last axis first: (left, right, top, bottom, front, back), or one number for all.
Negative ones cut off.
"""

from __future__ import annotations

from collections.abc import Iterable

from portml.backends import Array
from portml.backends.kernels.index_keys import Span
from portml.backends.kernels.indexing import basic_getitem, pad
from portml.backends.kernels.padding import pad_with_itself
from portml.backends.kernels.windows import Pairs
from portml.errors import ArgumentError, ShapeError
from portml.nn.module import Module
from portml.nn.spatial import Size

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    """A frame around the last axes; subclasses say around how many, and of what it is made."""

    _spatial: int
    _mode: str

    def __init__(self, padding: Size) -> None:
        count = 2 * self._spatial
        widths = tuple(padding) if isinstance(padding, Iterable) else (padding,) * count
        if len(widths) != count or not all(isinstance(width, int) for width in widths):
            raise ArgumentError(
                f"padding: expected an integer, or {count} of them, the last axis first, got {padding!r}"
            )
        self.padding = widths

    def forward(self, x: Array) -> Array:
        """Pad the last axes of `x`, and cut off where a width is negative."""
        if not self._takes(x.ndim):
            raise ShapeError(
                f"{type(self).__name__}: expected an input of shape (N, C, ...) or (C, ...) with {self._spatial} "
                f"spatial axes, got {tuple(x.shape)}"
            )
        pairs = tuple(zip(self.padding[::2], self.padding[1::2], strict=True))[::-1]
        widths = ((0, 0),) * (x.ndim - self._spatial) + pairs
        lengths = tuple(before + n + after for n, (before, after) in zip(x.shape, widths, strict=True))
        if any(length < 1 for length in lengths[-self._spatial :]):
            raise ShapeError(
                f"{type(self).__name__}: padding={self.padding} leaves nothing of an input of {tuple(x.shape)}"
            )
        more = tuple((max(before, 0), max(after, 0)) for before, after in widths)
        less = tuple((max(-before, 0), max(-after, 0)) for before, after in widths)
        return self._padded(x, more, less)

    def _padded(self, x: Array, more: Pairs, less: Pairs) -> Array:
        """`x` with so much more and so much less before and after each axis."""
        return _cut(self._framed(x, more), less)

    def _takes(self, ndim: int) -> bool:
        return ndim - self._spatial in (1, 2)

    def _framed(self, x: Array, widths: Pairs) -> Array:
        return pad_with_itself(x, widths=widths, mode=self._mode)

    def extra_repr(self) -> str:
        """The widths."""
        return f"padding={self.padding}"


def _cut(x: Array, widths: Pairs) -> Array:
    """`x` without so many elements before and after along each axis."""
    if not any(width for pair in widths for width in pair):
        return x
    sizes = zip(x.shape, widths, strict=True)
    return basic_getitem(x, key=tuple(Span(before, n - after, 1) for n, (before, after) in sizes))


class _ConstantPad(_Pad):
    """A frame of a constant."""

    def __init__(self, padding: Size, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def _takes(self, ndim: int) -> bool:
        return ndim >= self._spatial

    def _framed(self, x: Array, widths: Pairs) -> Array:
        return pad(x, widths=widths, value=self.value)

    def extra_repr(self) -> str:
        """The widths and the constant."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """A constant before and after the last axis."""

    _spatial = 1


class ConstantPad2d(_ConstantPad):
    """A constant around the last two axes."""

    _spatial = 2


class ConstantPad3d(_ConstantPad):
    """A constant around the last three axes."""

    _spatial = 3


class _ZeroPad(_ConstantPad):
    """A frame of zeros."""

    def __init__(self, padding: Size) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """The widths."""
        return f"padding={self.padding}"


class ZeroPad1d(_ZeroPad):
    """Zeros before and after the last axis."""

    _spatial = 1


class ZeroPad2d(_ZeroPad):
    """Zeros around the last two axes."""

    _spatial = 2


class ZeroPad3d(_ZeroPad):
    """Zeros around the last three axes."""

    _spatial = 3


class ReflectionPad1d(_Pad):
    """A signal (N, C, L) or (C, L) mirrored at its first and last element: c b [a b c d] c b."""

    _spatial, _mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """An image (N, C, H, W) or (C, H, W) mirrored at its edges; see `ReflectionPad1d`."""

    _spatial, _mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """A volume (N, C, D, H, W) or (C, D, H, W) mirrored at its faces; see `ReflectionPad1d`."""

    _spatial, _mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """A signal (N, C, L) or (C, L) whose first and last element go on: a a [a b c d] d d."""

    _spatial, _mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """An image (N, C, H, W) or (C, H, W) whose edges go on; see `ReplicationPad1d`."""

    _spatial, _mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """A volume (N, C, D, H, W) or (C, D, H, W) whose faces go on; see `ReplicationPad1d`."""

    _spatial, _mode = 3, "replicate"


class _CircularPad(_Pad):
    """A frame of what is left after cutting, as it begins anew; see `CircularPad1d`."""

    _mode = "circular"

    def _padded(self, x: Array, more: Pairs, less: Pairs) -> Array:
        return self._framed(_cut(x, less), more)


class CircularPad1d(_CircularPad):
    """A signal (N, C, L) or (C, L) that begins anew behind its end: c d [a b c d] a b."""

    _spatial = 1


class CircularPad2d(_CircularPad):
    """An image (N, C, H, W) or (C, H, W) that begins anew behind its edges; see `CircularPad1d`."""

    _spatial = 2


class CircularPad3d(_CircularPad):
    """A volume (N, C, D, H, W) or (C, D, H, W) that begins anew behind its faces; see `CircularPad1d`."""

    _spatial = 3
