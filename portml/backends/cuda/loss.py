"""Losses of a prediction and a target, number by number, on CuPy's arrays; see `portml.backends.kernels.loss`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from portml.backends.cuda.activation import LOGISTIC
from portml.backends.cuda.glue import outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.reduction import CHUNK, total
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernel import KernelFunction
from portml.backends.kernels import loss as twins
from portml.backends.kernels.reduction import refuse_unfit_targets, refuse_unknown_reduction
from portml.backends.namespaces import Array, device_of, namespace
from portml.backends.overriding import under_signature_of

__all__ = ["LOGARITHMS", "PairwiseLoss", "nothing", "pairwise_loss", "register", "share_of_one", "wanted"]

Needs = tuple[bool, ...]
Pair = tuple[Array | None, Array | None]


class PairwiseLoss(NamedTuple):
    """The kernels of a loss that is a function of a prediction, a target and two numbers."""

    each: CudaKernel
    sums: CudaKernel
    backward: CudaKernel


def pairwise_loss(name: str, value: str, slopes: str, preamble: str = "") -> PairwiseLoss:
    """The kernels of a loss.

    Parameters
    ----------
    name : str
    value : str
        Body of ``T value(T p, T t, T extra, T other)``.
    slopes : str
        Body of ``void slopes(T p, T t, T extra, T other, T share, T& dp, T& dt)``: the gradients, times `share`.
    preamble : str
    """
    value = f"{preamble}\n__device__ T value(T p, T t, T extra, T other) {{ {value} }}"
    slopes = f"{preamble}\n__device__ void slopes(T p, T t, T extra, T other, T share, T& dp, T& dt) {{ {slopes} }}"
    return PairwiseLoss(
        CudaKernel(
            name,
            "const T* prediction, const T* target, T extra, T other, T* y",
            "y[i] = value(prediction[i], target[i], extra, other);",
            value,
        ),
        CudaKernel(
            f"{name}_sums",
            "const T* prediction, const T* target, T extra, T other, int64 n, T scale, T* y",
            f"""
            __shared__ T scratch[THREADS];
            const int64 first = row * {CHUNK}, last = first + {CHUNK} < n ? first + {CHUNK} : n;
            T sum = T(0);
            for (int64 k = first + threadIdx.x; k < last; k += THREADS) {{
              sum += value(prediction[k], target[k], extra, other);
            }}
            sum = block_sum(sum, scratch);
            if (threadIdx.x == 0) y[row] = sum * scale;
            """,
            value,
            style="block",
        ),
        CudaKernel(
            f"{name}_backward",
            "const T* g, int64 g_stride, T scale, const T* prediction, const T* target, T extra, T other, T* dp, T* dt",
            """
            T to_prediction, to_target;
            slopes(prediction[i], target[i], extra, other, g[i * g_stride] * scale, to_prediction, to_target);
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


def register(
    twin: KernelFunction, kernels: PairwiseLoss, numbers: Callable[[dict[str, Any]], tuple[float, ...]]
) -> None:
    """Register the kernels for a twin of a prediction and a target.

    Parameters
    ----------
    twin : kernel function
    kernels : PairwiseLoss
    numbers : callable
        What `extra` and `other` are, from the statics beside the reduction; raises what the twin would.
    """
    backward_twin = twin.kernel.backward
    assert backward_twin is not None

    @under_signature_of(twin, __name__)
    def forward(prediction: Array, target: Array, *, reduction: str, out: Any = None, **statics: Any) -> Array:
        refuse_unfit_targets(prediction, target, twin.kernel.name)
        return _pairwise(kernels, prediction, target, reduction, out, *numbers(statics))

    @under_signature_of(backward_twin, __name__)
    def backward(
        g: Array,
        saved: Array,
        prediction: Array,
        target: Array,
        *,
        needs: Needs,
        reduction: str,
        out: Any = None,
        **statics: Any,
    ) -> Pair:
        return _pairwise_backward(kernels, g, prediction, target, needs, reduction, out, *numbers(statics))

    override(twin)(forward)
    override(backward_twin)(backward)


def nothing(statics: dict[str, Any]) -> tuple[float, ...]:
    """The numbers of a loss that has none."""
    return ()


register(twins.mse_loss, MSE_LOSS, nothing)
register(twins.l1_loss, L1_LOSS, nothing)
register(twins.huber_loss, HUBER_LOSS, lambda statics: (statics["delta"],))
register(twins.binary_cross_entropy, BINARY_CROSS_ENTROPY, nothing)
register(twins.binary_cross_entropy_with_logits, BINARY_CROSS_ENTROPY_WITH_LOGITS, nothing)
register(twins.hinge_loss, HINGE_LOSS, nothing)


def _pairwise(
    kernels: PairwiseLoss,
    prediction: Array,
    target: Array,
    reduction: str,
    out: Any,
    extra: float = 0.0,
    other: float = 0.0,
) -> Array:
    refuse_unknown_reduction(reduction)
    prediction, target = contiguous(prediction), contiguous(target, prediction.dtype)
    n, dtype = prediction.size, prediction.dtype
    if reduction == "none":
        losses = destination(out, prediction.shape, dtype, prediction)
        launch(kernels.each, prediction, target, extra, other, losses, size=n)
        return deliver(losses, out)
    scale = share_of_one(n, reduction)
    if n <= CHUNK:
        result = destination(out, (), dtype, prediction)
        launch(kernels.sums, prediction, target, extra, other, n, scale, result, blocks=1)
        return deliver(result, out)
    chunks = -(-n // CHUNK)
    sums = namespace(prediction).empty((chunks,), dtype=dtype, device=device_of(prediction))
    launch(kernels.sums, prediction, target, extra, other, n, 1.0, sums, blocks=chunks)
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
    other: float = 0.0,
) -> Pair:
    g, prediction, target = contiguous(g), contiguous(prediction), contiguous(target, prediction.dtype)
    to = outputs(out, 2)
    dp, dt = wanted(needs[:2], to, prediction)
    scalars = (int(reduction == "none"), share_of_one(prediction.size, reduction))
    launch(kernels.backward, g, *scalars, prediction, target, extra, other, dp, dt, size=prediction.size)
    return deliver(dp, to[0]), deliver(dt, to[1])


def share_of_one(n: int, reduction: str) -> float:
    """What one of `n` losses counts; NaN for the mean of nothing."""
    return 1 / (n or math.nan) if reduction == "mean" else 1.0


def wanted(needs: tuple[bool, ...], to: tuple[Any, ...], like: Array) -> list[Array | None]:
    """Where to write the gradients that are needed, each of the shape of `like`; None for the others."""
    return [
        destination(each, like.shape, like.dtype, like) if need else None for need, each in zip(needs, to, strict=True)
    ]
