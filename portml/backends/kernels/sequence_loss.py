"""Connectionist temporal classification: the probability of a sequence of labels, however it is stretched in time.

A path says a label or "blank" at each step; it stands for the sequence that is left when repeated labels are merged and
blanks dropped.  With blanks put between the labels and around them, L = 2 S + 1 places, a path goes from place to
place: it stays, steps on, or skips the blank between two different labels.  Everything is done with logarithms, in
which `IMPOSSIBLE` stands for that of 0: subtracting infinities would give NaN.
[Graves, Fernández, Gomez & Schmidhuber 2006, section 4]
"""

from __future__ import annotations

import math
from typing import Any

from portml.backends.kernel import kernel
from portml.backends.kernels.labels import readable
from portml.backends.kernels.reduction import reduce_losses
from portml.backends.namespaces import Array, device_of, namespace
from portml.errors import ArgumentError, DtypeError, RangeError, ShapeError

__all__ = ["IMPOSSIBLE", "ctc_loss", "ctc_loss_backward", "ctc_loss_saving", "refuse_unfit_sequences"]

Needs = tuple[bool, ...]
Arrays = tuple[Array, ...]

IMPOSSIBLE = -1e30


@kernel
def ctc_loss(
    log_probabilities: Array,
    targets: Array,
    input_lengths: Array,
    target_lengths: Array,
    *,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Array:
    """Minus the logarithm of the probability of each sequence, summed over all paths that stand for it.

    Parameters
    ----------
    log_probabilities : array (n_steps, n_samples, n_classes)
        Logarithms of probabilities, as from `log_softmax`.
    targets : integer array (n_samples, S)
        Labels; what is beyond a target's length is not looked at.
    input_lengths, target_lengths : integer arrays (n_samples,)
        How many steps and labels of each sample count.
    blank : int
        The class that stands for no label.
    reduction : {"mean", "sum", "none"}
        For the mean each loss is divided by the number of its labels, if there are any.
    zero_infinity : bool
        Whether a target that is too long for its steps costs nothing instead of infinitely much.

    Returns
    -------
    array () or, for "none", (n_samples,)

    Raises
    ------
    ShapeError, DtypeError
        If the arrays do not fit.
    ArgumentError
        If there is no class `blank`.
    RangeError
        On the host, if a length or label is out of range; elsewhere the loss of its sample is NaN.
    """
    arrays = log_probabilities, targets, input_lengths, target_lengths
    return ctc_loss_saving.agnostic(*arrays, blank=blank, reduction=reduction, zero_infinity=zero_infinity)[0]


@kernel
def ctc_loss_saving(
    log_probabilities: Array,
    targets: Array,
    input_lengths: Array,
    target_lengths: Array,
    *,
    blank: int,
    reduction: str,
    zero_infinity: bool,
) -> tuple[Array, Array]:
    """The result of `ctc_loss`, and log α (n_steps, n_samples, L) for its gradient.

    α_t(s) is the probability of all beginnings of paths that are at place s at step t.  [Graves et al. 2006, eq. 6-8]
    """
    arrays = log_probabilities, targets, input_lengths, target_lengths
    refuse_unfit_sequences(*arrays, blank)
    xp, n_steps = namespace(*arrays), log_probabilities.shape[0]
    emissions, may_skip, places = _lattice(*arrays, blank)
    frames = xp.expand_dims(input_lengths, axis=1)
    begun = xp.where(places <= 1, emissions[0, ...], IMPOSSIBLE)
    alphas = [begun]
    for t in range(1, n_steps):
        before = alphas[-1]
        skipped = xp.where(may_skip, _moved(before, 2), IMPOSSIBLE)
        arrived = _log_sum(before, _moved(before, 1), skipped) + emissions[t, ...]
        alphas.append(xp.where(t < frames, arrived, before))
    alpha = xp.stack(alphas, axis=0)
    losses = -_log_likelihood(alpha, input_lengths, target_lengths)
    losses = xp.where(losses > -0.5 * IMPOSSIBLE, 0.0 if zero_infinity else math.inf, losses)
    if reduction == "mean":
        losses = losses / xp.astype(xp.where(target_lengths < 1, 1, target_lengths), losses.dtype)
    return reduce_losses(losses, reduction), alpha


@kernel
def ctc_loss_backward(
    g: Array,
    alpha: Array,
    log_probabilities: Array,
    targets: Array,
    input_lengths: Array,
    target_lengths: Array,
    *,
    needs: Needs,
    blank: int,
    reduction: str,
    zero_infinity: bool,
) -> tuple[Array | None, None, None, None]:
    """Gradient: d log p_t(c) = -g times the probability, given the target, of a path that says c at step t.

    That is Σ_s α_t(s) β_t(s) / p over the places s with label c, where β_t(s) is the probability of all ends of paths
    that are at s at step t, what is said at t itself left out.  [Graves et al. 2006, eq. 9-15]
    """
    if not needs[0]:
        return None, None, None, None
    arrays = log_probabilities, targets, input_lengths, target_lengths
    xp, n_steps = namespace(g, *arrays), log_probabilities.shape[0]
    emissions, may_skip, places = _lattice(*arrays, blank)
    frames = xp.expand_dims(input_lengths, axis=1)
    ended = _end(places, target_lengths)
    done = xp.where(ended, xp.zeros_like(emissions[0, ...]), IMPOSSIBLE)
    # Whether a path may skip from a place says the place where it arrives.
    betas = [done]
    for t in range(n_steps - 1, 0, -1):
        after = betas[-1] + emissions[t, ...]
        skipped = _moved(xp.where(may_skip, after, IMPOSSIBLE), -2)
        betas.append(xp.where(t < frames, _log_sum(after, _moved(after, -1), skipped), done))
    beta = xp.stack(betas[::-1], axis=0)
    likelihood = _log_likelihood(alpha, input_lengths, target_lengths)
    possible = likelihood >= 0.5 * IMPOSSIBLE
    likelihood = xp.expand_dims(xp.where(possible | (likelihood != likelihood), likelihood, 0), axis=-1)
    steps = xp.reshape(xp.arange(n_steps, dtype=xp.int64, device=device_of(alpha)), (-1, 1, 1))
    posterior = xp.where(steps < frames, xp.exp(alpha + beta - likelihood), 0)
    # Where no path fits, the loss is infinite and has no slope.
    of_class = xp.matmul(xp.permute_dims(posterior, (1, 0, 2)), _said(*arrays, blank))
    share = _share_of_samples(g, target_lengths, alpha.dtype, reduction)
    share = xp.where(possible | (share != share), share, 0.0 if zero_infinity else math.nan)
    return -xp.permute_dims(of_class, (1, 0, 2)) * xp.expand_dims(share, axis=-1), None, None, None


ctc_loss.gradient(saving=ctc_loss_saving, backward=ctc_loss_backward)


def refuse_unfit_sequences(
    log_probabilities: Array, targets: Array, input_lengths: Array, target_lengths: Array, blank: int
) -> None:
    """Raise unless shapes and data types fit and, on the host, lengths and labels are in range."""
    shape, wanted = tuple(log_probabilities.shape), tuple(targets.shape)
    lengths = tuple(input_lengths.shape), tuple(target_lengths.shape)
    if len(shape) != 3 or len(wanted) != 2 or wanted[0] != shape[1] or lengths != ((shape[1],), (shape[1],)):
        raise ShapeError(
            f"ctc_loss: log_probabilities have shape {shape}, targets {wanted}, input_lengths {lengths[0]} and "
            f"target_lengths {lengths[1]}; expected (n_steps, n_samples, n_classes), (n_samples, S), (n_samples,) and "
            "(n_samples,)"
        )
    if shape[0] == 0 or not 0 <= blank < shape[2]:
        raise ArgumentError(
            f"ctc_loss: log_probabilities have {shape[0]} steps and {shape[2]} classes and blank is {blank}; expected "
            "at least one step, and blank to be one of the classes"
        )
    for name, array in (("targets", targets), ("input_lengths", input_lengths), ("target_lengths", target_lengths)):
        if not namespace(array).isdtype(array.dtype, "integral"):
            raise DtypeError(f"ctc_loss: {name} have dtype {array.dtype}; expected integers")
        if not readable(array):
            return
    _refuse_out_of_range(targets, input_lengths, target_lengths, shape, blank)


def _refuse_out_of_range(
    targets: Any, input_lengths: Any, target_lengths: Any, shape: tuple[int, ...], blank: int
) -> None:
    longest = {"input_lengths": (input_lengths, shape[0]), "target_lengths": (target_lengths, targets.shape[1])}
    for name, (lengths, most) in longest.items():
        outside = (lengths < 0) | (lengths > most)
        if outside.any():
            raise RangeError(f"ctc_loss: {name} contain {lengths[outside].flat[0]}; expected 0 to {most}")
    xp = namespace(targets)
    counts = xp.arange(targets.shape[1]) < target_lengths[:, None]
    outside = counts & ((targets < 0) | (targets >= shape[2]) | (targets == blank))
    if outside.any():
        raise RangeError(
            f"ctc_loss: targets contain {targets[outside].flat[0]}; expected classes 0 to {shape[2] - 1} other than "
            f"blank = {blank}"
        )


def _lattice(
    log_probabilities: Array, targets: Array, input_lengths: Array, target_lengths: Array, blank: int
) -> Arrays:
    """What is said at each place and step (n_steps, n_samples, L), where a path may skip, and the places (1, L)."""
    xp = namespace(log_probabilities, targets)
    labels = _places_labels(targets, blank)
    places = xp.reshape(xp.arange(labels.shape[1], dtype=xp.int64, device=device_of(labels)), (1, -1))
    n_classes = log_probabilities.shape[2]
    known = ((labels >= 0) & (labels < n_classes)) | (places >= 2 * xp.expand_dims(target_lengths, axis=1))
    safe = xp.clip(labels, 0, n_classes - 1)
    where = xp.broadcast_to(xp.expand_dims(safe, axis=0), (log_probabilities.shape[0], *labels.shape))
    said = xp.take_along_axis(log_probabilities, where, axis=2)
    said = xp.where(known, xp.where(said < IMPOSSIBLE, IMPOSSIBLE, said), math.nan)
    two_before = xp.concat([labels[:, :2], labels[:, :-2]], axis=1) if labels.shape[1] > 2 else labels
    may_skip = (labels != two_before) & (places % 2 == 1) & (places > 2)
    return said, may_skip, places


def _places_labels(targets: Array, blank: int) -> Array:
    """Labels with blanks between and around them: (n_samples, 2 S + 1)."""
    xp = namespace(targets)
    targets = xp.astype(targets, xp.int64)
    blanks = xp.full_like(targets, blank)
    both = xp.reshape(xp.stack([blanks, targets], axis=-1), (targets.shape[0], 2 * targets.shape[1]))
    last = xp.full((targets.shape[0], 1), blank, dtype=xp.int64, device=device_of(targets))
    return xp.concat([both, last], axis=1)


def _said(log_probabilities: Array, targets: Array, input_lengths: Array, target_lengths: Array, blank: int) -> Array:
    """1 where a place says a class, else 0: (n_samples, L, n_classes)."""
    xp, dtype = namespace(log_probabilities, targets), log_probabilities.dtype
    classes = xp.arange(log_probabilities.shape[2], dtype=xp.int64, device=device_of(targets))
    return xp.astype(xp.expand_dims(_places_labels(targets, blank), axis=-1) == classes, dtype)


def _log_sum(*terms: Array) -> Array:
    """Logarithm of the sum of exponentials."""
    xp = namespace(*terms)
    largest = xp.maximum(xp.maximum(terms[0], terms[1]), terms[2])
    total = xp.exp(terms[0] - largest) + xp.exp(terms[1] - largest) + xp.exp(terms[2] - largest)
    return largest + xp.log(total)


def _moved(values: Array, places: int) -> Array:
    """Values of all places moved on by so many, or back; what comes in is impossible."""
    xp, width = namespace(values), min(abs(places), values.shape[1])
    empty = xp.full_like(values[:, :width], IMPOSSIBLE)
    kept = values.shape[1] - width
    return xp.concat([empty, values[:, :kept]] if places > 0 else [values[:, width:], empty], axis=1)


def _end(places: Array, target_lengths: Array) -> Array:
    """Where a path may end: at the last label and at the blank behind it."""
    last = 2 * namespace(target_lengths).expand_dims(target_lengths, axis=1)
    return (places == last) | (places == last - 1)


def _log_likelihood(alpha: Array, input_lengths: Array, target_lengths: Array) -> Array:
    """The logarithm of the probability of each target."""
    xp, (_, n_samples, length) = namespace(alpha, target_lengths), alpha.shape
    if n_samples == 0:
        return xp.zeros((0,), dtype=alpha.dtype, device=device_of(alpha))
    places = xp.reshape(xp.arange(length, dtype=xp.int64, device=device_of(target_lengths)), (1, -1))
    ends = xp.where(_end(places, target_lengths), alpha[-1, ...], IMPOSSIBLE)
    largest = xp.max(ends, axis=1, keepdims=True)
    found = xp.log(xp.sum(xp.exp(ends - largest), axis=1)) + xp.squeeze(largest, axis=1)
    # Without a step only the empty sequence can be said.
    nothing = xp.where(target_lengths == 0, xp.zeros_like(found), IMPOSSIBLE)
    return xp.where(input_lengths == 0, nothing, found)


def _share_of_samples(g: Array, target_lengths: Array, dtype: Any, reduction: str) -> Array:
    """What each sample has of the gradient: (n_samples,)."""
    xp, n_samples = namespace(g, target_lengths), target_lengths.shape[0]
    if reduction != "mean":
        return xp.broadcast_to(g, (n_samples,))
    labels = xp.astype(xp.where(target_lengths < 1, 1, target_lengths), dtype)
    return g / (n_samples or math.nan) / labels
