"""Optimizer steps on CuPy's arrays: one launch for all parameters of a group, written in place where `out=` says so.

The formulas stand in `portml.backends.kernels.optimizer`.  What is 1 - β there is worked out by the host, in double
precision, and handed over rounded once.
"""

from __future__ import annotations

from typing import Any

from portml.backends.cuda.glue import outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import optimizer as twins
from portml.backends.namespaces import Array

GRADIENT = """
__device__ T gradient(T g, T p, T weight_decay, bool maximize) {
  if (maximize) g = -g;
  return weight_decay != T(0) ? g + weight_decay * p : g;
}
"""

SGD_STEP = CudaKernel(
    "sgd_step",
    "const T* p, const T* g, const T* velocity, const T* h, T momentum, bool nesterov, T weight_decay, bool maximize, "
    "T* new_p, T* new_velocity",
    """
    T step = gradient(g[i], p[i], weight_decay, maximize);
    if (velocity) {
      const T v = momentum * velocity[i] + h[1] * step;
      new_velocity[i] = v;
      step = nesterov ? step + momentum * v : v;
    }
    new_p[i] = p[i] - h[0] * step;
    """,
    GRADIENT,
)

ADAGRAD_STEP = CudaKernel(
    "adagrad_step",
    "const T* p, const T* g, const T* total, const T* h, T eps, T weight_decay, bool maximize, T* new_p, T* new_total",
    """
    const T slope = gradient(g[i], p[i], weight_decay, maximize);
    const T sum = total[i] + slope * slope;
    new_total[i] = sum;
    new_p[i] = p[i] - h[0] * (slope / (sqrt(sum) + eps));
    """,
    GRADIENT,
)

RMSPROP_STEP = CudaKernel(
    "rmsprop_step",
    "const T* p, const T* g, const T* square, const T* mean, const T* velocity, const T* h, T alpha, T rest, T eps, "
    "T momentum, T weight_decay, bool maximize, T* new_p, T* new_square, T* new_mean, T* new_velocity",
    """
    const T slope = gradient(g[i], p[i], weight_decay, maximize);
    const T s = alpha * square[i] + rest * (slope * slope);
    new_square[i] = s;
    T spread = s;
    if (mean) {
      const T m = alpha * mean[i] + rest * slope;
      new_mean[i] = m;
      spread = maximum(s - m * m, T(0));
    }
    T step = slope / (sqrt(spread) + eps);
    if (velocity) {
      step = momentum * velocity[i] + step;
      new_velocity[i] = step;
    }
    new_p[i] = p[i] - h[0] * step;
    """,
    GRADIENT,
)

ADAM_STEP = CudaKernel(
    "adam_step",
    "const T* p, const T* g, const T* m, const T* v, const T* peak, const T* h, T beta1, T rest1, T beta2, T rest2, "
    "T eps, T weight_decay, bool decoupled, bool maximize, T* new_p, T* new_m, T* new_v, T* new_peak",
    """
    const T slope = gradient(g[i], p[i], weight_decay, maximize);
    const T first = beta1 * m[i] + rest1 * slope;
    const T second = beta2 * v[i] + rest2 * (slope * slope);
    const T from = decoupled ? p[i] * h[2] : p[i];
    T largest = second;
    if (peak) {
      largest = maximum(peak[i], second);
      new_peak[i] = largest;
    }
    new_m[i] = first;
    new_v[i] = second;
    new_p[i] = from - h[0] * (first / (sqrt(largest) * h[1] + eps));
    """,
    GRADIENT,
)

NADAM_STEP = CudaKernel(
    "nadam_step",
    "const T* p, const T* g, const T* m, const T* v, const T* h, T beta1, T rest1, T beta2, T rest2, T eps, "
    "T weight_decay, bool decoupled, bool maximize, T* new_p, T* new_m, T* new_v",
    """
    const T slope = gradient(g[i], p[i], weight_decay, maximize);
    const T first = beta1 * m[i] + rest1 * slope;
    const T second = beta2 * v[i] + rest2 * (slope * slope);
    const T from = decoupled ? p[i] * h[3] : p[i];
    new_m[i] = first;
    new_v[i] = second;
    new_p[i] = from - (h[0] * slope + h[1] * first) / (sqrt(second) * h[2] + eps);
    """,
    GRADIENT,
)

RADAM_STEP = CudaKernel(
    "radam_step",
    "const T* p, const T* g, const T* m, const T* v, const T* h, T beta1, T rest1, T beta2, T rest2, T eps, "
    "T weight_decay, bool decoupled, bool maximize, T* new_p, T* new_m, T* new_v",
    """
    const T slope = gradient(g[i], p[i], weight_decay, maximize);
    const T first = beta1 * m[i] + rest1 * slope;
    const T second = beta2 * v[i] + rest2 * (slope * slope);
    const T from = decoupled ? p[i] * h[3] : p[i];
    new_m[i] = first;
    new_v[i] = second;
    new_p[i] = from - h[0] * (first * (h[1] / (sqrt(second) + eps) + h[2]));
    """,
    GRADIENT,
)

LION_STEP = CudaKernel(
    "lion_step",
    "const T* p, const T* g, const T* m, const T* h, T beta1, T rest1, T beta2, T rest2, bool maximize, "
    "T* new_p, T* new_m",
    """
    const T slope = gradient(g[i], p[i], T(0), maximize);
    const T towards = beta1 * m[i] + rest1 * slope;
    // A NaN has no sign, and stays one.
    const T sign = towards > T(0) ? T(1) : (towards < T(0) ? T(-1) : towards);
    new_p[i] = p[i] * h[1] - h[0] * sign;
    new_m[i] = beta2 * m[i] + rest2 * slope;
    """,
    GRADIENT,
)


@override(twins.sgd_step)
def _sgd_step(
    p: Array,
    g: Array,
    velocity: Array | None,
    h: Array,
    *,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    maximize: bool = False,
    out: Any = None,
) -> tuple[Array, Array | None]:
    twins.refuse_unfit_states("sgd_step", p, h, 2, g=g, velocity=velocity)
    scalars = (momentum, nesterov, weight_decay, maximize)
    new_p, new_velocity = _step(SGD_STEP, (p, velocity), (p, g, velocity, h), scalars, out)
    return new_p, new_velocity


@override(twins.adagrad_step)
def _adagrad_step(
    p: Array,
    g: Array,
    total: Array,
    h: Array,
    *,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
    maximize: bool = False,
    out: Any = None,
) -> tuple[Array, Array]:
    twins.refuse_unfit_states("adagrad_step", p, h, 1, g=g, total=total)
    new_p, new_total = _step(ADAGRAD_STEP, (p, total), (p, g, total, h), (eps, weight_decay, maximize), out)
    return new_p, new_total


@override(twins.rmsprop_step)
def _rmsprop_step(
    p: Array,
    g: Array,
    square: Array,
    mean: Array | None,
    velocity: Array | None,
    h: Array,
    *,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    maximize: bool = False,
    out: Any = None,
) -> tuple[Array, Array, Array | None, Array | None]:
    twins.refuse_unfit_states("rmsprop_step", p, h, 1, g=g, square=square, mean=mean, velocity=velocity)
    scalars = (alpha, 1 - alpha, eps, momentum, weight_decay, maximize)
    updated = (p, square, mean, velocity)
    new_p, new_square, new_mean, new_velocity = _step(
        RMSPROP_STEP, updated, (p, g, square, mean, velocity, h), scalars, out
    )
    return new_p, new_square, new_mean, new_velocity


@override(twins.adam_step)
def _adam_step(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    peak: Array | None,
    h: Array,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    maximize: bool = False,
    out: Any = None,
) -> tuple[Array, Array, Array, Array | None]:
    twins.refuse_unfit_states("adam_step", p, h, 3, g=g, m=m, v=v, peak=peak)
    scalars = _adam_scalars(beta1, beta2, eps, weight_decay, decoupled, maximize)
    new_p, new_m, new_v, new_peak = _step(ADAM_STEP, (p, m, v, peak), (p, g, m, v, peak, h), scalars, out)
    return new_p, new_m, new_v, new_peak


@override(twins.nadam_step)
def _nadam_step(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    h: Array,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    maximize: bool = False,
    out: Any = None,
) -> tuple[Array, Array, Array]:
    twins.refuse_unfit_states("nadam_step", p, h, 4, g=g, m=m, v=v)
    scalars = _adam_scalars(beta1, beta2, eps, weight_decay, decoupled, maximize)
    new_p, new_m, new_v = _step(NADAM_STEP, (p, m, v), (p, g, m, v, h), scalars, out)
    return new_p, new_m, new_v


@override(twins.radam_step)
def _radam_step(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    h: Array,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    maximize: bool = False,
    out: Any = None,
) -> tuple[Array, Array, Array]:
    twins.refuse_unfit_states("radam_step", p, h, 4, g=g, m=m, v=v)
    scalars = _adam_scalars(beta1, beta2, eps, weight_decay, decoupled, maximize)
    new_p, new_m, new_v = _step(RADAM_STEP, (p, m, v), (p, g, m, v, h), scalars, out)
    return new_p, new_m, new_v


@override(twins.lion_step)
def _lion_step(
    p: Array,
    g: Array,
    m: Array,
    h: Array,
    *,
    beta1: float = 0.9,
    beta2: float = 0.99,
    maximize: bool = False,
    out: Any = None,
) -> tuple[Array, Array]:
    twins.refuse_unfit_states("lion_step", p, h, 2, g=g, m=m)
    scalars = (beta1, 1 - beta1, beta2, 1 - beta2, maximize)
    new_p, new_m = _step(LION_STEP, (p, m), (p, g, m, h), scalars, out)
    return new_p, new_m


def _adam_scalars(
    beta1: float, beta2: float, eps: float, weight_decay: float, decoupled: bool, maximize: bool
) -> tuple[float, ...]:
    """What the kernels of Adam's family take after their arrays; decoupled, the decay stands in the slot alone."""
    return (beta1, 1 - beta1, beta2, 1 - beta2, eps, 0.0 if decoupled else weight_decay, decoupled, maximize)


def _step(
    kernel: CudaKernel,
    updated: tuple[Array | None, ...],
    arrays: tuple[Any, ...],
    scalars: tuple[float, ...],
    out: Any,
) -> tuple[Array | None, ...]:
    """Run a kernel with parameters (arrays..., scalars..., one result for each of `updated`); None stays None."""
    destined = outputs(out, len(updated))
    results = [
        None if before is None else destination(to, before.shape, before.dtype, before)
        for before, to in zip(updated, destined, strict=True)
    ]
    launch(kernel, *map(contiguous, arrays), *scalars, *results, size=arrays[0].size)
    return tuple(map(deliver, results, destined))
