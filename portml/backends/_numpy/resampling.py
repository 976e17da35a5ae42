"""Resampling on NumPy: repeated elements and equal blocks without taps, everything else with taps kept as arrays."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends.kernels.resampling import (
    Scale,
    refuse_unfit_resampling,
    resample,
    resample_backward,
    taps_along,
    transposed_taps,
)

__all__: list[str] = []

Numbers = NDArray[Any]

FEW = 8
"""Blocks of at most so many elements are added up side by side: a sum over a short axis costs more than it adds."""


@resample.on("numpy")
def _(x: Numbers, *, size: tuple[int, ...], mode: str, align_corners: bool, scale: Scale) -> Numbers:
    refuse_unfit_resampling(x, size, mode, align_corners, scale)
    if size == (1,) * len(size) and mode == "area":
        return x.mean(axis=tuple(range(2, x.ndim)), keepdims=True)  # type: ignore[no-any-return]
    for axis, (wanted, factor) in enumerate(zip(size, scale, strict=True), start=2):
        length = x.shape[axis]
        if mode == "area" and length % wanted == 0:
            x = _block_sums(x, axis, wanted) / (length // wanted)
        elif _repeats(length, wanted, mode, factor):
            x = x.repeat(wanted // length, axis=axis)
        else:
            x = _combined_along(x, axis, *_taps(length, wanted, mode, align_corners, factor, False, x.dtype))
    return x


@resample_backward.on("numpy")
def _(
    g: Numbers,
    saved: tuple[()],
    x: Numbers,
    *,
    needs: tuple[bool, ...],
    size: tuple[int, ...],
    mode: str,
    align_corners: bool,
    scale: Scale,
) -> tuple[Numbers | None]:
    if not needs[0]:
        return (None,)
    for axis in reversed(range(2, x.ndim)):
        length, wanted, factor = x.shape[axis], size[axis - 2], scale[axis - 2]
        if mode == "area" and length % wanted == 0:
            g = (g / (length // wanted)).repeat(length // wanted, axis=axis)
        elif _repeats(length, wanted, mode, factor):
            g = _block_sums(g, axis, length)
        else:
            g = _combined_along(g, axis, *_taps(length, wanted, mode, align_corners, factor, True, g.dtype))
    return (g,)


def _repeats(length: int, size: int, mode: str, scale: float | None) -> bool:
    """Whether every element is repeated equally often."""
    whole = size % length == 0 and (scale is None or scale == size // length)
    return (mode == "area" and size % length == 0) or (mode.startswith("nearest") and whole)


def _block_sums(x: Numbers, axis: int, count: int) -> Numbers:
    """The sums of `count` blocks of equal length along one axis."""
    blocks = x.reshape(*x.shape[:axis], count, x.shape[axis] // count, *x.shape[axis + 1 :])
    if blocks.shape[axis + 1] > FEW:
        return blocks.sum(axis=axis + 1)  # type: ignore[no-any-return]
    parts = np.moveaxis(blocks, axis + 1, 0)
    total: Numbers = parts[0].copy(order="K")
    for part in parts[1:]:
        total += part
    return total


def _combined_along(x: Numbers, axis: int, numbers: Numbers, weights: Numbers) -> Numbers:
    """The weighted sum of the taps along one axis."""
    total: Numbers | None = None
    for number, weight in zip(numbers, weights, strict=True):
        along = weight.reshape(-1, *[1] * (x.ndim - axis - 1))
        term = x.take(number, axis=axis)
        if not weight.all():
            term = along * np.where(along == 0, x.dtype.type(0), term)
        elif (weight != 1).any():
            term *= along
        total = term if total is None else np.add(total, term, out=total)
    assert total is not None
    return total


@lru_cache(maxsize=1024)
def _taps(
    length: int,
    size: int,
    mode: str,
    align_corners: bool,
    scale: float | None,
    transposed: bool,
    dtype: np.dtype[Any],
) -> tuple[Numbers, Numbers]:
    taps = (transposed_taps if transposed else taps_along)(length, size, mode, align_corners, scale)
    return np.asarray(taps.numbers), np.asarray(taps.weights, dtype)
