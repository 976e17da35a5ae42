"""The k smallest of each row on CuPy's arrays; see `portml.backends.kernels.neighbors`."""

from __future__ import annotations

from typing import Any

from portml.backends.cuda.glue import override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import neighbors as twins
from portml.backends.namespaces import Array, namespace

# A block takes a row.  Every thread knows the smallest of its own elements that was not yet taken; the block takes the
# smallest of these k times, and only the thread whose element it was looks for its next one.
K_SMALLEST = CudaKernel(
    "k_smallest",
    "const T* x, int64 m, int64 k, int64* found",
    """
    __shared__ T values[THREADS];
    __shared__ int64 places[THREADS];
    const T* numbers = x + row * m;
    const int lane = threadIdx.x;
    T own = INFINITY;
    int64 own_place = m;
    for (int64 j = lane; j < m; j += THREADS) {
      if (own_place == m || numbers[j] < own) { own = numbers[j]; own_place = j; }
    }
    for (int64 taken = 0; taken < k; ++taken) {
      values[lane] = own;
      places[lane] = own_place;
      __syncthreads();
      for (int half = THREADS / 2; half > 0; half /= 2) {
        if (lane < half) {
          const int64 there = places[lane + half], here = places[lane];
          const T that = values[lane + half], value = values[lane];
          if (there < m && (here == m || that < value || (that == value && there < here))) {
            values[lane] = that;
            places[lane] = there;
          }
        }
        __syncthreads();
      }
      const T smallest = values[0];
      const int64 place = places[0];
      __syncthreads();
      if (lane == 0) found[row * k + taken] = place;
      if (own_place == place) {
        own_place = m;
        for (int64 j = lane; j < m; j += THREADS) {
          const bool left = numbers[j] > smallest || (numbers[j] == smallest && j > place);
          if (left && (own_place == m || numbers[j] < own)) {
            own = numbers[j];
            own_place = j;
          }
        }
      }
    }
    """,
    style="block",
)

MOST = 64
"""Of more than so many, the groups of the twin are sorted instead."""


@override(twins.k_smallest)
def _k_smallest(x: Array, *, k: int, out: Any = None) -> Array:
    twins.refuse_unfit_count(k, x.shape[1])
    if k > MOST:
        return deliver(twins.k_smallest.agnostic(x, k=k), out)
    x = contiguous(x)
    found = destination(out, (x.shape[0], k), namespace(x).int64, x)
    launch(K_SMALLEST, x, x.shape[1], k, found, blocks=x.shape[0])
    return deliver(found, out)
