"""LSTM on CuPy's arrays; the formulas stand in `portml.backends.kernels.long_short_term_memory`."""

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
from portml.backends.kernels import long_short_term_memory as twins
from portml.backends.kernels.recurrence import known
from portml.backends.namespaces import Array, namespace

Needs = tuple[bool, ...]
Three = tuple[Array, Array, Array]

# The sums of a sample's gates stand side by side, as its weights do; the gates themselves lie apart.
LSTM_STEP = CudaKernel(
    "lstm_step",
    "const T* z, const T* product, const T* bias_ih, const T* bias_hh, const T* h, const T* c, const int64* lengths, "
    "int64 t, int64 before, int64 steps, int64 size, T* gates, T* states, T* cells, T* y",
    """
    const int64 b = i / size, j = i % size, here = t * n + i, apart = steps * n;
    const T old_c = before < 0 ? c[i] : cells[before * n + i];
    T in = T(0), kept = T(1), candidate = T(0), opened = T(0), shown = T(0);
    T new_h = before < 0 ? h[i] : states[before * n + i], new_c = old_c;
    if (!lengths || t < lengths[b]) {
      const T* from_input = z + (t * n + b * size) * 4;
      const T* from_state = product + b * size * 4;
      const int64 k0 = j, k1 = size + j, k2 = 2 * size + j, k3 = 3 * size + j;
      in = logistic(added_up(from_input[k0], from_state[k0], bias_ih, bias_hh, k0));
      kept = logistic(added_up(from_input[k1], from_state[k1], bias_ih, bias_hh, k1));
      candidate = tanh(added_up(from_input[k2], from_state[k2], bias_ih, bias_hh, k2));
      opened = logistic(added_up(from_input[k3], from_state[k3], bias_ih, bias_hh, k3));
      new_c = kept * old_c + in * candidate;
      new_h = shown = opened * tanh(new_c);
    }
    if (gates) {
      gates[here] = in;
      gates[apart + here] = kept;
      gates[2 * apart + here] = candidate;
      gates[3 * apart + here] = opened;
    }
    cells[here] = new_c;
    states[here] = new_h;
    if (y) y[here] = shown;
    """,
    ADDED_UP,
)

LSTM_STEP_BACKWARD = CudaKernel(
    "lstm_step_backward",
    "const T* g, const T* gates, const T* cells, const T* c, const T* back, const int64* lengths, "
    "int64 t, int64 before, int64 after, int64 steps, int64 size, T* dh, T* dc, T* dz",
    """
    const int64 b = i / size, j = i % size, here = t * n + i, apart = steps * n;
    // What came back from the step after this one, or, where that does not count, what would have reached it.
    T slope = back && (!lengths || after < lengths[b]) ? back[i] : dh[i];
    if (!lengths || t < lengths[b]) slope += g[here];
    const T in = gates[here], kept = gates[apart + here];
    const T candidate = gates[2 * apart + here], opened = gates[3 * apart + here];
    const T old_c = before < 0 ? c[i] : cells[before * n + i], shown = tanh(cells[here]);
    const T to_c = dc[i] + slope * opened * (T(1) - shown * shown);
    T* to = dz + (t * n + b * size) * 4 + j;
    to[0] = to_c * candidate * in * (T(1) - in);
    to[size] = to_c * old_c * kept * (T(1) - kept);
    to[2 * size] = to_c * in * (T(1) - candidate * candidate);
    to[3 * size] = slope * shown * opened * (T(1) - opened);
    dh[i] = slope;
    dc[i] = to_c * kept;
    """,
)


@override(twins.lstm)
def _lstm(
    x: Array,
    h: Array,
    c: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    lengths: Array | None,
    *,
    reverse: bool = False,
    out: Any = None,
) -> Three:
    arrays = x, h, c, weight_ih, weight_hh, bias_ih, bias_hh, lengths
    return _forward(arrays, reverse, outputs(out, 3), None)[0]


@override(twins.lstm_saving)
def _lstm_saving(
    x: Array,
    h: Array,
    c: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    lengths: Array | None,
    *,
    reverse: bool,
    out: Any = None,
) -> tuple[Three, Three]:
    to_results, to_saved = outputs(out, 2)
    arrays = x, h, c, weight_ih, weight_hh, bias_ih, bias_hh, lengths
    return _forward(arrays, reverse, outputs(to_results, 3), outputs(to_saved, 3))


def _forward(arrays: Any, reverse: bool, to_results: Any, to_saved: Any) -> tuple[Three, Three]:
    twins.refuse_unfit_lstm(*arrays)
    x, h, c, weight_ih, weight_hh, bias_ih, bias_hh = map(contiguous, arrays[:7])
    lengths = lengths_of(arrays[7])
    h, c = known(h, lengths, x.shape[0]), known(c, lengths, x.shape[0])
    xp, n_steps, size = namespace(x), x.shape[0], h.shape[1]
    every = (n_steps, *h.shape)
    z, recur = projected(x, weight_ih), xp.matrix_transpose(weight_hh)
    product = empty_like_rows(x, h.shape[:1], 4 * size)
    # Without `to_saved` no gradient will ask for the gates.
    to_gates, *to_states = to_saved or (None, None, None)
    gates = None if to_saved is None else destination(to_gates, (4, *every), x.dtype, x)
    states, cells = (destination(to, every, x.dtype, x) for to in to_states)
    # Without lengths the results are the states themselves.
    y = None if lengths is None else destination(to_results[0], every, x.dtype, x)
    now = h
    for step in walk(n_steps, reverse):
        xp.matmul(now, recur, out=product)
        given = (z, product, bias_ih, bias_hh, h, c, lengths)
        launch(LSTM_STEP, *given, *step, n_steps, size, gates, states, cells, y, size=h.size)
        now, last = states[step.now, ...], cells[step.now, ...]
    results = tuple(map(deliver, (states if y is None else y, copied(now), copied(last)), to_results))
    return results, tuple(map(deliver, (gates, states, cells), (to_gates, *to_states)))


@override(twins.lstm_backward)
def _lstm_backward(
    g: Three,
    saved: Three,
    x: Array,
    h: Array,
    c: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    lengths: Array | None,
    *,
    needs: Needs,
    reverse: bool,
    out: Any = None,
) -> tuple[Array | None, ...]:
    gates, states, cells = map(contiguous, saved)
    g_y, first, lengths = contiguous(g[0]), contiguous(c), lengths_of(lengths)
    xp, n_steps, size = namespace(gates), x.shape[0], h.shape[1]
    dh, dc, dz = copied(g[1]), copied(g[2]), empty_like_rows(gates, x.shape[:2], 4 * size)
    back, after = None, -1
    for now, before in reversed([*walk(n_steps, reverse)]):
        given = (g_y, gates, cells, first, back, lengths)
        launch(LSTM_STEP_BACKWARD, *given, now, before, after, n_steps, size, dh, dc, dz, size=h.size)
        back = empty_like_rows(gates, h.shape[:1], size) if back is None else back
        xp.matmul(dz[now, ...], weight_hh, out=back)
        after = now
    dh = last_state_gradient(dh, back, lengths, after)
    biases = needs[5] and bias_ih is not None, needs[6] and bias_hh is not None
    dx, dw_ih, db_ih = gradients_of_inputs(dz, x, weight_ih, lengths, (needs[0], needs[3], biases[0]))
    dw_hh, db_hh = gradients_of_states(dz, states, h, reverse, (needs[4], biases[1]))
    gradients = (dx, dh if needs[1] else None, dc if needs[2] else None, dw_ih, dw_hh, db_ih, db_hh, None)
    return tuple(map(deliver, gradients, outputs(out, 8)))
