"""Normalisation by the root mean square and by the channels nearby, on CuPy's arrays.

The formulas stand in `portml.backends.kernels.feature_normalisation`.
"""

from __future__ import annotations

import math
from typing import Any

from portml.backends.cuda.glue import outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.lines import launch_lines, line_kernels
from portml.backends.cuda.normalisation import count_axes, is_trailing, layer_norm_parameters, trailing
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import feature_normalisation as twins
from portml.backends.kernels.normalisation import refuse_unfit_layer
from portml.backends.namespaces import Array

Axes = int | tuple[int, ...]
Saved = tuple[Array, Array]

RMS_NORM = line_kernels(
    "rms_norm",
    "const T* x, const T* weight, T eps, T* y, T* normalised, T* inverses",
    """
    T squares = T(0);
    for (int64 j = lane; j < length; j += lanes) squares += x[start + j] * x[start + j];
    const T inverse = T(1) / sqrt(line_sum(squares, scratch) / T(length) + eps);
    for (int64 j = lane; j < length; j += lanes) {
      const T value = x[start + j] * inverse;
      if (normalised) normalised[start + j] = value;
      y[start + j] = weight ? value * weight[j] : value;
    }
    if (inverses && lane == 0) inverses[line] = inverse;
    """,
)

RMS_NORM_BACKWARD = line_kernels(
    "rms_norm_backward",
    "const T* g, const T* weight, const T* normalised, const T* inverses, T* dx",
    """
    T matched = T(0);
    for (int64 j = lane; j < length; j += lanes) {
      matched += (weight ? g[start + j] * weight[j] : g[start + j]) * normalised[start + j];
    }
    const T mean = line_sum(matched, scratch) / T(length);
    for (int64 j = lane; j < length; j += lanes) {
      const T h = weight ? g[start + j] * weight[j] : g[start + j];
      dx[start + j] = inverses[line] * (h - normalised[start + j] * mean);
    }
    """,
)

# Channel c lies at i / inner % channels; its neighbours are `inner` elements apart.
RESPONSE_NORM = CudaKernel(
    "local_response_norm",
    "const T* x, int64 channels, int64 inner, int64 before, int64 after, T scale, T beta, T k, T* y, T* saved",
    """
    const int64 channel = i / inner % channels;
    const int64 first = channel < before ? -channel : -before;
    const int64 last = channel + after < channels ? after : channels - 1 - channel;
    T sum = T(0);
    for (int64 shift = first; shift <= last; ++shift) sum += x[i + shift * inner] * x[i + shift * inner];
    const T d = sum * scale + k;
    y[i] = x[i] * pow(d, -beta);
    if (saved) saved[i] = d;
    """,
)

RESPONSE_NORM_BACKWARD = CudaKernel(
    "local_response_norm_backward",
    "const T* g, const T* x, const T* d, int64 channels, int64 inner, int64 before, int64 after, T scale, T beta, "
    "T* dx",
    """
    const int64 channel = i / inner % channels;
    const int64 first = channel < after ? -channel : -after;
    const int64 last = channel + before < channels ? before : channels - 1 - channel;
    T sum = T(0);
    for (int64 shift = first; shift <= last; ++shift) {
      const int64 there = i + shift * inner;
      sum += g[there] * x[there] * pow(d[there], -beta) / d[there];
    }
    dx[i] = g[i] * pow(d[i], -beta) - T(2) * scale * beta * x[i] * sum;
    """,
)


@override(twins.rms_norm)
def _rms_norm(x: Array, weight: Array | None, *, axes: Axes = -1, eps: float = 1e-5, out: Any = None) -> Array:
    refuse_unfit_layer(x, weight, None, "rms_norm")
    if not is_trailing(x, weight, None, axes):
        return deliver(twins.rms_norm.agnostic(x, weight, axes=axes, eps=eps), out)
    x = contiguous(x)
    y = destination(out, x.shape, x.dtype, x)
    launch_lines(RMS_NORM, trailing(x, axes), x, contiguous(weight), eps, y, None, None)
    return deliver(y, out)


@override(twins.rms_norm_saving)
def _rms_norm_saving(x: Array, weight: Array | None, *, axes: Axes, eps: float, out: Any = None) -> tuple[Array, Saved]:
    refuse_unfit_layer(x, weight, None, "rms_norm")
    to_y, to_saved = outputs(out, 2)
    to_normalised, to_inverse = outputs(to_saved, 2)
    if not is_trailing(x, weight, None, axes):
        y, (normalised, inverse) = twins.rms_norm_saving.agnostic(x, weight, axes=axes, eps=eps)
    else:
        x, count = contiguous(x), count_axes(axes)
        y = destination(to_y, x.shape, x.dtype, x)
        normalised = destination(to_normalised, x.shape, x.dtype, x)
        inverse = destination(to_inverse, (*x.shape[: x.ndim - count], *(1,) * count), x.dtype, x)
        launch_lines(RMS_NORM, trailing(x, axes), x, contiguous(weight), eps, y, normalised, inverse)
    return deliver(y, to_y), (deliver(normalised, to_normalised), deliver(inverse, to_inverse))


@override(twins.rms_norm_backward)
def _rms_norm_backward(
    g: Array,
    saved: Saved,
    x: Array,
    weight: Array | None,
    *,
    needs: tuple[bool, ...],
    axes: Axes,
    eps: float,
    out: Any = None,
) -> tuple[Array | None, Array | None]:
    to_dx, to_dweight = outputs(out, 2)
    if not is_trailing(x, weight, None, axes):
        dx, dweight = twins.rms_norm_backward.agnostic(g, saved, x, weight, needs=needs, axes=axes, eps=eps)
        return deliver(dx, to_dx), deliver(dweight, to_dweight)
    g, normalised, inverse = contiguous(g), contiguous(saved[0]), contiguous(saved[1])
    lines, dx = trailing(x, axes), None
    if needs[0]:
        dx = destination(to_dx, g.shape, g.dtype, g)
        launch_lines(RMS_NORM_BACKWARD, lines, g, contiguous(weight), normalised, inverse, dx)
    dweight, _ = layer_norm_parameters(g, normalised, lines, weight if needs[1] else None, None)
    return deliver(dx, to_dx), deliver(dweight, to_dweight)


@override(twins.local_response_norm)
def _local_response_norm(
    x: Array, *, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, out: Any = None
) -> Array:
    twins.refuse_unfit_response(x, size)
    x = contiguous(x)
    y = destination(out, x.shape, x.dtype, x)
    launch(RESPONSE_NORM, x, *_window(x, size), alpha / size, beta, k, y, None, size=x.size)
    return deliver(y, out)


@override(twins.local_response_norm_saving)
def _local_response_norm_saving(
    x: Array, *, size: int, alpha: float, beta: float, k: float, out: Any = None
) -> tuple[Array, Array]:
    twins.refuse_unfit_response(x, size)
    to_y, to_saved = outputs(out, 2)
    x = contiguous(x)
    y, d = destination(to_y, x.shape, x.dtype, x), destination(to_saved, x.shape, x.dtype, x)
    launch(RESPONSE_NORM, x, *_window(x, size), alpha / size, beta, k, y, d, size=x.size)
    return deliver(y, to_y), deliver(d, to_saved)


@override(twins.local_response_norm_backward)
def _local_response_norm_backward(
    g: Array,
    saved: Array,
    x: Array,
    *,
    needs: tuple[bool, ...],
    size: int,
    alpha: float,
    beta: float,
    k: float,
    out: Any = None,
) -> tuple[Array]:
    (to_dx,) = outputs(out, 1)
    g, x, d = contiguous(g), contiguous(x), contiguous(saved)
    dx = destination(to_dx, g.shape, g.dtype, g)
    launch(RESPONSE_NORM_BACKWARD, g, x, d, *_window(x, size), alpha / size, beta, dx, size=x.size)
    return (deliver(dx, to_dx),)


def _window(x: Array, size: int) -> tuple[int, int, int, int]:
    """Channels, elements from one to the next, and channels before and after that are near."""
    return x.shape[1], math.prod(x.shape[2:]), size // 2, (size - 1) // 2
