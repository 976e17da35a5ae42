"""What the recurrent kernels share on NumPy.

Gates lie apart, (gates, n_steps, n_samples, size): each is one block of memory a step, which NumPy passes over twice as
fast as slices of rows, and the products come gate by gate, small enough to stay in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.blocks import given
from portml.backends._numpy.reductions import ones

__all__ = [
    "WeightGradients",
    "are_alike",
    "before_each",
    "both_biases",
    "by_gate",
    "dead_steps",
    "delivered",
    "ended",
    "inputs_of",
    "joined",
    "projected",
    "shown",
    "step_back",
    "sum_of_gates",
    "walk",
    "wanted_of",
    "windows_back",
]

Floats = NDArray[Any]

WINDOW = 1 << 17
"""How many slopes are held before their products are taken: half a megabyte in float32."""

FEW_ROWS = 256
"""Of fewer rows a product is not taken while steps are left."""

_NONE = np.zeros(0, bool)


def are_alike(*arrays: Floats | None) -> bool:
    """Whether all have one data type, so that what is worked out can be written where it is read."""
    return len({each.dtype for each in arrays if each is not None}) == 1


def dead_steps(lengths: Any, n_steps: int) -> list[Any]:
    """For each step the samples for which it does not count, (n_samples, 1), or None where it counts for all."""
    if lengths is None:
        return [None] * n_steps
    shortest = int(lengths.min(initial=n_steps))
    return [(lengths <= t)[:, None] if t >= shortest else None for t in range(n_steps)]


def ended(dead: Any) -> Any:
    """Which samples are at their end, as a vector that compiled code takes; empty where none is."""
    return _NONE if dead is None else dead[:, 0].copy()


def walk(n_steps: int, reverse: bool) -> range:
    """The steps in the order of the walk."""
    return range(n_steps - 1, -1, -1) if reverse else range(n_steps)


def wanted_of(needs: tuple[bool, ...], bias_ih: Floats | None, bias_hh: Floats | None) -> tuple[bool, ...]:
    """What `WeightGradients` is to work out, from what is needed of (x, states..., weights, biases, lengths)."""
    return needs[0], needs[-5], needs[-3] and bias_ih is not None, needs[-4], needs[-2] and bias_hh is not None


def windows_back(n_steps: int, reverse: bool, step: tuple[int, ...]) -> list[range]:
    """The steps of a walk back in windows, the first the longest.

    The slopes of a window, (gates, n_samples, size) a step, fit into the cache, from which their products with the
    inputs and states are taken; but a window has rows enough for these products to be worth their call.
    """
    gates, n_samples, size = step
    fitting, worthwhile = WINDOW // max(gates * n_samples * size, 1), -(-FEW_ROWS // max(n_samples, 1))
    back, length = walk(n_steps, not reverse), max(fitting, worthwhile)
    return [back[start : start + length] for start in range(0, n_steps, length)]


def before_each(states: Floats, first: Floats, reverse: bool) -> list[Floats]:
    """The state before each step, from those after."""
    return [*states[1:], first] if reverse else [first, *states[:-1]]


def shown(states: Floats, dead: Sequence[Any]) -> Floats:
    """What stands there, contiguous, and zero where a step does not count; the states themselves where all count."""
    if all(each is None for each in dead):
        return np.ascontiguousarray(states)
    states = np.array(states, order="C")
    for t, each in enumerate(dead):
        if each is not None:
            np.copyto(states[t], 0, where=each)
    return states


def inputs_of(x: Floats, dead: Sequence[Any]) -> Floats:
    """The inputs as rows, (steps · samples, features), zero where a step does not count."""
    return shown(x, dead).reshape(x.shape[0] * x.shape[1], x.shape[2])


def both_biases(bias_ih: Floats | None, bias_hh: Floats | None) -> Floats | None:
    """Their sum, if there are any."""
    if bias_ih is None or bias_hh is None:
        return bias_hh if bias_ih is None else bias_ih
    return bias_ih + bias_hh


def by_gate(weight: Floats, gates: int) -> Floats:
    """(gates · size, n) as (gates, size, n)."""
    return weight.reshape(gates, len(weight) // gates, weight.shape[1])


def projected(rows: Floats, shape: tuple[int, int], weight: Floats, bias: Floats | None, gates: int) -> Floats:
    """What all inputs add to the gates, (gates, n_steps, n_samples, size), in one call of matmul."""
    apart = by_gate(weight, gates)
    z = np.empty((gates, len(rows), apart.shape[1]), rows.dtype)
    np.matmul(rows, apart.transpose(0, 2, 1), out=z)
    if bias is not None:
        np.add(z, bias.reshape(gates, 1, -1), out=z)
    return z.reshape(gates, *shape, apart.shape[1])


def joined(parameter: Floats | None) -> Floats | None:
    """(gates, size, ...) as (gates · size, ...)."""
    return None if parameter is None else parameter.reshape(-1, *parameter.shape[2:])


def sum_of_gates(dz: Floats, weight: Floats, room: Floats, out: Floats) -> None:
    """Write Σ dz_k W_k over the gates k: (gates, n, size) and (gates, size, m) to (n, m)."""
    np.matmul(dz, weight, out=room)
    if len(room) == 1:
        out[...] = room[0]
    else:
        np.add(room[0], room[1], out=out)
        for each in room[2:]:
            np.add(out, each, out=out)


def step_back(d: Floats, apart: Floats, product: Floats, dh: Floats, dead: Any) -> None:
    """The gradient of the state before a step; that of a sample for which the step does not count stays."""
    if dead is None:
        sum_of_gates(d, apart, product, dh)
        return
    before = np.empty_like(dh)
    sum_of_gates(d, apart, product, before)
    np.copyto(dh, before, where=~dead)


class WeightGradients:
    """Gradients of the inputs, the weights and the biases, window by window, while the slopes are still in the cache.

    Parameters
    ----------
    x : array (n_steps, n_samples, n_in)
        Zero where a step does not count.
    states : array (n_steps, n_samples, size)
        After each step.
    first : array (n_samples, size)
        Before the first one.
    weight_ih : array (gates, size, n_in)
    reverse : bool
    wanted : five bool
        Which of the results are; the others are None.

    Attributes
    ----------
    results : list of array or None
        Of the inputs (n_steps, n_samples, n_in), of `weight_ih`, of its biases (gates, size), of the weight of the
        states (gates, size, size) and of its biases.
    """

    def __init__(
        self, x: Floats, states: Floats, first: Floats, weight_ih: Floats, reverse: bool, wanted: tuple[bool, ...]
    ) -> None:
        self.x, self.states, self.first, self.weight_ih, self.reverse = x, states, first, weight_ih, reverse
        gates, size = weight_ih.shape[:2]
        shapes = x.shape, weight_ih.shape, (gates, size), (gates, size, size), (gates, size)
        self.results = [np.zeros(each, x.dtype) if yes else None for each, yes in zip(shapes, wanted, strict=True)]

    def add(self, window: range, from_input: Floats, from_state: Floats) -> None:
        """Add those of some steps, (gates, steps, n_samples, size): of what the inputs and of what the states added."""
        low, high = min(window), max(window) + 1
        dx, dweight_ih, dbias_ih, dweight_hh, dbias_hh = self.results
        inputs = _rows(self.x[low:high])
        flat, other = (each.reshape(len(each), len(inputs), each.shape[3]) for each in (from_input, from_state))
        if dx is not None:
            sum_of_gates(flat, self.weight_ih, np.empty((len(flat), *inputs.shape), dx.dtype), _rows(dx[low:high]))
        if dweight_ih is not None:
            dweight_ih += flat.transpose(0, 2, 1) @ inputs
        if dweight_hh is not None:
            dweight_hh += other.transpose(0, 2, 1) @ _rows(self._before(low, high))
        for dbias, slopes in ((dbias_ih, flat), (dbias_hh, other)):
            if dbias is not None:
                dbias += ones(len(inputs), flat.dtype) @ slopes

    def _before(self, low: int, high: int) -> Floats:
        """The states before the steps `low` to `high`."""
        if self.reverse:
            later = self.states[low + 1 : high + 1]
            return later if high < len(self.states) else np.concatenate([later, self.first[None]])
        return self.states[low - 1 : high - 1] if low else np.concatenate([self.first[None], self.states[: high - 1]])


def _rows(x: Floats) -> Floats:
    """(n_steps, n_samples, n) as (n_steps · n_samples, n)."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


def delivered(gradients: Sequence[Any], out: Any) -> tuple[Any, ...]:
    """The gradients, written where they are wanted; None stays None."""
    if out is None:
        return tuple(gradients)
    return tuple([None if each is None else given(each, there) for each, there in zip(gradients, out, strict=True)])
