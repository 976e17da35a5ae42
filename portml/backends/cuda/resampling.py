"""Resampling on CuPy's arrays: one launch for each axis, in which a thread adds up the taps of one result."""

from __future__ import annotations

import math
from typing import Any

from portml.backends.cuda.glue import outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import resampling as twins
from portml.backends.namespaces import Array, device_of, namespace

Sizes = tuple[int, ...]

COMBINE_TAPS = CudaKernel(
    "combine_taps",
    "const T* x, const int64* numbers, const T* weights, int64 taps, int64 length, int64 size, int64 inner, T* y",
    """
    const int64 result = i / inner % size;
    const T* line = x + i / (inner * size) * length * inner + i % inner;
    T sum = T(0);
    for (int64 tap = 0; tap < taps; ++tap) {
      const T weight = weights[tap * size + result];
      if (weight != T(0)) sum += weight * line[numbers[tap * size + result] * inner];
    }
    y[i] = sum;
    """,
)


@override(twins.resample)
def _resample(x: Array, *, size: Sizes, mode: str, align_corners: bool, scale: twins.Scale, out: Any = None) -> Array:
    twins.refuse_unfit_resampling(x, size, mode, align_corners, scale)
    for axis, (wanted, factor) in enumerate(zip(size, scale, strict=True), start=2):
        taps = twins.taps_along(x.shape[axis], wanted, mode, align_corners, factor)
        x = _combined_along(x, axis, taps, out if axis == x.ndim - 1 else None)
    return deliver(x, out)


@override(twins.resample_saving)
def _resample_saving(
    x: Array, *, size: Sizes, mode: str, align_corners: bool, scale: twins.Scale, out: Any = None
) -> tuple[Array, tuple[()]]:
    to = outputs(out, 2)[0]
    return _resample(x, size=size, mode=mode, align_corners=align_corners, scale=scale, out=to), ()


@override(twins.resample_backward)
def _resample_backward(
    g: Array,
    saved: tuple[()],
    x: Array,
    *,
    needs: tuple[bool, ...],
    size: Sizes,
    mode: str,
    align_corners: bool,
    scale: twins.Scale,
    out: Any = None,
) -> tuple[Array | None]:
    if not needs[0]:
        return (None,)
    to = outputs(out, 1)[0]
    for axis in reversed(range(2, x.ndim)):
        taps = twins.transposed_taps(x.shape[axis], size[axis - 2], mode, align_corners, scale[axis - 2])
        g = _combined_along(g, axis, taps, to if axis == 2 else None)
    return (deliver(g, to),)


def _combined_along(x: Array, axis: int, taps: twins.Taps, out: Any) -> Array:
    """The weighted sum of the taps along one axis."""
    xp, device = namespace(x), device_of(x)
    n_taps, size = len(taps.numbers), len(taps.numbers[0])
    numbers = xp.asarray(taps.numbers, dtype=xp.int64, device=device)
    weights = xp.asarray(taps.weights, dtype=x.dtype, device=device)
    shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
    y = destination(out, shape, x.dtype, x)
    sizes = (n_taps, x.shape[axis], size, math.prod(x.shape[axis + 1 :]))
    launch(COMBINE_TAPS, contiguous(x), numbers, weights, *sizes, y, size=y.size)
    return y
