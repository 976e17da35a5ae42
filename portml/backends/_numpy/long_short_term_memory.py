"""LSTM on NumPy: one tanh for all gates, as σ(z) = ½ tanh(½ z) + ½; the halves before it are in the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.blocks import given
from portml.backends._numpy.recurrence import (
    WeightGradients,
    are_alike,
    before_each,
    both_biases,
    by_gate,
    dead_steps,
    delivered,
    inputs_of,
    joined,
    projected,
    shown,
    step_back,
    walk,
    wanted_of,
    windows_back,
)
from portml.backends.kernels.long_short_term_memory import lstm, lstm_backward, lstm_saving, refuse_unfit_lstm

__all__ = ["lstm_gradients"]

Floats = NDArray[Any]


@lstm.on("numpy")
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
    return given(lstm_saving.kernel.table["numpy"](*arrays, reverse=reverse)[0], out)


@lstm_saving.on("numpy")
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
    if not are_alike(*arrays):
        return given(lstm_saving.agnostic(*arrays, lengths, reverse=reverse), out)
    refuse_unfit_lstm(*arrays, lengths)
    dead, half = dead_steps(lengths, len(x)), np.full((), 0.5, x.dtype)
    bias = both_biases(bias_ih, bias_hh)
    bias = None if bias is None else _halved(bias)
    gates = projected(inputs_of(x, dead), x.shape[:2], _halved(weight_ih), bias, 4)
    recur = by_gate(_halved(weight_hh), 4).transpose(0, 2, 1).copy()
    states, cells = (np.empty((len(x), *h.shape), x.dtype) for _ in range(2))
    product, room = np.empty_like(gates[:, 0], order="C"), np.empty_like(states[0])
    now, kept = h, c
    for t in walk(len(x), reverse):
        z, cell = gates[:, t], cells[t]
        np.matmul(now, recur, out=product)
        np.add(z, product, out=product)
        np.tanh(product, out=z)
        for logistic in (z[:2], z[3]):
            np.multiply(logistic, half, out=logistic)
            np.add(logistic, half, out=logistic)
        if dead[t] is not None:
            np.copyto(z, 0, where=dead[t])
            np.copyto(z[1], 1, where=dead[t])
        np.multiply(z[1], kept, out=cell)
        np.multiply(z[0], z[2], out=room)
        np.add(cell, room, out=cell)
        np.tanh(cell, out=room)
        np.multiply(z[3], room, out=states[t])
        if dead[t] is not None:
            np.copyto(states[t], now, where=dead[t])
        now, kept = states[t], cell
    return given(((shown(states, dead), now.copy(), kept.copy()), (gates, states, cells)), out)


@lstm_backward.on("numpy")
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
    if not are_alike(*g, *saved, *arrays):
        return delivered(lstm_backward.agnostic(g, saved, *arrays, lengths, needs=needs, reverse=reverse), out)
    gates, states, cells = saved
    dead, apart, one = dead_steps(lengths, len(x)), by_gate(weight_hh, 4), np.ones((), x.dtype)
    slopes, dh, dc = shown(g[0], dead), np.array(g[1]), np.array(g[2])
    room, shown_cell = np.empty_like(dh), np.empty_like(dh)
    two, product = np.empty((2, *h.shape), x.dtype), np.empty((4, *h.shape), x.dtype)
    before = before_each(cells, c, reverse)
    wanted = wanted_of(needs, bias_ih, bias_hh)
    sums = WeightGradients(shown(x, dead), states, h, by_gate(weight_ih, 4), reverse, wanted)
    windows = windows_back(len(x), reverse, product.shape)
    dz = np.empty((4, len(windows[0]), *h.shape), x.dtype)
    for window in windows:
        low = min(window)
        for t in window:
            (_, f, candidate, o), d = gates[:, t], dz[:, t - low]
            np.add(dh, slopes[t], out=dh)
            np.tanh(cells[t], out=shown_cell)
            np.multiply(dh, shown_cell, out=d[3])
            # dc += dh o (1 - k²)
            np.multiply(shown_cell, shown_cell, out=shown_cell)
            np.subtract(one, shown_cell, out=shown_cell)
            np.multiply(dh, o, out=room)
            np.multiply(room, shown_cell, out=room)
            np.add(dc, room, out=dc)
            np.multiply(dc, gates[2::-2, t], out=d[::2])  # to i by the candidate, to the candidate by i
            np.multiply(dc, before[t], out=d[1])
            np.multiply(dc, f, out=dc)
            # Through the gates: σ' = σ (1 - σ), tanh' = 1 - tanh².
            for logistic, slope, part in ((gates[:2, t], two, d[:2]), (o, room, d[3])):
                np.subtract(one, logistic, out=slope)
                np.multiply(slope, logistic, out=slope)
                np.multiply(part, slope, out=part)
            np.multiply(candidate, candidate, out=room)
            np.subtract(one, room, out=room)
            np.multiply(d[2], room, out=d[2])
            step_back(d, apart, product, dh, dead[t])
        sums.add(window, dz[:, : len(window)], dz[:, : len(window)])
    return delivered(lstm_gradients(sums, dh, dc, needs), out)


def lstm_gradients(sums: WeightGradients, dh: Floats, dc: Floats, needs: tuple[bool, ...]) -> tuple[Any, ...]:
    """The gradients of all arguments."""
    dx, dw_ih, db_ih, dw_hh, db_hh = sums.results
    flat = (joined(each) for each in (dw_ih, dw_hh, db_ih, db_hh))
    return dx, dh if needs[1] else None, dc if needs[2] else None, *flat, None


def _halved(parameter: Floats) -> Floats:
    """With ½ in the rows of the gates that are logistic."""
    halved: Floats = parameter * parameter.dtype.type(0.5)
    candidate = slice(len(parameter) // 2, len(parameter) // 4 * 3)
    halved[candidate] = parameter[candidate]
    return halved
