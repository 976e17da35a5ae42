"""What layers over signals, images and volumes share: sizes for each axis, inputs with a batch or without."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Integral
from typing import Any, TypeAlias

from portml.backends import Array, operations
from portml.errors import ArgumentError, ShapeError
from portml.nn.module import Module

__all__ = ["AXES", "Size", "SpatialModule", "per_axis"]

Size: TypeAlias = int | tuple[int, ...]
"""One number for all spatial axes, or one for each."""

AXES = {1: "L", 2: "H, W", 3: "D, H, W"}
"""The names of spatial axes, by their number."""


class SpatialModule(Module):
    """A layer over one to three spatial axes, for a batch (N, C, ...) or a single sample (C, ...).

    Subclasses say over how many in `_spatial`.
    """

    _spatial: int = 0

    def _over_batch(self, function: Callable[..., Any], *arrays: Array) -> Any:
        """What `function` makes of arrays of one number of axes, to which a batch of one is added if they have none."""
        missing = self._spatial + 2 - arrays[0].ndim
        if missing not in (0, 1) or any(array.ndim != arrays[0].ndim for array in arrays):
            axes = AXES[self._spatial]
            raise ShapeError(
                f"{type(self).__name__}: expected an input of shape (N, C, {axes}) or (C, {axes}), got "
                + " and ".join(str(tuple(array.shape)) for array in arrays)
            )
        if not missing:
            return function(*arrays)
        results = function(*(operations.expand_dims(array, axis=0) for array in arrays))
        if isinstance(results, tuple):
            return tuple(operations.squeeze(result, axis=0) for result in results)
        return operations.squeeze(results, axis=0)

    def _sizes(self, value: Size, name: str, least: int) -> tuple[int, ...]:
        return per_axis(value, name, self._spatial, least)


def per_axis(value: Any, name: str, count: int, least: int) -> tuple[int, ...]:
    """One integer for each of `count` axes: a single one stands for all; refused below `least`."""
    every = (value,) * count if isinstance(value, Integral) else tuple(value) if isinstance(value, Iterable) else ()
    if len(every) != count or not all(isinstance(one, Integral) and int(one) >= least for one in every):
        several = f", or {count} of them" if count > 1 else ""
        raise ArgumentError(f"{name}: expected an integer of at least {least}{several}, got {value!r}")
    return tuple(int(one) for one in every)
