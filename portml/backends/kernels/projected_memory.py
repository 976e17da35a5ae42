"""Long short-term memory whose state is a projection of what the cell shows: few numbers go from step to step."""

from __future__ import annotations

from portml.backends.kernel import kernel
from portml.backends.kernels.activation import sigmoid
from portml.backends.kernels.real_numbers import refuse_unless_real
from portml.backends.kernels.recurrence import gate, known, live_steps, project, refuse_unfit_lengths, silenced, steps
from portml.backends.namespaces import Array, namespace
from portml.errors import ShapeError

__all__ = ["projected_lstm"]

Four = tuple[Array, Array, Array, Array]


@kernel
def projected_lstm(
    x: Array,
    h: Array,
    c: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    weight_hr: Array,
    lengths: Array | None,
    *,
    reverse: bool = False,
) -> Four:
    """c_t = f c_{t-1} + i g and h_t = W_hr (o tanh(c_t)).  [Sak, Senior & Beaufays 2014, section 2.1]

    The gates are (i, f, g, o) = (σ, σ, tanh, σ)(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh).  It is differentiated through
    this body.

    Parameters
    ----------
    x : array (n_steps, n_samples, n_in)
    h : array (n_samples, shown)
        State before the first step.
    c : array (n_samples, size)
        Cell before the first step.
    weight_ih : array (4 size, n_in)
    weight_hh : array (4 size, shown)
    bias_ih, bias_hh : arrays (4 size,) or None
    weight_hr : array (shown, size)
    lengths : integer array (n_samples,) or None
        How many steps of each sample count; None for all.  At the others the result is zero and the state stays.
    reverse : bool
        Walk from the last step to the first.

    Returns
    -------
    array (n_steps, n_samples, shown)
        The state after each step.
    arrays (n_samples, shown) and (n_samples, size)
        State and cell after the last step that was walked and counts.
    array (4, n_steps, n_samples, size)
        The gates; 0, 1, 0 and 0 where a step does not count.

    Raises
    ------
    ShapeError, DtypeError
        If the arrays do not fit.
    RangeError
        On the host, if a length is negative or above n_steps; on a device that sample's states are NaN.
    """
    _refuse_unfit(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh, weight_hr, lengths)
    xp, (n_steps, size) = namespace(x, h, c, weight_ih, weight_hh), (x.shape[0], c.shape[1])
    h, c = known(h, lengths, n_steps), known(c, lengths, n_steps)
    live = live_steps(lengths, n_steps)
    z = project(silenced(x, live), weight_ih, bias_ih, bias_hh)
    recur, shrink = xp.matrix_transpose(weight_hh), xp.matrix_transpose(weight_hr)
    gates, states = [z] * n_steps, [h] * n_steps
    for t in steps(n_steps, reverse):
        i, f, candidate, o = (gate(z[t, ...] + h @ recur, number, size) for number in range(4))
        i, f, candidate, o = sigmoid.agnostic(i), sigmoid.agnostic(f), xp.tanh(candidate), sigmoid.agnostic(o)
        if live is not None:
            now = live[t, ...]
            i, f = xp.where(now, i, 0), xp.where(now, f, 1)
            candidate, o = xp.where(now, candidate, 0), xp.where(now, o, 0)
        c = f * c + i * candidate
        shown = (o * xp.tanh(c)) @ shrink
        states[t] = h = shown if live is None else xp.where(live[t, ...], shown, h)
        gates[t] = xp.stack([i, f, candidate, o], axis=0)
    return silenced(xp.stack(states, axis=0), live), h, c, xp.stack(gates, axis=1)


def _refuse_unfit(
    x: Array,
    h: Array,
    c: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    weight_hr: Array,
    lengths: Array | None,
) -> None:
    if len(x.shape) != 3 or x.shape[0] < 1 or len(weight_hr.shape) != 2:
        raise ShapeError(
            f"projected_lstm: x has shape {tuple(x.shape)} and weight_hr {tuple(weight_hr.shape)}; expected "
            "(n_steps, n_samples, n_in), one step at least, and (shown, size)"
        )
    (n_steps, n_samples, n_in), (shown, size) = x.shape, weight_hr.shape
    expected = {
        "x": (x, (n_steps, n_samples, n_in)),
        "h": (h, (n_samples, shown)),
        "c": (c, (n_samples, size)),
        "weight_ih": (weight_ih, (4 * size, n_in)),
        "weight_hh": (weight_hh, (4 * size, shown)),
        "bias_ih": (bias_ih, (4 * size,)),
        "bias_hh": (bias_hh, (4 * size,)),
        "weight_hr": (weight_hr, (shown, size)),
    }
    for name, (array, shape) in expected.items():
        if array is None:
            continue
        refuse_unless_real("projected_lstm", array, name)
        if tuple(array.shape) != shape:
            raise ShapeError(f"projected_lstm: {name} has shape {tuple(array.shape)}; expected {shape}")
    if lengths is not None:
        refuse_unfit_lengths("projected_lstm", lengths, n_steps, n_samples)
