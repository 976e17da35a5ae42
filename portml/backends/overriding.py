"""Overrides that a family of kernels shares: one function registered for each, under the signature of its twin."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from portml.backends.kernel import KernelFunction

__all__ = ["under_signature_of"]


def under_signature_of(twin: KernelFunction, module: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function of ``(*arrays, out=None, **statics)`` show the signature of a kernel.

    Parameters
    ----------
    twin : kernel function
    module : str
        The module that says what the function computes.
    """

    def dressed(function: Callable[..., Any]) -> Callable[..., Any]:
        vars(function)["__signature__"] = inspect.signature(twin)
        function.__module__, function.__name__ = module, twin.kernel.name
        return function

    return dressed
