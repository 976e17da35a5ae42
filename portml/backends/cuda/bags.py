"""Bags of rows on CuPy's arrays; see `portml.backends.kernels.bags`."""

from __future__ import annotations

from typing import Any

from portml.backends.cuda.glue import outputs, override
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import bags as twins
from portml.backends.namespaces import Array, namespace

# A thread takes a column of the bag that begins at row k; other threads rest.
BAG_MAX = CudaKernel(
    "bag_max",
    "const T* values, const int64* bags, const bool* kept, int64 columns, int64 count, T* y, int64* best",
    """
    const int64 k = i / columns, column = i % columns, bag = bags[k];
    if (k > 0 && bags[k - 1] == bag) continue;
    int64 found = -1;
    T largest = T(0);
    for (int64 row = k; row < count && bags[row] == bag; ++row) {
      const T value = values[row * columns + column];
      if (!kept[row] || (found >= 0 && (largest != largest || value <= largest))) continue;
      found = row;
      largest = value;
    }
    y[bag * columns + column] = largest;
    if (best) best[bag * columns + column] = found;
    """,
)


@override(twins.bag_max)
def _bag_max(values: Array, bags: Array, kept: Array, *, n: int, out: Any = None) -> Array:
    return _largest(values, bags, kept, n, out, None)


@override(twins.bag_max_saving)
def _bag_max_saving(values: Array, bags: Array, kept: Array, *, n: int, out: Any = None) -> tuple[Array, Array]:
    to_y, to_best = outputs(out, 2)
    best = destination(to_best, (n, values.shape[1]), namespace(values).int64, values)
    best[...] = -1
    return _largest(values, bags, kept, n, to_y, best), deliver(best, to_best)


def _largest(values: Array, bags: Array, kept: Array, n: int, out: Any, best: Array | None) -> Array:
    twins.refuse_unfit_bags(values, bags, kept)
    count, columns = values.shape
    y = destination(out, (n, columns), values.dtype, values)
    y[...] = 0
    arrays = (contiguous(values), contiguous(bags, namespace(bags).int64), contiguous(kept))
    launch(BAG_MAX, *arrays, columns, count, y, best, size=values.size)
    return deliver(y, out)
