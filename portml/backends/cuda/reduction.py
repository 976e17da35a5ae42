"""Sums in a fixed order, so that every run gives the same bits: no atomics.

Sums over the rows of a matrix, as for the gradient of a bias, are taken in two steps, √n rows in each: neighbouring
threads read neighbouring columns, and rounding errors grow with √n.
"""

from __future__ import annotations

import math
from typing import Any

from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.source import CudaKernel
from portml.backends.namespaces import Array, device_of, namespace

__all__ = ["channel_sums", "column_sums", "segments_of", "total"]

COLUMN_SUMS = CudaKernel(
    "column_sums",
    "const T* x, T* y, int64 rows, int64 columns, int64 segment",
    """
    const int64 column = i % columns, first = i / columns * segment;
    const int64 last = first + segment < rows ? first + segment : rows;
    T sum = T(0);
    for (int64 r = first; r < last; ++r) sum += x[r * columns + column];
    y[i] = sum;
    """,
)

CHANNEL_SUMS = CudaKernel(
    "channel_sums",
    "const T* x, T* y, int64 n, int64 channels, int64 inner",
    """
    __shared__ T scratch[THREADS];
    T sum = T(0);
    for (int64 k = threadIdx.x; k < n; k += THREADS) sum += x[(k / inner * channels + row) * inner + k % inner];
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) y[row] = sum;
    """,
    style="block",
)

CHUNK = 4096
CHUNK_SUMS = CudaKernel(
    "chunk_sums",
    "const T* x, T* y, int64 n, T scale",
    f"""
    __shared__ T scratch[THREADS];
    const int64 first = row * {CHUNK};
    const int64 last = first + {CHUNK} < n ? first + {CHUNK} : n;
    T sum = T(0);
    for (int64 k = first + threadIdx.x; k < last; k += THREADS) sum += x[k];
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) y[row] = sum * scale;
    """,
    style="block",
)


def column_sums(x: Array, out: Any = None) -> Array:
    """The sum over the rows of x (rows, columns): array (columns,)."""
    x = contiguous(x)
    rows, columns = x.shape
    result = destination(out, (columns,), x.dtype, x)
    segment, segments = segments_of(rows)
    if segments > 1:
        partial = namespace(x).empty((segments, columns), dtype=x.dtype, device=device_of(x))
        launch(COLUMN_SUMS, x, partial, rows, columns, segment, size=segments * columns)
        x, rows = partial, segments
    launch(COLUMN_SUMS, x, result, rows, columns, max(rows, 1), size=columns)
    return deliver(result, out)


def channel_sums(x: Array, out: Any = None) -> Array:
    """The sum over all but the second axis of x (samples, channels, ...): array (channels,)."""
    x = contiguous(x)
    channels, inner = x.shape[1], math.prod(x.shape[2:])
    result = destination(out, (channels,), x.dtype, x)
    launch(CHANNEL_SUMS, x, result, x.shape[0] * inner, channels, inner, blocks=channels)
    return deliver(result, out)


def total(x: Array, scale: float = 1.0, out: Any = None) -> Array:
    """The sum of all elements, times `scale`: array ()."""
    x = contiguous(x)
    result = destination(out, (), x.dtype, x)
    n = x.size
    while n > CHUNK:
        chunks = -(-n // CHUNK)
        partial = namespace(x).empty((chunks,), dtype=x.dtype, device=device_of(x))
        launch(CHUNK_SUMS, x, partial, n, 1.0, blocks=chunks)
        x, n = partial, chunks
    launch(CHUNK_SUMS, x, result, n, scale, blocks=1)
    return deliver(result, out)


def segments_of(rows: int) -> tuple[int, int]:
    """How many rows one thread sums in the first step, and how many such segments there are."""
    segment = max(math.isqrt(rows), 1)
    return segment, -(-rows // segment)
