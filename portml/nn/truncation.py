"""Truncated back-propagation through time: long sequences in windows, the state handed on without its history.

::

    state = None
    for window in windows_in_time(sequence, 35):
        y, state = lstm(window, detach_state(state))
        loss(y).backward()

[Williams & Peng 1990]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from portml.autograd import Tensor
from portml.backends import Array
from portml.errors import ArgumentError

__all__ = ["detach_state", "windows_in_time"]


def detach_state(state: Any) -> Any:
    """The same numbers without the history that led to them: an array, None, or tuples of such."""
    if isinstance(state, tuple):
        return tuple(map(detach_state, state))
    return state.detach() if isinstance(state, Tensor) else state


def windows_in_time(x: Array, length: int, *, batch_first: bool = False) -> Iterator[Array]:
    """Cut (L, N, ...), with `batch_first` (N, L, ...), into windows of `length` steps; the last may be shorter.

    Raises
    ------
    ArgumentError
        If `length` is below 1.
    """
    if length < 1:
        raise ArgumentError(f"length: expected a window of at least 1 step, got {length}")
    n_steps = x.shape[1 if batch_first else 0]
    for start in range(0, n_steps, length):
        steps = slice(start, min(start + length, n_steps))
        yield x[:, steps, ...] if batch_first else x[steps, ...]
