"""What the recurrent kernels share on CuPy's arrays.

The inputs of the whole sequence are one matrix product.  Then each step is a product with the state before it and one
launch, which does everything else: biases, gates, new state, and which samples have ended.  Gradients walk the same
way back; those of the weights are one product each over all steps, those of the biases sums in a fixed order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from portml.backends.cuda.activation import LOGISTIC
from portml.backends.cuda.launch import contiguous
from portml.backends.cuda.reduction import column_sums
from portml.backends.kernels.recurrence import live_steps, silenced, steps, through_recurrence
from portml.backends.namespaces import Array, device_of, namespace

__all__ = [
    "ADDED_UP",
    "Step",
    "copied",
    "empty_like_rows",
    "gradients_of_inputs",
    "gradients_of_states",
    "last_state_gradient",
    "lengths_of",
    "projected",
    "walk",
]

ADDED_UP = f"""{LOGISTIC}
// What input, state and biases add to a gate; `column` is its place among all gates of a sample.
__device__ T added_up(T from_input, T from_state, const T* bias_ih, const T* bias_hh, int64 column) {{
  if (bias_ih) from_input += bias_ih[column];
  if (bias_hh) from_state += bias_hh[column];
  return from_input + from_state;
}}
"""


class Step(NamedTuple):
    """Where a walk is: the step, and that which was walked before it, -1 if there is none."""

    now: int
    before: int


def walk(n_steps: int, reverse: bool) -> Iterator[Step]:
    """The steps in the order in which they are walked."""
    before = -1
    for now in steps(n_steps, reverse):
        yield Step(now, before)
        before = now


def lengths_of(lengths: Array | None) -> Array | None:
    """The lengths as kernels read them."""
    return contiguous(lengths, np.dtype(np.int64))


def projected(x: Array, weight: Array) -> Array:
    """What all inputs add to the gates, without biases: (n_steps, n_samples, gates · size)."""
    xp, z = namespace(x), empty_like_rows(x, x.shape[:2], weight.shape[0])
    rows = xp.reshape(x, (x.shape[0] * x.shape[1], x.shape[2]))
    xp.matmul(rows, xp.matrix_transpose(weight), out=xp.reshape(z, (rows.shape[0], weight.shape[0])))
    return z


def empty_like_rows(like: Array, leading: tuple[int, ...], width: int) -> Array:
    """Memory for (*leading, width) of the data type and on the device of `like`."""
    return namespace(like).empty((*leading, width), dtype=like.dtype, device=device_of(like))


def copied(x: Array) -> Array:
    """A contiguous copy, which a walk may write over."""
    copy = namespace(x).empty(x.shape, dtype=x.dtype, device=device_of(x))
    copy[...] = x
    return copy


def gradients_of_inputs(
    dz: Array, x: Array, weight: Array, lengths: Array | None, needs: tuple[bool, bool, bool]
) -> list[Array | None]:
    """Gradients of the inputs, their weight and their bias."""
    xp = namespace(dz)
    rows = _rows(dz)
    inputs = xp.reshape(silenced(x, live_steps(lengths, x.shape[0])), (rows.shape[0], x.shape[2]))
    return [
        xp.reshape(xp.matmul(rows, weight), x.shape) if needs[0] else None,
        xp.matmul(xp.matrix_transpose(rows), inputs) if needs[1] else None,
        column_sums(rows) if needs[2] else None,
    ]


def gradients_of_states(
    dz: Array, states: Array, first: Array, reverse: bool, needs: tuple[bool, bool]
) -> list[Array | None]:
    """Gradients of the weight and the bias of the state before each step."""
    dweight, _ = through_recurrence(dz, states, first, reverse, (needs[0], False))
    return [dweight, column_sums(_rows(dz)) if needs[1] else None]


def last_state_gradient(dh: Array, back: Array, lengths: Array | None, t: int) -> Array:
    """What reaches the first state: for samples for which step `t`, the last on the way back, does not count, `dh`."""
    if lengths is None:
        return back
    xp = namespace(dh)
    return xp.where(xp.expand_dims(lengths > t, axis=1), back, dh)


def _rows(dz: Array) -> Array:
    """(n_steps, n_samples, width) to (n_steps · n_samples, width)."""
    return namespace(dz).reshape(dz, (dz.shape[0] * dz.shape[1], dz.shape[2]))
