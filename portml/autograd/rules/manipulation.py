"""Gradients of what moves, joins and repeats elements: the opposite move, the parts, the sums."""

from __future__ import annotations

import itertools
from typing import Any

from portml.autograd.rules.table import joint_rule, rule
from portml.autograd.rules.terms import part_along
from portml.backends import Array
from portml.backends import operations as xp
from portml.backends.kernels.rows import index_add


def _reshaped(g: Array, y: Array, a: Array, **_: Any) -> Array:
    return xp.reshape(g, a.shape)


# Other shapes; what was broadcast the engine sums
for _name in ("reshape", "expand_dims", "squeeze"):
    rule(_name, _reshaped)
rule("broadcast_to", lambda g, y, a, shape: g)
rule("matrix_transpose", lambda g, y, a: xp.matrix_transpose(g))
rule("moveaxis", lambda g, y, a, source, destination: xp.moveaxis(g, destination, source))
rule("permute_dims", lambda g, y, a, axes: xp.permute_dims(g, _inverse(axes, a.ndim)))


@joint_rule("broadcast_arrays")
def _broadcast_arrays(g: tuple[Array, ...], y: Any, *arrays: Array, needs: Any) -> tuple[Array, ...]:
    return g


@joint_rule("meshgrid")
def _meshgrid(g: tuple[Array, ...], y: Any, *arrays: Array, needs: Any, indexing: str) -> list[Array | None]:
    """Sums over all axes but the array's own; "xy" exchanges the first two."""
    own = list(range(len(arrays)))
    if indexing == "xy" and len(arrays) > 1:
        own[:2] = 1, 0
    return [
        xp.reshape(xp.sum(part, axis=tuple(i for i in own if i != axis)), a.shape) if need else None
        for part, a, axis, need in zip(g, arrays, own, needs, strict=True)
    ]


def _inverse(axes: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    places = [axis % ndim for axis in axes]
    return tuple(places.index(axis) for axis in range(ndim))


# Other places
rule("flip", lambda g, y, a, axis: xp.flip(g, axis=axis))
rule("roll", lambda g, y, a, shift, axis: xp.roll(g, _back(shift), axis=axis))
rule("tril", lambda g, y, a, k: xp.tril(g, k=k))
rule("triu", lambda g, y, a, k: xp.triu(g, k=k))


def _back(shift: int | tuple[int, ...]) -> int | tuple[int, ...]:
    return -shift if isinstance(shift, int) else tuple(-one for one in shift)


# Joining and parting
@joint_rule("concat")
def _concat(g: Array, y: Array, *arrays: Array, needs: Any, axis: int | None) -> list[Array | None]:
    lengths = [a.size if axis is None else a.shape[axis] for a in arrays]
    stops = list(itertools.accumulate(lengths))
    along = 0 if axis is None else axis
    return [
        xp.reshape(part_along(g, along, stop - length, stop), a.shape) if need else None
        for a, length, stop, need in zip(arrays, lengths, stops, needs, strict=True)
    ]


@joint_rule("stack")
def _stack(g: Array, y: Array, *arrays: Array, needs: Any, axis: int) -> tuple[Array, ...]:
    return xp.unstack(g, axis=axis)  # type: ignore[no-any-return]


@joint_rule("unstack")
def _unstack(g: tuple[Array, ...], y: Any, a: Array, *, needs: Any, axis: int) -> tuple[Array]:
    return (xp.stack(g, axis=axis),)


# Repeating
@joint_rule("repeat")
def _repeat(g: Array, y: Array, a: Array, repeats: Any, *, needs: Any, axis: int | None) -> tuple[Array, None]:
    """The sum over the copies of each element."""
    shape = (a.size,) if axis is None else tuple(a.shape)
    axis = 0 if axis is None else axis % a.ndim
    if type(repeats) is int:
        copies = xp.reshape(g, (*shape[: axis + 1], repeats, *shape[axis + 1 :]))
        return xp.reshape(xp.sum(copies, axis=axis + 1), a.shape), None
    counts = xp.broadcast_to(xp.reshape(repeats, (-1,)), (shape[axis],))
    numbers = xp.subtract(xp.cumulative_sum(xp.ones_like(counts), axis=0), 1)
    sums = index_add(xp.moveaxis(g, axis, 0), xp.repeat(numbers, counts), n=shape[axis])
    return xp.reshape(xp.moveaxis(sums, 0, axis), a.shape), None


@joint_rule("tile")
def _tile(g: Array, y: Array, a: Array, *, needs: Any, repetitions: int | tuple[int, ...]) -> tuple[Array]:
    """The sum over the copies of the whole; the engine sums those along axes that `a` lacks."""
    times = (repetitions,) if isinstance(repetitions, int) else tuple(repetitions)
    ndim = max(a.ndim, len(times))
    times = (1,) * (ndim - len(times)) + times
    shape = (1,) * (ndim - a.ndim) + tuple(a.shape)
    apart = xp.reshape(g, tuple(itertools.chain.from_iterable(zip(times, shape, strict=True))))
    return (xp.reshape(xp.sum(apart, axis=tuple(range(0, 2 * ndim, 2))), a.shape),)


# Other types and devices
def _brought_back(g: Array, y: Array, a: Array, device: Any, **_: Any) -> Array:
    return g if device is None else xp.to_device(g, a.device)


rule("astype", _brought_back)
rule("to_device", _brought_back)
