"""How many multiplications, each with an addition, an operation costs: the one place where that is counted.

Counted is what grows with the parameters: products of matrices and convolutions.  Everything else passes the numbers
once and counts as nothing, as is usual.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from portml.backends.doorway import Call

__all__ = ["multiply_adds"]

Rule = Callable[[tuple[Any, ...], Any], int]


def multiply_adds(call: Call, result: Any) -> int:
    """The multiply-adds of one call at the doorway that gave `result`.

    Parameters
    ----------
    call : Call
    result : array or tuple
        What `call.proceed()` gave.
    """
    name = call.kernel.name
    rule = _RULES.get(name.removesuffix("_saving"))
    if rule is None:
        return 0
    y = result[0] if name.endswith("_saving") else result
    return rule(call.arguments, y)


def _size(x: Any) -> int:
    return math.prod(x.shape)


def _matmul(arguments: tuple[Any, ...], y: Any) -> int:
    """Each number of the result is a sum over the last axis of the first factor."""
    return _size(y) * int(arguments[0].shape[-1])


def _tensordot(arguments: tuple[Any, ...], y: Any) -> int:
    """Axes that are summed over are in both factors and not in the result."""
    x1, x2 = arguments
    return _size(y) * math.isqrt(_size(x1) * _size(x2) // _size(y)) if _size(y) else 0


def _convolution(arguments: tuple[Any, ...], y: Any) -> int:
    """Each number of the result is a sum over a window of its group's channels; weight (out, in / groups, *kernel)."""
    return _size(y) * int(math.prod(arguments[1].shape[1:]))


def _convolution_transpose(arguments: tuple[Any, ...], y: Any) -> int:
    """Each number of the input goes to a window of its group's outputs; weight (in, out / groups, *kernel)."""
    return _size(arguments[0]) * int(math.prod(arguments[1].shape[1:]))


_RULES: dict[str, Rule] = {
    "matmul": _matmul,
    "linear": _matmul,
    "vecdot": lambda arguments, y: max(map(_size, arguments)),
    "linalg_outer": lambda arguments, y: _size(y),
    "tensordot": _tensordot,
    "convolution": _convolution,
    "convolution_transpose": _convolution_transpose,
}
