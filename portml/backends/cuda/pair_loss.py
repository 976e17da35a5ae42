"""Further losses number by number on CuPy's arrays; the formulas stand in `portml.backends.kernels`."""

from __future__ import annotations

from typing import Any

from portml.backends.cuda.activation import LOGISTIC
from portml.backends.cuda.glue import outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.loss import nothing, pairwise_loss, register, share_of_one, wanted
from portml.backends.cuda.reduction import total
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import distribution_loss, imbalance_loss, margin_loss
from portml.backends.kernels.reduction import refuse_unfit_targets, refuse_unknown_reduction
from portml.backends.namespaces import Array, device_of, namespace

Needs = tuple[bool, ...]

SOFTPLUS = (
    LOGISTIC
    + """
__device__ T softplus(T x) { return (x > T(0) ? x : T(0)) + log1p(exp(x > T(0) ? -x : x)); }
"""
)
FOCAL = (
    SOFTPLUS
    + """
__device__ T class_share(T t, T alpha) { return alpha < T(0) ? T(1) : alpha * t + (T(1) - alpha) * (T(1) - t); }
__device__ T power(T m, T exponent) {
  return exponent == T(0) ? m * T(0) + T(1) : m == T(0) ? T(0) : pow(m, exponent);
}
"""
)

SOFT_MARGIN_LOSS = pairwise_loss(
    "soft_margin_loss",
    "return softplus(-t * p);",
    "const T steep = -share * logistic(-t * p); dp = steep * t; dt = steep * p;",
    SOFTPLUS,
)
HINGE_EMBEDDING_LOSS = pairwise_loss(
    "hinge_embedding_loss",
    """
    const T apart = t == T(1) ? T(0) : extra - p < T(0) ? T(0) : extra - p;
    return apart + (t == T(-1) ? T(0) : p);
    """,
    "dp = share * (T(t != T(-1)) - T(t != T(1) && p <= extra)); dt = T(0);",
)
KL_DIV = pairwise_loss(
    "kl_div",
    """
    if (extra != T(0)) return exp(t) * (t - p);
    return t < T(0) ? T(NAN) : t * ((t > T(0) ? log(t) : T(0)) - p);
    """,
    """
    const T probability = extra != T(0) ? exp(t) : t;
    dp = -share * probability;
    dt = share * ((extra != T(0) ? t : t > T(0) ? log(t) : T(0)) + T(1) - p);
    if (extra != T(0)) dt *= probability;
    """,
)
SIGMOID_FOCAL_LOSS = pairwise_loss(
    "sigmoid_focal_loss",
    """
    const T miss = t * logistic(-p) + (T(1) - t) * logistic(p);
    return class_share(t, extra) * power(miss, other) * (t * softplus(-p) + (T(1) - t) * softplus(p));
    """,
    """
    const T rising = logistic(p), falling = logistic(-p), weight = class_share(t, extra);
    const T miss = t * falling + (T(1) - t) * rising;
    const T surprise = t * softplus(-p) + (T(1) - t) * softplus(p);
    const T factor = power(miss, other), steep = other == T(0) ? T(0) : other * power(miss, other - T(1));
    const T of_miss = (T(1) - T(2) * t) * rising * falling;
    dp = share * weight * (factor * ((T(1) - t) * rising - t * falling) + steep * of_miss * surprise);
    const T of_weight = extra < T(0) ? T(0) : T(2) * extra - T(1);
    dt = share * (factor * (of_weight * surprise - weight * p) + weight * steep * (falling - rising) * surprise);
    """,
    FOCAL,
)


def _alpha_and_gamma(statics: dict[str, Any]) -> tuple[float, ...]:
    imbalance_loss.refuse_negative_gamma(statics["gamma"], "sigmoid_focal_loss")
    return statics["alpha"], statics["gamma"]


register(margin_loss.soft_margin_loss, SOFT_MARGIN_LOSS, nothing)
register(margin_loss.hinge_embedding_loss, HINGE_EMBEDDING_LOSS, lambda statics: (statics["margin"],))
register(distribution_loss.kl_div, KL_DIV, lambda statics: (float(statics["log_target"]),))
register(imbalance_loss.sigmoid_focal_loss, SIGMOID_FOCAL_LOSS, _alpha_and_gamma)

BALANCED = CudaKernel(
    "balanced_binary_cross_entropy_with_logits",
    "const T* prediction, const T* target, const T* pos_weight, T* losses",
    """
    const T z = prediction[i], t = target[i];
    losses[i] = pos_weight[i] * t * softplus(-z) + (T(1) - t) * softplus(z);
    """,
    SOFTPLUS,
)
BALANCED_BACKWARD = CudaKernel(
    "balanced_binary_cross_entropy_with_logits_backward",
    "const T* g, int64 g_stride, T scale, const T* prediction, const T* target, const T* pos_weight, "
    "T* dz, T* dt, T* dw",
    """
    const T z = prediction[i], t = target[i], w = pos_weight[i], share = g[i * g_stride] * scale;
    if (dz) dz[i] = share * ((T(1) - t) * logistic(z) - w * t * logistic(-z));
    if (dt) dt[i] = share * (w * softplus(-z) - softplus(z));
    if (dw) dw[i] = share * t * softplus(-z);
    """,
    SOFTPLUS,
)


@override(imbalance_loss.balanced_binary_cross_entropy_with_logits)
def _balanced(
    prediction: Array, target: Array, pos_weight: Array, *, reduction: str = "mean", out: Any = None
) -> Array:
    for other in (target, pos_weight):
        refuse_unfit_targets(prediction, other, "balanced_binary_cross_entropy_with_logits")
    refuse_unknown_reduction(reduction)
    prediction = contiguous(prediction)
    dtype, n = prediction.dtype, prediction.size
    arrays = prediction, contiguous(target, dtype), contiguous(pos_weight, dtype)
    if reduction == "none":
        losses = destination(out, prediction.shape, dtype, prediction)
        launch(BALANCED, *arrays, losses, size=n)
        return deliver(losses, out)
    losses = namespace(prediction).empty(prediction.shape, dtype=dtype, device=device_of(prediction))
    launch(BALANCED, *arrays, losses, size=n)
    return total(losses, share_of_one(n, reduction), out)


@override(imbalance_loss.balanced_binary_cross_entropy_with_logits_backward)
def _balanced_backward(
    g: Array,
    y: Array,
    prediction: Array,
    target: Array,
    pos_weight: Array,
    *,
    needs: Needs,
    reduction: str,
    out: Any = None,
) -> tuple[Array | None, Array | None, Array | None]:
    to, g, prediction = outputs(out, 3), contiguous(g), contiguous(prediction)
    arrays = prediction, contiguous(target, prediction.dtype), contiguous(pos_weight, prediction.dtype)
    dz, dt, dw = wanted(needs, to, prediction)
    scalars = int(reduction == "none"), share_of_one(prediction.size, reduction)
    launch(BALANCED_BACKWARD, g, *scalars, *arrays, dz, dt, dw, size=prediction.size)
    return deliver(dz, to[0]), deliver(dt, to[1]), deliver(dw, to[2])
