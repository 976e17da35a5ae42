"""Losses of a prediction and a target, number by number, on CuPy's arrays; see `portml.backends.kernels.loss`."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from portml.backends.cuda.activation import LOGISTIC
from portml.backends.cuda.glue import outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.reduction import CHUNK, total
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import loss as twins
from portml.backends.kernels.reduction import refuse_unfit_targets, refuse_unknown_reduction
from portml.backends.namespaces import Array, device_of, namespace

__all__ = ["LOGARITHMS", "PairwiseLoss", "pairwise_loss", "share_of_one", "wanted"]

Needs = tuple[bool, ...]
Pair = tuple[Array | None, Array | None]


class PairwiseLoss(NamedTuple):
    """The kernels of a loss that is a function of a prediction, a target and one number."""

    each: CudaKernel
    sums: CudaKernel
    backward: CudaKernel


def pairwise_loss(name: str, value: str, slopes: str, preamble: str = "") -> PairwiseLoss:
    """The kernels of a loss.

    Parameters
    ----------
    name : str
    value : str
        Body of ``T value(T p, T t, T extra)``.
    slopes : str
        Body of ``void slopes(T p, T t, T extra, T share, T& dp, T& dt)``: the gradients, times `share`.
    preamble : str
    """
    value = f"{preamble}\n__device__ T value(T p, T t, T extra) {{ {value} }}"
    slopes = f"{preamble}\n__device__ void slopes(T p, T t, T extra, T share, T& dp, T& dt) {{ {slopes} }}"
    return PairwiseLoss(
        CudaKernel(
            name,
            "const T* prediction, const T* target, T extra, T* y",
            "y[i] = value(prediction[i], target[i], extra);",
            value,
        ),
        CudaKernel(
            f"{name}_sums",
            "const T* prediction, const T* target, T extra, int64 n, T scale, T* y",
            f"""
            __shared__ T scratch[THREADS];
            const int64 first = row * {CHUNK}, last = first + {CHUNK} < n ? first + {CHUNK} : n;
            T sum = T(0);
            for (int64 k = first + threadIdx.x; k < last; k += THREADS) sum += value(prediction[k], target[k], extra);
            sum = block_sum(sum, scratch);
            if (threadIdx.x == 0) y[row] = sum * scale;
            """,
            value,
            style="block",
        ),
        CudaKernel(
            f"{name}_backward",
            "const T* g, int64 g_stride, T scale, const T* prediction, const T* target, T extra, T* dp, T* dt",
            """
            T to_prediction, to_target;
            slopes(prediction[i], target[i], extra, g[i * g_stride] * scale, to_prediction, to_target);
            if (dp) dp[i] = to_prediction;
            if (dt) dt[i] = to_target;
            """,
            slopes,
        ),
    )


# Cut off at -100; NaN outside [0, 1].
LOGARITHMS = """
__device__ T log_of(T p) { return p < T(0) ? T(NAN) : p == T(0) ? T(-100) : maximum(log(p), T(-100)); }
__device__ T log_of_rest(T p) { return p > T(1) ? T(NAN) : p == T(1) ? T(-100) : log1p(-p); }
"""

MSE_LOSS = pairwise_loss(
    "mse_loss",
    "const T d = p - t; return d * d;",
    "dp = (p - t) * (T(2) * share); dt = -dp;",
)
L1_LOSS = pairwise_loss(
    "l1_loss",
    "return fabs(p - t);",
    "const T d = p - t; dp = (d > T(0) ? T(1) : d < T(0) ? T(-1) : d) * share; dt = -dp;",
)
HUBER_LOSS = pairwise_loss(
    "huber_loss",
    "const T size = fabs(p - t), near = size > extra ? extra : size; return near * (size - T(0.5) * near);",
    "dp = minimum(maximum(p - t, -extra), extra) * share; dt = -dp;",
)
BINARY_CROSS_ENTROPY = pairwise_loss(
    "binary_cross_entropy",
    "return -(t * log_of(p) + (T(1) - t) * log_of_rest(p));",
    """
    dp = share * ((p - t) / maximum(p * (T(1) - p), T(1e-12)));
    dt = share * (log_of_rest(p) - log_of(p));
    """,
    LOGARITHMS,
)
BINARY_CROSS_ENTROPY_WITH_LOGITS = pairwise_loss(
    "binary_cross_entropy_with_logits",
    "return log1p(exp(p > T(0) ? -p : p)) + p * (p > T(0) ? T(1) - t : -t);",
    "dp = share * (logistic(p) - t); dt = share * -p;",
    LOGISTIC,
)
HINGE_LOSS = pairwise_loss(
    "hinge_loss",
    "return maximum(T(1) - t * p, T(0));",
    "const T inside = -share * T(t * p < T(1)); dp = inside * t; dt = inside * p;",
)


@override(twins.mse_loss)
def _mse_loss(prediction: Array, target: Array, *, reduction: str = "mean", out: Any = None) -> Array:
    return _pairwise(MSE_LOSS, prediction, target, reduction, out)


@override(twins.mse_loss_backward)
def _mse_loss_backward(
    g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str, out: Any = None
) -> Pair:
    return _pairwise_backward(MSE_LOSS, g, prediction, target, needs, reduction, out)


@override(twins.l1_loss)
def _l1_loss(prediction: Array, target: Array, *, reduction: str = "mean", out: Any = None) -> Array:
    return _pairwise(L1_LOSS, prediction, target, reduction, out)


@override(twins.l1_loss_backward)
def _l1_loss_backward(
    g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str, out: Any = None
) -> Pair:
    return _pairwise_backward(L1_LOSS, g, prediction, target, needs, reduction, out)


@override(twins.huber_loss)
def _huber_loss(
    prediction: Array, target: Array, *, reduction: str = "mean", delta: float = 1.0, out: Any = None
) -> Array:
    return _pairwise(HUBER_LOSS, prediction, target, reduction, out, delta)


@override(twins.huber_loss_backward)
def _huber_loss_backward(
    g: Array,
    y: Array,
    prediction: Array,
    target: Array,
    *,
    needs: Needs,
    reduction: str,
    delta: float,
    out: Any = None,
) -> Pair:
    return _pairwise_backward(HUBER_LOSS, g, prediction, target, needs, reduction, out, delta)


@override(twins.binary_cross_entropy)
def _binary_cross_entropy(prediction: Array, target: Array, *, reduction: str = "mean", out: Any = None) -> Array:
    return _pairwise(BINARY_CROSS_ENTROPY, prediction, target, reduction, out)


@override(twins.binary_cross_entropy_backward)
def _binary_cross_entropy_backward(
    g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str, out: Any = None
) -> Pair:
    return _pairwise_backward(BINARY_CROSS_ENTROPY, g, prediction, target, needs, reduction, out)


@override(twins.binary_cross_entropy_with_logits)
def _binary_cross_entropy_with_logits(
    prediction: Array, target: Array, *, reduction: str = "mean", out: Any = None
) -> Array:
    return _pairwise(BINARY_CROSS_ENTROPY_WITH_LOGITS, prediction, target, reduction, out)


@override(twins.binary_cross_entropy_with_logits_backward)
def _binary_cross_entropy_with_logits_backward(
    g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str, out: Any = None
) -> Pair:
    return _pairwise_backward(BINARY_CROSS_ENTROPY_WITH_LOGITS, g, prediction, target, needs, reduction, out)


@override(twins.hinge_loss)
def _hinge_loss(prediction: Array, target: Array, *, reduction: str = "mean", out: Any = None) -> Array:
    return _pairwise(HINGE_LOSS, prediction, target, reduction, out)


@override(twins.hinge_loss_backward)
def _hinge_loss_backward(
    g: Array, y: Array, prediction: Array, target: Array, *, needs: Needs, reduction: str, out: Any = None
) -> Pair:
    return _pairwise_backward(HINGE_LOSS, g, prediction, target, needs, reduction, out)


def _pairwise(
    kernels: PairwiseLoss, prediction: Array, target: Array, reduction: str, out: Any, extra: float = 0.0
) -> Array:
    refuse_unfit_targets(prediction, target, kernels.each.name)
    refuse_unknown_reduction(reduction)
    prediction, target = contiguous(prediction), contiguous(target, prediction.dtype)
    n, dtype = prediction.size, prediction.dtype
    if reduction == "none":
        losses = destination(out, prediction.shape, dtype, prediction)
        launch(kernels.each, prediction, target, extra, losses, size=n)
        return deliver(losses, out)
    scale = share_of_one(n, reduction)
    if n <= CHUNK:
        result = destination(out, (), dtype, prediction)
        launch(kernels.sums, prediction, target, extra, n, scale, result, blocks=1)
        return deliver(result, out)
    chunks = -(-n // CHUNK)
    sums = namespace(prediction).empty((chunks,), dtype=dtype, device=device_of(prediction))
    launch(kernels.sums, prediction, target, extra, n, 1.0, sums, blocks=chunks)
    return total(sums, scale, out)


def _pairwise_backward(
    kernels: PairwiseLoss,
    g: Array,
    prediction: Array,
    target: Array,
    needs: Needs,
    reduction: str,
    out: Any,
    extra: float = 0.0,
) -> Pair:
    g, prediction, target = contiguous(g), contiguous(prediction), contiguous(target, prediction.dtype)
    to = outputs(out, 2)
    dp, dt = wanted(needs[:2], to, prediction)
    scalars = (int(reduction == "none"), share_of_one(prediction.size, reduction))
    launch(kernels.backward, g, *scalars, prediction, target, extra, dp, dt, size=prediction.size)
    return deliver(dp, to[0]), deliver(dt, to[1])


def share_of_one(n: int, reduction: str) -> float:
    """What one of `n` losses counts; NaN for the mean of nothing."""
    return 1 / (n or math.nan) if reduction == "mean" else 1.0


def wanted(needs: tuple[bool, ...], to: tuple[Any, ...], like: Array) -> list[Array | None]:
    """Where to write the gradients that are needed, each of the shape of `like`; None for the others."""
    return [
        destination(each, like.shape, like.dtype, like) if need else None for need, each in zip(needs, to, strict=True)
    ]
