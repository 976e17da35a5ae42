"""How rules are entered.

A rule says how the cotangent `g` of a result `y` flows to one argument.  Rules are written with
`portml.backends.operations`, which take raw arrays and Tensors alike, so a second derivative needs nothing more.
Un-broadcasting, data types and accumulation are the engine's business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portml.backends.operations import operation
from portml.errors import ArgumentError, GradientError

__all__ = ["joint_rule", "refused", "rule"]

Rule = Callable[..., Any]


def rule(name: str, *flows: Rule | None) -> None:
    """Say how gradients flow through the operation `name`.

    Parameters
    ----------
    name : str
        An operation of the standard.
    *flows : callable or None
        One for each array argument: ``flow(g, y, *arrays, **statics)`` gives its gradient; None where none flows.
    """
    kernel = operation(name)
    if len(flows) != len(kernel.signature.arrays):
        raise ArgumentError(f"{name} has {len(kernel.signature.arrays)} array arguments, got {len(flows)} rules")
    kernel.rules = flows


def joint_rule(name: str) -> Callable[[Rule], Rule]:
    """Enter one function that gives the gradients of all arguments of an operation.

    It is called as ``flow(g, y, *arrays, needs, **statics)``, where `needs` says which gradients are wanted, and
    returns one gradient, or None, for each array.  `g` and `y` are tuples where there are several results.
    """

    def enter(flow: Rule) -> Rule:
        operation(name).joint_rule = flow
        return flow

    return enter


def refused(name: str, message: str) -> None:
    """Say that an operation has no derivative, why, and the way out; asking for it raises `GradientError`."""

    @joint_rule(name)
    def refuse(*_: Any, **__: Any) -> Any:
        raise GradientError(message)
