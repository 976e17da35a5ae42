"""Plain recurrence on CuPy's arrays; the formulas stand in `portml.backends.kernels.recurrent`."""

from __future__ import annotations

from typing import Any

from portml.backends.cuda.glue import outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.recurrence import (
    ADDED_UP,
    copied,
    empty_like_rows,
    gradients_of_inputs,
    gradients_of_states,
    last_state_gradient,
    lengths_of,
    projected,
    walk,
)
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import recurrent as twins
from portml.backends.kernels.recurrence import known
from portml.backends.namespaces import Array, namespace

Needs = tuple[bool, ...]
Two = tuple[Array, Array]

RECURRENT_STEP = CudaKernel(
    "recurrent_step",
    "const T* z, const T* product, const T* bias_ih, const T* bias_hh, const T* h, const int64* lengths, int64 relu, "
    "int64 t, int64 before, int64 size, T* states, T* y",
    """
    const int64 here = t * n + i;
    const bool live = !lengths || t < lengths[i / size];
    T state = before < 0 ? h[i] : states[before * n + i];
    if (live) {
      const T sum = added_up(z[here], product[i], bias_ih, bias_hh, i % size);
      state = relu ? maximum(sum, T(0)) : tanh(sum);
    }
    states[here] = state;
    if (y) y[here] = live ? state : T(0);
    """,
    ADDED_UP,
)

RECURRENT_STEP_BACKWARD = CudaKernel(
    "recurrent_step_backward",
    "const T* g, const T* states, const T* back, const int64* lengths, int64 relu, "
    "int64 t, int64 after, int64 size, T* dh, T* dz",
    """
    const int64 b = i / size, here = t * n + i;
    const bool live = !lengths || t < lengths[b];
    // What came back from the step after this one, or, where that does not count, what would have reached it.
    T slope = back && (!lengths || after < lengths[b]) ? back[i] : dh[i];
    if (live) slope += g[here];
    const T state = states[here];
    const T through = relu ? T(state > T(0)) : T(1) - state * state;
    dz[here] = (live ? through : T(0)) * slope;
    dh[i] = slope;
    """,
)


@override(twins.recurrent)
def _recurrent(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    lengths: Array | None,
    *,
    nonlinearity: str = "tanh",
    reverse: bool = False,
    out: Any = None,
) -> Two:
    arguments = x, h, weight_ih, weight_hh, bias_ih, bias_hh, lengths, nonlinearity
    results, _ = _forward(arguments, reverse, outputs(out, 2), None)
    return results


@override(twins.recurrent_saving)
def _recurrent_saving(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    lengths: Array | None,
    *,
    nonlinearity: str,
    reverse: bool,
    out: Any = None,
) -> tuple[Two, Array]:
    to_results, to_states = outputs(out, 2)
    arguments = x, h, weight_ih, weight_hh, bias_ih, bias_hh, lengths, nonlinearity
    return _forward(arguments, reverse, outputs(to_results, 2), to_states)


def _forward(arguments: Any, reverse: bool, to_results: Any, to_states: Any) -> tuple[Two, Array]:
    twins.refuse_unfit_recurrent(*arguments)
    x, h, weight_ih, weight_hh, bias_ih, bias_hh = map(contiguous, arguments[:6])
    lengths, relu = lengths_of(arguments[6]), int(arguments[7] == "relu")
    h = known(h, lengths, x.shape[0])
    xp, every = namespace(x), (x.shape[0], *h.shape)
    z, recur = projected(x, weight_ih), xp.matrix_transpose(weight_hh)
    product = empty_like_rows(x, h.shape[:1], h.shape[1])
    states = destination(to_states, every, x.dtype, x)
    # Without lengths the results are the states themselves.
    y = None if lengths is None else destination(to_results[0], every, x.dtype, x)
    now = h
    for step in walk(x.shape[0], reverse):
        xp.matmul(now, recur, out=product)
        given = (z, product, bias_ih, bias_hh, h, lengths, relu)
        launch(RECURRENT_STEP, *given, *step, h.shape[1], states, y, size=h.size)
        now = states[step.now, ...]
    results = tuple(map(deliver, (states if y is None else y, copied(now)), to_results))
    return results, deliver(states, to_states)


@override(twins.recurrent_backward)
def _recurrent_backward(
    g: Two,
    saved: Array,
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    lengths: Array | None,
    *,
    needs: Needs,
    nonlinearity: str,
    reverse: bool,
    out: Any = None,
) -> tuple[Array | None, ...]:
    states, g_y, lengths = contiguous(saved), contiguous(g[0]), lengths_of(lengths)
    xp, size = namespace(states), h.shape[1]
    dh, dz, back, after = copied(g[1]), empty_like_rows(states, x.shape[:2], size), None, -1
    for now, _ in reversed([*walk(x.shape[0], reverse)]):
        given = (g_y, states, back, lengths, int(nonlinearity == "relu"))
        launch(RECURRENT_STEP_BACKWARD, *given, now, after, size, dh, dz, size=h.size)
        back = empty_like_rows(states, h.shape[:1], size) if back is None else back
        xp.matmul(dz[now, ...], weight_hh, out=back)
        after = now
    dh = last_state_gradient(dh, back, lengths, after)
    biases = needs[4] and bias_ih is not None, needs[5] and bias_hh is not None
    dx, dw_ih, db_ih = gradients_of_inputs(dz, x, weight_ih, lengths, (needs[0], needs[2], biases[0]))
    dw_hh, db_hh = gradients_of_states(dz, states, h, reverse, (needs[3], biases[1]))
    gradients = (dx, dh if needs[1] else None, dw_ih, dw_hh, db_ih, db_hh, None)
    return tuple(map(deliver, gradients, outputs(out, 7)))
