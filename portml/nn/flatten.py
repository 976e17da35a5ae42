"""Axes joined into one, and one taken apart."""

from __future__ import annotations

import math

from portml.backends import Array, operations
from portml.errors import ArgumentError, ShapeError
from portml.nn.module import Module

__all__ = ["Flatten", "Unflatten"]


class Flatten(Module):
    """Join axes `start_dim` to `end_dim` into one: (N, C, H, W) to (N, C·H·W) by default."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Array) -> Array:
        """Reshape `x`."""
        n = len(x.shape)
        first, last = self.start_dim % max(n, 1), self.end_dim % max(n, 1)
        if not -n <= self.start_dim < n or not -n <= self.end_dim < n or first > last:
            raise ShapeError(
                f"Flatten: start_dim={self.start_dim} and end_dim={self.end_dim} do not fit an input of shape {x.shape}"
            )
        length = 1
        for size in x.shape[first : last + 1]:
            length *= size
        return operations.reshape(x, (*x.shape[:first], length, *x.shape[last + 1 :]))

    def extra_repr(self) -> str:
        """The axes that are joined."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Take axis `dim` apart into axes of the lengths `unflattened_size`, one of which may be -1: as long as it must be.

    Parameters
    ----------
    dim : int
    unflattened_size : tuple of int
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        size = tuple(unflattened_size)
        if not size or size.count(-1) > 1 or any(length < -1 for length in size):
            raise ArgumentError(
                f"unflattened_size: expected lengths of at least 0, or one of them -1, got {unflattened_size}"
            )
        self.dim = dim
        self.unflattened_size = size

    def forward(self, x: Array) -> Array:
        """Reshape `x`."""
        n, shape = len(x.shape), tuple(x.shape)
        if not -n <= self.dim < n:
            raise ShapeError(f"Unflatten: dim={self.dim} does not fit an input of shape {shape}")
        axis = self.dim % n
        known = math.prod(length for length in self.unflattened_size if length != -1)
        size = tuple(shape[axis] // max(known, 1) if length == -1 else length for length in self.unflattened_size)
        if math.prod(size) != shape[axis]:
            raise ShapeError(
                f"Unflatten: axis {axis} of {shape} has {shape[axis]} elements, which do not make "
                f"{self.unflattened_size}"
            )
        return operations.reshape(x, (*shape[:axis], *size, *shape[axis + 1 :]))

    def extra_repr(self) -> str:
        """The axis and its new lengths."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
