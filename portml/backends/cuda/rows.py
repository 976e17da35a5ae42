"""Rows by number on CuPy's arrays; see `portml.backends.kernels.rows`.

An index out of range is never wrapped and nobody waits for the device to find it: what it would have given is NaN.
"""

from __future__ import annotations

import math
from typing import Any

from portml.backends.cuda.glue import outputs, override, store
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import rows as twins
from portml.backends.namespaces import Array, namespace

EMBEDDING = CudaKernel(
    "embedding",
    "const T* weight, const int64* indices, int64 n_rows, int64 columns, T* y",
    """
    const int64 index = indices[i / columns];
    y[i] = index >= 0 && index < n_rows ? weight[index * columns + i % columns] : T(NAN);
    """,
)

# A thread takes a column of the result's row whose values begin at place k of the sorted indices; other threads rest.
# The sum runs in the order of the values, the same at every run.  Indices out of range were moved to the nearest row.
INDEX_ADD = CudaKernel(
    "index_add",
    "const T* values, const int64* indices, const int64* ids, const int64* order, int64 n_rows, int64 columns, "
    "int64 padding, int64 count, T* y",
    """
    const int64 k = i / columns, column = i % columns, id = ids[k];
    if (k > 0 && ids[k - 1] == id) continue;
    T sum = T(0);
    for (int64 next = k; next < count && ids[next] == id; ++next) {
      const int64 index = indices[order[next]];
      if (index == padding && padding >= 0) continue;
      sum += index >= 0 && index < n_rows ? values[order[next] * columns + column] : T(NAN);
    }
    y[id * columns + column] = sum;
    """,
)

NO_PADDING = -1

ONE_HOT = CudaKernel(
    "one_hot",
    "const int64* indices, int64 n_classes, T* y",
    """
    const int64 index = indices[i / n_classes];
    y[i] = index < 0 || index >= n_classes ? T(NAN) : T(index == i % n_classes);
    """,
)


@override(twins.embedding)
def _embedding(indices: Array, weight: Array, *, padding_idx: int | None, out: Any = None) -> Array:
    weight, n = contiguous(weight), weight.shape[0]
    y = destination(out, (*indices.shape, *weight.shape[1:]), weight.dtype, weight)
    columns = math.prod(weight.shape[1:])
    launch(EMBEDDING, weight, _numbers(indices), n, columns, y, size=y.size)
    return deliver(y, out)


@override(twins.embedding_backward)
def _embedding_backward(
    g: Array,
    saved: Array,
    indices: Array,
    weight: Array,
    *,
    needs: tuple[bool, ...],
    padding_idx: int | None,
    out: Any = None,
) -> tuple[None, Array | None]:
    if not needs[1]:
        return None, None
    padding = NO_PADDING if padding_idx is None else padding_idx
    return None, _added(g, indices, weight.shape[0], padding, outputs(out, 2)[1])


@override(twins.index_add)
def _index_add(values: Array, indices: Array, *, n: int, out: Any = None) -> Array:
    twins.refuse_unfit_rows(values, indices)
    return _added(values, indices, n, NO_PADDING, out)


# Registered as it is: indices say nothing of the result's dtype, which decides whether there is a kernel.
@twins.one_hot.on("cupy")
def _one_hot(indices: Array, *, n: int, dtype: str, out: Any = None) -> Array:
    if dtype not in ("float32", "float64"):
        return store(twins.one_hot.agnostic(indices, n=n, dtype=dtype), out)
    xp, numbers = namespace(indices), _numbers(indices)
    y = destination(out, (*indices.shape, n), getattr(xp, dtype), indices)
    launch(ONE_HOT, numbers, n, y, size=y.size)
    return deliver(y, out)


def _added(values: Array, indices: Array, n: int, padding: int, out: Any) -> Array:
    """The sum of the values of each index, those of the index `padding` left out."""
    xp, values, numbers = namespace(values), contiguous(values), _numbers(indices)
    rest = tuple(values.shape[indices.ndim :])
    columns, count = math.prod(rest), numbers.size
    y = destination(out, (n, *rest), values.dtype, values)
    y[...] = 0
    if y.size and count:
        safe = xp.clip(xp.reshape(numbers, (count,)), 0, n - 1)
        order = xp.argsort(safe, stable=True)
        ids = contiguous(xp.take(safe, order, axis=0))
        arrays = (values, numbers, ids, contiguous(order, xp.int64))
        launch(INDEX_ADD, *arrays, n, columns, padding, count, y, size=count * columns)
    return deliver(y, out)


def _numbers(indices: Array) -> Array:
    """The indices as int64; DtypeError if they are no integers."""
    if indices.dtype.kind not in "iu":
        twins.within("indices", indices, 0)  # which raises
    return contiguous(indices, namespace(indices).int64)
