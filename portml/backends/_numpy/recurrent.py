"""Plain recurrence on NumPy: each step is a product and one pass over memory that the projected inputs are in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.blocks import given, maximum
from portml.backends._numpy.recurrence import (
    are_alike,
    both_biases,
    dead_steps,
    delivered,
    gradient_of_first_weights,
    gradient_of_second_weight,
    inputs_of,
    projected,
    shown,
    step_back,
    walk,
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
    slopes, dh, dz = shown(g[0], dead), np.array(g[1]), np.empty((1, *saved.shape), x.dtype)
    product = np.empty((1, *h.shape), x.dtype)
    for t in reversed(walk(len(x), reverse)):
        d = dz[0, t]
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
        step_back(dz[:, t], apart, product, dh, dead[t])
    biases = needs[4] and bias_ih is not None, needs[5] and bias_hh is not None
    wanted = needs[0], needs[2], biases[0] or biases[1]
    dx, dw_ih, db = gradient_of_first_weights(dz, inputs_of(x, dead), x, weight_ih, wanted)
    dw_hh = gradient_of_second_weight(dz, saved, h, reverse) if needs[3] else None
    of_biases = [db.copy() if is_wanted else None for is_wanted in biases]
    return delivered((dx, dh if needs[1] else None, dw_ih, dw_hh, *of_biases, None), out)
