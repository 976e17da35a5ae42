"""Modules made of modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import overload

from portml.backends import Array
from portml.errors import ArgumentError
from portml.nn.module import Module

__all__ = ["Sequential"]


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
