"""GRU on NumPy: one tanh for both gates, as σ(z) = ½ tanh(½ z) + ½; the halves before it are in the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.blocks import given
from portml.backends._numpy.recurrence import (
    WeightGradients,
    are_alike,
    before_each,
    by_gate,
    dead_steps,
    delivered,
    inputs_of,
    joined,
    projected,
    shown,
    sum_of_gates,
    walk,
    wanted_of,
    windows_back,
)
from portml.backends.kernels.gated_recurrent_unit import gru, gru_backward, gru_saving, refuse_unfit_gru

__all__ = ["first_biases", "gru_gradients", "gru_sums", "step_back_mixed"]

Floats = NDArray[Any]


@gru.on("numpy")
def _(
    x: Floats,
    h: Floats,
    weight_ih: Floats,
    weight_hh: Floats,
    bias_ih: Floats | None,
    bias_hh: Floats | None,
    lengths: Any,
    *,
    reverse: bool = False,
    out: Any = None,
) -> Any:
    arrays = x, h, weight_ih, weight_hh, bias_ih, bias_hh, lengths
    return given(gru_saving.kernel.table["numpy"](*arrays, reverse=reverse)[0], out)


@gru_saving.on("numpy")
def _(
    x: Floats,
    h: Floats,
    weight_ih: Floats,
    weight_hh: Floats,
    bias_ih: Floats | None,
    bias_hh: Floats | None,
    lengths: Any,
    *,
    reverse: bool,
    out: Any = None,
) -> Any:
    arrays = x, h, weight_ih, weight_hh, bias_ih, bias_hh
    if not are_alike(*arrays):
        return given(gru_saving.agnostic(*arrays, lengths, reverse=reverse), out)
    refuse_unfit_gru(*arrays, lengths)
    dead, half = dead_steps(lengths, len(x)), np.full((), 0.5, x.dtype)
    bias, inner_bias = first_biases(bias_ih, bias_hh)
    bias = None if bias is None else _halved(bias)
    gates = projected(inputs_of(x, dead), x.shape[:2], _halved(weight_ih), bias, 3)
    recur = by_gate(_halved(weight_hh), 3).transpose(0, 2, 1).copy()
    inner, states = (np.empty((len(x), *h.shape), x.dtype) for _ in range(2))
    product, now = np.empty((3, *h.shape), x.dtype), h
    for t in walk(len(x), reverse):
        z, opened, (r, kept, n) = gates[:, t], gates[:2, t], gates[:, t]
        np.matmul(now, recur, out=product)
        np.add(opened, product[:2], out=product[:2])
        np.tanh(product[:2], out=opened)
        np.multiply(opened, half, out=opened)
        np.add(opened, half, out=opened)
        if inner_bias is None:
            inner[t] = product[2]
        else:
            np.add(product[2], inner_bias, out=inner[t])
        np.multiply(r, inner[t], out=product[2])
        np.add(n, product[2], out=product[2])
        np.tanh(product[2], out=n)
        if dead[t] is not None:
            np.copyto(z, 0, where=dead[t])
            np.copyto(kept, 1, where=dead[t])
        # h = n + z (h - n)
        np.subtract(now, n, out=states[t])
        np.multiply(states[t], kept, out=states[t])
        np.add(states[t], n, out=states[t])
        now = states[t]
    return given(((shown(states, dead), now.copy()), (gates, inner, states)), out)


@gru_backward.on("numpy")
def _(
    g: Any,
    saved: Any,
    x: Floats,
    h: Floats,
    weight_ih: Floats,
    weight_hh: Floats,
    bias_ih: Floats | None,
    bias_hh: Floats | None,
    lengths: Any,
    *,
    needs: tuple[bool, ...],
    reverse: bool,
    out: Any = None,
) -> Any:
    arrays = x, h, weight_ih, weight_hh, bias_ih, bias_hh
    if not are_alike(*g, *saved, *arrays):
        return delivered(gru_backward.agnostic(g, saved, *arrays, lengths, needs=needs, reverse=reverse), out)
    gates, inner, states = saved
    dead, apart, one = dead_steps(lengths, len(x)), by_gate(weight_hh, 3), np.ones((), x.dtype)
    slopes, dh, before = shown(g[0], dead), np.array(g[1]), before_each(states, h, reverse)
    room, product = np.empty(h.shape, x.dtype), np.empty((3, *h.shape), x.dtype)
    sums = gru_sums(shown(x, dead), states, h, weight_ih, reverse, wanted_of(needs, bias_ih, bias_hh))
    windows = windows_back(len(x), reverse, (4, *h.shape))
    dz = np.empty((4, len(windows[0]), *h.shape), x.dtype)
    for window in windows:
        low = min(window)
        for t in window:
            (r, z, n), (to_n, to_r, to_z, to_inner) = gates[:, t], dz[:, t - low]
            np.add(dh, slopes[t], out=dh)
            # To z: dh (h - n) z (1 - z).
            np.subtract(before[t], n, out=to_z)
            np.multiply(to_z, dh, out=to_z)
            np.multiply(to_z, z, out=to_z)
            np.subtract(one, z, out=room)
            np.multiply(to_z, room, out=to_z)
            # To n: dh (1 - z) (1 - n²).
            np.multiply(dh, room, out=to_inner)
            np.multiply(n, n, out=room)
            np.subtract(one, room, out=room)
            np.multiply(to_inner, room, out=to_n)
            # To b_n: r times that, and to r: b_n (1 - r) times this.
            np.multiply(to_n, r, out=to_inner)
            np.subtract(one, r, out=room)
            np.multiply(room, inner[t], out=room)
            np.multiply(to_inner, room, out=to_r)
            step_back_mixed(dz[1:, t - low], z, apart, product, room, dh)
        sums.add(window, dz[:3, : len(window)], dz[1:, : len(window)])
    return delivered(gru_gradients(sums, dh, needs), out)


def first_biases(bias_ih: Floats | None, bias_hh: Floats | None) -> tuple[Floats | None, Floats | None]:
    """What is added before the walk, (3 size,), and b_hn, (size,), which the reset gate is multiplied with."""
    if bias_hh is None:
        return bias_ih, None
    outer, size = bias_hh.copy(), len(bias_hh) // 3
    outer[2 * size :] = 0
    return outer if bias_ih is None else outer + bias_ih, bias_hh[2 * size :]


def gru_sums(
    x: Floats, states: Floats, first: Floats, weight_ih: Floats, reverse: bool, wanted: tuple[bool, ...]
) -> WeightGradients:
    """Where the slopes of a_n, of a_r + b_r, of a_z + b_z and of b_n are added up.

    In this order the first three are what came from the inputs and the last three what came from the state, each one
    block of memory.
    """
    candidate_first = np.roll(by_gate(weight_ih, 3), 1, axis=0)
    return WeightGradients(x, states, first, candidate_first, reverse, wanted)


def gru_gradients(sums: WeightGradients, dh: Floats, needs: tuple[bool, ...]) -> tuple[Any, ...]:
    """The gradients of all arguments."""
    dx, dw_ih, db_ih, dw_hh, db_hh = sums.results
    dw_ih, db_ih = (None if each is None else np.roll(each, -1, axis=0) for each in (dw_ih, db_ih))
    flat = (joined(each) for each in (dw_ih, dw_hh, db_ih, db_hh))
    return dx, dh if needs[1] else None, *flat, None


def step_back_mixed(d: Floats, z: Floats, apart: Floats, product: Floats, room: Floats, dh: Floats) -> None:
    """The gradient of the state before a step: dh z + Σ W_kᵀ d_k; where the step does not count z is 1, d is 0."""
    np.multiply(dh, z, out=room)
    sum_of_gates(d, apart, product, dh)
    np.add(dh, room, out=dh)


def _halved(parameter: Floats) -> Floats:
    """With ½ in the rows of the gates that are logistic."""
    halved: Floats = parameter.copy()
    halved[: len(parameter) // 3 * 2] *= parameter.dtype.type(0.5)
    return halved
