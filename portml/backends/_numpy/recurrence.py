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
    "are_alike",
    "before_each",
    "both_biases",
    "by_gate",
    "dead_steps",
    "delivered",
    "ended",
    "gradient_of_first_weights",
    "gradient_of_second_weight",
    "inputs_of",
    "projected",
    "shown",
    "step_back",
    "sum_of_gates",
    "sum_over_steps",
    "walk",
]

Floats = NDArray[Any]

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


def gradient_of_first_weights(
    dz: Floats, rows: Floats, x: Floats, weight: Floats, needs: tuple[bool, bool, bool]
) -> list[Any]:
    """Gradients of inputs, their weight and their bias: one product each over all steps."""
    gates, flat = len(dz), dz.reshape(len(dz), len(rows), dz.shape[3])
    dx = None
    if needs[0]:
        apart = by_gate(weight, gates)
        dx = flat[0] @ apart[0]
        for one, other in zip(flat[1:], apart[1:], strict=True):
            dx += one @ other
        dx = dx.reshape(x.shape)
    dweight = (flat.transpose(0, 2, 1) @ rows).reshape(weight.shape) if needs[1] else None
    return [dx, dweight, sum_over_steps(flat) if needs[2] else None]


def gradient_of_second_weight(dz: Floats, states: Floats, first: Floats, reverse: bool) -> Floats:
    """Gradient of the weight of the states before each step; the first one has a product of its own."""
    gates, size = len(dz), states.shape[2]
    later, earlier, begun = (dz[:, :-1], states[1:], dz[:, -1]) if reverse else (dz[:, 1:], states[:-1], dz[:, 0])
    n_rows = later.shape[1] * later.shape[2]
    flat = later.reshape(gates, n_rows, size).transpose(0, 2, 1)
    dweight: Floats = flat @ earlier.reshape(n_rows, size)
    dweight += begun.transpose(0, 2, 1) @ first
    return dweight.reshape(gates * size, size)


def sum_over_steps(flat: Floats) -> Floats:
    """(gates, n, size) to (gates · size,)."""
    return (ones(flat.shape[1], flat.dtype) @ flat).reshape(-1)


def delivered(gradients: Sequence[Any], out: Any) -> tuple[Any, ...]:
    """The gradients, written where they are wanted; None stays None."""
    if out is None:
        return tuple(gradients)
    return tuple([None if each is None else given(each, there) for each, there in zip(gradients, out, strict=True)])
