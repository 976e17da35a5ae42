"""Windows that slide over the spatial axes of (n_samples, n_channels, d_1, ..., d_r): where they stand, what they see.

Convolution and pooling walk over the offsets inside the window rather than over its positions: what all windows see at
one offset is one strided slice.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TypeAlias

from portml.backends.kernels.index_keys import Span, Template
from portml.errors import ArgumentError

__all__ = [
    "Pairs",
    "adaptive_window",
    "covered",
    "positions_along",
    "refuse_unfit_padding",
    "refuse_unfit_sizes",
    "windows",
]

Pairs: TypeAlias = tuple[tuple[int, int], ...]
"""(before, after) for each axis."""


def windows(
    kernel_size: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...], positions: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], Template]]:
    """Each offset inside the window, in row-major order, and the key of what it sees in the padded array."""
    whole = Span(None, None, None)
    for offset in itertools.product(*map(range, kernel_size)):
        spans = [
            Span(k * d, k * d + (n - 1) * s + 1, s)
            for k, d, n, s in zip(offset, dilation, positions, stride, strict=True)
        ]
        yield offset, (whole, whole, *spans)


def positions_along(length: int, kernel_size: int, stride: int, dilation: int) -> int:
    """How many places a window takes along an axis of this padded length; less than 1 if it does not fit."""
    return (length - dilation * (kernel_size - 1) - 1) // stride + 1


def adaptive_window(length: int, size: int, number: int) -> tuple[int, int]:
    """From where to where one of `size` windows reaches that share an axis evenly; they overlap if they must."""
    return number * length // size, -(-(number + 1) * length // size)


def covered(length: int, positions: int, first: int, stride: int) -> tuple[slice, slice]:
    """Where a window's element lies inside an axis that is not padded: at which positions, and where on the axis.

    Parameters
    ----------
    length : int
        Of the axis.
    positions : int
        How many places the window takes.
    first : int
        Where the element lies when the window is at its first place; negative in the padding.
    stride : int
    """
    low = max(0, -(first // stride))
    high = max(low, min(positions, (length - 1 - first) // stride + 1))
    start = first + low * stride
    return slice(low, high), slice(start, max(start, start + (high - low - 1) * stride + 1), stride)


def refuse_unfit_sizes(name: str, spatial: int, least: int = 1, **sizes: tuple[int, ...]) -> None:
    """Raise ArgumentError unless each of `sizes` has an integer of at least `least` for each spatial axis."""
    for argument, values in sizes.items():
        if not isinstance(values, tuple) or len(values) != spatial or any(value < least for value in values):
            raise ArgumentError(
                f"{name}: {argument}={values}; expected a tuple of integers of at least {least}, "
                f"one for each of {spatial} spatial axes"
            )


def refuse_unfit_padding(name: str, spatial: int, padding: Pairs) -> None:
    """Raise ArgumentError unless there is a pair of non-negative integers for each spatial axis."""
    fits = len(padding) == spatial and all(isinstance(pair, tuple) and len(pair) == 2 for pair in padding)
    if not fits or any(width < 0 for pair in padding for width in pair):
        raise ArgumentError(
            f"{name}: padding={padding}; expected a pair (before, after) of integers of at least 0 "
            f"for each of {spatial} spatial axes"
        )
