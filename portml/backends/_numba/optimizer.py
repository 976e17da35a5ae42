"""Steps of optimizers compiled: one pass over all arrays, each number read and written once.

Numbers are taken in the arrays' own precision, and rounding follows the bodies; NaN goes where it goes there.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED, FLOATS
from portml.backends.kernels.optimizer import adam_step, refuse_unfit_states, rmsprop_step, sgd_step
from portml.errors import ShapeError

__all__: list[str] = []

# Products may be fused and quotients taken by refined reciprocals, to the last bit or two; NaN and infinities are kept.
FREE = {**COMPILED, "fastmath": {"afn", "arcp", "contract", "nsz", "reassoc"}}

Floats = NDArray[Any]
State = Floats | None
Results = tuple[State, ...]


@sgd_step.on("numba")
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
    refuse_unfit_states("sgd_step", p, h, 2, g=g, velocity=velocity)
    if p.dtype.char not in FLOATS:
        statics = {"momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay, "maximize": maximize}
        return sgd_step.kernel.table["numpy"](p, g, velocity, h, **statics, out=out)  # type: ignore[no-any-return]
    results = _results("sgd_step", out, p, velocity)
    number = p.dtype.type
    decay = number(weight_decay) if weight_decay else None
    _sgd(results[0], g, results[1], h, number(momentum), nesterov, decay, number(-1.0 if maximize else 1.0))
    return results


@rmsprop_step.on("numba")
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
    refuse_unfit_states("rmsprop_step", p, h, 1, g=g, square=square, mean=mean, velocity=velocity)
    if p.dtype.char not in FLOATS:
        numpy = rmsprop_step.kernel.table["numpy"]
        return numpy(  # type: ignore[no-any-return]
            p, g, square, mean, velocity, h,
            alpha=alpha, eps=eps, momentum=momentum, weight_decay=weight_decay, maximize=maximize, out=out,
        )  # fmt: skip
    results = _results("rmsprop_step", out, p, square, mean, velocity)
    number = p.dtype.type
    decay = number(weight_decay) if weight_decay else None
    numbers = (number(alpha), number(1 - alpha), number(eps), number(momentum), decay)
    first, *states = results
    _rmsprop(first, g, *states, h, *numbers, number(-1.0 if maximize else 1.0))
    return results


@adam_step.on("numba")
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
    refuse_unfit_states("adam_step", p, h, 3, g=g, m=m, v=v, peak=peak)
    if p.dtype.char not in FLOATS:
        numpy = adam_step.kernel.table["numpy"]
        return numpy(  # type: ignore[no-any-return]
            p, g, m, v, peak, h,
            beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay, decoupled=decoupled, maximize=maximize,
            out=out,
        )  # fmt: skip
    results = _results("adam_step", out, p, m, v, peak)
    number = p.dtype.type
    old = number(beta1), number(1 - beta1), number(beta2), number(1 - beta2), number(eps)
    decay = number(weight_decay) if weight_decay and not decoupled else None
    shrink = h[2] if decoupled else number(1.0)
    first, *states = results
    _adam(first, g, *states, h, *old, decay, shrink, number(-1.0 if maximize else 1.0))
    return results


def _results(name: str, out: Results | None, *replaced: State) -> Results:
    """Where the results go, holding what they replace: one loop in place is what a compiler can vectorise."""
    p = replaced[0]
    assert p is not None
    if out is None:
        return tuple([None if array is None else array.copy() for array in replaced])
    for result, array in zip(out, replaced, strict=True):
        if result is not None and array is not None and result is not array:
            if result.shape != p.shape:
                raise ShapeError(f"{name}: out= has an array of shape {result.shape} where {p.shape} is needed")
            result[...] = array
    return out


@numba.njit(**FREE)
def _sgd(p, g, velocity, h, momentum, nesterov, decay, sign):  # type: ignore[no-untyped-def]
    rate, share = h[0], h[1]
    for i in range(p.size):
        slope = sign * g[i]
        if decay is not None:
            slope += decay * p[i]
        if velocity is not None:
            velocity[i] = momentum * velocity[i] + share * slope
            slope = slope + momentum * velocity[i] if nesterov else velocity[i]
        p[i] -= rate * slope


@numba.njit(**FREE)
def _rmsprop(p, g, square, mean, velocity, h, alpha, rest, eps, momentum, decay, sign):  # type: ignore[no-untyped-def]
    rate = h[0]
    for i in range(p.size):
        slope = sign * g[i]
        if decay is not None:
            slope += decay * p[i]
        square[i] = alpha * square[i] + rest * (slope * slope)
        spread = square[i]
        if mean is not None:
            mean[i] = alpha * mean[i] + rest * slope
            spread = spread - mean[i] * mean[i]
            spread = spread * 0 if spread < 0 else spread
        step = slope / (np.sqrt(spread) + eps)
        if velocity is not None:
            velocity[i] = momentum * velocity[i] + step
            step = velocity[i]
        p[i] -= rate * step


@numba.njit(**FREE)
def _adam(p, g, m, v, peak, h, old1, new1, old2, new2, eps, decay, shrink, sign):  # type: ignore[no-untyped-def]
    rate, correction = h[0], h[1]
    for i in range(p.size):
        slope = sign * g[i]
        if decay is not None:
            slope += decay * p[i]
        m[i] = old1 * m[i] + new1 * slope
        v[i] = old2 * v[i] + new2 * (slope * slope)
        second = v[i]
        if peak is not None:
            second = peak[i] if peak[i] > second or peak[i] != peak[i] else second
            peak[i] = second
        p[i] = p[i] * shrink - rate * (m[i] / (np.sqrt(second) * correction + eps))
