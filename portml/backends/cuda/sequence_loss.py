"""Connectionist temporal classification on CuPy's arrays: a block a sample, its threads side by side in the lattice.

See `portml.backends.kernels.sequence_loss`, whose names for places, steps and probabilities these are.
"""

from __future__ import annotations

import math
from typing import Any

from portml.backends.cuda.glue import outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.loss import share_of_one
from portml.backends.cuda.reduction import total
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import sequence_loss as twins
from portml.backends.kernels.reduction import refuse_unknown_reduction
from portml.backends.namespaces import Array, device_of, namespace

Needs = tuple[bool, ...]

LATTICE = f"""
#define IMPOSSIBLE T({twins.IMPOSSIBLE!r})
__device__ T log_sum(T a, T b, T c) {{
  const T peak = maximum(maximum(a, b), c);
  return peak + log(exp(a - peak) + exp(b - peak) + exp(c - peak));
}}
__device__ int64 label_at(const int64* targets, int64 place, int64 blank) {{
  return place % 2 ? targets[place / 2] : blank;
}}
// Whether a path may come to this place from two before.
__device__ bool may_skip(const int64* targets, int64 place) {{
  return place % 2 && place > 2 && targets[place / 2] != targets[place / 2 - 1];
}}
// What is said at a place: NaN for a label that is no class, whatever for what is beyond the target.
__device__ T said(const T* log_p, const int64* targets, int64 place, int64 blank, int64 classes, int64 labels) {{
  const int64 label = label_at(targets, place, blank);
  if (label < 0 || label >= classes) {{
    if (place < 2 * labels) return T(NAN);
    return maximum(log_p[label < 0 ? 0 : classes - 1], IMPOSSIBLE);
  }}
  return maximum(log_p[label], IMPOSSIBLE);
}}
__device__ T log_likelihood(const T* last, int64 frames, int64 labels) {{
  if (frames == 0) return labels == 0 ? T(0) : IMPOSSIBLE;
  const T a = last[2 * labels];
  return labels == 0 ? a : log_sum(a, last[2 * labels - 1], IMPOSSIBLE);
}}
"""

ALPHA = CudaKernel(
    "ctc_alpha",
    "const T* log_p, const int64* targets, const int64* input_lengths, const int64* target_lengths, "
    "int64 steps, int64 classes, int64 width, int64 blank, int64 by_labels, int64 forgiving, T* alpha, T* losses",
    """
    const int64 length = 2 * width + 1, frames = input_lengths[row], labels = target_lengths[row];
    const int64* of_row = targets + row * width;
    for (int64 t = 0; t < steps; ++t) {
      T* now = alpha + (t * rows + row) * length;
      const T* before = now - rows * length;
      const T* log_p_now = log_p + (t * rows + row) * classes;
      for (int64 s = threadIdx.x; s < length; s += THREADS) {
        if (t > 0 && t >= frames) {
          now[s] = before[s];
          continue;
        }
        const T here = said(log_p_now, of_row, s, blank, classes, labels);
        if (t == 0) {
          now[s] = s <= 1 ? here : IMPOSSIBLE;
        } else {
          const T one = s > 0 ? before[s - 1] : IMPOSSIBLE, two = may_skip(of_row, s) ? before[s - 2] : IMPOSSIBLE;
          now[s] = log_sum(before[s], one, two) + here;
        }
      }
      __syncthreads();
    }
    if (threadIdx.x != 0) continue;
    T loss = T(NAN);
    if (labels >= 0 && labels <= width && frames >= 0 && frames <= steps) {
      loss = -log_likelihood(alpha + ((steps - 1) * rows + row) * length, frames, labels);
      if (loss > T(-0.5) * IMPOSSIBLE) loss = forgiving ? T(0) : T(INFINITY);
      if (by_labels) loss /= labels > 1 ? T(labels) : T(1);
    }
    losses[row] = loss;
    """,
    LATTICE,
    style="block",
)

# The probability of each place at each step; beta has room for two steps.
POSTERIOR = CudaKernel(
    "ctc_posterior",
    "const T* log_p, const int64* targets, const int64* input_lengths, const int64* target_lengths, const T* alpha, "
    "int64 steps, int64 classes, int64 width, int64 blank, T* beta, T* posterior",
    """
    const int64 length = 2 * width + 1, frames = input_lengths[row], labels = target_lengths[row];
    const int64* of_row = targets + row * width;
    T likelihood = T(NAN);
    if (labels >= 0 && labels <= width) {
      likelihood = log_likelihood(alpha + ((steps - 1) * rows + row) * length, frames, labels);
    }
    if (likelihood < T(0.5) * IMPOSSIBLE) likelihood = T(0);
    for (int64 t = steps - 1; t >= 0; --t) {
      T* now = beta + ((t % 2) * rows + row) * length;
      const T* after = beta + (((t + 1) % 2) * rows + row) * length;
      const T* log_p_after = log_p + ((t + 1) * rows + row) * classes;
      for (int64 s = threadIdx.x; s < length; s += THREADS) {
        T value = s == 2 * labels || s == 2 * labels - 1 ? T(0) : IMPOSSIBLE;
        if (t + 1 < steps && t + 1 < frames) {
          T one = IMPOSSIBLE, two = IMPOSSIBLE;
          const T none = after[s] + said(log_p_after, of_row, s, blank, classes, labels);
          if (s + 1 < length) one = after[s + 1] + said(log_p_after, of_row, s + 1, blank, classes, labels);
          if (s + 2 < length && may_skip(of_row, s + 2)) {
            two = after[s + 2] + said(log_p_after, of_row, s + 2, blank, classes, labels);
          }
          value = log_sum(none, one, two);
        }
        now[s] = value;
        const int64 k = (t * rows + row) * length + s;
        posterior[k] = t < frames ? exp(alpha[k] + value - likelihood) : T(0);
      }
      __syncthreads();
    }
    """,
    LATTICE,
    style="block",
)

GRADIENT = CudaKernel(
    "ctc_gradient",
    "const T* g, int64 g_stride, T scale, const T* posterior, const T* alpha, const int64* targets, "
    "const int64* input_lengths, const int64* target_lengths, int64 steps, int64 samples, int64 classes, int64 width, "
    "int64 blank, int64 by_labels, int64 forgiving, T* dlog_p",
    """
    const int64 c = i % classes, sample = i / classes % samples, length = 2 * width + 1;
    const int64 labels = target_lengths[sample], frames = input_lengths[sample];
    const int64* of_row = targets + sample * width;
    const T* places = posterior + i / classes * length;
    T likelihood = T(NAN);
    if (labels >= 0 && labels <= width) {
      likelihood = log_likelihood(alpha + ((steps - 1) * samples + sample) * length, frames, labels);
    }
    T share = g[sample * g_stride] * scale;
    if (by_labels && labels > 1) share /= T(labels);
    if (likelihood < T(0.5) * IMPOSSIBLE) share = forgiving ? T(0) : T(NAN);
    T sum = T(0);
    for (int64 s = 0; s < length; ++s) sum += T(label_at(of_row, s, blank) == c) * places[s];
    dlog_p[i] = -sum * share;
    """,
    LATTICE,
)


@override(twins.ctc_loss)
def _ctc_loss(
    log_probabilities: Array,
    targets: Array,
    input_lengths: Array,
    target_lengths: Array,
    *,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
    out: Any = None,
) -> Array:
    arrays = log_probabilities, targets, input_lengths, target_lengths
    return _forward(arrays, blank, reduction, zero_infinity, out, None)[0]


@override(twins.ctc_loss_saving)
def _ctc_loss_saving(
    log_probabilities: Array,
    targets: Array,
    input_lengths: Array,
    target_lengths: Array,
    *,
    blank: int,
    reduction: str,
    zero_infinity: bool,
    out: Any = None,
) -> tuple[Array, Array]:
    to_loss, to_alpha = outputs(out, 2)
    arrays = log_probabilities, targets, input_lengths, target_lengths
    return _forward(arrays, blank, reduction, zero_infinity, to_loss, to_alpha)


@override(twins.ctc_loss_backward)
def _ctc_loss_backward(
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
    out: Any = None,
) -> tuple[Array | None, None, None, None]:
    if not needs[0]:
        return None, None, None, None
    g, alpha, to = contiguous(g), contiguous(alpha), outputs(out, 4)[0]
    log_p, targets, frames, labels = _whole(log_probabilities, targets, input_lengths, target_lengths)
    xp, (steps, samples, classes), width = namespace(log_p), log_p.shape, targets.shape[1]
    beta = xp.empty((2, *alpha.shape[1:]), dtype=alpha.dtype, device=device_of(alpha))
    posterior = xp.empty(alpha.shape, dtype=alpha.dtype, device=device_of(alpha))
    sizes = steps, classes, width, blank
    launch(POSTERIOR, log_p, targets, frames, labels, alpha, *sizes, beta, posterior, blocks=samples)
    dlog_p = destination(to, log_p.shape, log_p.dtype, log_p)
    launch(
        GRADIENT,
        *(g, int(reduction == "none"), share_of_one(samples, reduction), posterior, alpha, targets, frames, labels),
        *(steps, samples, classes, width, blank, int(reduction == "mean"), int(zero_infinity), dlog_p),
        size=math.prod(log_p.shape),
    )
    return deliver(dlog_p, to), None, None, None


def _forward(
    arrays: tuple[Array, Array, Array, Array], blank: int, reduction: str, zero_infinity: bool, out: Any, to_alpha: Any
) -> tuple[Array, Array]:
    twins.refuse_unfit_sequences(*arrays, blank)
    refuse_unknown_reduction(reduction)
    log_p, targets, frames, labels = _whole(*arrays)
    steps, samples, classes = log_p.shape
    alpha = destination(to_alpha, (steps, samples, 2 * targets.shape[1] + 1), log_p.dtype, log_p)
    losses = destination(out if reduction == "none" else None, (samples,), log_p.dtype, log_p)
    launch(
        ALPHA,
        *(log_p, targets, frames, labels, steps, classes, targets.shape[1], blank),
        *(int(reduction == "mean"), int(zero_infinity), alpha, losses),
        blocks=samples,
    )
    if reduction == "none":
        return deliver(losses, out), deliver(alpha, to_alpha)
    return total(losses, share_of_one(samples, reduction), out), deliver(alpha, to_alpha)


def _whole(log_p: Array, *integers: Array) -> tuple[Array, ...]:
    return contiguous(log_p), *(contiguous(each, namespace(each).int64) for each in integers)
