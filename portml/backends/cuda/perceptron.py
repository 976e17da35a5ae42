"""The perceptron's rule on CuPy's arrays: a pass is one launch, and each output has a block of its own."""

from __future__ import annotations

from typing import Any

from portml.backends.cuda.glue import outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import perceptron as twins
from portml.backends.namespaces import Array

PERCEPTRON_PASS = CudaKernel(
    "perceptron_pass",
    "const T* x, const T* signs, const T* rates, const int64* order, T* weights, T* intercept, T* losses, "
    "int64 samples, int64 features, int64 outputs, int64 fit_intercept",
    """
    __shared__ T scratch[THREADS];
    T* w = weights + row * features;
    T b = intercept[row], loss = T(0);
    for (int64 s = 0; s < samples; ++s) {
      const int64 i = order[s];
      const T* sample = x + i * features;
      T part = T(0);
      for (int64 j = threadIdx.x; j < features; j += THREADS) part += w[j] * sample[j];
      const T sign = signs[i * outputs + row];
      const T margin = sign * (block_sum(part, scratch) + b);
      if (margin <= T(0)) {
        const T step = rates[i * outputs + row] * sign;
        for (int64 j = threadIdx.x; j < features; j += THREADS) w[j] += step * sample[j];
        if (fit_intercept) b += step;
        loss -= margin;
      }
    }
    if (threadIdx.x == 0) {
      intercept[row] = b;
      losses[row] = loss;
    }
    """,
    style="block",
)


@override(twins.perceptron_pass)
def _perceptron_pass(
    x: Array,
    signs: Array,
    rates: Array,
    order: Array,
    weights: Array,
    intercept: Array,
    *,
    fit_intercept: bool,
    out: Any = None,
) -> tuple[Array, Array, Array]:
    to_weights, to_intercept, to_losses = outputs(out, 3)
    w = destination(to_weights, weights.shape, weights.dtype, weights)
    b = destination(to_intercept, intercept.shape, intercept.dtype, intercept)
    losses = destination(to_losses, intercept.shape, intercept.dtype, intercept)
    w[...], b[...] = weights, intercept
    samples, features = x.shape
    sizes = (int(samples), int(features), int(intercept.shape[0]), int(fit_intercept))
    given = map(contiguous, (x, signs, rates, order))
    launch(PERCEPTRON_PASS, *given, w, b, losses, *sizes, blocks=intercept.shape[0])
    return deliver(w, to_weights), deliver(b, to_intercept), deliver(losses, to_losses)
