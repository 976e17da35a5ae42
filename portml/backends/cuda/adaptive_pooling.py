"""Adaptive pooling on CuPy's arrays: a thread takes a window, and backward an element and the windows that saw it.

More than three spatial axes are left to the twins.
"""

from __future__ import annotations

from typing import Any

from portml.backends.cuda.glue import outputs, override, store
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.source import CudaKernel
from portml.backends.cuda.windows import MOST_AXES
from portml.backends.kernels import adaptive_pooling as twins
from portml.backends.namespaces import Array, namespace

LENGTHS = "int64 d0, int64 d1, int64 d2, int64 p0, int64 p1, int64 p2"

ADAPTIVE_MAX_POOL = CudaKernel(
    "adaptive_max_pool",
    f"const T* x, {LENGTHS}, T* y, int64* indices",
    """
    const int64 c2 = i % p2, c1 = i / p2 % p1, c0 = i / (p2 * p1) % p0, image = i / (p2 * p1 * p0);
    const T* in = x + image * d0 * d1 * d2;
    int64 index = (start_of(c0, d0, p0) * d1 + start_of(c1, d1, p1)) * d2 + start_of(c2, d2, p2);
    T best = in[index];
    for (int64 x0 = start_of(c0, d0, p0); x0 < stop_of(c0, d0, p0); ++x0)
      for (int64 x1 = start_of(c1, d1, p1); x1 < stop_of(c1, d1, p1); ++x1)
        for (int64 x2 = start_of(c2, d2, p2); x2 < stop_of(c2, d2, p2); ++x2) {
          const int64 place = (x0 * d1 + x1) * d2 + x2;
          if (in[place] > best || in[place] != in[place]) {
            best = in[place];
            index = place;
          }
        }
    y[i] = best;
    indices[i] = index;
    """,
    """
__device__ int64 start_of(int64 window, int64 length, int64 size) { return window * length / size; }
__device__ int64 stop_of(int64 window, int64 length, int64 size) { return ((window + 1) * length + size - 1) / size; }
""",
)

# The windows that see an element lie next to each other, in a fixed order.
ADAPTIVE_MAX_POOL_BACKWARD = CudaKernel(
    "adaptive_max_pool_backward",
    f"const T* g, const int64* indices, {LENGTHS}, T* dx",
    """
    const int64 c2 = i % d2, c1 = i / d2 % d1, c0 = i / (d2 * d1) % d0, image = i / (d2 * d1 * d0);
    const int64 place = (c0 * d1 + c1) * d2 + c2, first = image * p0 * p1 * p2;
    T sum = T(0);
    for (int64 q0 = first_of(c0, d0, p0); q0 < last_of(c0, d0, p0); ++q0)
      for (int64 q1 = first_of(c1, d1, p1); q1 < last_of(c1, d1, p1); ++q1)
        for (int64 q2 = first_of(c2, d2, p2); q2 < last_of(c2, d2, p2); ++q2) {
          const int64 window = first + (q0 * p1 + q1) * p2 + q2;
          if (indices[window] == place) sum += g[window];
        }
    dx[i] = sum;
    """,
    """
// The first window that reaches over an element, and the first behind it that does not.
__device__ int64 first_of(int64 element, int64 length, int64 size) { return element * size / length; }
__device__ int64 last_of(int64 element, int64 length, int64 size) {
  return ((element + 1) * size + length - 1) / length;
}
""",
)


@override(twins.adaptive_max_pool)
def _adaptive_max_pool(x: Array, *, output_size: tuple[int, ...], out: Any = None) -> tuple[Array, Array]:
    twins.refuse_unfit_adaptive(x, output_size)
    if len(output_size) > MOST_AXES:
        return store(twins.adaptive_max_pool.agnostic(x, output_size=output_size), out)  # type: ignore[no-any-return]
    to_y, to_indices = outputs(out, 2)
    shape = (*x.shape[:2], *output_size)
    y = destination(to_y, shape, x.dtype, x)
    indices = destination(to_indices, shape, namespace(x).int64, x)
    launch(ADAPTIVE_MAX_POOL, contiguous(x), *_lengths(x, output_size), y, indices, size=y.size)
    return deliver(y, to_y), deliver(indices, to_indices)


@override(twins.adaptive_max_pool_backward)
def _adaptive_max_pool_backward(
    g: tuple[Array, Array],
    saved: tuple[Array, Array],
    x: Array,
    *,
    needs: tuple[bool, ...],
    output_size: tuple[int, ...],
    out: Any = None,
) -> tuple[Array | None]:
    if not needs[0]:
        return (None,)
    if len(output_size) > MOST_AXES:
        twin = twins.adaptive_max_pool_backward.agnostic
        return store(twin(g, saved, x, needs=needs, output_size=output_size), out)  # type: ignore[no-any-return]
    to = outputs(out, 1)[0]
    dx = destination(to, tuple(x.shape), g[0].dtype, g[0])
    arrays = (contiguous(g[0]), contiguous(saved[1]))
    launch(ADAPTIVE_MAX_POOL_BACKWARD, *arrays, *_lengths(x, output_size), dx, size=dx.size)
    return (deliver(dx, to),)


def _lengths(x: Array, output_size: tuple[int, ...]) -> tuple[int, ...]:
    """The lengths of three axes of the input and of the result; axes that are missing have length 1."""
    missing = (1,) * (MOST_AXES - len(output_size))
    return (*missing, *x.shape[2:], *missing, *output_size)
