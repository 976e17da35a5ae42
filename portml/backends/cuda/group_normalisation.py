"""Group normalisation on CuPy's arrays; the formulas stand in `portml.backends.kernels.group_normalisation`.

The values of a group lie together: a line each.  The gradients of the parameters take a block a channel.
"""

from __future__ import annotations

import math
from typing import Any

from portml.backends.cuda.glue import outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.lines import Lines, launch_lines, line_kernels
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import group_normalisation as twins
from portml.backends.namespaces import Array

Saved = tuple[Array, Array]

# The channel of element j: the first one of the line's group, and one more for every `positions` elements.
CHANNEL = """
__device__ int64 channel_of(int64 line, int64 j, int64 groups, int64 width, int64 positions) {
  return (line % groups * width + j) / positions;
}
"""

GROUP_NORM = line_kernels(
    "group_norm",
    "const T* x, const T* weight, const T* bias, T eps, int64 groups, int64 positions, "
    "T* y, T* normalised, T* inverse_std",
    """
    T sum = T(0);
    for (int64 j = lane; j < length; j += lanes) sum += x[start + j];
    const T mean = line_sum(sum, scratch) / T(length);
    T squares = T(0);
    for (int64 j = lane; j < length; j += lanes) {
      const T centred = x[start + j] - mean;
      squares += centred * centred;
    }
    const T inverse = T(1) / sqrt(line_sum(squares, scratch) / T(length) + eps);
    for (int64 j = lane; j < length; j += lanes) {
      const int64 channel = channel_of(line, j, groups, length, positions);
      T value = (x[start + j] - mean) * inverse;
      if (normalised) normalised[start + j] = value;
      if (weight) value *= weight[channel];
      if (bias) value += bias[channel];
      y[start + j] = value;
    }
    if (inverse_std && lane == 0) inverse_std[line] = inverse;
    """,
    CHANNEL,
)

GROUP_NORM_BACKWARD = line_kernels(
    "group_norm_backward",
    "const T* g, const T* weight, const T* normalised, const T* inverse_std, int64 groups, int64 positions, T* dx",
    """
    T sum = T(0), matched = T(0);
    for (int64 j = lane; j < length; j += lanes) {
      const T h = weight ? g[start + j] * weight[channel_of(line, j, groups, length, positions)] : g[start + j];
      sum += h;
      matched += h * normalised[start + j];
    }
    const T mean = line_sum(sum, scratch) / T(length);
    const T mean_matched = line_sum(matched, scratch) / T(length);
    for (int64 j = lane; j < length; j += lanes) {
      const T h = weight ? g[start + j] * weight[channel_of(line, j, groups, length, positions)] : g[start + j];
      dx[start + j] = inverse_std[line] * (h - mean - normalised[start + j] * mean_matched);
    }
    """,
    CHANNEL,
)

GROUP_NORM_PARAMETERS = CudaKernel(
    "group_norm_parameters",
    "const T* g, const T* normalised, int64 count, int64 channels, int64 positions, T* dweight, T* dbias",
    """
    __shared__ T scratch[THREADS];
    T sum = T(0), matched = T(0);
    for (int64 k = threadIdx.x; k < count; k += THREADS) {
      const int64 here = (k / positions * channels + row) * positions + k % positions;
      sum += g[here];
      matched += g[here] * normalised[here];
    }
    sum = block_sum(sum, scratch);
    matched = block_sum(matched, scratch);
    if (threadIdx.x != 0) continue;
    if (dweight) dweight[row] = matched;
    if (dbias) dbias[row] = sum;
    """,
    style="block",
)


@override(twins.group_norm)
def _group_norm(
    x: Array, weight: Array | None, bias: Array | None, *, groups: int, eps: float = 1e-5, out: Any = None
) -> Array:
    twins.refuse_unfit_groups(x, weight, bias, groups)
    x = contiguous(x)
    y = destination(out, x.shape, x.dtype, x)
    lines, positions = _layout(x, groups)
    arrays = (x, contiguous(weight), contiguous(bias))
    launch_lines(GROUP_NORM, lines, *arrays, eps, groups, positions, y, None, None)
    return deliver(y, out)


@override(twins.group_norm_saving)
def _group_norm_saving(
    x: Array, weight: Array | None, bias: Array | None, *, groups: int, eps: float, out: Any = None
) -> tuple[Array, Saved]:
    twins.refuse_unfit_groups(x, weight, bias, groups)
    to_y, to_saved = outputs(out, 2)
    to_normalised, to_inverse = outputs(to_saved, 2)
    x = contiguous(x)
    y = destination(to_y, x.shape, x.dtype, x)
    normalised = destination(to_normalised, x.shape, x.dtype, x)
    inverse = destination(to_inverse, (x.shape[0], groups), x.dtype, x)
    lines, positions = _layout(x, groups)
    arrays = (x, contiguous(weight), contiguous(bias))
    launch_lines(GROUP_NORM, lines, *arrays, eps, groups, positions, y, normalised, inverse)
    return deliver(y, to_y), (deliver(normalised, to_normalised), deliver(inverse, to_inverse))


@override(twins.group_norm_backward)
def _group_norm_backward(
    g: Array,
    saved: Saved,
    x: Array,
    weight: Array | None,
    bias: Array | None,
    *,
    needs: tuple[bool, ...],
    groups: int,
    eps: float,
    out: Any = None,
) -> tuple[Array | None, ...]:
    to = outputs(out, 3)
    g, normalised, inverse = contiguous(g), contiguous(saved[0]), contiguous(saved[1])
    (lines, positions), channels = _layout(x, groups), x.shape[1]
    dx = destination(to[0], g.shape, g.dtype, g) if needs[0] else None
    if dx is not None:
        arrays = (g, contiguous(weight), normalised, inverse)
        launch_lines(GROUP_NORM_BACKWARD, lines, *arrays, groups, positions, dx)
    dweight, dbias = (
        destination(there, (channels,), g.dtype, g) if needed and parameter is not None else None
        for needed, parameter, there in zip(needs[1:], (weight, bias), to[1:], strict=True)
    )
    if dweight is not None or dbias is not None:
        sizes = (x.shape[0] * positions, channels, positions)
        launch(GROUP_NORM_PARAMETERS, g, normalised, *sizes, dweight, dbias, blocks=channels)
    return tuple(map(deliver, (dx, dweight, dbias), to))


def _layout(x: Array, groups: int) -> tuple[Lines, int]:
    """A line for each group of each sample, and values a channel and sample."""
    return Lines(x.shape[0] * groups, math.prod(x.shape[1:]) // groups, 1), math.prod(x.shape[2:])
