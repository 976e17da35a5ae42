"""The cell of a GRU compiled: all that happens between two products in one pass over a step."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED, FLOATS
from portml.backends._numba.hyperbolic import ANY_ORDER, logistic, tanh
from portml.backends._numpy.blocks import given
from portml.backends._numpy.gated_recurrent_unit import first_biases, gru_gradients, gru_sums, step_back_mixed
from portml.backends._numpy.recurrence import (
    are_alike,
    before_each,
    by_gate,
    dead_steps,
    delivered,
    ended,
    inputs_of,
    projected,
    shown,
    walk,
    wanted_of,
    windows_back,
)
from portml.backends.kernels.gated_recurrent_unit import gru, gru_backward, gru_saving, refuse_unfit_gru

__all__: list[str] = []

Floats = NDArray[Any]


@gru.on("numba")
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
    return given(gru_saving.kernel.table["numba"](*arrays, reverse=reverse)[0], out)


@gru_saving.on("numba")
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
    if x.dtype.char not in FLOATS or not are_alike(*arrays):
        return gru_saving.kernel.table["numpy"](*arrays, lengths, reverse=reverse, out=out)
    refuse_unfit_gru(*arrays, lengths)
    dead, half = dead_steps(lengths, len(x)), x.dtype.type(0.5)
    bias, inner_bias = first_biases(bias_ih, bias_hh)
    inner_bias = np.zeros(h.shape[1], x.dtype) if inner_bias is None else np.ascontiguousarray(inner_bias)
    gates = projected(inputs_of(x, dead), x.shape[:2], weight_ih, bias, 3)
    recur, product = by_gate(weight_hh, 3).transpose(0, 2, 1).copy(), np.empty((3, *h.shape), x.dtype)
    inner, states = (np.empty((len(x), *h.shape), x.dtype) for _ in range(2))
    now = np.ascontiguousarray(h)
    for t in walk(len(x), reverse):
        np.matmul(now, recur, out=product)
        _forward(gates, t, product, inner_bias, now, ended(dead[t]), half, inner[t], states[t])
        now = states[t]
    return given(((shown(states, dead), now.copy()), (gates, inner, states)), out)


@gru_backward.on("numba")
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
    if x.dtype.char not in FLOATS or not are_alike(*g, *saved, *arrays):
        plain = gru_backward.kernel.table["numpy"]
        return plain(g, saved, *arrays, lengths, needs=needs, reverse=reverse, out=out)
    gates, inner, states = (np.ascontiguousarray(each) for each in saved)
    dead, apart, one = dead_steps(lengths, len(x)), by_gate(np.ascontiguousarray(weight_hh), 3), x.dtype.type(1)
    slopes, dh = shown(g[0], dead), np.array(g[1], order="C")
    before = before_each(states, np.ascontiguousarray(h), reverse)
    room, product = np.empty(h.shape, x.dtype), np.empty((3, *h.shape), x.dtype)
    sums = gru_sums(shown(x, dead), states, h, weight_ih, reverse, wanted_of(needs, bias_ih, bias_hh))
    windows = windows_back(len(x), reverse, (4, *h.shape))
    dz = np.empty((4, len(windows[0]), *h.shape), x.dtype)
    for window in windows:
        low = min(window)
        for t in window:
            _backward(gates, t, before[t], inner[t], slopes[t], one, dh, dz, t - low)
            step_back_mixed(dz[1:, t - low], gates[1, t], apart, product, room, dh)
        sums.add(window, dz[:3, : len(window)], dz[1:, : len(window)])
    return delivered(gru_gradients(sums, dh, needs), out)


@numba.njit(**COMPILED, fastmath=ANY_ORDER)
def _forward(gates, t, product, bias, h, dead, half, inner, new_h):  # type: ignore[no-untyped-def]
    """Gates, in place of what was added up for them, and the state."""
    n_samples, size = h.shape
    for b in range(n_samples):
        r, z, n = gates[0, t, b], gates[1, t, b], gates[2, t, b]
        pr, pz, pn = product[0, b], product[1, b], product[2, b]
        for j in range(size):
            inner[b, j] = pn[j] + bias[j]
        if len(dead) and dead[b]:
            r[:], z[:], n[:] = half - half, half + half, half - half
            new_h[b] = h[b]
            continue
        for j in range(size):
            reset = logistic(r[j] + pr[j], half)
            kept = logistic(z[j] + pz[j], half)
            candidate = tanh(n[j] + reset * inner[b, j])
            r[j], z[j], n[j] = reset, kept, candidate
            new_h[b, j] = candidate + kept * (h[b, j] - candidate)


@numba.njit(**COMPILED, fastmath=ANY_ORDER)
def _backward(gates, t, before, inner, slopes, one, dh, dz, place):  # type: ignore[no-untyped-def]
    """Gradients of a_n, a_r, a_z and b_n; dh takes up the gradient of its own result.

    In two loops, as a loop over so many arrays would not be vectorised.
    """
    n_samples, size = before.shape
    for b in range(n_samples):
        r, z, n = gates[0, t, b], gates[1, t, b], gates[2, t, b]
        to_n, to_r, to_z, to_inner = dz[0, place, b], dz[1, place, b], dz[2, place, b], dz[3, place, b]
        for j in range(size):
            slope = dh[b, j] + slopes[b, j]
            dh[b, j] = slope
            to_n[j] = slope * (one - z[j]) * (one - n[j] * n[j])
            to_z[j] = slope * (before[b, j] - n[j]) * z[j] * (one - z[j])
        for j in range(size):
            to_inner[j] = to_n[j] * r[j]
            to_r[j] = to_inner[j] * inner[b, j] * (one - r[j])
