"""Connectionist temporal classification on NumPy: all samples and places in one pass a step, in memory of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.blocks import given
from portml.backends.kernels.reduction import reduce_losses
from portml.backends.kernels.sequence_loss import (
    IMPOSSIBLE,
    ctc_loss,
    ctc_loss_backward,
    ctc_loss_saving,
    refuse_unfit_sequences,
)

__all__: list[str] = []

Floats = NDArray[Any]
Integers = NDArray[Any]


@ctc_loss.on("numpy")
def _(
    log_probabilities: Floats,
    targets: Integers,
    input_lengths: Integers,
    target_lengths: Integers,
    *,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
    out: Floats | None = None,
) -> Any:
    statics = {"blank": blank, "reduction": reduction, "zero_infinity": zero_infinity}
    saving = ctc_loss_saving.kernel.table["numpy"]
    return given(saving(log_probabilities, targets, input_lengths, target_lengths, **statics)[0], out)


@ctc_loss_saving.on("numpy")
def _(
    log_probabilities: Floats,
    targets: Integers,
    input_lengths: Integers,
    target_lengths: Integers,
    *,
    blank: int,
    reduction: str,
    zero_infinity: bool,
    out: Any = None,
) -> tuple[Any, Any]:
    refuse_unfit_sequences(log_probabilities, targets, input_lengths, target_lengths, blank)
    labels = _labels(targets, blank, log_probabilities.shape[2])
    said, barred = _said(log_probabilities, labels), _barred(labels, log_probabilities.dtype)
    alpha = np.empty(said.shape, said.dtype)
    alpha[0] = IMPOSSIBLE
    alpha[0, :, :2] = said[0, :, :2]
    sums = _LogSums(alpha.shape[1:], alpha.dtype)
    frames = input_lengths[:, None]
    shortest = int(input_lengths.min(initial=len(alpha)))
    for t in range(1, len(alpha)):
        before, now = alpha[t - 1], alpha[t]
        sums.one[:, 1:] = before[:, :-1]
        np.add(before[:, :-2], barred[:, 2:], out=sums.two[:, 2:])
        sums.write(before, now)
        now += said[t]
        if t >= shortest:
            np.copyto(now, before, where=t >= frames)
    losses = -_log_likelihood(alpha, input_lengths, target_lengths)
    losses[losses > -0.5 * IMPOSSIBLE] = 0.0 if zero_infinity else np.inf
    if reduction == "mean":
        losses /= np.maximum(target_lengths, 1).astype(losses.dtype)
    to_loss, to_alpha = (None, None) if out is None else out
    return given(reduce_losses(losses, reduction), to_loss), given(alpha, to_alpha)


@ctc_loss_backward.on("numpy")
def _(
    g: Any,
    alpha: Floats,
    log_probabilities: Floats,
    targets: Integers,
    input_lengths: Integers,
    target_lengths: Integers,
    *,
    needs: tuple[bool, ...],
    blank: int,
    reduction: str,
    zero_infinity: bool,
    out: Any = None,
) -> tuple[Any, None, None, None]:
    if not needs[0]:
        return None, None, None, None
    (n_steps, n_samples, _), dtype = log_probabilities.shape, alpha.dtype
    labels = _labels(targets, blank, log_probabilities.shape[2])
    said, barred = _said(log_probabilities, labels), _barred(labels, dtype)
    likelihood = _log_likelihood(alpha, input_lengths, target_lengths)
    impossible = likelihood < 0.5 * IMPOSSIBLE
    likelihood = np.where(impossible, dtype.type(0), likelihood)[:, None]
    share = np.broadcast_to(np.asarray(g, dtype), (n_samples,)) * dtype.type(1)
    if reduction == "mean":
        share /= np.maximum(target_lengths, 1).astype(dtype) * dtype.type(max(n_samples, 1))
    share[impossible] = 0.0 if zero_infinity else np.nan

    frames = input_lengths[:, None]
    done = np.where(_end(labels.shape[1], target_lengths), dtype.type(0), dtype.type(IMPOSSIBLE))
    beta, after, sums = done.copy(), np.empty_like(done), _LogSums(done.shape, dtype)
    gradient = np.zeros(log_probabilities.shape, dtype)
    said_by = (labels[:, :, None] == np.arange(log_probabilities.shape[2])).astype(dtype)
    posterior = np.empty(alpha.shape, dtype)
    for t in range(n_steps - 1, -1, -1):
        np.add(alpha[t], beta, out=after)
        after -= likelihood
        np.exp(after, out=posterior[t])
        posterior[t] *= t < frames
        if t:
            np.add(beta, said[t], out=after)
            sums.one[:, :-1] = after[:, 1:]
            sums.one[:, -1] = IMPOSSIBLE
            np.add(after[:, 2:], barred[:, 2:], out=sums.two[:, :-2])
            sums.two[:, -2:] = IMPOSSIBLE
            sums.write(after, beta)
            np.copyto(beta, done, where=t >= frames)
    np.matmul(posterior.transpose(1, 0, 2), said_by, out=gradient.transpose(1, 0, 2))
    gradient *= -share[:, None]
    return given(gradient, None if out is None else out[0]), None, None, None


class _LogSums:
    """Logarithms of sums of three exponentials, with room for the second and the third and what lies between."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.one = np.full(shape, IMPOSSIBLE, dtype)
        self.two = np.full(shape, IMPOSSIBLE, dtype)
        self.largest = np.empty(shape, dtype)
        self.term = np.empty(shape, dtype)

    def write(self, first: Floats, result: Floats) -> None:
        """Write the sum of `first`, `one` and `two`."""
        np.maximum(first, self.one, out=self.largest)
        np.maximum(self.largest, self.two, out=self.largest)
        np.subtract(first, self.largest, out=result)
        np.exp(result, out=result)
        for other in (self.one, self.two):
            np.subtract(other, self.largest, out=self.term)
            np.exp(self.term, out=self.term)
            result += self.term
        np.log(result, out=result)
        result += self.largest


def _labels(targets: Integers, blank: int, n_classes: int) -> Integers:
    labels = np.full((targets.shape[0], 2 * targets.shape[1] + 1), blank, np.int64)
    labels[:, 1::2] = np.clip(targets, 0, n_classes - 1)
    return labels


def _said(log_probabilities: Floats, labels: Integers) -> Floats:
    said: Floats = log_probabilities[:, np.arange(len(labels))[:, None], labels]
    np.maximum(said, said.dtype.type(IMPOSSIBLE), out=said)
    return said


def _barred(labels: Integers, dtype: Any) -> Floats:
    """0 where a path may skip to a place from two before, else `IMPOSSIBLE`."""
    barred = np.full(labels.shape, IMPOSSIBLE, dtype)
    barred[:, 3::2][labels[:, 3::2] != labels[:, 1:-2:2]] = 0
    return barred


def _end(length: int, target_lengths: Integers) -> NDArray[np.bool_]:
    last, places = 2 * target_lengths[:, None], np.arange(length)
    ends: NDArray[np.bool_] = (places == last) | (places == last - 1)
    return ends


def _log_likelihood(alpha: Floats, input_lengths: Integers, target_lengths: Integers) -> Floats:
    if alpha.shape[1] == 0:
        return np.zeros((0,), alpha.dtype)
    ends = np.where(_end(alpha.shape[2], target_lengths), alpha[-1], alpha.dtype.type(IMPOSSIBLE))
    largest = ends.max(axis=1)
    found = np.log(np.exp(ends - largest[:, None]).sum(axis=1)) + largest
    nothing = np.where(target_lengths == 0, alpha.dtype.type(0), alpha.dtype.type(IMPOSSIBLE))
    likelihood: Floats = np.where(input_lengths == 0, nothing, found)
    return likelihood
