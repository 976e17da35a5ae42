"""Pooling on CuPy's arrays; the formulas stand in `portml.backends.kernels.pooling`.

Forward, a thread takes a window; backward, a thread takes an element of the input and gathers from the windows that saw
it, in a fixed order.  More than three spatial axes are left to the twins.
"""

from __future__ import annotations

import math
from typing import Any

from portml.backends.cuda.glue import outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.source import CudaKernel
from portml.backends.cuda.windows import MOST_AXES, PARAMETERS, PREAMBLE, WINDOW, window_scalars
from portml.backends.kernels import pooling as twins
from portml.backends.namespaces import Array, namespace

Sizes = tuple[int, ...]
Needs = tuple[bool, ...]

POSITION = f"""
    {WINDOW}
    const int64 c2 = i % p2, c1 = i / p2 % p1, c0 = i / (p2 * p1) % p0, image = i / (p2 * p1 * p0);
    const T* in = x + image * d0 * d1 * d2;
"""
COORDINATE = f"""
    {WINDOW}
    const int64 c2 = i % d2, c1 = i / d2 % d1, c0 = i / (d2 * d1) % d0, image = i / (d2 * d1 * d0);
    const int64 first = image * p0 * p1 * p2;
"""

# The number of the first offset that lies in the input stands for a window in which nothing is above -infinity.
MAX_POOL = CudaKernel(
    "max_pool",
    f"const T* x, {PARAMETERS}, T* y, int8* chosen_small, int32* chosen",
    f"""
    {POSITION}
    T best = -INFINITY;
    int64 number = (first_inside(w, 0, c0) * k1 + first_inside(w, 1, c1)) * k2 + first_inside(w, 2, c2);
    for (int64 o0 = 0; o0 < k0; ++o0) {{
      const int64 x0 = seen_at(w, 0, c0, o0);
      if (x0 < 0 || x0 >= d0) continue;
      for (int64 o1 = 0; o1 < k1; ++o1) {{
        const int64 x1 = seen_at(w, 1, c1, o1);
        if (x1 < 0 || x1 >= d1) continue;
        for (int64 o2 = 0; o2 < k2; ++o2) {{
          const int64 x2 = seen_at(w, 2, c2, o2);
          if (x2 < 0 || x2 >= d2) continue;
          const T value = in[(x0 * d1 + x1) * d2 + x2];
          if (value > best || value != value) {{
            best = value;
            number = (o0 * k1 + o1) * k2 + o2;
          }}
        }}
      }}
    }}
    y[i] = best;
    if (chosen_small) chosen_small[i] = (int8)number;
    if (chosen) chosen[i] = (int32)number;
    """,
    PREAMBLE
    + """
__device__ int64 first_inside(const Window& w, int axis, int64 position) {
  const int64 start = position * w.s[axis] - w.a[axis];
  return start < 0 ? (-start + w.e[axis] - 1) / w.e[axis] : 0;
}
""",
)

MAX_POOL_BACKWARD = CudaKernel(
    "max_pool_backward",
    f"const T* g, const int8* chosen_small, const int32* chosen, {PARAMETERS}, T* dx",
    f"""
    {COORDINATE}
    T sum = T(0);
    for (int64 o0 = 0; o0 < k0; ++o0) {{
      const int64 q0 = position_of(w, 0, c0, o0);
      if (q0 < 0) continue;
      for (int64 o1 = 0; o1 < k1; ++o1) {{
        const int64 q1 = position_of(w, 1, c1, o1);
        if (q1 < 0) continue;
        for (int64 o2 = 0; o2 < k2; ++o2) {{
          const int64 q2 = position_of(w, 2, c2, o2);
          if (q2 < 0) continue;
          const int64 window = first + (q0 * p1 + q1) * p2 + q2;
          const int64 number = chosen_small ? (int64)chosen_small[window] : (int64)chosen[window];
          if (number == (o0 * k1 + o1) * k2 + o2) sum += g[window];
        }}
      }}
    }}
    dx[i] = sum;
    """,
    PREAMBLE,
)

WINDOW_SIZE = """
// How many elements of an axis a window counts.
__device__ int64 size_of(const Window& w, int axis, int64 position, bool padding) {
  const int64 start = position * w.s[axis] - w.a[axis], stop = start + w.k[axis];
  const int64 low = padding ? -w.a[axis] : 0, high = padding ? w.d[axis] + w.a[axis] : w.d[axis];
  return (stop < high ? stop : high) - (start > low ? start : low);
}
// What the sum of a window is divided by: the number of its elements, where no other divisor is given.
__device__ T size_of_all(const Window& w, int64 c0, int64 c1, int64 c2, bool padding, int64 divisor) {
  if (divisor != 0) return T(divisor);
  return T(size_of(w, 0, c0, padding) * size_of(w, 1, c1, padding) * size_of(w, 2, c2, padding));
}
"""

AVG_POOL = CudaKernel(
    "avg_pool",
    f"const T* x, {PARAMETERS}, bool count_padding, int64 divisor, T* y",
    f"""
    {POSITION}
    T sum = T(0);
    for (int64 o0 = 0; o0 < k0; ++o0) {{
      const int64 x0 = seen_at(w, 0, c0, o0);
      if (x0 < 0 || x0 >= d0) continue;
      for (int64 o1 = 0; o1 < k1; ++o1) {{
        const int64 x1 = seen_at(w, 1, c1, o1);
        if (x1 < 0 || x1 >= d1) continue;
        for (int64 o2 = 0; o2 < k2; ++o2) {{
          const int64 x2 = seen_at(w, 2, c2, o2);
          if (x2 >= 0 && x2 < d2) sum += in[(x0 * d1 + x1) * d2 + x2];
        }}
      }}
    }}
    y[i] = sum / size_of_all(w, c0, c1, c2, count_padding, divisor);
    """,
    PREAMBLE + WINDOW_SIZE,
)

AVG_POOL_BACKWARD = CudaKernel(
    "avg_pool_backward",
    f"const T* g, {PARAMETERS}, bool count_padding, int64 divisor, T* dx",
    f"""
    {COORDINATE}
    T sum = T(0);
    for (int64 o0 = 0; o0 < k0; ++o0) {{
      const int64 q0 = position_of(w, 0, c0, o0);
      if (q0 < 0) continue;
      for (int64 o1 = 0; o1 < k1; ++o1) {{
        const int64 q1 = position_of(w, 1, c1, o1);
        if (q1 < 0) continue;
        for (int64 o2 = 0; o2 < k2; ++o2) {{
          const int64 q2 = position_of(w, 2, c2, o2);
          if (q2 >= 0) sum += g[first + (q0 * p1 + q1) * p2 + q2] / size_of_all(w, q0, q1, q2, count_padding, divisor);
        }}
      }}
    }}
    dx[i] = sum;
    """,
    PREAMBLE + WINDOW_SIZE,
)


@override(twins.max_pool)
def _max_pool(
    x: Array, *, kernel_size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool, out: Any = None
) -> Array:
    geometry = twins.pooling_geometry(tuple(x.shape), kernel_size, stride, padding, dilation, ceil_mode)
    if len(kernel_size) > MOST_AXES:
        sizes = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
        return deliver(twins.max_pool.agnostic(x, **sizes, ceil_mode=ceil_mode), out)
    y = destination(out, geometry.output, x.dtype, x)
    launch(MAX_POOL, contiguous(x), *_scalars(geometry), y, None, None, size=y.size)
    return deliver(y, out)


@override(twins.max_pool_saving)
def _max_pool_saving(
    x: Array, *, kernel_size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool, out: Any = None
) -> tuple[Array, Array]:
    geometry = twins.pooling_geometry(tuple(x.shape), kernel_size, stride, padding, dilation, ceil_mode)
    to_y, to_chosen = outputs(out, 2)
    xp = namespace(x)
    if len(kernel_size) > MOST_AXES:
        sizes = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
        y, chosen = twins.max_pool_saving.agnostic(x, **sizes, ceil_mode=ceil_mode)
    else:
        y = destination(to_y, geometry.output, x.dtype, x)
        numbers = xp.int8 if math.prod(kernel_size) <= 128 else xp.int32
        chosen = destination(to_chosen, geometry.output, numbers, x)
        launch(MAX_POOL, contiguous(x), *_scalars(geometry), y, *_by_size(chosen), size=y.size)
    return deliver(y, to_y), deliver(chosen, to_chosen)


@override(twins.max_pool_backward)
def _max_pool_backward(
    g: Array,
    saved: Array,
    x: Array,
    *,
    needs: Needs,
    kernel_size: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool,
    out: Any = None,
) -> tuple[Array | None]:
    if not needs[0]:
        return (None,)
    to = outputs(out, 1)[0]
    geometry = twins.pooling_geometry(tuple(x.shape), kernel_size, stride, padding, dilation, ceil_mode)
    if len(kernel_size) > MOST_AXES:
        sizes = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
        (dx,) = twins.max_pool_backward.agnostic(g, saved, x, needs=needs, **sizes, ceil_mode=ceil_mode)
    else:
        dx = destination(to, tuple(x.shape), g.dtype, g)
        arrays = (contiguous(g), *_by_size(contiguous(saved)))
        launch(MAX_POOL_BACKWARD, *arrays, *_scalars(geometry), dx, size=dx.size)
    return (deliver(dx, to),)


@override(twins.avg_pool)
def _avg_pool(
    x: Array,
    *,
    kernel_size: Sizes,
    stride: Sizes,
    padding: Sizes,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
    out: Any = None,
) -> Array:
    twins.refuse_unfit_divisor(divisor_override)
    ones = (1,) * len(kernel_size)
    geometry = twins.pooling_geometry(tuple(x.shape), kernel_size, stride, padding, ones, ceil_mode)
    if len(kernel_size) > MOST_AXES:
        sizes = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
        counting = {
            "ceil_mode": ceil_mode,
            "count_include_pad": count_include_pad,
            "divisor_override": divisor_override,
        }
        return deliver(twins.avg_pool.agnostic(x, **sizes, **counting), out)
    y = destination(out, geometry.output, x.dtype, x)
    launch(AVG_POOL, contiguous(x), *_scalars(geometry), count_include_pad, divisor_override or 0, y, size=y.size)
    return deliver(y, out)


@override(twins.avg_pool_saving)
def _avg_pool_saving(
    x: Array,
    *,
    kernel_size: Sizes,
    stride: Sizes,
    padding: Sizes,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
    out: Any = None,
) -> tuple[Array, tuple[()]]:
    y = _avg_pool(
        x,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        divisor_override=divisor_override,
        out=outputs(out, 2)[0],
    )
    return y, ()


@override(twins.avg_pool_backward)
def _avg_pool_backward(
    g: Array,
    saved: tuple[()],
    x: Array,
    *,
    needs: Needs,
    kernel_size: Sizes,
    stride: Sizes,
    padding: Sizes,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
    out: Any = None,
) -> tuple[Array | None]:
    if not needs[0]:
        return (None,)
    to, ones = outputs(out, 1)[0], (1,) * len(kernel_size)
    geometry = twins.pooling_geometry(tuple(x.shape), kernel_size, stride, padding, ones, ceil_mode)
    if len(kernel_size) > MOST_AXES:
        sizes = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
        means = {
            "ceil_mode": ceil_mode,
            "count_include_pad": count_include_pad,
            "divisor_override": divisor_override,
        }
        (dx,) = twins.avg_pool_backward.agnostic(g, saved, x, needs=needs, **sizes, **means)
    else:
        dx = destination(to, tuple(x.shape), g.dtype, g)
        launch(
            AVG_POOL_BACKWARD,
            contiguous(g),
            *_scalars(geometry),
            count_include_pad,
            divisor_override or 0,
            dx,
            size=dx.size,
        )
    return (deliver(dx, to),)


def _scalars(geometry: twins.PoolingGeometry) -> tuple[int, ...]:
    sizes = (geometry.kernel_size, geometry.stride, geometry.padding, geometry.dilation)
    return window_scalars(geometry.input[2:], geometry.positions, *sizes)


def _by_size(chosen: Array) -> tuple[Array | None, Array | None]:
    """The numbers of the chosen offsets as the int8 and the int32 argument, one of them None."""
    return (chosen, None) if chosen.dtype.itemsize == 1 else (None, chosen)
