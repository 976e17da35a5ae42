"""How many multiplications, each with an addition, an operation costs: the one place where that is counted.

Counted is what grows with the parameters: products of matrices and convolutions, and those of attention, which grow
with the pairs of positions.  Everything else passes the numbers once and counts as nothing, as is usual.  Steps beyond
a sequence's length and pairs that a mask takes out count, as they are worked out as a rule; those of the future do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from portml.backends.doorway import Call

__all__ = ["multiply_adds"]

Rule = Callable[[tuple[Any, ...], dict[str, Any], Any], int]


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
    return rule(call.arguments, call.statics, y)


def _size(x: Any) -> int:
    return math.prod(x.shape)


def _matmul(arguments: tuple[Any, ...], statics: dict[str, Any], y: Any) -> int:
    """Each number of the result is a sum over the last axis of the first factor."""
    return _size(y) * int(arguments[0].shape[-1])


def _tensordot(arguments: tuple[Any, ...], statics: dict[str, Any], y: Any) -> int:
    """Axes that are summed over are in both factors and not in the result."""
    x1, x2 = arguments
    return _size(y) * math.isqrt(_size(x1) * _size(x2) // _size(y)) if _size(y) else 0


def _convolution(arguments: tuple[Any, ...], statics: dict[str, Any], y: Any) -> int:
    """Each number of the result is a sum over a window of its group's channels; weight (out, in / groups, *kernel)."""
    return _size(y) * int(math.prod(arguments[1].shape[1:]))


def _convolution_transpose(arguments: tuple[Any, ...], statics: dict[str, Any], y: Any) -> int:
    """Each number of the input goes to a window of its group's outputs; weight (in, out / groups, *kernel)."""
    return _size(arguments[0]) * int(math.prod(arguments[1].shape[1:]))


def _recurrence(of_weights: int) -> Rule:
    """Each step of each sample meets both matrices; `of_weights` is where they are among the arguments."""

    def rule(arguments: tuple[Any, ...], statics: dict[str, Any], y: Any) -> int:
        n_steps, n_samples = arguments[0].shape[:2]
        return int(n_steps * n_samples) * sum(map(_size, arguments[of_weights : of_weights + 2]))

    return rule


def _pairs(n_queries: int, n_keys: int, is_causal: bool) -> int:
    """How many keys all queries meet; of the future none."""
    if not is_causal:
        return n_queries * n_keys
    square = min(n_queries, n_keys)
    return square * (square + 1) // 2 + (n_queries - square) * n_keys


def _attention_weights(arguments: tuple[Any, ...], statics: dict[str, Any], y: Any) -> int:
    """Each pair of a query and a key is a sum over the features; y (..., n_queries, n_keys)."""
    query, key = arguments[:2]
    pairs = _pairs(query.shape[-2], key.shape[-2], statics.get("is_causal", False))
    return int(math.prod(query.shape[:-2]) * query.shape[-1]) * pairs


def _attention(arguments: tuple[Any, ...], statics: dict[str, Any], y: Any) -> int:
    """The scores, and each pair adds its value to the result."""
    query, key, value = arguments[:3]
    pairs = _pairs(query.shape[-2], key.shape[-2], statics.get("is_causal", False))
    return int(math.prod(query.shape[:-2]) * (query.shape[-1] + value.shape[-1])) * pairs


def _packed_attention(arguments: tuple[Any, ...], statics: dict[str, Any], y: Any) -> int:
    """All heads together have the features of the result, (n_samples, length, n_features), in scores and in values."""
    n_samples, length, width = y.shape
    return int(n_samples * width) * 2 * _pairs(length, length, statics.get("is_causal", False))


_RULES: dict[str, Rule] = {
    "matmul": _matmul,
    "linear": _matmul,
    "vecdot": lambda arguments, _, y: max(map(_size, arguments)),
    "linalg_outer": lambda arguments, _, y: _size(y),
    "tensordot": _tensordot,
    "convolution": _convolution,
    "convolution_transpose": _convolution_transpose,
    "recurrent": _recurrence(2),
    "gru": _recurrence(2),
    "lstm": _recurrence(3),
    "attention_weights": _attention_weights,
    "scaled_dot_product_attention": _attention,
    "packed_attention": _packed_attention,
}
