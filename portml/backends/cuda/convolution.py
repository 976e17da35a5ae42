"""Convolution on CuPy's arrays: unfold the windows to columns, multiply by one matrix, and the reverse for gradients.

The columns of all samples stand side by side, (groups, n_in / groups × offsets, samples × positions), so that there is
one large product for each group.  Columns hold every element once for each window that sees it; so samples are taken in
portions whose columns stay below `COLUMN_BYTES`.  [Chellapilla, Puri & Simard 2006, "High performance convolutional
neural networks for document processing"]
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from portml.backends.cuda.glue import outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.reduction import channel_sums
from portml.backends.cuda.source import CudaKernel
from portml.backends.cuda.windows import MOST_AXES, PARAMETERS, PREAMBLE, WINDOW, window_scalars
from portml.backends.kernels import convolution as twins
from portml.backends.kernels.windows import Pairs
from portml.backends.namespaces import Array, device_of, namespace

COLUMN_BYTES = 1 << 28

UNFOLD = CudaKernel(
    "unfold",
    f"const T* x, {PARAMETERS}, int64 channels, int64 samples, T* columns",
    f"""
    {WINDOW}
    const int64 positions = p0 * p1 * p2, column = i % (samples * positions), line = i / (samples * positions);
    const int64 q = column % positions, sample = column / positions, channel = line / (k0 * k1 * k2);
    const int64 x0 = seen_at(w, 0, q / (p1 * p2), line / (k1 * k2) % k0);
    const int64 x1 = seen_at(w, 1, q / p2 % p1, line / k2 % k1);
    const int64 x2 = seen_at(w, 2, q % p2, line % k2);
    const bool inside = x0 >= 0 && x0 < d0 && x1 >= 0 && x1 < d1 && x2 >= 0 && x2 < d2;
    columns[i] = inside ? x[(((sample * channels + channel) * d0 + x0) * d1 + x1) * d2 + x2] : T(0);
    """,
    PREAMBLE,
)

# Every element gathers from the windows that saw it, in a fixed order.
FOLD = CudaKernel(
    "fold",
    f"const T* columns, {PARAMETERS}, int64 channels, int64 samples, T* x",
    f"""
    {WINDOW}
    const int64 positions = p0 * p1 * p2;
    const int64 c2 = i % d2, c1 = i / d2 % d1, c0 = i / (d2 * d1) % d0;
    const int64 channel = i / (d2 * d1 * d0) % channels, sample = i / (d2 * d1 * d0) / channels;
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
          const int64 line = ((channel * k0 + o0) * k1 + o1) * k2 + o2;
          sum += columns[(line * samples + sample) * positions + (q0 * p1 + q1) * p2 + q2];
        }}
      }}
    }}
    x[i] = sum;
    """,
    PREAMBLE,
)

# (channels, samples × positions) to (samples, channels, positions), and back without a bias.
TO_IMAGES = CudaKernel(
    "to_images",
    "const T* lines, const T* bias, int64 channels, int64 samples, int64 positions, T* y",
    """
    const int64 q = i % positions, channel = i / positions % channels, sample = i / positions / channels;
    const T value = lines[(channel * samples + sample) * positions + q];
    y[i] = bias ? value + bias[channel] : value;
    """,
)
TO_LINES = CudaKernel(
    "to_lines",
    "const T* y, int64 channels, int64 samples, int64 positions, T* lines",
    """
    const int64 q = i % positions, sample = i / positions % samples, channel = i / positions / samples;
    lines[i] = y[(sample * channels + channel) * positions + q];
    """,
)


@override(twins.convolution)
def _convolution(
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
    out: Any = None,
) -> Array:
    geometry = twins.convolution_geometry(tuple(x.shape), tuple(weight.shape), stride, padding, dilation, groups)
    twins.refuse_unfit_bias(bias, weight)
    if len(stride) > MOST_AXES:
        settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return deliver(twins.convolution.agnostic(x, weight, bias, **settings), out)
    xp, x, bias = namespace(x), contiguous(x), contiguous(bias)
    y = destination(out, geometry.output, x.dtype, x)
    matrix = _matrix(weight, geometry)
    for part in _portions(geometry, x.dtype.itemsize):
        lines = contiguous(xp.matmul(matrix, _unfolded(x[part], geometry)))
        piece = y[part]
        sizes = (geometry.output[1], piece.shape[0], geometry.n_positions)
        launch(TO_IMAGES, lines, bias, *sizes, piece, size=piece.size)
    return deliver(y, out)


@override(twins.convolution_saving)
def _convolution_saving(
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
    out: Any = None,
) -> tuple[Array, tuple[()]]:
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return _convolution(x, weight, bias, **settings, out=outputs(out, 2)[0]), ()


@override(twins.convolution_backward)
def _convolution_backward(
    g: Array,
    saved: tuple[()],
    x: Array,
    weight: Array,
    bias: Array | None,
    *,
    needs: tuple[bool, ...],
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int,
    out: Any = None,
) -> tuple[Array | None, Array | None, Array | None]:
    to_dx, to_dweight, to_dbias = outputs(out, 3)
    geometry = twins.convolution_geometry(tuple(x.shape), tuple(weight.shape), stride, padding, dilation, groups)
    g = contiguous(g)
    if len(stride) > MOST_AXES:
        settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        dx, dweight, dbias = twins.convolution_backward.agnostic(g, saved, x, weight, bias, needs=needs, **settings)
    else:
        dx, dweight = _gradients(g, x, weight, geometry, needs, to_dx)
        dbias = channel_sums(g) if needs[2] and bias is not None else None
    return deliver(dx, to_dx), deliver(dweight, to_dweight), deliver(dbias, to_dbias)


def _gradients(
    g: Array, x: Array, weight: Array, geometry: twins.ConvolutionGeometry, needs: tuple[bool, ...], to_dx: Any
) -> tuple[Array | None, Array | None]:
    """The gradients of the input and of the weights."""
    xp, x = namespace(g, x), contiguous(x) if needs[1] else x
    transposed = xp.matrix_transpose(_matrix(weight, geometry))
    dx = destination(to_dx, geometry.input, g.dtype, g) if needs[0] else None
    dmatrix = None
    for part in _portions(geometry, g.dtype.itemsize):
        lines = _lines(g[part], geometry)
        if dx is not None:
            columns, piece = contiguous(xp.matmul(transposed, lines)), dx[part]
            sizes = (geometry.input[1], piece.shape[0])
            launch(FOLD, columns, *_scalars(geometry), *sizes, piece, size=piece.size)
        if needs[1]:
            product = xp.matmul(lines, xp.matrix_transpose(_unfolded(x[part], geometry)))
            dmatrix = product if dmatrix is None else dmatrix + product
    if needs[1] and dmatrix is None:
        dmatrix = xp.zeros(geometry.weight, dtype=g.dtype, device=device_of(g))
    return dx, None if dmatrix is None else xp.reshape(dmatrix, geometry.weight)


def _portions(geometry: twins.ConvolutionGeometry, itemsize: int) -> Iterator[slice]:
    """Samples whose columns may stand in memory at the same time."""
    n_samples = geometry.input[0]
    of_one = geometry.input[1] * math.prod(geometry.weight[2:]) * geometry.n_positions * itemsize
    step = max(COLUMN_BYTES // max(of_one, 1), 1)
    for start in range(0, n_samples, step):
        yield slice(start, min(start + step, n_samples))


def _matrix(weight: Array, geometry: twins.ConvolutionGeometry) -> Array:
    """The weights as (groups, n_out / groups, n_in / groups × offsets)."""
    shape = (geometry.groups, geometry.out_per_group, math.prod(geometry.weight[1:]))
    return namespace(weight).reshape(contiguous(weight), shape)


def _unfolded(x: Array, geometry: twins.ConvolutionGeometry) -> Array:
    """The columns of some samples: (groups, n_in / groups × offsets, samples × positions)."""
    shape = (geometry.groups, math.prod(geometry.weight[1:]), x.shape[0] * geometry.n_positions)
    columns = namespace(x).empty(shape, dtype=x.dtype, device=device_of(x))
    launch(UNFOLD, x, *_scalars(geometry), x.shape[1], x.shape[0], columns, size=columns.size)
    return columns


def _lines(g: Array, geometry: twins.ConvolutionGeometry) -> Array:
    """What came back for some samples, as (groups, n_out / groups, samples × positions)."""
    shape = (geometry.groups, geometry.out_per_group, g.shape[0] * geometry.n_positions)
    lines = namespace(g).empty(shape, dtype=g.dtype, device=device_of(g))
    launch(TO_LINES, g, g.shape[1], g.shape[0], geometry.n_positions, lines, size=lines.size)
    return lines


def _scalars(geometry: twins.ConvolutionGeometry) -> tuple[int, ...]:
    before = [pair[0] for pair in geometry.frame[2:]]
    sizes = (geometry.weight[2:], geometry.stride, before, geometry.dilation)
    return window_scalars(geometry.input[2:], geometry.positions, *sizes)
