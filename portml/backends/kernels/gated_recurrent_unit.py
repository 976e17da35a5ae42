"""Gated recurrent units over a whole sequence: one gate mixes the old state with a candidate, one opens the way to it.

The three gates stand side by side in the rows of the weights, in PyTorch's order: reset, update, candidate.
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

__all__ = ["gru", "gru_backward", "gru_saving", "refuse_unfit_gru"]

Needs = tuple[bool, ...]
Two = tuple[Array, Array]
Three = tuple[Array, Array, Array]


@kernel
def gru(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    lengths: Array | None,
    *,
    reverse: bool = False,
) -> Two:
    """h_t = (1 - z) n + z h_{t-1}.  [Cho et al. 2014; the reset after the product as in PyTorch and cuDNN]

    With a = W_ih x_t + b_ih and b = W_hh h_{t-1} + b_hh: r = σ(a_r + b_r), z = σ(a_z + b_z), n = tanh(a_n + r b_n).

    Parameters
    ----------
    x : array (n_steps, n_samples, n_in)
    h : array (n_samples, size)
        The state before the first step.
    weight_ih : array (3 size, n_in)
    weight_hh : array (3 size, size)
    bias_ih, bias_hh : arrays (3 size,) or None
    lengths : integer array (n_samples,) or None
        How many steps of each sample count; None for all.  At the others the result is zero and the state stays.
    reverse : bool
        Walk from the last step to the first.

    Returns
    -------
    array (n_steps, n_samples, size)
        The state after each step.
    array (n_samples, size)
        The state after the last step that was walked and counts.

    Raises
    ------
    ShapeError, DtypeError
        If the arrays do not fit.
    RangeError
        On the host, if a length is negative or above n_steps; on a device that sample's states are NaN.
    """
    result: tuple[Array, Array] = gru_saving.agnostic(
        x, h, weight_ih, weight_hh, bias_ih, bias_hh, lengths, reverse=reverse
    )[0]
    return result


@kernel
def gru_saving(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    lengths: Array | None,
    *,
    reverse: bool,
) -> tuple[Two, Three]:
    """The result of `gru`; for its gradient gates (3, n_steps, n_samples, size), b_n and the state after each step.

    Where a step does not count the gates are 0, 1 and 0: the state stays.
    """
    refuse_unfit_gru(x, h, weight_ih, weight_hh, bias_ih, bias_hh, lengths)
    xp, (n_steps, size) = namespace(x, h, weight_ih, weight_hh), (x.shape[0], h.shape[1])
    live, h = live_steps(lengths, n_steps), known(h, lengths, n_steps)
    a, recur = project(silenced(x, live), weight_ih, bias_ih), xp.matrix_transpose(weight_hh)
    gates, inner, states = [a] * n_steps, [h] * n_steps, [h] * n_steps
    for t in steps(n_steps, reverse):
        b = h @ recur
        b = b if bias_hh is None else b + bias_hh
        from_input, from_state = ([gate(each, number, size) for number in range(3)] for each in (a[t, ...], b))
        r, z = (sigmoid.agnostic(from_input[k] + from_state[k]) for k in (0, 1))
        n = xp.tanh(from_input[2] + r * from_state[2])
        if live is not None:
            now = live[t, ...]
            r, z, n = xp.where(now, r, 0), xp.where(now, z, 1), xp.where(now, n, 0)
        states[t] = h = n + z * (h - n)
        gates[t], inner[t] = xp.stack([r, z, n], axis=0), from_state[2]
    every = xp.stack(states, axis=0)
    return (silenced(every, live), h), (xp.stack(gates, axis=1), xp.stack(inner, axis=0), every)


@kernel
def gru_backward(
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
) -> tuple[Array | None, ...]:
    """Back-propagation through time.

    da_n = dh (1 - z) (1 - n²), da_z = dh (h_{t-1} - n) z (1 - z), da_r = da_n b_n r (1 - r); db is the same but for
    db_n = da_n r; dh_{t-1} = dh z + W_hhᵀ db + the gradient of its own result.
    """
    (gates, inner, states), n_steps = saved, x.shape[0]
    xp = namespace(gates, weight_hh)
    live = live_steps(lengths, n_steps)
    to_results, dh = silenced(g[0], live), g[1]
    all_da, all_db = [dh] * n_steps, [dh] * n_steps
    for t in steps(n_steps, not reverse):
        r, z, n = (gates[number, t, ...] for number in range(3))
        t_before = t + 1 if reverse else t - 1
        before = states[t_before, ...] if 0 <= t_before < n_steps else h
        dh = dh + to_results[t, ...]
        to_n = dh * (1 - z) * (1 - n * n)
        to_r, to_z = to_n * inner[t, ...] * r * (1 - r), dh * (before - n) * z * (1 - z)
        all_da[t], all_db[t] = xp.concat([to_r, to_z, to_n], axis=1), xp.concat([to_r, to_z, to_n * r], axis=1)
        dh = dh * z + all_db[t] @ weight_hh
    da, db = xp.stack(all_da, axis=0), xp.stack(all_db, axis=0)
    with_biases = needs[4] and bias_ih is not None, needs[5] and bias_hh is not None
    dx, dw_ih, db_ih = through_projection(da, silenced(x, live), weight_ih, (needs[0], needs[2], with_biases[0]))
    dw_hh, db_hh = through_recurrence(db, states, h, reverse, (needs[3], with_biases[1]))
    return dx, dh if needs[1] else None, dw_ih, dw_hh, db_ih, db_hh, None


gru.gradient(saving=gru_saving, backward=gru_backward)


def refuse_unfit_gru(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    lengths: Array | None,
) -> None:
    """Raise unless the arrays fit."""
    refuse_unfit_sequence("gru", 3, x, (h,), weight_ih, weight_hh, (bias_ih, bias_hh), lengths)
