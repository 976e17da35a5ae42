"""Coordinate descent on CuPy's arrays: all sweeps in one launch of one block.

The coordinates come one after the other, so more blocks would have nothing to do; the threads share what a move of one
coordinate changes.
"""

from __future__ import annotations

from typing import Any

from portml.backends.cuda.glue import outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import coordinate_descent as twins
from portml.backends.namespaces import Array, namespace

Three = tuple[Array, Array, Array]

LOWEST = """
__device__ T lowest(T correlation, T square, T weight, T l1, T l2, int64 positive) {
  if (!(square > T(0))) return weight;
  if (correlation > l1) return (correlation - l1) / (square + l2);
  if (correlation < -l1 && !positive) return (correlation + l1) / (square + l2);
  return T(0);
}
"""

END_OF_SWEEP = """
      T largest = T(0);
      for (int64 j = threadIdx.x; j < features; j += THREADS) largest = maximum(largest, fabs(weights[j]));
      largest = block_maximum(largest, scratch);
      if (threadIdx.x == 0) *count = sweep + 1;
      if (largest_move <= tolerance * largest) break;
    }
"""

GRAM_SWEEPS = CudaKernel(
    "coordinate_descent_gram",
    "const T* gram, T* q, T* weights, int64* count, int64 features, T l1, T l2, int64 positive, T tolerance, "
    "int64 sweeps",
    """
    __shared__ T scratch[THREADS];
    __shared__ T shared_move;
    for (int64 sweep = 0; sweep < sweeps; ++sweep) {
      T largest_move = T(0);
      for (int64 j = 0; j < features; ++j) {
        if (threadIdx.x == 0) {
          const T square = gram[j * features + j], before = weights[j];
          const T target = lowest(q[j] + square * before, square, before, l1, l2, positive);
          weights[j] = target;
          shared_move = target - before;
        }
        __syncthreads();
        const T moved = shared_move;
        largest_move = maximum(largest_move, fabs(moved));
        if (moved != T(0)) {
          for (int64 k = threadIdx.x; k < features; k += THREADS) q[k] -= gram[j * features + k] * moved;
        }
        __syncthreads();
      }"""
    + END_OF_SWEEP,
    LOWEST,
    style="block",
)

COLUMN_SWEEPS = CudaKernel(
    "coordinate_descent_columns",
    "const T* columns, const T* squares, T* r, T* weights, int64* count, int64 features, int64 samples, T l1, T l2, "
    "int64 positive, T tolerance, int64 sweeps",
    """
    __shared__ T scratch[THREADS];
    for (int64 sweep = 0; sweep < sweeps; ++sweep) {
      T largest_move = T(0);
      for (int64 j = 0; j < features; ++j) {
        const T* column = columns + j * samples;
        T part = T(0);
        for (int64 k = threadIdx.x; k < samples; k += THREADS) part += column[k] * r[k];
        const T before = weights[j];
        const T correlation = block_sum(part, scratch) + squares[j] * before;
        const T target = lowest(correlation, squares[j], before, l1, l2, positive);
        const T moved = target - before;
        largest_move = maximum(largest_move, fabs(moved));
        // Every thread has read weights[j] before block_sum ended, and reads only the entries of r that it writes.
        if (threadIdx.x == 0) weights[j] = target;
        for (int64 k = threadIdx.x; k < samples; k += THREADS) r[k] -= column[k] * moved;
      }
      __syncthreads();"""
    + END_OF_SWEEP,
    LOWEST,
    style="block",
)


@override(twins.coordinate_descent_gram)
def _coordinate_descent_gram(
    gram: Array,
    correlation: Array,
    weights: Array,
    *,
    l1: float,
    l2: float,
    positive: bool,
    tolerance: float,
    sweeps: int,
    out: Any = None,
) -> Three:
    gram = contiguous(gram)
    results = _started(correlation - gram @ weights, weights, out)
    w, q, count = results
    sizes = (int(weights.shape[0]), l1, l2, int(positive), tolerance, sweeps)
    launch(GRAM_SWEEPS, gram, q, w, count, *sizes, blocks=1)
    return _delivered(results, out)


@override(twins.coordinate_descent_columns)
def _coordinate_descent_columns(
    columns: Array,
    residual: Array,
    weights: Array,
    *,
    l1: float,
    l2: float,
    positive: bool,
    tolerance: float,
    sweeps: int,
    out: Any = None,
) -> Three:
    columns = contiguous(columns)
    squares = contiguous(namespace(columns).sum(columns * columns, axis=1))
    results = _started(residual, weights, out)
    w, r, count = results
    sizes = (*map(int, columns.shape), l1, l2, int(positive), tolerance, sweeps)
    launch(COLUMN_SWEEPS, columns, squares, r, w, count, *sizes, blocks=1)
    return _delivered(results, out)


def _started(residual: Array, weights: Array, out: Any) -> Three:
    """Results that begin as the weights and residual given, and no sweep."""
    to_weights, to_residual, to_count = outputs(out, 3)
    w = destination(to_weights, weights.shape, weights.dtype, weights)
    r = destination(to_residual, residual.shape, residual.dtype, residual)
    count = destination(to_count, (), namespace(weights).int64, weights)
    w[...], r[...], count[...] = weights, residual, 0
    return w, r, count


def _delivered(results: Three, out: Any) -> Three:
    w, r, count = map(deliver, results, outputs(out, 3))
    return w, r, count
