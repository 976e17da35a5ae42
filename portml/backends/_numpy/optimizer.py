"""Steps of optimizers on NumPy: every array is read and written once, block by block, and nothing is allocated.

The results may be the arguments they replace.  Within a block an argument is read before its result is written.
Coefficients are arrays without axes: with them a small call takes half the time that it takes with Python numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.blocks import BLOCK, scratch, slices, zero
from portml.backends.kernels.optimizer import (
    adagrad_step,
    adam_step,
    lion_step,
    nadam_step,
    radam_step,
    refuse_unfit_states,
    rmsprop_step,
    sgd_step,
)
from portml.errors import ShapeError

__all__: list[str] = []

Floats = NDArray[Any]
State = Floats | None
Results = tuple[State, ...]


@sgd_step.on("numpy")
def _(
    p: Floats,
    g: Floats,
    velocity: State,
    h: Floats,
    *,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    maximize: bool = False,
    out: Results | None = None,
) -> Results:
    results = _results("sgd_step", out, p, h, 2, g=g, velocity=velocity)
    keep, decay = _coefficients(p.dtype, momentum, weight_decay)
    rate, share = h[0, ...], h[1, ...]

    def step(p: Floats, g: Floats, v: State, p_new: Floats, v_new: State, t: Floats, u: Floats) -> None:
        g = _with_decay(p, g, weight_decay, decay, maximize, u)
        if v is not None and v_new is not None:
            _average(v, keep, g, share, v_new, t)
            if nesterov:
                np.multiply(v_new, keep, out=t)
                g = np.add(g, t, out=t)
            else:
                g = v_new
        np.multiply(g, rate, out=t)
        np.subtract(p, t, out=p_new)

    _in_blocks(step, p, g, velocity, *results)
    return results


@adagrad_step.on("numpy")
def _(
    p: Floats,
    g: Floats,
    total: Floats,
    h: Floats,
    *,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
    maximize: bool = False,
    out: Results | None = None,
) -> Results:
    results = _results("adagrad_step", out, p, h, 1, g=g, total=total)
    small, decay = _coefficients(p.dtype, eps, weight_decay)
    rate = h[0, ...]

    def step(p: Floats, g: Floats, s: Floats, p_new: Floats, s_new: Floats, t: Floats, u: Floats) -> None:
        g = _with_decay(p, g, weight_decay, decay, maximize, u)
        np.multiply(g, g, out=t)
        np.add(s, t, out=s_new)
        np.sqrt(s_new, out=t)
        _descend(p, g, t, small, rate, p_new)

    _in_blocks(step, p, g, total, *results)
    return results


@rmsprop_step.on("numpy")
def _(
    p: Floats,
    g: Floats,
    square: Floats,
    mean: State,
    velocity: State,
    h: Floats,
    *,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    maximize: bool = False,
    out: Results | None = None,
) -> Results:
    results = _results("rmsprop_step", out, p, h, 1, g=g, square=square, mean=mean, velocity=velocity)
    old, new, small, keep, decay = _coefficients(p.dtype, alpha, 1 - alpha, eps, momentum, weight_decay)
    rate, none = h[0, ...], zero(p.dtype)

    def step(
        p: Floats, g: Floats, s: Floats, m: State, v: State,
        p_new: Floats, s_new: Floats, m_new: State, v_new: State, t: Floats, u: Floats,
    ) -> None:  # fmt: skip
        g = _with_decay(p, g, weight_decay, decay, maximize, u)
        np.multiply(g, g, out=t)
        _average(s, old, t, new, s_new, t)
        if m is None or m_new is None:
            np.sqrt(s_new, out=t)
        else:
            _average(m, old, g, new, m_new, t)
            np.multiply(m_new, m_new, out=t)
            np.subtract(s_new, t, out=t)
            np.maximum(t, none, out=t)
            np.sqrt(t, out=t)
        if v is None or v_new is None:
            _descend(p, g, t, small, rate, p_new)
        else:
            np.add(t, small, out=t)
            np.divide(g, t, out=t)
            np.multiply(v, keep, out=v_new)
            np.add(v_new, t, out=v_new)
            np.multiply(v_new, rate, out=t)
            np.subtract(p, t, out=p_new)

    _in_blocks(step, p, g, square, mean, velocity, *results)
    return results


@adam_step.on("numpy")
def _(
    p: Floats,
    g: Floats,
    m: Floats,
    v: Floats,
    peak: State,
    h: Floats,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    maximize: bool = False,
    out: Results | None = None,
) -> Results:
    results = _results("adam_step", out, p, h, 3, g=g, m=m, v=v, peak=peak)
    if decoupled:
        weight_decay = 0.0
    old1, new1, old2, new2, small, decay = _coefficients(p.dtype, beta1, 1 - beta1, beta2, 1 - beta2, eps, weight_decay)
    # lr m / (sqrt(v) c + eps) is (lr / c) m / (sqrt(v) + eps / c): one pass less.
    correction, shrink = h[1, ...], h[2, ...]
    rate = np.divide(h[0, ...], correction, out=np.empty((), p.dtype))
    small = np.divide(small, correction, out=np.empty((), p.dtype))

    def step(
        p: Floats, g: Floats, m: Floats, v: Floats, peak: State,
        p_new: Floats, m_new: Floats, v_new: Floats, peak_new: State, t: Floats, u: Floats,
    ) -> None:  # fmt: skip
        g = _with_decay(p, g, weight_decay, decay, maximize, u)
        _moments(m, v, g, old1, new1, old2, new2, m_new, v_new, t)
        if peak is None or peak_new is None:
            np.sqrt(v_new, out=t)
        else:
            np.maximum(peak, v_new, out=peak_new)
            np.sqrt(peak_new, out=t)
        if decoupled:
            p = np.multiply(p, shrink, out=p_new)
        _descend(p, m_new, t, small, rate, p_new)

    _in_blocks(step, p, g, m, v, peak, *results)
    return results


@nadam_step.on("numpy")
def _(
    p: Floats,
    g: Floats,
    m: Floats,
    v: Floats,
    h: Floats,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    maximize: bool = False,
    out: Results | None = None,
) -> Results:
    results = _results("nadam_step", out, p, h, 4, g=g, m=m, v=v)
    if decoupled:
        weight_decay = 0.0
    old1, new1, old2, new2, small, decay = _coefficients(p.dtype, beta1, 1 - beta1, beta2, 1 - beta2, eps, weight_decay)
    of_gradient, of_mean, correction, shrink = (h[i, ...] for i in range(4))

    def step(
        p: Floats, g: Floats, m: Floats, v: Floats,
        p_new: Floats, m_new: Floats, v_new: Floats, t: Floats, u: Floats,
    ) -> None:  # fmt: skip
        g = _with_decay(p, g, weight_decay, decay, maximize, u)
        _moments(m, v, g, old1, new1, old2, new2, m_new, v_new, t)
        np.multiply(m_new, of_mean, out=t)
        np.multiply(g, of_gradient, out=u)
        np.add(u, t, out=u)
        np.sqrt(v_new, out=t)
        np.multiply(t, correction, out=t)
        np.add(t, small, out=t)
        np.divide(u, t, out=u)
        if decoupled:
            p = np.multiply(p, shrink, out=p_new)
        np.subtract(p, u, out=p_new)

    _in_blocks(step, p, g, m, v, *results)
    return results


@radam_step.on("numpy")
def _(
    p: Floats,
    g: Floats,
    m: Floats,
    v: Floats,
    h: Floats,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    maximize: bool = False,
    out: Results | None = None,
) -> Results:
    results = _results("radam_step", out, p, h, 4, g=g, m=m, v=v)
    if decoupled:
        weight_decay = 0.0
    old1, new1, old2, new2, small, decay = _coefficients(p.dtype, beta1, 1 - beta1, beta2, 1 - beta2, eps, weight_decay)
    rate, rectified, plain, shrink = (h[i, ...] for i in range(4))

    def step(
        p: Floats, g: Floats, m: Floats, v: Floats,
        p_new: Floats, m_new: Floats, v_new: Floats, t: Floats, u: Floats,
    ) -> None:  # fmt: skip
        g = _with_decay(p, g, weight_decay, decay, maximize, u)
        _moments(m, v, g, old1, new1, old2, new2, m_new, v_new, t)
        np.sqrt(v_new, out=t)
        np.add(t, small, out=t)
        np.divide(rectified, t, out=t)
        np.add(t, plain, out=t)
        np.multiply(t, m_new, out=t)
        np.multiply(t, rate, out=t)
        if decoupled:
            p = np.multiply(p, shrink, out=p_new)
        np.subtract(p, t, out=p_new)

    _in_blocks(step, p, g, m, v, *results)
    return results


@lion_step.on("numpy")
def _(
    p: Floats,
    g: Floats,
    m: Floats,
    h: Floats,
    *,
    beta1: float = 0.9,
    beta2: float = 0.99,
    maximize: bool = False,
    out: Results | None = None,
) -> Results:
    results = _results("lion_step", out, p, h, 2, g=g, m=m)
    old1, new1, old2, new2 = _coefficients(p.dtype, beta1, 1 - beta1, beta2, 1 - beta2)
    rate, shrink = h[0, ...], h[1, ...]

    def step(p: Floats, g: Floats, m: Floats, p_new: Floats, m_new: Floats, t: Floats, u: Floats) -> None:
        g = np.negative(g, out=u) if maximize else g
        np.multiply(m, old1, out=t)
        # One product waits in the new parameters' place only after p was read; m_new may be m itself.
        turned = g * new1
        np.add(t, turned, out=t)
        np.sign(t, out=t)
        np.multiply(t, rate, out=t)
        _average(m, old2, g, new2, m_new, turned)
        np.multiply(p, shrink, out=p_new)
        np.subtract(p_new, t, out=p_new)

    _in_blocks(step, p, g, m, *results)
    return results


def _in_blocks(step: Callable[..., None], *arrays: State) -> None:
    """Run ``step(*arrays, t, u)`` on one block after another, with two blocks of scratch memory; None stays None."""
    p = arrays[0]
    assert p is not None
    memory = scratch(p.dtype, 2)
    n = p.shape[0]
    if n <= BLOCK:
        step(*arrays, memory[0, :n], memory[1, :n])
        return
    for block in slices(n):
        width = block.stop - block.start
        step(*[None if array is None else array[block] for array in arrays], memory[0, :width], memory[1, :width])


def _results(name: str, out: Results | None, p: Floats, h: Floats, entries: int, g: Floats, **states: State) -> Results:
    """Where the results go: `out`, or new arrays like those that are replaced; all shapes and dtypes checked."""
    shape, dtype = p.shape, p.dtype
    if h.shape != (entries,) or h.dtype is not dtype or g.shape != shape or g.dtype is not dtype:
        refuse_unfit_states(name, p, h, entries, g=g)
    for state in states.values():
        if state is not None and (state.shape != shape or state.dtype is not dtype):
            refuse_unfit_states(name, p, h, entries, **states)
    if out is None:
        replaced = (p, *states.values())
        return tuple([None if array is None else np.empty(shape, dtype) for array in replaced])
    for result in out:
        if result is not None and result.shape != shape:
            raise ShapeError(f"{name}: out= has an array of shape {result.shape} where {shape} is needed")
    return out


@lru_cache(maxsize=256)
def _coefficients(dtype: Any, *numbers: float) -> list[Floats]:
    """Numbers as arrays without axes, not to be written."""
    arrays = [np.asarray(number, dtype) for number in numbers]
    for array in arrays:
        array.flags.writeable = False
    return arrays


def _with_decay(p: Floats, g: Floats, weight_decay: float, decay: Floats, maximize: bool, memory: Floats) -> Floats:
    """The gradient; in `memory`, if it is negated or decay is added."""
    if weight_decay:
        np.multiply(p, decay, out=memory)
        return (np.subtract if maximize else np.add)(memory, g, out=memory)
    return np.negative(g, out=memory) if maximize else g


def _moments(
    m: Floats, v: Floats, g: Floats, old1: Any, new1: Any, old2: Any, new2: Any,
    m_new: Floats, v_new: Floats, memory: Floats,
) -> None:  # fmt: skip
    """Write the running means of the gradient and of its square."""
    np.multiply(g, g, out=memory)
    _average(v, old2, memory, new2, v_new, memory)
    _average(m, old1, g, new1, m_new, memory)


def _average(state: Floats, old: Any, value: Floats, new: Any, result: Floats, memory: Floats) -> None:
    """Write old state + new value to `result`."""
    np.multiply(value, new, out=memory)
    np.multiply(state, old, out=result)
    np.add(result, memory, out=result)


def _descend(p: Floats, direction: Floats, root: Floats, small: Any, rate: Any, result: Floats) -> None:
    """Write p - rate direction / (root + small) to `result`; overwrites `root`."""
    np.add(root, small, out=root)
    np.divide(direction, root, out=root)
    np.multiply(root, rate, out=root)
    np.subtract(p, root, out=result)
