"""Dropout on CuPy's arrays: one launch draws the words, decides and scales; see `portml.backends.kernels.dropout`."""

from __future__ import annotations

from typing import Any

from portml.backends.cuda.glue import outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.random import PHILOX_BLOCK
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import dropout as twins
from portml.backends.namespaces import Array, namespace

# A thread encrypts one block of four words, each of which decides two elements.
DROPOUT = CudaKernel(
    "dropout",
    "const T* x, const uint64* key, const uint64* counter, bool begins_within_block, uint64 threshold, T scale, "
    "int64 size, T* y, bool* kept",
    """
    const int64 first = 4 * i - (begins_within_block ? (int64)counter[4] : 0);
    uint64 words[4];
    philox_block(key, counter, (uint64)i + 1, words);
    for (int place = 0; place < 4; ++place) {
      for (int half = 0; half < 2; ++half) {
        const int64 element = 2 * (first + place) + half;
        if (first + place < 0 || element >= size) continue;
        const bool keep = (uint64)(uint32)(words[place] >> (32 * half)) >= threshold;
        y[element] = x[element] * T(keep) * scale;
        if (kept) kept[element] = keep;
      }
    }
    """,
    PHILOX_BLOCK,
)

DROPOUT_BACKWARD = CudaKernel(
    "dropout_backward", "const T* g, const bool* kept, T scale, T* dx", "dx[i] = g[i] * T(kept[i]) * scale;"
)


@override(twins.dropout)
def _dropout(x: Array, key: Array, counter: Array, *, p: float, out: Any = None) -> Array:
    return _drop(x, key, counter, p, out, None)


@override(twins.dropout_saving)
def _dropout_saving(x: Array, key: Array, counter: Array, *, p: float, out: Any = None) -> tuple[Array, Array]:
    to_y, to_kept = outputs(out, 2)
    kept = destination(to_kept, tuple(x.shape), namespace(x).bool, x)
    return _drop(x, key, counter, p, to_y, kept), deliver(kept, to_kept)


@override(twins.dropout_backward)
def _dropout_backward(
    g: Array,
    kept: Array,
    x: Array,
    key: Array,
    counter: Array,
    *,
    needs: tuple[bool, ...],
    p: float,
    out: Any = None,
) -> tuple[Array, None, None]:
    to = outputs(out, 3)[0]
    g = contiguous(g)
    dx = destination(to, tuple(g.shape), g.dtype, g)
    launch(DROPOUT_BACKWARD, g, contiguous(kept), _scale(p), dx, size=dx.size)
    return deliver(dx, to), None, None


def _drop(x: Array, key: Array, counter: Array, p: float, out: Any, kept: Array | None) -> Array:
    threshold, x = twins.dropout_threshold(p), contiguous(x)
    y = destination(out, tuple(x.shape), x.dtype, x)
    begins_within_block = counter.shape[0] == 5
    words = twins.words_for_dropout(x.size)
    blocks = (words + 3 + 3 * begins_within_block) // 4 if x.size else 0
    scalars = (begins_within_block, threshold, _scale(p), x.size)
    launch(DROPOUT, x, contiguous(key), contiguous(counter), *scalars, y, kept, size=blocks)
    return deliver(y, out)


def _scale(p: float) -> float:
    """What makes up for the dropped ones; with p = 1 nothing is kept, and there is nothing to make up for."""
    return 1 / (1 - p) if p < 1 else 0.0
