"""Modules made of modules, and the reshaping between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import overload

from portml.backends import Array, operations
from portml.errors import ArgumentError, ShapeError
from portml.nn.module import Module

__all__ = ["Flatten", "Sequential"]


class Sequential(Module):
    """Modules one after another; each gets the result of the one before.

    Children are named "0", "1", … as in PyTorch.

    Parameters
    ----------
    *modules : Module, or one dict of str to Module
        A dictionary gives the children its names.
    """

    def __init__(self, *modules: Module | dict[str, Module]) -> None:
        named: dict[str, Module] = {}
        for i, module in enumerate(modules):
            if isinstance(module, dict):
                named |= module
            else:
                named[str(i)] = module
        for name, module in named.items():
            if not isinstance(module, Module):
                raise ArgumentError(f"modules: expected modules, got a {type(module).__name__} as {name!r}")
            if "." in name or hasattr(self, name):
                raise ArgumentError(f"modules: {name!r} cannot name a child; it has a dot or is an attribute already")
            setattr(self, name, module)

    def forward(self, x: Array) -> Array:
        """Pass `x` through every module in order."""
        for module in self.children():
            x = module(x)
        return x

    def __len__(self) -> int:
        return len(list(self.children()))

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module:
        children = list(self.named_children())
        if isinstance(index, slice):
            return Sequential(dict(children[index]))
        return children[index][1]


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
