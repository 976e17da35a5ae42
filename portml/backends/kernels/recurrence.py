"""What the recurrent kernels share: which steps count, in what order, and the products that are over all steps at once.

Sequences are (n_steps, n_samples, n_features).  A step t of a sample counts while t < its length; at the others the
state stays as it is and the result is zero.  So the state at the end is that after the last step that counts, and a
walk backwards in time begins there with the first state.
"""

from __future__ import annotations

from collections.abc import Sequence

from portml.backends.kernels.labels import readable
from portml.backends.kernels.real_numbers import refuse_unless_real
from portml.backends.namespaces import Array, device_of, dtype_kind, namespace
from portml.errors import DtypeError, RangeError, ShapeError

__all__ = [
    "gate",
    "known",
    "live_steps",
    "project",
    "refuse_unfit_lengths",
    "refuse_unfit_sequence",
    "silenced",
    "steps",
    "through_projection",
    "through_recurrence",
]


def steps(n_steps: int, reverse: bool) -> range:
    """The steps in the order in which they are walked."""
    return range(n_steps - 1, -1, -1) if reverse else range(n_steps)


def live_steps(lengths: Array | None, n_steps: int) -> Array | None:
    """Whether a step counts, (n_steps, n_samples, 1); None where all do."""
    if lengths is None:
        return None
    xp = namespace(lengths)
    numbers = xp.arange(n_steps, dtype=lengths.dtype, device=device_of(lengths))
    return xp.reshape(numbers, (-1, 1, 1)) < xp.reshape(lengths, (1, -1, 1))


def known(state: Array, lengths: Array | None, n_steps: int) -> Array:
    """The first state; NaN for a sample whose length is out of range, which nobody looks at on a device."""
    if lengths is None or readable(lengths):
        return state
    xp = namespace(state, lengths)
    outside = (lengths < 0) | (lengths > n_steps)
    return xp.where(xp.expand_dims(outside, axis=1), xp.nan, state)


def silenced(x: Array, live: Array | None) -> Array:
    """Zero where a step does not count, so that what stands there, NaN even, has no effect."""
    return x if live is None else namespace(x, live).where(live, x, 0)


def project(x: Array, weight: Array, *biases: Array | None) -> Array:
    """What all inputs add to the gates: x Wᵀ + b in one matrix product over all steps and samples."""
    xp = namespace(x, weight)
    rows = xp.reshape(x, (x.shape[0] * x.shape[1], x.shape[2])) @ xp.matrix_transpose(weight)
    for bias in biases:
        if bias is not None:
            rows = rows + bias
    return xp.reshape(rows, (x.shape[0], x.shape[1], weight.shape[0]))


def gate(z: Array, number: int, size: int) -> Array:
    """The slice of one gate, (..., size)."""
    return z[..., number * size : (number + 1) * size]


def through_projection(dz: Array, x: Array, weight: Array, needs: tuple[bool, bool, bool]) -> list[Array | None]:
    """Gradients of the inputs, their weight and their bias, each one product or sum over all steps."""
    xp = namespace(dz, x, weight)
    rows = xp.reshape(dz, (dz.shape[0] * dz.shape[1], dz.shape[2]))
    dx = xp.reshape(rows @ weight, x.shape) if needs[0] else None
    inputs = xp.reshape(x, (rows.shape[0], x.shape[2]))
    return [dx, xp.matrix_transpose(rows) @ inputs if needs[1] else None, xp.sum(rows, axis=0) if needs[2] else None]


def through_recurrence(
    dz: Array, states: Array, first: Array, reverse: bool, needs: tuple[bool, bool]
) -> list[Array | None]:
    """Gradients of the weight and bias of the state before each step; `states` are those after."""
    xp = namespace(dz, states, first)
    first = xp.expand_dims(first, axis=0)
    before = xp.concat([states[1:, ...], first] if reverse else [first, states[:-1, ...]], axis=0)
    rows = xp.reshape(dz, (dz.shape[0] * dz.shape[1], dz.shape[2]))
    earlier = xp.reshape(before, (rows.shape[0], before.shape[2]))
    return [xp.matrix_transpose(rows) @ earlier if needs[0] else None, xp.sum(rows, axis=0) if needs[1] else None]


def refuse_unfit_sequence(
    name: str,
    gates: int,
    x: Array,
    states: Sequence[Array],
    weight_ih: Array,
    weight_hh: Array,
    biases: Sequence[Array | None],
    lengths: Array | None,
) -> None:
    """Raise unless all shapes fit, all numbers are real and, on the host, lengths are 0 to the number of steps."""
    refuse_unless_real(name, x)
    refuse_unless_real(name, weight_ih, "weight_ih")
    refuse_unless_real(name, weight_hh, "weight_hh")
    if x.ndim != 3 or x.shape[0] < 1:
        raise ShapeError(
            f"{name}: x has shape {tuple(x.shape)}; expected (n_steps, n_samples, n_in), one step at least"
        )
    rows = weight_hh.shape[0]
    if weight_hh.ndim != 2 or rows != gates * weight_hh.shape[1]:
        raise ShapeError(f"{name}: weight_hh has shape {tuple(weight_hh.shape)}; expected ({gates} size, size)")
    if tuple(weight_ih.shape) != (rows, x.shape[2]):
        raise ShapeError(
            f"{name}: weight_ih has shape {tuple(weight_ih.shape)} and x {tuple(x.shape)}; expected a weight of "
            f"({rows}, n_in) and x of (n_steps, n_samples, n_in) with the same n_in"
        )
    expected = (x.shape[1], weight_hh.shape[1])
    for state in states:
        refuse_unless_real(name, state, "a first state")
        if tuple(state.shape) != expected:
            raise ShapeError(f"{name}: a first state has shape {tuple(state.shape)}; expected {expected}")
    for bias in biases:
        if bias is None:
            continue
        refuse_unless_real(name, bias, "a bias")
        if tuple(bias.shape) != (rows,):
            raise ShapeError(f"{name}: a bias has shape {tuple(bias.shape)}; expected ({rows},)")
    if lengths is not None:
        refuse_unfit_lengths(name, lengths, x.shape[0], x.shape[1])


def refuse_unfit_lengths(name: str, lengths: Array, n_steps: int, n_samples: int) -> None:
    """Raise unless there is an integer for each sample, on the host from 0 to the number of steps."""
    if tuple(lengths.shape) != (n_samples,):
        raise ShapeError(
            f"{name}: lengths have shape {tuple(lengths.shape)}; expected one for each of {n_samples} samples"
        )
    if dtype_kind(lengths.dtype) not in ("int", "uint"):
        raise DtypeError(f"{name}: lengths have dtype {lengths.dtype}; expected integers")
    if not readable(lengths):
        return
    outside = (lengths < 0) | (lengths > n_steps)
    if outside.any():
        raise RangeError(
            f"{name}: lengths contain {lengths[outside].flat[0]}; expected 0 to the {n_steps} steps of the sequences"
        )
