"""GRU on CuPy's arrays; the formulas stand in `portml.backends.kernels.gated_recurrent_unit`."""

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
    lengths_of,
    projected,
    walk,
)
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import gated_recurrent_unit as twins
from portml.backends.kernels.recurrence import known
from portml.backends.namespaces import Array, namespace

Needs = tuple[bool, ...]
Two = tuple[Array, Array]
Three = tuple[Array, Array, Array]

# The sums of a sample's gates stand side by side, as its weights do; the gates themselves lie apart.
GRU_STEP = CudaKernel(
    "gru_step",
    "const T* a, const T* product, const T* bias_ih, const T* bias_hh, const T* h, const int64* lengths, "
    "int64 t, int64 before, int64 steps, int64 size, T* gates, T* inner, T* states, T* y",
    """
    const int64 b = i / size, j = i % size, here = t * n + i, apart = steps * n;
    const T* from_input = a + (t * n + b * size) * 3;
    const T* from_state = product + b * size * 3;
    const int64 k0 = j, k1 = size + j, k2 = 2 * size + j;
    const T old_h = before < 0 ? h[i] : states[before * n + i];
    const T through_reset = bias_hh ? from_state[k2] + bias_hh[k2] : from_state[k2];
    const bool live = !lengths || t < lengths[b];
    T reset = T(0), kept = T(1), candidate = T(0);
    if (live) {
      reset = logistic(added_up(from_input[k0], from_state[k0], bias_ih, bias_hh, k0));
      kept = logistic(added_up(from_input[k1], from_state[k1], bias_ih, bias_hh, k1));
      candidate = tanh(added_up(from_input[k2], reset * through_reset, bias_ih, nullptr, k2));
    }
    const T new_h = candidate + kept * (old_h - candidate);
    if (gates) {
      gates[here] = reset;
      gates[apart + here] = kept;
      gates[2 * apart + here] = candidate;
      inner[here] = through_reset;
    }
    states[here] = new_h;
    if (y) y[here] = live ? new_h : T(0);
    """,
    ADDED_UP,
)

GRU_STEP_BACKWARD = CudaKernel(
    "gru_step_backward",
    "const T* g, const T* gates, const T* inner, const T* states, const T* h, const T* back, const int64* lengths, "
    "int64 t, int64 before, int64 steps, int64 size, T* dh, T* da, T* db",
    """
    const int64 b = i / size, j = i % size, here = t * n + i, apart = steps * n;
    T slope = back ? dh[i] + back[i] : dh[i];
    if (!lengths || t < lengths[b]) slope += g[here];
    const T reset = gates[here], kept = gates[apart + here], candidate = gates[2 * apart + here];
    const T old_h = before < 0 ? h[i] : states[before * n + i];
    const T to_candidate = slope * (T(1) - kept) * (T(1) - candidate * candidate);
    const T to_reset = to_candidate * inner[here] * reset * (T(1) - reset);
    const T to_kept = slope * (old_h - candidate) * kept * (T(1) - kept);
    const int64 to = (t * n + b * size) * 3 + j;
    da[to] = db[to] = to_reset;
    da[to + size] = db[to + size] = to_kept;
    da[to + 2 * size] = to_candidate;
    db[to + 2 * size] = to_candidate * reset;
    dh[i] = slope * kept;
    """,
)


@override(twins.gru)
def _gru(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    lengths: Array | None,
    *,
    reverse: bool = False,
    out: Any = None,
) -> Two:
    arrays = x, h, weight_ih, weight_hh, bias_ih, bias_hh, lengths
    return _forward(arrays, reverse, outputs(out, 2), None)[0]


@override(twins.gru_saving)
def _gru_saving(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    lengths: Array | None,
    *,
    reverse: bool,
    out: Any = None,
) -> tuple[Two, Three]:
    to_results, to_saved = outputs(out, 2)
    arrays = x, h, weight_ih, weight_hh, bias_ih, bias_hh, lengths
    return _forward(arrays, reverse, outputs(to_results, 2), outputs(to_saved, 3))


def _forward(arrays: Any, reverse: bool, to_results: Any, to_saved: Any) -> tuple[Two, Three]:
    twins.refuse_unfit_gru(*arrays)
    x, h, weight_ih, weight_hh, bias_ih, bias_hh = map(contiguous, arrays[:6])
    lengths = lengths_of(arrays[6])
    h = known(h, lengths, x.shape[0])
    xp, n_steps, size = namespace(x), x.shape[0], h.shape[1]
    every = (n_steps, *h.shape)
    a, recur = projected(x, weight_ih), xp.matrix_transpose(weight_hh)
    product = empty_like_rows(x, h.shape[:1], 3 * size)
    # Without `to_saved` no gradient will ask for the gates.
    to_gates, to_inner, to_states = to_saved or (None, None, None)
    gates = None if to_saved is None else destination(to_gates, (3, *every), x.dtype, x)
    inner = None if to_saved is None else destination(to_inner, every, x.dtype, x)
    states = destination(to_states, every, x.dtype, x)
    # Without lengths the results are the states themselves.
    y = None if lengths is None else destination(to_results[0], every, x.dtype, x)
    now = h
    for step in walk(n_steps, reverse):
        xp.matmul(now, recur, out=product)
        given = (a, product, bias_ih, bias_hh, h, lengths)
        launch(GRU_STEP, *given, *step, n_steps, size, gates, inner, states, y, size=h.size)
        now = states[step.now, ...]
    results = tuple(map(deliver, (states if y is None else y, copied(now)), to_results))
    return results, tuple(map(deliver, (gates, inner, states), (to_gates, to_inner, to_states)))


@override(twins.gru_backward)
def _gru_backward(
    g: Two,
    saved: Three,
    x: Array,
    h: Array,
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
    gates, inner, states = map(contiguous, saved)
    g_y, first, lengths = contiguous(g[0]), contiguous(h), lengths_of(lengths)
    xp, n_steps, size = namespace(gates), x.shape[0], h.shape[1]
    dh, back = copied(g[1]), None
    da, db = (empty_like_rows(gates, x.shape[:2], 3 * size) for _ in range(2))
    for now, before in reversed([*walk(n_steps, reverse)]):
        given = (g_y, gates, inner, states, first, back, lengths)
        launch(GRU_STEP_BACKWARD, *given, now, before, n_steps, size, dh, da, db, size=h.size)
        back = empty_like_rows(gates, h.shape[:1], size) if back is None else back
        xp.matmul(db[now, ...], weight_hh, out=back)
    biases = needs[4] and bias_ih is not None, needs[5] and bias_hh is not None
    dx, dw_ih, db_ih = gradients_of_inputs(da, x, weight_ih, lengths, (needs[0], needs[2], biases[0]))
    dw_hh, db_hh = gradients_of_states(db, states, h, reverse, (needs[3], biases[1]))
    gradients = (dx, dh + back if needs[1] else None, dw_ih, dw_hh, db_ih, db_hh, None)
    return tuple(map(deliver, gradients, outputs(out, 7)))
