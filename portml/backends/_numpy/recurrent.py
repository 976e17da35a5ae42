"""Plain recurrence on NumPy: each step is a product and one pass over memory that the projected inputs are in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.blocks import given, maximum
from portml.backends._numpy.recurrence import (
    WeightGradients,
    are_alike,
    both_biases,
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
from portml.backends.kernels.recurrent import (
    recurrent,
    recurrent_backward,
    recurrent_saving,
    refuse_unfit_recurrent,
)

__all__: list[str] = []

Floats = NDArray[Any]


@recurrent.on("numpy")
def _(
    x: Floats,
    h: Floats,
    weight_ih: Floats,
    weight_hh: Floats,
    bias_ih: Floats | None,
    bias_hh: Floats | None,
    lengths: Any,
    *,
    nonlinearity: str = "tanh",
    reverse: bool = False,
    out: Any = None,
) -> Any:
    arrays = x, h, weight_ih, weight_hh, bias_ih, bias_hh, lengths
    saving = recurrent_saving.kernel.table["numpy"]
    return given(saving(*arrays, nonlinearity=nonlinearity, reverse=reverse)[0], out)


@recurrent_saving.on("numpy")
def _(
    x: Floats,
    h: Floats,
    weight_ih: Floats,
    weight_hh: Floats,
    bias_ih: Floats | None,
    bias_hh: Floats | None,
    lengths: Any,
    *,
    nonlinearity: str,
    reverse: bool,
    out: Any = None,
) -> Any:
    arrays = x, h, weight_ih, weight_hh, bias_ih, bias_hh
    if not are_alike(*arrays):
        return given(recurrent_saving.agnostic(*arrays, lengths, nonlinearity=nonlinearity, reverse=reverse), out)
    refuse_unfit_recurrent(*arrays, lengths, nonlinearity)
    dead = dead_steps(lengths, len(x))
    states = projected(inputs_of(x, dead), x.shape[:2], weight_ih, both_biases(bias_ih, bias_hh), 1)[0]
    recur, product, now = weight_hh.T.copy(), np.empty(h.shape, x.dtype), h
    for t in walk(len(x), reverse):
        np.matmul(now, recur, out=product)
        np.add(states[t], product, out=product)
        if nonlinearity == "tanh":
            np.tanh(product, out=states[t])
        else:
            maximum(product, 0, out=states[t])
        if dead[t] is not None:
            np.copyto(states[t], now, where=dead[t])
        now = states[t]
    return given(((shown(states, dead), now.copy()), states), out)


@recurrent_backward.on("numpy")
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
    nonlinearity: str,
    reverse: bool,
    out: Any = None,
) -> Any:
    arrays = x, h, weight_ih, weight_hh, bias_ih, bias_hh
    if not are_alike(*g, saved, *arrays):
        statics: dict[str, Any] = {"needs": needs, "nonlinearity": nonlinearity, "reverse": reverse}
        return delivered(recurrent_backward.agnostic(g, saved, *arrays, lengths, **statics), out)
    dead, apart, one = dead_steps(lengths, len(x)), weight_hh[None], np.ones((), x.dtype)
    slopes, dh, product = shown(g[0], dead), np.array(g[1]), np.empty((1, *h.shape), x.dtype)
    wanted = wanted_of(needs, bias_ih, bias_hh)
    sums = WeightGradients(shown(x, dead), saved, h, weight_ih[None], reverse, wanted)
    windows = windows_back(len(x), reverse, product.shape)
    dz = np.empty((1, len(windows[0]), *h.shape), x.dtype)
    for window in windows:
        low = min(window)
        for t in window:
            d = dz[0, t - low]
            # tanh' = 1 - tanh²; that of relu is whether there is something.
            if nonlinearity == "tanh":
                np.multiply(saved[t], saved[t], out=d)
                np.subtract(one, d, out=d)
            else:
                np.greater(saved[t], 0, out=d)
            if dead[t] is not None:
                np.copyto(d, 0, where=dead[t])
            np.add(dh, slopes[t], out=dh)
            np.multiply(d, dh, out=d)
            step_back(d[None], apart, product, dh, dead[t])
        sums.add(window, dz[:, : len(window)], dz[:, : len(window)])
    dx, dw_ih, db_ih, dw_hh, db_hh = sums.results
    flat = (joined(each) for each in (dw_ih, dw_hh, db_ih, db_hh))
    return delivered((dx, dh if needs[1] else None, *flat, None), out)
