"""The cell of an LSTM compiled: all that happens between two products in one pass over a step."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED, FLOATS
from portml.backends._numba.hyperbolic import ANY_ORDER, logistic, tanh
from portml.backends._numpy.blocks import given
from portml.backends._numpy.long_short_term_memory import lstm_gradients
from portml.backends._numpy.recurrence import (
    WeightGradients,
    are_alike,
    before_each,
    both_biases,
    by_gate,
    dead_steps,
    delivered,
    ended,
    inputs_of,
    projected,
    shown,
    step_back,
    walk,
    wanted_of,
    windows_back,
)
from portml.backends.kernels.long_short_term_memory import lstm, lstm_backward, lstm_saving, refuse_unfit_lstm

__all__: list[str] = []

Floats = NDArray[Any]


@lstm.on("numba")
def _(
    x: Floats,
    h: Floats,
    c: Floats,
    weight_ih: Floats,
    weight_hh: Floats,
    bias_ih: Floats | None,
    bias_hh: Floats | None,
    lengths: Any,
    *,
    reverse: bool = False,
    out: Any = None,
) -> Any:
    arrays = x, h, c, weight_ih, weight_hh, bias_ih, bias_hh, lengths
    return given(lstm_saving.kernel.table["numba"](*arrays, reverse=reverse)[0], out)


@lstm_saving.on("numba")
def _(
    x: Floats,
    h: Floats,
    c: Floats,
    weight_ih: Floats,
    weight_hh: Floats,
    bias_ih: Floats | None,
    bias_hh: Floats | None,
    lengths: Any,
    *,
    reverse: bool,
    out: Any = None,
) -> Any:
    arrays = x, h, c, weight_ih, weight_hh, bias_ih, bias_hh
    if x.dtype.char not in FLOATS or not are_alike(*arrays):
        return lstm_saving.kernel.table["numpy"](*arrays, lengths, reverse=reverse, out=out)
    refuse_unfit_lstm(*arrays, lengths)
    dead, half = dead_steps(lengths, len(x)), x.dtype.type(0.5)
    gates = projected(inputs_of(x, dead), x.shape[:2], weight_ih, both_biases(bias_ih, bias_hh), 4)
    states, cells = (np.empty((len(x), *h.shape), x.dtype) for _ in range(2))
    recur, product = by_gate(weight_hh, 4).transpose(0, 2, 1).copy(), np.empty((4, *h.shape), x.dtype)
    now, cell = np.ascontiguousarray(h), np.ascontiguousarray(c)
    for t in walk(len(x), reverse):
        np.matmul(now, recur, out=product)
        _forward(gates, t, product, now, cell, ended(dead[t]), half, states[t], cells[t])
        now, cell = states[t], cells[t]
    return given(((shown(states, dead), now.copy(), cell.copy()), (gates, states, cells)), out)


@lstm_backward.on("numba")
def _(
    g: Any,
    saved: Any,
    x: Floats,
    h: Floats,
    c: Floats,
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
    arrays = x, h, c, weight_ih, weight_hh, bias_ih, bias_hh
    if x.dtype.char not in FLOATS or not are_alike(*g, *saved, *arrays):
        plain = lstm_backward.kernel.table["numpy"]
        return plain(g, saved, *arrays, lengths, needs=needs, reverse=reverse, out=out)
    gates, states, cells = (np.ascontiguousarray(each) for each in saved)
    dead, apart, one = dead_steps(lengths, len(x)), by_gate(np.ascontiguousarray(weight_hh), 4), x.dtype.type(1)
    slopes, dh, dc = shown(g[0], dead), np.array(g[1], order="C"), np.array(g[2], order="C")
    before, product = before_each(cells, np.ascontiguousarray(c), reverse), np.empty((4, *h.shape), x.dtype)
    wanted = wanted_of(needs, bias_ih, bias_hh)
    sums = WeightGradients(shown(x, dead), states, h, by_gate(weight_ih, 4), reverse, wanted)
    windows = windows_back(len(x), reverse, product.shape)
    dz = np.empty((4, len(windows[0]), *h.shape), x.dtype)
    for window in windows:
        low = min(window)
        for t in window:
            _backward(gates, t, before[t], cells[t], slopes[t], one, dh, dc, dz, t - low)
            step_back(dz[:, t - low], apart, product, dh, dead[t])
        sums.add(window, dz[:, : len(window)], dz[:, : len(window)])
    return delivered(lstm_gradients(sums, dh, dc, needs), out)


@numba.njit(**COMPILED, fastmath=ANY_ORDER)
def _forward(gates, t, product, h, c, dead, half, new_h, new_c):  # type: ignore[no-untyped-def]
    """Gates, in place of what was added up for them, then cell and state."""
    n_samples, size = c.shape
    for b in range(n_samples):
        i, f, g, o = gates[0, t, b], gates[1, t, b], gates[2, t, b], gates[3, t, b]
        if len(dead) and dead[b]:
            i[:], f[:], g[:], o[:] = half - half, half + half, half - half, half - half
            new_c[b], new_h[b] = c[b], h[b]
            continue
        pi, pf, pg, po = product[0, b], product[1, b], product[2, b], product[3, b]
        for j in range(size):
            into = logistic(i[j] + pi[j], half)
            kept = logistic(f[j] + pf[j], half)
            candidate = tanh(g[j] + pg[j])
            opened = logistic(o[j] + po[j], half)
            cell = kept * c[b, j] + into * candidate
            i[j], f[j], g[j], o[j] = into, kept, candidate, opened
            new_c[b, j] = cell
            new_h[b, j] = opened * tanh(cell)


@numba.njit(**COMPILED, fastmath=ANY_ORDER)
def _backward(gates, t, before, cells, slopes, one, dh, dc, dz, place):  # type: ignore[no-untyped-def]
    """Gradients of what was added up for the gates; dc becomes that of the cell before.

    In two loops, as a loop over so many arrays would not be vectorised.
    """
    n_samples, size = cells.shape
    to_cell = np.empty_like(dc[0])
    for b in range(n_samples):
        i, f, g, o = gates[0, t, b], gates[1, t, b], gates[2, t, b], gates[3, t, b]
        di, df, dg, do = dz[0, place, b], dz[1, place, b], dz[2, place, b], dz[3, place, b]
        for j in range(size):
            slope, value = dh[b, j] + slopes[b, j], tanh(cells[b, j])
            to_cell[j] = dc[b, j] + slope * o[j] * (one - value * value)
            do[j] = slope * value * o[j] * (one - o[j])
        for j in range(size):
            slope = to_cell[j]
            di[j] = slope * g[j] * i[j] * (one - i[j])
            df[j] = slope * before[b, j] * f[j] * (one - f[j])
            dg[j] = slope * i[j] * (one - g[j] * g[j])
            dc[b, j] = slope * f[j]
