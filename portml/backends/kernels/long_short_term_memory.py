"""Long short-term memory over a whole sequence: gates decide what a cell keeps, takes in and shows.

The four gates stand side by side in the rows of the weights, in PyTorch's order: input, forget, candidate, output.
"""

from __future__ import annotations

from portml.backends.kernel import kernel
from portml.backends.kernels.activation import sigmoid
from portml.backends.kernels.recurrence import (
    gate,
    known,
    live_steps,
    project,
    refuse_unfit_sequence,
    silenced,
    steps,
    through_projection,
    through_recurrence,
)
from portml.backends.namespaces import Array, namespace

__all__ = ["lstm", "lstm_backward", "lstm_saving", "refuse_unfit_lstm"]

Needs = tuple[bool, ...]
Three = tuple[Array, Array, Array]


@kernel
def lstm(
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
) -> Three:
    """c_t = f c_{t-1} + i g and h_t = o tanh(c_t).  [Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000]

    The gates are (i, f, g, o) = (σ, σ, tanh, σ)(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh).

    Parameters
    ----------
    x : array (n_steps, n_samples, n_in)
    h, c : arrays (n_samples, size)
        State and cell before the first step.
    weight_ih : array (4 size, n_in)
    weight_hh : array (4 size, size)
    bias_ih, bias_hh : arrays (4 size,) or None
    lengths : integer array (n_samples,) or None
        How many steps of each sample count; None for all.  At the others the result is zero and the state stays.
    reverse : bool
        Walk from the last step to the first.

    Returns
    -------
    array (n_steps, n_samples, size)
        The state after each step.
    arrays (n_samples, size)
        State and cell after the last step that was walked and counts.

    Raises
    ------
    ShapeError, DtypeError
        If the arrays do not fit.
    RangeError
        On the host, if a length is negative or above n_steps; on a device that sample's states are NaN.
    """
    result: tuple[Array, Array, Array] = lstm_saving.agnostic(
        x, h, c, weight_ih, weight_hh, bias_ih, bias_hh, lengths, reverse=reverse
    )[0]
    return result


@kernel
def lstm_saving(
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
) -> tuple[Three, Three]:
    """The result of `lstm`; for its gradient gates (4, n_steps, n_samples, size), states and cells after each step.

    Where a step does not count the gates are 0, 1, 0 and 0: keep everything, take and show nothing.
    """
    refuse_unfit_lstm(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh, lengths)
    xp, (n_steps, size) = namespace(x, h, c, weight_ih, weight_hh), (x.shape[0], h.shape[1])
    h, c = known(h, lengths, n_steps), known(c, lengths, n_steps)
    live = live_steps(lengths, n_steps)
    z, recur = project(silenced(x, live), weight_ih, bias_ih, bias_hh), xp.matrix_transpose(weight_hh)
    gates, states, cells = [z] * n_steps, [h] * n_steps, [c] * n_steps
    for t in steps(n_steps, reverse):
        i, f, candidate, o = (gate(z[t, ...] + h @ recur, number, size) for number in range(4))
        i, f, candidate, o = sigmoid.agnostic(i), sigmoid.agnostic(f), xp.tanh(candidate), sigmoid.agnostic(o)
        if live is not None:
            now = live[t, ...]
            i, f, candidate, o = (
                xp.where(now, i, 0),
                xp.where(now, f, 1),
                xp.where(now, candidate, 0),
                xp.where(now, o, 0),
            )
        cells[t] = c = f * c + i * candidate
        shown = o * xp.tanh(c)
        states[t] = h = shown if live is None else xp.where(live[t, ...], shown, h)
        gates[t] = xp.stack([i, f, candidate, o], axis=0)
    every = xp.stack(states, axis=0)
    return (silenced(every, live), h, c), (xp.stack(gates, axis=1), every, xp.stack(cells, axis=0))


@kernel
def lstm_backward(
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
) -> tuple[Array | None, ...]:
    """Back-propagation through time.  [Graves & Schmidhuber 2005, appendix A]

    With k = tanh(c_t): dc += dh o (1 - k²), then di = dc g, df = dc c_{t-1}, dg = dc i, do = dh k, each through its
    gate's nonlinearity; dc_{t-1} = dc f and dh_{t-1} = W_hhᵀ dz_t + the gradient of its own result.
    """
    (gates, states, cells), n_steps = saved, x.shape[0]
    xp = namespace(gates, weight_hh)
    live = live_steps(lengths, n_steps)
    to_results, dh, dc = silenced(g[0], live), g[1], g[2]
    all_dz = [dh] * n_steps
    for t in steps(n_steps, not reverse):
        i, f, candidate, o = (gates[number, t, ...] for number in range(4))
        t_before = t + 1 if reverse else t - 1
        before = cells[t_before, ...] if 0 <= t_before < n_steps else c
        shown = xp.tanh(cells[t, ...])
        dh = dh + to_results[t, ...]
        dc = dc + dh * o * (1 - shown * shown)
        to_i, to_f, to_o = dc * candidate * i * (1 - i), dc * before * f * (1 - f), dh * shown * o * (1 - o)
        all_dz[t] = xp.concat([to_i, to_f, dc * i * (1 - candidate * candidate), to_o], axis=1)
        dc = dc * f
        back = all_dz[t] @ weight_hh
        dh = back if live is None else xp.where(live[t, ...], back, dh)
    dz = xp.stack(all_dz, axis=0)
    with_biases = needs[5] and bias_ih is not None, needs[6] and bias_hh is not None
    dx, dw_ih, db_ih = through_projection(dz, silenced(x, live), weight_ih, (needs[0], needs[3], with_biases[0]))
    dw_hh, db_hh = through_recurrence(dz, states, h, reverse, (needs[4], with_biases[1]))
    return dx, dh if needs[1] else None, dc if needs[2] else None, dw_ih, dw_hh, db_ih, db_hh, None


lstm.gradient(saving=lstm_saving, backward=lstm_backward)


def refuse_unfit_lstm(
    x: Array,
    h: Array,
    c: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    lengths: Array | None,
) -> None:
    """Raise unless the arrays fit."""
    refuse_unfit_sequence("lstm", 4, x, (h, c), weight_ih, weight_hh, (bias_ih, bias_hh), lengths)
