"""The plain recurrent layer over a whole sequence: each state is a function of an input and of the state before."""

from __future__ import annotations

from portml.backends.kernel import kernel
from portml.backends.kernels.recurrence import (
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
from portml.errors import ArgumentError

__all__ = ["recurrent", "recurrent_backward", "recurrent_saving", "refuse_unfit_recurrent"]

Needs = tuple[bool, ...]
Two = tuple[Array, Array]


@kernel
def recurrent(
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
) -> Two:
    """h_t = φ(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh).  [Elman 1990]

    Parameters
    ----------
    x : array (n_steps, n_samples, n_in)
    h : array (n_samples, size)
        The state before the first step.
    weight_ih : array (size, n_in)
    weight_hh : array (size, size)
    bias_ih, bias_hh : arrays (size,) or None
    lengths : integer array (n_samples,) or None
        How many steps of each sample count; None for all.  At the others the result is zero and the state stays.
    nonlinearity : {"tanh", "relu"}
        φ.
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
    ArgumentError
        For another nonlinearity.
    RangeError
        On the host, if a length is negative or above n_steps; on a device that sample's states are NaN.
    """
    arrays = x, h, weight_ih, weight_hh, bias_ih, bias_hh, lengths
    result: tuple[Array, Array] = recurrent_saving.agnostic(*arrays, nonlinearity=nonlinearity, reverse=reverse)[0]
    return result


@kernel
def recurrent_saving(
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
) -> tuple[Two, Array]:
    """The result of `recurrent`, and for its gradient the state after each step, kept where a step does not count."""
    refuse_unfit_recurrent(x, h, weight_ih, weight_hh, bias_ih, bias_hh, lengths, nonlinearity)
    xp, n_steps = namespace(x, h, weight_ih, weight_hh), x.shape[0]
    live, h = live_steps(lengths, n_steps), known(h, lengths, n_steps)
    z, recur = project(silenced(x, live), weight_ih, bias_ih, bias_hh), xp.matrix_transpose(weight_hh)
    states = [h] * n_steps
    for t in steps(n_steps, reverse):
        now = z[t, ...] + h @ recur
        now = xp.tanh(now) if nonlinearity == "tanh" else xp.maximum(now, 0)
        states[t] = h = now if live is None else xp.where(live[t, ...], now, h)
    every = xp.stack(states, axis=0)
    return (silenced(every, live), h), every


@kernel
def recurrent_backward(
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
) -> tuple[Array | None, ...]:
    """Back-propagation through time: dz_t = φ'(z_t) dh_t and dh_{t-1} = W_hhᵀ dz_t + the gradient of its own result.

    φ' is 1 - h² or, for relu, whether h > 0.  [Rumelhart, Hinton & Williams 1986; Werbos 1990]
    """
    states, n_steps = saved, x.shape[0]
    xp = namespace(states, weight_hh)
    live = live_steps(lengths, n_steps)
    to_results, dh = silenced(g[0], live), g[1]
    slopes = 1 - states * states if nonlinearity == "tanh" else xp.astype(states > 0, states.dtype)
    slopes = silenced(slopes, live)
    all_dz = [dh] * n_steps
    for t in steps(n_steps, not reverse):
        dh = dh + to_results[t, ...]
        all_dz[t] = slopes[t, ...] * dh
        back = all_dz[t] @ weight_hh
        dh = back if live is None else xp.where(live[t, ...], back, dh)
    dz = xp.stack(all_dz, axis=0)
    with_biases = needs[4] and bias_ih is not None, needs[5] and bias_hh is not None
    dx, dw_ih, db_ih = through_projection(dz, silenced(x, live), weight_ih, (needs[0], needs[2], with_biases[0]))
    dw_hh, db_hh = through_recurrence(dz, states, h, reverse, (needs[3], with_biases[1]))
    return dx, dh if needs[1] else None, dw_ih, dw_hh, db_ih, db_hh, None


recurrent.gradient(saving=recurrent_saving, backward=recurrent_backward)


def refuse_unfit_recurrent(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    lengths: Array | None,
    nonlinearity: str,
) -> None:
    """Raise unless the arrays fit and the nonlinearity is known."""
    refuse_unfit_sequence("recurrent", 1, x, (h,), weight_ih, weight_hh, (bias_ih, bias_hh), lengths)
    if nonlinearity not in ("tanh", "relu"):
        raise ArgumentError(f"nonlinearity: expected 'tanh' or 'relu', got {nonlinearity!r}")
