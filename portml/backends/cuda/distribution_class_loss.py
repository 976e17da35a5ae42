"""Cross-entropy with distributions over classes on CuPy's arrays, a line of classes a sample.

See `portml.backends.kernels.class_loss`.
"""

from __future__ import annotations

from typing import Any

from portml.backends.cuda.glue import outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination
from portml.backends.cuda.lines import Lines, launch_lines, line_kernels
from portml.backends.cuda.loss import share_of_one, wanted
from portml.backends.cuda.reduction import total
from portml.backends.kernels import class_loss as twins
from portml.backends.kernels.labels import class_axis
from portml.backends.kernels.reduction import refuse_unknown_reduction
from portml.backends.namespaces import Array

Needs = tuple[bool, ...]

TARGETED = """
__device__ T targeted(T y, T smoothing, int64 classes, const T* class_weight, int64 c) {
  if (smoothing != T(0)) y = (T(1) - smoothing) * y + smoothing / T(classes);
  return class_weight ? y * class_weight[c] : y;
}
"""

OF_DISTRIBUTIONS = line_kernels(
    "cross_entropy_of_distributions",
    "const T* logits, const T* target, const T* class_weight, T smoothing, T* losses, T* log_p",
    """
    T peak = -INFINITY;
    for (int64 c = lane; c < length; c += lanes) peak = maximum(peak, logits[start + c * inner]);
    peak = line_maximum(peak, scratch);
    T sum = T(0);
    for (int64 c = lane; c < length; c += lanes) sum += exp(logits[start + c * inner] - peak);
    const T log_sum = log(line_sum(sum, scratch));
    T loss = T(0);
    for (int64 c = lane; c < length; c += lanes) {
      const int64 k = start + c * inner;
      const T log_probability = logits[k] - peak - log_sum;
      const T t = targeted(target[k], smoothing, length, class_weight, c);
      if (t != T(0)) loss -= t * log_probability;
      if (log_p) log_p[k] = log_probability;
    }
    loss = line_sum(loss, scratch);
    if (lane == 0) losses[line] = loss;
    """,
    TARGETED,
)

OF_DISTRIBUTIONS_BACKWARD = line_kernels(
    "cross_entropy_of_distributions_backward",
    "const T* g, int64 g_stride, T scale, const T* log_p, const T* target, const T* class_weight, T smoothing, "
    "T* dz, T* dt",
    """
    const T share = g[line * g_stride] * scale;
    T sum = T(0);
    for (int64 c = lane; c < length; c += lanes) {
      sum += targeted(target[start + c * inner], smoothing, length, class_weight, c);
    }
    sum = line_sum(sum, scratch);
    for (int64 c = lane; c < length; c += lanes) {
      const int64 k = start + c * inner;
      if (dz) dz[k] = share * (exp(log_p[k]) * sum - targeted(target[k], smoothing, length, class_weight, c));
      if (dt) dt[k] = share * ((smoothing - T(1)) * (class_weight ? class_weight[c] : T(1)) * log_p[k]);
    }
    """,
    TARGETED,
)


@override(twins.cross_entropy_of_distributions)
def _of_distributions(
    logits: Array,
    target: Array,
    class_weight: Array | None,
    *,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    out: Any = None,
) -> Array:
    return _surprise(logits, target, class_weight, reduction, label_smoothing, None, out)


@override(twins.cross_entropy_of_distributions_saving)
def _of_distributions_saving(
    logits: Array,
    target: Array,
    class_weight: Array | None,
    *,
    reduction: str,
    label_smoothing: float,
    out: Any = None,
) -> tuple[Array, Array]:
    to_loss, to_log_p = outputs(out, 2)
    log_p = destination(to_log_p, logits.shape, logits.dtype, logits)
    loss = _surprise(logits, target, class_weight, reduction, label_smoothing, log_p, to_loss)
    return loss, deliver(log_p, to_log_p)


@override(twins.cross_entropy_of_distributions_backward)
def _of_distributions_backward(
    g: Array,
    log_probabilities: Array,
    logits: Array,
    target: Array,
    class_weight: Array | None,
    *,
    needs: Needs,
    reduction: str,
    label_smoothing: float,
    out: Any = None,
) -> tuple[Array | None, Array | None, None]:
    to = outputs(out, 3)
    log_p, lines = contiguous(log_probabilities), _classes(logits)
    dz, dt = wanted(needs[:2], to[:2], log_p)
    scalars = int(reduction == "none"), share_of_one(lines.number, reduction)
    arrays = log_p, contiguous(target, log_p.dtype), contiguous(class_weight, log_p.dtype)
    launch_lines(OF_DISTRIBUTIONS_BACKWARD, lines, contiguous(g), *scalars, *arrays, label_smoothing, dz, dt)
    return deliver(dz, to[0]), deliver(dt, to[1]), None


def _surprise(
    logits: Array,
    target: Array,
    class_weight: Array | None,
    reduction: str,
    smoothing: float,
    log_p: Array | None,
    out: Any,
) -> Array:
    target = contiguous(twins.fit_distributions(logits, target, class_weight))
    refuse_unknown_reduction(reduction)
    logits, lines = contiguous(logits), _classes(logits)
    axis = class_axis(logits)
    shape = (*logits.shape[:axis], *logits.shape[axis + 1 :])
    losses = destination(out if reduction == "none" else None, shape, logits.dtype, logits)
    arrays = logits, target, contiguous(class_weight, logits.dtype)
    launch_lines(OF_DISTRIBUTIONS, lines, *arrays, smoothing, losses, log_p)
    return deliver(losses, out) if reduction == "none" else total(losses, share_of_one(losses.size, reduction), out)


def _classes(logits: Array) -> Lines:
    return Lines.along(tuple(logits.shape), class_axis(logits))
