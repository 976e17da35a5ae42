"""Support vector machines on CuPy's arrays: one block of threads takes many steps, so that none waits for a launch.

The formulas stand in `portml.backends.kernels.support_vectors`.
"""

from __future__ import annotations

from typing import Any

from portml.backends.cuda.glue import outputs, override, store
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import support_vectors as twins
from portml.backends.kernels.support_vectors import SMALLEST_CURVATURE
from portml.backends.namespaces import Array, namespace

# Every thread finds the best among its own variables, the block the best of these; of equals the first one wins, as
# in argmax.  A thread without variables offers minus infinity at the last place.
FIRST_LARGEST = """
__device__ int64 first_largest(T value, int64 place, T* values, int64* places) {
  values[threadIdx.x] = value;
  places[threadIdx.x] = place;
  __syncthreads();
  for (int half = THREADS / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) {
      const int other = threadIdx.x + half;
      const bool wins = values[other] > values[threadIdx.x];
      const bool ties = values[other] == values[threadIdx.x] && places[other] < places[threadIdx.x];
      if (wins || ties) {
        values[threadIdx.x] = values[other];
        places[threadIdx.x] = places[other];
      }
    }
    __syncthreads();
  }
  const int64 found = places[0];
  __syncthreads();
  return found;
}
"""

SEQUENTIAL_MINIMAL_OPTIMISATION = CudaKernel(
    "sequential_minimal_optimisation",
    "const T* matrix, T* gradient, const T* lowest, const T* highest, int64 samples, int64 variables, T tolerance, "
    "int64 max_steps, T smallest, T* change, int64* steps",
    """
    __shared__ T values[THREADS];
    __shared__ int64 places[THREADS];
    int64 step = 0;
    for (; step < max_steps; ++step) {
      T top = T(-INFINITY), bottom = T(-INFINITY);
      int64 i = variables - 1;
      for (int64 t = threadIdx.x; t < variables; t += THREADS) {
        if (change[t] < highest[t] && gradient[t] > top) { top = gradient[t]; i = t; }
        if (change[t] > lowest[t] && -gradient[t] > bottom) bottom = -gradient[t];
      }
      i = first_largest(top, i, values, places);
      top = change[i] < highest[i] ? gradient[i] : T(-INFINITY);
      bottom = block_maximum(bottom, values);
      if (!(top + bottom >= tolerance)) break;
      const int64 first = i % samples;
      const T own = matrix[first * samples + first];
      T best = T(-1);
      int64 j = variables - 1;
      for (int64 t = threadIdx.x; t < variables; t += THREADS) {
        const int64 s = t % samples;
        const T difference = change[t] > lowest[t] && gradient[t] < top ? top - gradient[t] : T(0);
        const T bend = own + matrix[s * samples + s] - T(2) * matrix[first * samples + s];
        const T gain = difference * difference / (bend > smallest ? bend : smallest);
        if (gain > best) { best = gain; j = t; }
      }
      j = first_largest(best, j, values, places);
      const int64 second = j % samples;
      const T bend = own + matrix[second * samples + second] - T(2) * matrix[first * samples + second];
      const T room_above = highest[i] - change[i], room_below = change[j] - lowest[j];
      T length = (top - gradient[j]) / (bend > smallest ? bend : smallest);
      if (room_above < length) length = room_above;
      if (room_below < length) length = room_below;
      __syncthreads();
      if (threadIdx.x == 0) {
        change[i] = length == room_above ? highest[i] : change[i] + length;
        change[j] = length == room_below ? lowest[j] : change[j] - length;
      }
      for (int64 t = threadIdx.x; t < variables; t += THREADS) {
        const int64 s = t % samples;
        gradient[t] -= length * (matrix[first * samples + s] - matrix[second * samples + s]);
      }
      __syncthreads();
    }
    if (threadIdx.x == 0) steps[0] = step;
    """,
    FIRST_LARGEST,
    style="block",
)

# Threads beside one another read beside one another; rows without weight cost one comparison.
KERNEL_WEIGHTED_SUM = CudaKernel(
    "kernel_weighted_sum",
    "const T* matrix, const double* weights, int64 samples, double* total",
    """
    double sum = 0.0;
    for (int64 s = 0; s < samples; ++s) {
      if (weights[s] != 0.0) sum += weights[s] * double(matrix[s * n + i]);
    }
    total[i] = sum;
    """,
)

DUAL_COORDINATE_DESCENT = CudaKernel(
    "dual_coordinate_descent",
    "const T* x, const T* targets, const T* bounds, const T* shifts, const T* curvature, const int64* orders, "
    "int64 samples, int64 features, int64 passes, T* alpha, T* weights, T* violations",
    """
    __shared__ T scratch[THREADS];
    for (int64 turn = 0; turn < passes; ++turn) {
      T largest = T(-INFINITY), smallest = T(INFINITY);
      for (int64 step = 0; step < samples; ++step) {
        const int64 sample = orders[turn * samples + step];
        T product = T(0);
        for (int64 k = threadIdx.x; k < features; k += THREADS) product += weights[k] * x[sample * features + k];
        product = block_sum(product, scratch);
        const T old = alpha[sample], bound = bounds[sample];
        const T slope = targets[sample] * product - T(1) + shifts[sample] * old;
        const bool outwards = (old <= T(0) && slope >= T(0)) || (old >= bound && slope <= T(0));
        const T projected = outwards ? T(0) : slope;
        if (projected > largest) largest = projected;
        if (projected < smallest) smallest = projected;
        if (outwards || !(curvature[sample] > T(0))) continue;
        T value = old - slope / curvature[sample];
        value = value < T(0) ? T(0) : value > bound ? bound : value;
        __syncthreads();
        if (threadIdx.x == 0) alpha[sample] = value;
        const T move = (value - old) * targets[sample];
        for (int64 k = threadIdx.x; k < features; k += THREADS) weights[k] += move * x[sample * features + k];
        __syncthreads();
      }
      if (threadIdx.x == 0) violations[turn] = samples ? largest - smallest : T(0);
    }
    """,
    style="block",
)


@override(twins.sequential_minimal_optimisation)
def _sequential_minimal_optimisation(
    matrix: Array,
    gradient: Array,
    lowest: Array,
    highest: Array,
    *,
    tolerance: float,
    max_steps: int,
    out: Any = None,
) -> tuple[Array, Array]:
    twins.refuse_unfit_dual(matrix, gradient, lowest, highest)
    to_change, to_steps = outputs(out, 2)
    xp = namespace(gradient)
    change, steps = xp.zeros_like(contiguous(gradient)), xp.zeros((), dtype=xp.int64)
    if gradient.size:
        moving = contiguous(xp.asarray(gradient, copy=True))  # written by the steps
        arrays = (contiguous(matrix), moving, contiguous(lowest), contiguous(highest))
        sizes = (matrix.shape[0], gradient.size, tolerance, max_steps, SMALLEST_CURVATURE)
        launch(SEQUENTIAL_MINIMAL_OPTIMISATION, *arrays, *sizes, change, steps, blocks=1)
    return deliver(change, to_change), deliver(steps, to_steps)


# Registered as it is: the matrix is kept in float32 and the weights are float64, which no override of one type takes.
@twins.kernel_weighted_sum.on("cupy")
def _kernel_weighted_sum(matrix: Array, weights: Array, out: Any = None) -> Array:
    xp = namespace(matrix, weights)
    if weights.dtype != xp.float64 or matrix.dtype not in (xp.float32, xp.float64):
        return store(twins.kernel_weighted_sum.agnostic(matrix, weights), out)
    total = destination(out, (matrix.shape[1],), weights.dtype, weights)
    launch(KERNEL_WEIGHTED_SUM, contiguous(matrix), contiguous(weights), matrix.shape[0], total, size=total.size)
    return deliver(total, out)


@override(twins.dual_coordinate_descent)
def _dual_coordinate_descent(
    x: Array,
    targets: Array,
    bounds: Array,
    shifts: Array,
    alpha: Array,
    weights: Array,
    orders: Array,
    out: Any = None,
) -> tuple[Array, Array, Array]:
    to = outputs(out, 3)
    xp = namespace(x)
    curvature = xp.sum(x * x, axis=1) + shifts
    results = [contiguous(xp.asarray(each, copy=True)) for each in (alpha, weights)]
    results.append(xp.zeros(orders.shape[0], dtype=x.dtype))
    arrays = map(contiguous, (x, targets, bounds, shifts, curvature))
    sizes = (x.shape[0], x.shape[1], orders.shape[0])
    launch(DUAL_COORDINATE_DESCENT, *arrays, contiguous(orders, xp.int64), *sizes, *results, blocks=1)
    alpha, weights, violations = map(deliver, results, to)
    return alpha, weights, violations
