"""Losses over classes on CuPy's arrays, a line of classes a sample; see `portml.backends.kernels.class_loss`.

Nothing here looks at a value on the host: a label out of range makes the loss of its row NaN.
"""

from __future__ import annotations

from typing import Any

from portml.backends.cuda.glue import outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.lines import Lines, launch_lines, line_kernels
from portml.backends.cuda.loss import LOGARITHMS, share_of_one, wanted
from portml.backends.cuda.reduction import CHUNK, total
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import class_loss as twins
from portml.backends.kernels.labels import refuse_unfit_labels
from portml.backends.kernels.reduction import refuse_unfit_targets, refuse_unknown_reduction
from portml.backends.namespaces import Array, device_of, namespace

Needs = tuple[bool, ...]
Pair = tuple[Array | None, Array | None]

LABELS = """
// The weight of a label: 0 where it is ignored, NaN where it is out of range.
__device__ T weight_of(int64 label, int64 classes, int64 ignored, const T* class_weight) {
  if (label == ignored) return T(0);
  if (label < 0 || label >= classes) return T(NAN);
  return class_weight ? class_weight[label] : T(1);
}
// What one sample has of the gradient: total is the sum of all weights where the loss is a mean, else null.
__device__ T share_of(T g, const T* total, int64 label, int64 classes, int64 ignored) {
  if (label == ignored) return T(0);
  if (label < 0 || label >= classes) return T(NAN);
  if (!total) return g;
  return *total == T(0) ? T(NAN) : g / *total;
}
"""

CROSS_ENTROPY = line_kernels(
    "cross_entropy",
    "const T* logits, const int64* labels, const T* class_weight, T smoothing, int64 ignored, "
    "T* losses, T* weights, T* probabilities",
    """
    T peak = -INFINITY;
    for (int64 c = lane; c < length; c += lanes) peak = maximum(peak, logits[start + c * inner]);
    peak = line_maximum(peak, scratch);
    T sum = T(0);
    for (int64 c = lane; c < length; c += lanes) sum += exp(logits[start + c * inner] - peak);
    const T log_sum = log(line_sum(sum, scratch));
    T everywhere = T(0);
    if (smoothing != T(0) || probabilities) {
      for (int64 c = lane; c < length; c += lanes) {
        const T log_probability = logits[start + c * inner] - peak - log_sum;
        if (smoothing != T(0)) everywhere += class_weight ? class_weight[c] * log_probability : log_probability;
        if (probabilities) probabilities[start + c * inner] = exp(log_probability);
      }
      everywhere = line_sum(everywhere, scratch);
    }
    if (lane != 0) continue;
    const int64 label = labels[line];
    const T weight = weight_of(label, length, ignored, class_weight);
    T loss = weight;  // 0 or NaN where there is no such class
    if (label != ignored && label >= 0 && label < length) {
      loss = -(weight * (logits[start + label * inner] - peak - log_sum));
    }
    if (smoothing != T(0) && label != ignored) {
      loss = (T(1) - smoothing) * loss - smoothing / T(length) * everywhere;
    }
    losses[line] = loss;
    if (weights) weights[line] = weight;
    """,
    LABELS,
)

CROSS_ENTROPY_BACKWARD = CudaKernel(
    "cross_entropy_backward",
    "const T* g, int64 g_stride, const T* total, const T* probabilities, const int64* labels, const T* class_weight, "
    "const T* weight_sum, T smoothing, int64 ignored, int64 classes, int64 inner, T* dz",
    """
    const int64 c = i / inner % classes, line = i / (classes * inner) * inner + i % inner, label = labels[line];
    const T share = share_of(g[line * g_stride], total, label, classes, ignored);
    const T weight = class_weight ? class_weight[c] : T(1);
    // With t = (1 - ε) one_hot(label) + ε / K: t w of this class, and the sum of t w over all classes.
    const T spread = smoothing / T(classes);
    const T targeted = label == c ? ((T(1) - smoothing) + spread) * weight : spread * weight;
    T sum = T(0);
    if (label >= 0 && label < classes) sum = (T(1) - smoothing) * (class_weight ? class_weight[label] : T(1));
    if (smoothing != T(0)) sum += weight_sum ? spread * *weight_sum : smoothing;
    dz[i] = share * (probabilities[i] * sum - targeted);
    """,
    LABELS,
)

NLL_LOSS = CudaKernel(
    "nll_loss",
    "const T* log_probabilities, const int64* labels, const T* class_weight, int64 ignored, "
    "int64 classes, int64 inner, T* losses, T* weights",
    """
    const int64 label = labels[i];
    const T weight = weight_of(label, classes, ignored, class_weight);
    T loss = weight;  // 0 or NaN where there is no such class
    if (label != ignored && label >= 0 && label < classes) {
      loss = -(weight * log_probabilities[(i / inner * classes + label) * inner + i % inner]);
    }
    losses[i] = loss;
    if (weights) weights[i] = weight;
    """,
    LABELS,
)

NLL_LOSS_BACKWARD = CudaKernel(
    "nll_loss_backward",
    "const T* g, int64 g_stride, const T* total, const int64* labels, const T* class_weight, int64 ignored, "
    "int64 classes, int64 inner, T* dlog",
    """
    const int64 c = i / inner % classes, line = i / (classes * inner) * inner + i % inner, label = labels[line];
    const T share = share_of(g[line * g_stride], total, label, classes, ignored);
    dlog[i] = -share * (label == c ? (class_weight ? class_weight[c] : T(1)) : T(0));
    """,
    LABELS,
)

LABEL_WEIGHTS = CudaKernel(
    "label_weights",
    "const int64* labels, const T* class_weight, int64 ignored, int64 classes, T* weights",
    "weights[i] = weight_of(labels[i], classes, ignored, class_weight);",
    LABELS,
)

# The sums of two arrays side by side, and in the last step the quotient of the two: NaN where nothing counts.
PAIR_SUMS = CudaKernel(
    "pair_sums",
    "const T* a, const T* b, int64 n, T* sums_a, T* sums_b, T* quotient",
    f"""
    __shared__ T scratch[THREADS];
    const int64 first = row * {CHUNK}, last = first + {CHUNK} < n ? first + {CHUNK} : n;
    T sum_a = T(0), sum_b = T(0);
    for (int64 k = first + threadIdx.x; k < last; k += THREADS) {{
      sum_a += a[k];
      sum_b += b[k];
    }}
    sum_a = block_sum(sum_a, scratch);
    sum_b = block_sum(sum_b, scratch);
    if (threadIdx.x != 0) continue;
    if (sums_a) sums_a[row] = sum_a;
    if (sums_b) sums_b[row] = sum_b;
    if (quotient) quotient[row] = sum_b == T(0) ? T(NAN) : sum_a / sum_b;
    """,
    style="block",
)


@override(twins.cross_entropy)
def _cross_entropy(
    logits: Array,
    labels: Array,
    class_weight: Array | None,
    *,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    out: Any = None,
) -> Array:
    return _surprise(logits, labels, class_weight, reduction, label_smoothing, ignore_index, None, out)


@override(twins.cross_entropy_saving)
def _cross_entropy_saving(
    logits: Array,
    labels: Array,
    class_weight: Array | None,
    *,
    reduction: str,
    label_smoothing: float,
    ignore_index: int,
    out: Any = None,
) -> tuple[Array, Array]:
    to_loss, to_probabilities = outputs(out, 2)
    probabilities = destination(to_probabilities, logits.shape, logits.dtype, logits)
    loss = _surprise(logits, labels, class_weight, reduction, label_smoothing, ignore_index, probabilities, to_loss)
    return loss, deliver(probabilities, to_probabilities)


def _surprise(
    logits: Array,
    labels: Array,
    class_weight: Array | None,
    reduction: str,
    smoothing: float,
    ignored: int,
    probabilities: Array | None,
    out: Any,
) -> Array:
    refuse_unfit_labels(logits, labels, class_weight, ignored, "cross_entropy")
    refuse_unknown_reduction(reduction)
    logits, lines = contiguous(logits), _classes(logits)
    losses, weights = _losses_and_weights(logits, labels, reduction, out)
    arrays = (logits, _whole(labels), contiguous(class_weight))
    launch_lines(CROSS_ENTROPY, lines, *arrays, smoothing, ignored, losses, weights, probabilities)
    return _reduced(losses, weights, reduction, out)


@override(twins.cross_entropy_backward)
def _cross_entropy_backward(
    g: Array,
    probabilities: Array,
    logits: Array,
    labels: Array,
    class_weight: Array | None,
    *,
    needs: Needs,
    reduction: str,
    label_smoothing: float,
    ignore_index: int,
    out: Any = None,
) -> tuple[Array, None, None]:
    to = outputs(out, 3)[0]
    probabilities, class_weight, lines = contiguous(probabilities), contiguous(class_weight), _classes(logits)
    dz = destination(to, logits.shape, logits.dtype, logits)
    labels = _whole(labels)
    total_weight = _total_weight(probabilities, labels, class_weight, reduction, ignore_index, lines)
    weight_sum = None if class_weight is None or not label_smoothing else total(class_weight)
    launch(
        CROSS_ENTROPY_BACKWARD,
        *(contiguous(g), int(reduction == "none"), total_weight, probabilities, labels, class_weight, weight_sum),
        *(label_smoothing, ignore_index, lines.length, lines.inner, dz),
        size=dz.size,
    )
    return deliver(dz, to), None, None


@override(twins.nll_loss)
def _nll_loss(
    log_probabilities: Array,
    labels: Array,
    class_weight: Array | None,
    *,
    reduction: str = "mean",
    ignore_index: int = -100,
    out: Any = None,
) -> Array:
    refuse_unfit_labels(log_probabilities, labels, class_weight, ignore_index, "nll_loss")
    refuse_unknown_reduction(reduction)
    log_probabilities, lines = contiguous(log_probabilities), _classes(log_probabilities)
    losses, weights = _losses_and_weights(log_probabilities, labels, reduction, out)
    arrays = (log_probabilities, _whole(labels), contiguous(class_weight))
    launch(NLL_LOSS, *arrays, ignore_index, lines.length, lines.inner, losses, weights, size=losses.size)
    return _reduced(losses, weights, reduction, out)


@override(twins.nll_loss_backward)
def _nll_loss_backward(
    g: Array,
    y: Array,
    log_probabilities: Array,
    labels: Array,
    class_weight: Array | None,
    *,
    needs: Needs,
    reduction: str,
    ignore_index: int,
    out: Any = None,
) -> tuple[Array, None, None]:
    to = outputs(out, 3)[0]
    labels, class_weight, lines = _whole(labels), contiguous(class_weight), _classes(log_probabilities)
    dlog = destination(to, log_probabilities.shape, log_probabilities.dtype, log_probabilities)
    total_weight = _total_weight(dlog, labels, class_weight, reduction, ignore_index, lines)
    launch(
        NLL_LOSS_BACKWARD,
        *(contiguous(g), int(reduction == "none"), total_weight, labels, class_weight),
        *(ignore_index, lines.length, lines.inner, dlog),
        size=dlog.size,
    )
    return deliver(dlog, to), None, None


def _classes(logits: Array) -> Lines:
    return Lines.along(tuple(logits.shape), 0 if logits.ndim == 1 else 1)


def _whole(labels: Array) -> Array:
    return contiguous(labels, namespace(labels).int64)


def _losses_and_weights(logits: Array, labels: Array, reduction: str, out: Any) -> tuple[Array, Array | None]:
    """Room for the loss of each sample, and for its weight where the mean asks for it."""
    xp, shape = namespace(logits), tuple(labels.shape)
    losses = destination(out if reduction == "none" else None, shape, logits.dtype, logits)
    return losses, xp.empty(shape, dtype=logits.dtype, device=device_of(logits)) if reduction == "mean" else None


def _reduced(losses: Array, weights: Array | None, reduction: str, out: Any) -> Array:
    if reduction == "none":
        return deliver(losses, out)
    if weights is None:
        return total(losses, 1.0, out)
    xp, n, a, b = namespace(losses), losses.size, losses, weights
    result = destination(out, (), losses.dtype, losses)
    while n > CHUNK:
        chunks = -(-n // CHUNK)
        sums_a, sums_b = (xp.empty((chunks,), dtype=losses.dtype, device=device_of(losses)) for _ in range(2))
        launch(PAIR_SUMS, a, b, n, sums_a, sums_b, None, blocks=chunks)
        a, b, n = sums_a, sums_b, chunks
    launch(PAIR_SUMS, a, b, n, None, None, result, blocks=1)
    return deliver(result, out)


def _total_weight(
    like: Array, labels: Array, class_weight: Array | None, reduction: str, ignored: int, lines: Lines
) -> Array | None:
    """The sum of the labels' weights, by which the mean divides; None for the other reductions."""
    if reduction != "mean":
        return None
    weights = namespace(like).empty((labels.size,), dtype=like.dtype, device=device_of(like))
    launch(LABEL_WEIGHTS, labels, class_weight, ignored, lines.length, weights, size=labels.size)
    return total(weights)


# --- one distribution for each line of classes ----------------------------------------------------------------------

CATEGORICAL_CROSS_ENTROPY = line_kernels(
    "categorical_cross_entropy",
    "const T* prediction, const T* target, T* losses",
    """
    T sum = T(0);
    for (int64 c = lane; c < length; c += lanes) {
      const T p = prediction[start + c * inner];
      sum += target[start + c * inner] * (p > T(1) ? T(NAN) : log_of(p));
    }
    sum = line_sum(sum, scratch);
    if (lane == 0) losses[line] = -sum;
    """,
    LOGARITHMS,
)

CATEGORICAL_CROSS_ENTROPY_BACKWARD = CudaKernel(
    "categorical_cross_entropy_backward",
    "const T* g, int64 g_stride, T scale, const T* prediction, const T* target, int64 classes, int64 inner, "
    "T* dp, T* dt",
    """
    const T share = g[(i / (classes * inner) * inner + i % inner) * g_stride] * scale;
    if (dp) dp[i] = -share * (target[i] / maximum(prediction[i], T(1e-12)));
    if (dt) dt[i] = -share * log_of(prediction[i]);
    """,
    LOGARITHMS,
)


@override(twins.categorical_cross_entropy)
def _categorical_cross_entropy(prediction: Array, target: Array, *, reduction: str = "mean", out: Any = None) -> Array:
    refuse_unfit_targets(prediction, target, "categorical_cross_entropy")
    refuse_unknown_reduction(reduction)
    prediction, target, lines = contiguous(prediction), contiguous(target, prediction.dtype), _classes(prediction)
    shape = _without_classes(prediction)
    losses = destination(out if reduction == "none" else None, shape, prediction.dtype, prediction)
    launch_lines(CATEGORICAL_CROSS_ENTROPY, lines, prediction, target, losses)
    return deliver(losses, out) if reduction == "none" else total(losses, share_of_one(losses.size, reduction), out)


@override(twins.categorical_cross_entropy_backward)
def _categorical_cross_entropy_backward(
    g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str, out: Any = None
) -> Pair:
    to = outputs(out, 2)
    prediction, target, lines = contiguous(prediction), contiguous(target, prediction.dtype), _classes(prediction)
    dp, dt = wanted(needs[:2], to, prediction)
    scalars = (int(reduction == "none"), share_of_one(lines.number, reduction))
    arrays = (prediction, target, lines.length, lines.inner, dp, dt)
    launch(CATEGORICAL_CROSS_ENTROPY_BACKWARD, contiguous(g), *scalars, *arrays, size=prediction.size)
    return deliver(dp, to[0]), deliver(dt, to[1])


def _without_classes(prediction: Array) -> tuple[int, ...]:
    return tuple(prediction.shape[:1] + prediction.shape[2:]) if prediction.ndim > 1 else ()
