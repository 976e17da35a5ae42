"""Truncated back-propagation through time: long sequences in windows, the state handed on without its history.

Each window is a step of learning: what came before it is remembered in the state, but no gradient flows back to it, so
memory and time grow with the window and not with the sequence.

>>> from portml import nn, optim
>>> from portml.random import Generator
>>> sequence = Generator(0, backend="numpy").normal(shape=(100, 8, 3), dtype="float32")  # (L, N, input_size)
>>> lstm, head = nn.LSTM(3, 4, rng=0, backend="numpy"), nn.Linear(4, 1, rng=1, backend="numpy")
>>> adam, loss, state = optim.Adam([*lstm.parameters(), *head.parameters()]), nn.MSELoss(), None
>>> for window in windows_in_time(sequence, 35):
...     adam.zero_grad()
...     y, state = lstm(window, detach_state(state))
...     loss(head(y), window[..., :1]).backward()
...     adam.step()
>>> y.shape  # of the last window, steps 70 to 99
(30, 8, 4)

[Williams & Peng 1990]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from portml.autograd import Tensor
from portml.backends import Array
from portml.errors import ArgumentError, ShapeError
from portml.random.arguments import checked_count

__all__ = ["detach_state", "windows_in_time"]


def detach_state(state: Any) -> Any:
    """The same numbers without the history that led to them: an array, None, or tuples and lists of such."""
    if isinstance(state, tuple | list):
        return tuple(map(detach_state, state))
    return state.detach() if isinstance(state, Tensor) else state


def windows_in_time(x: Array, length: int, *, batch_first: bool = False) -> Iterator[Array]:
    """Cut (L, N, ...), with `batch_first` (N, L, ...), into windows of `length` steps; the last may be shorter.

    Raises
    ------
    ArgumentError
        If `length` is below 1.
    ShapeError
        If `x` has no axis of steps.
    """
    if checked_count("length", length) < 1:
        raise ArgumentError(f"length: expected a window of at least 1 step, got {length}")
    axis = 1 if batch_first else 0
    if len(x.shape) <= axis:
        raise ShapeError(f"x: expected {'(N, L, ...)' if batch_first else '(L, ...)'}, got shape {tuple(x.shape)}")
    return _windows(x, length, batch_first)


def _windows(x: Array, length: int, batch_first: bool) -> Iterator[Array]:
    n_steps = x.shape[1 if batch_first else 0]
    for start in range(0, n_steps, length):
        steps = slice(start, min(start + length, n_steps))
        yield x[:, steps, ...] if batch_first else x[steps, ...]
