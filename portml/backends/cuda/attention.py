"""Attention on CuPy's arrays, tile by tile in shared memory; no array of all weights is ever made.

A block takes a tile of queries of one head and walks over the keys, with the running maximum, sum and mean of each
query; for the gradient a second kernel does the same, and a third takes a tile of keys and walks over the queries of
all heads that share it.  Nothing is added by chance order.  [Dao et al. 2022, algorithms 1 and 4]

The heads' features are padded with zeros to `WIDTHS`; the twin does what has more of them.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from portml.backends.cuda.glue import outputs, override, store
from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.random import PHILOX_BLOCK
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels import attention as twins
from portml.backends.kernels.dropout import dropout_threshold
from portml.backends.namespaces import Array, dtype_kind, namespace

__all__ = ["ATTENTION", "ATTENTION_OF_KEYS", "ATTENTION_OF_QUERIES", "WIDTHS"]

Needs = tuple[bool, ...]

WIDTHS = (32, 64, 128)
THREADS = 128

INPUTS = (
    "const T* query, const T* key, const T* value, const bool* allowed, const T* bias, const uint64* words, "
    "const uint64* counter, int64 heads, int64 share, int64 queries, int64 keys, int64 width, int64 value_width, "
    "int64 mask_sample, int64 mask_head, int64 mask_row, int64 mask_column, T scale, bool is_causal, "
    "bool begins_within_block, uint64 threshold, T growth"
)

# Tiles that, four at a time and with two of scores, fit into 48 KiB; the odd step keeps threads that read one column
# from meeting in one bank.
PREAMBLE = """
enum { TILE = (WIDTH > 64 ? 16 : 32) * 4 / sizeof(T), STEP = WIDTH + 1, ROW = TILE + 1, MINE = TILE * WIDTH / THREADS };

// Rows `first` to `first + TILE` of an array (length, size), zero beyond it.
__device__ void load(const T* x, int64 first, int64 length, int64 size, T factor, T* tile) {
  for (int e = threadIdx.x; e < TILE * WIDTH; e += THREADS) {
    const int r = e / WIDTH, c = e % WIDTH;
    tile[r * STEP + c] = first + r < length && c < size ? x[(first + r) * size + c] * factor : T(0);
  }
}

// A thread has one feature of MINE rows of a tile; these are their places.
__device__ int row_of(int m) { return threadIdx.x / WIDTH + m * (THREADS / WIDTH); }
__device__ int feature() { return threadIdx.x % WIDTH; }

__device__ T product(const T* a, const T* b) {
  T sum = T(0);
  for (int c = 0; c < WIDTH; ++c) sum += a[c] * b[c];
  return sum;
}

// -INFINITY is added, not put in place, where the mask says so: a NaN stays one.
__device__ T masked(T score, bool inside, const bool* allowed, const T* bias, int64 place) {
  if (!inside) return -INFINITY;
  if (allowed && !allowed[place]) score += -INFINITY;
  if (bias) score += bias[place];
  return score;
}

// What dropout multiplies a weight with, by its place among all weights.
__device__ T kept(const uint64* words, const uint64* counter, bool begins_within_block, uint64 threshold, T growth,
                  int64 place) {
  if (!words) return T(1);
  const int64 word = place / 2 + (begins_within_block ? (int64)counter[4] : 0);
  uint64 drawn[4];
  philox_block(words, counter, (uint64)(word / 4) + 1, drawn);
  return (uint64)(uint32)(drawn[word % 4] >> (32 * (place % 2))) >= threshold ? growth : T(0);
}
"""

ATTEND = """
  __shared__ T q[TILE * STEP], k[TILE * STEP], v[TILE * STEP], weights[TILE * ROW];
  __shared__ T highest[TILE], total[TILE], factor[TILE];
  const int64 tiles = (queries + TILE - 1) / TILE, first = row % tiles * TILE, head = row / tiles;
  const int64 mask_at = head / heads * mask_sample + head % heads * mask_head;
  const T* keys_here = key + head / share * keys * width;
  const T* values_here = value + head / share * keys * value_width;
  T mean[MINE] = {};
  load(query + head * queries * width, first, queries, width, scale, q);
  if (threadIdx.x < TILE) {
    highest[threadIdx.x] = -INFINITY;
    total[threadIdx.x] = T(0);
  }
  const int64 last = is_causal && first + TILE < keys ? first + TILE : keys;
  for (int64 start = 0; start < last; start += TILE) {
    load(keys_here, start, keys, width, T(1), k);
    load(values_here, start, keys, value_width, T(1), v);
    __syncthreads();
    for (int e = threadIdx.x; e < TILE * TILE; e += THREADS) {
      const int r = e / TILE, j = e % TILE;
      const int64 i = first + r, at = start + j;
      const bool inside = i < queries && at < keys && !(is_causal && at > i);
      const int64 place = mask_at + i * mask_row + at * mask_column;
      weights[r * ROW + j] = masked(product(q + r * STEP, k + j * STEP), inside, allowed, bias, place);
    }
    __syncthreads();
    if (threadIdx.x < TILE) {
      const int r = threadIdx.x;
      T most = highest[r], sum = T(0);
      for (int j = 0; j < TILE; ++j) most = maximum(most, weights[r * ROW + j]);
      const T above = most == -INFINITY ? T(0) : most;
      for (int j = 0; j < TILE; ++j) sum += weights[r * ROW + j] = exp(weights[r * ROW + j] - above);
      factor[r] = exp(highest[r] - above);
      total[r] = total[r] * factor[r] + sum;
      highest[r] = most;
    }
    __syncthreads();
    if (words) {
      for (int e = threadIdx.x; e < TILE * TILE; e += THREADS) {
        const int64 place = (head * queries + first + e / TILE) * keys + start + e % TILE;
        weights[e / TILE * ROW + e % TILE] *= kept(words, counter, begins_within_block, threshold, growth, place);
      }
      __syncthreads();
    }
    for (int m = 0; m < MINE; ++m) mean[m] *= factor[row_of(m)];
    for (int j = 0; j < TILE; ++j) {
      const T here = v[j * STEP + feature()];
      for (int m = 0; m < MINE; ++m) mean[m] += weights[row_of(m) * ROW + j] * here;
    }
    __syncthreads();
  }
  for (int m = 0; m < MINE; ++m) {
    const int r = row_of(m);
    const int64 place = (head * queries + first + r) * value_width + feature();
    if (first + r < queries && feature() < value_width) y[place] = total[r] == T(0) ? T(0) : mean[m] / total[r];
  }
  if (threadIdx.x < TILE && first + threadIdx.x < queries) {
    const int r = threadIdx.x;
    logarithm[head * queries + first + r] = total[r] == T(0) ? T(INFINITY) : highest[r] + log(total[r]);
  }
"""

# What both kernels of the gradient do with a tile: weights, and the slopes of the scores.
SLOPES = """
    if (threadIdx.x < TILE) {
      const int64 i = first + threadIdx.x, at = (head * queries + i) * value_width;
      T sum = T(0);
      if (i < queries) {
        for (int64 c = 0; c < value_width; ++c) sum += g[at + c] * y[at + c];
      }
      mean[threadIdx.x] = sum;
      log_sum[threadIdx.x] = i < queries ? logarithm[head * queries + i] : T(INFINITY);
    }
    __syncthreads();
    for (int e = threadIdx.x; e < TILE * TILE; e += THREADS) {
      const int r = e / TILE, j = e % TILE;
      const int64 i = first + r, at = start + j;
      const bool inside = i < queries && at < keys && !(is_causal && at > i);
      const int64 place = mask_at + i * mask_row + at * mask_column;
      const T score = masked(product(q + r * STEP, k + j * STEP), inside, allowed, bias, place);
      const T weight = exp(score - log_sum[r]);
      const T factor = kept(words, counter, begins_within_block, threshold, growth, (head * queries + i) * keys + at);
      slopes[r * ROW + j] = weight * (product(slope + r * STEP, v + j * STEP) * factor - mean[r]);
      WEIGHTS
    }
    __syncthreads();
"""

SHARED = """
  __shared__ T q[TILE * STEP], k[TILE * STEP], v[TILE * STEP], slope[TILE * STEP], slopes[TILE * ROW];
  __shared__ T mean[TILE], log_sum[TILE];
"""

TO_QUERIES = (
    SHARED
    + """
  const int64 tiles = (queries + TILE - 1) / TILE, first = row % tiles * TILE, head = row / tiles;
  const int64 mask_at = head / heads * mask_sample + head % heads * mask_head;
  T sum_here[MINE] = {};
  load(query + head * queries * width, first, queries, width, scale, q);
  load(g + head * queries * value_width, first, queries, value_width, T(1), slope);
  const int64 last = is_causal && first + TILE < keys ? first + TILE : keys;
  for (int64 start = 0; start < last; start += TILE) {
    load(key + head / share * keys * width, start, keys, width, T(1), k);
    load(value + head / share * keys * value_width, start, keys, value_width, T(1), v);
"""
    + SLOPES.replace("WEIGHTS", "")
    + """
    for (int j = 0; j < TILE; ++j) {
      const T here = k[j * STEP + feature()];
      for (int m = 0; m < MINE; ++m) sum_here[m] += slopes[row_of(m) * ROW + j] * here;
    }
    __syncthreads();
  }
  for (int m = 0; m < MINE; ++m) {
    const int64 i = first + row_of(m);
    if (i < queries && feature() < width) dq[(head * queries + i) * width + feature()] = sum_here[m] * scale;
  }
"""
)

TO_KEYS = (
    SHARED
    + """
  __shared__ T weights[TILE * ROW];
  const int64 tiles = (keys + TILE - 1) / TILE, start = row % tiles * TILE, key_head = row / tiles;
  T to_key[MINE] = {}, to_value[MINE] = {};
  load(key + key_head * keys * width, start, keys, width, T(1), k);
  load(value + key_head * keys * value_width, start, keys, value_width, T(1), v);
  for (int64 head = key_head * share; head < (key_head + 1) * share; ++head)
  for (int64 first = is_causal ? start : 0; first < queries; first += TILE) {
    const int64 mask_at = head / heads * mask_sample + head % heads * mask_head;
    load(query + head * queries * width, first, queries, width, scale, q);
    load(g + head * queries * value_width, first, queries, value_width, T(1), slope);
"""
    + SLOPES.replace("WEIGHTS", "weights[r * ROW + j] = weight * factor;")
    + """
    for (int r = 0; r < TILE; ++r) {
      const T query_here = q[r * STEP + feature()], slope_here = slope[r * STEP + feature()];
      for (int m = 0; m < MINE; ++m) {
        to_key[m] += slopes[r * ROW + row_of(m)] * query_here;
        to_value[m] += weights[r * ROW + row_of(m)] * slope_here;
      }
    }
    __syncthreads();
  }
  for (int m = 0; m < MINE; ++m) {
    const int64 at = key_head * keys + start + row_of(m);
    if (start + row_of(m) >= keys) continue;
    if (feature() < width) dk[at * width + feature()] = to_key[m];
    if (feature() < value_width) dv[at * value_width + feature()] = to_value[m];
  }
"""
)


def _of_widths(name: str, results: str, body: str) -> dict[int, CudaKernel]:
    """The kernel for each number of features."""
    made = {}
    for width in WIDTHS:
        preamble = f"{PHILOX_BLOCK}enum {{ WIDTH = {width} }};\n{PREAMBLE}"
        made[width] = CudaKernel(
            f"{name}_{width}", f"{INPUTS}, {results}", body, preamble, style="block", threads=THREADS
        )
    return made


SAVED = "const T* g, const T* y, const T* logarithm"
ATTENTION = _of_widths("attention", "T* y, T* logarithm", ATTEND)
ATTENTION_OF_QUERIES = _of_widths("attention_of_queries", f"{SAVED}, T* dq", TO_QUERIES)
ATTENTION_OF_KEYS = _of_widths("attention_of_keys", f"{SAVED}, T* dk, T* dv", TO_KEYS)


@override(twins.scaled_dot_product_attention)
def _attention(
    query: Array, key: Array, value: Array, mask: Array | None, dropout_key: Any, counter: Any, *,
    is_causal: bool = False, scale: float | None = None, dropout_p: float = 0.0, out: Any = None,
) -> Array:  # fmt: skip
    statics: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
    return deliver(_saving(query, key, value, mask, dropout_key, counter, **statics)[0], out)


@override(twins.scaled_dot_product_attention_saving)
def _attention_saving(
    query: Array, key: Array, value: Array, mask: Array | None, dropout_key: Any, counter: Any, *,
    is_causal: bool, scale: float | None, dropout_p: float, out: Any = None,
) -> Any:  # fmt: skip
    statics: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
    return store(_saving(query, key, value, mask, dropout_key, counter, **statics), out)


@override(twins.scaled_dot_product_attention_backward)
def _attention_backward(
    g: Array, saved: Any, query: Array, key: Array, value: Array, mask: Array | None, dropout_key: Any, counter: Any, *,
    needs: Needs, is_causal: bool, scale: float | None, dropout_p: float, out: Any = None,
) -> tuple[Array | None, ...]:  # fmt: skip
    statics: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
    gradients = _gradients(g, saved, query, key, value, mask, dropout_key, counter, needs=needs, **statics)
    return tuple(map(deliver, gradients, outputs(out, 6)))


@override(twins.packed_attention)
def _packed(
    packed: Array, mask: Array | None, dropout_key: Any, counter: Any, *,
    n_heads: int, is_causal: bool = False, scale: float | None = None, dropout_p: float = 0.0, out: Any = None,
) -> Array:  # fmt: skip
    statics: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
    twins.refuse_unfit_packed(packed, n_heads)
    y, _ = _saving(*twins.unpacked(packed, n_heads), mask, dropout_key, counter, **statics)
    return deliver(twins.heads_beside(y), out)


@override(twins.packed_attention_saving)
def _packed_saving(
    packed: Array, mask: Array | None, dropout_key: Any, counter: Any, *,
    n_heads: int, is_causal: bool, scale: float | None, dropout_p: float, out: Any = None,
) -> Any:  # fmt: skip
    statics: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
    twins.refuse_unfit_packed(packed, n_heads)
    y, (_, logarithm) = _saving(*twins.unpacked(packed, n_heads), mask, dropout_key, counter, **statics)
    y = twins.heads_beside(y)
    return store((y, (y, logarithm)), out)


@override(twins.packed_attention_backward)
def _packed_backward(
    g: Array, saved: Any, packed: Array, mask: Array | None, dropout_key: Any, counter: Any, *,
    needs: Needs, n_heads: int, is_causal: bool, scale: float | None, dropout_p: float, out: Any = None,
) -> tuple[Array | None, ...]:  # fmt: skip
    statics: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
    y, logarithm = saved
    apart = twins.heads_apart(g, n_heads), (twins.heads_apart(y, n_heads), logarithm)
    rest = *twins.unpacked(packed, n_heads), mask, dropout_key, counter
    each = (needs[0],) * 3 + (needs[1], False, False)
    dq, dk, dv, dmask, _, _ = _gradients(*apart, *rest, needs=each, **statics)
    dpacked = None
    if needs[0]:
        dpacked = namespace(g).concat([twins.heads_beside(part) for part in (dq, dk, dv)], axis=-1)
    return tuple(map(deliver, (dpacked, dmask, None, None), outputs(out, 4)))


class _Inputs(NamedTuple):
    """What all three kernels begin with, and the sizes that say how many blocks there are."""

    arguments: tuple[Any, ...]
    width: int
    heads: int
    key_heads: int


def _saving(*arrays: Any, is_causal: bool, scale: float | None, dropout_p: float) -> Any:
    query, key, value, mask, _, _ = arrays
    statics: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
    twins.refuse_unfit_attention(query, key, value, mask)
    if not _fits(query, key, value):
        return twins.scaled_dot_product_attention_saving.agnostic(*arrays, **statics)
    inputs = _inputs(*arrays, **statics)
    y = destination(None, (*query.shape[:-1], value.shape[-1]), query.dtype, query)
    logarithm = destination(None, tuple(query.shape[:-1]), query.dtype, query)
    blocks = inputs.heads * _tiles(query.shape[-2], inputs, query.dtype)
    launch(ATTENTION[inputs.width], *inputs.arguments, y, logarithm, blocks=blocks)
    return y, (y, logarithm)


def _gradients(g: Array, saved: Any, *arrays: Any, needs: Needs, **statics: Any) -> tuple[Array | None, ...]:
    query, key, value, mask, _, _ = arrays
    of_mask = needs[3] and mask is not None and dtype_kind(mask.dtype) == "float"
    if of_mask or not _fits(query, key, value):  # the gradient of a mask is an array of all weights anyhow
        body = twins.scaled_dot_product_attention_backward.agnostic
        return body(g, saved, *arrays, needs=needs, **statics)  # type: ignore[no-any-return]
    inputs = _inputs(*arrays, **statics)
    kept = tuple(map(contiguous, (g, *saved)))
    dq, dk, dv = (destination(None, tuple(each.shape), each.dtype, each) for each in (query, key, value))
    if needs[0]:
        blocks = inputs.heads * _tiles(query.shape[-2], inputs, query.dtype)
        launch(ATTENTION_OF_QUERIES[inputs.width], *inputs.arguments, *kept, dq, blocks=blocks)
    if needs[1] or needs[2]:
        blocks = inputs.key_heads * _tiles(key.shape[-2], inputs, query.dtype)
        launch(ATTENTION_OF_KEYS[inputs.width], *inputs.arguments, *kept, dk, dv, blocks=blocks)
    found = (each if wanted else None for each, wanted in zip((dq, dk, dv), needs, strict=False))
    return (*found, None, None, None)


def _fits(query: Array, key: Array, value: Array) -> bool:
    sizes = (query.size, key.size, value.size)
    return bool(min(sizes) > 0 and max(query.shape[-1], value.shape[-1]) <= WIDTHS[-1])


def _inputs(
    query: Array,
    key: Array,
    value: Array,
    mask: Array | None,
    dropout_key: Any,
    counter: Any,
    *,
    is_causal: bool,
    scale: float | None,
    dropout_p: float,
) -> _Inputs:
    heads, of_keys = (query.shape[-3], key.shape[-3]) if query.ndim > 2 else (1, 1)
    samples = math.prod(query.shape[:-3])
    features, value_features = query.shape[-1], value.shape[-1]
    mask, strides = _mask(mask, query, key, samples)
    is_bool = mask is not None and dtype_kind(mask.dtype) == "bool"
    drops = bool(dropout_p) and dropout_key is not None and counter is not None
    arguments = (
        *map(contiguous, (query, key, value)),
        mask if is_bool else None,
        None if is_bool else mask,
        *((contiguous(dropout_key), contiguous(counter)) if drops else (None, None)),
        *(heads, heads // of_keys, query.shape[-2], key.shape[-2], features, value_features),
        *strides,
        *(twins.attention_scale(query, scale), is_causal, drops and counter.shape[0] == 5),
        *(dropout_threshold(dropout_p), 1 / (1 - dropout_p) if dropout_p < 1 else 0.0),
    )
    width = next(each for each in WIDTHS if max(features, value_features) <= each)
    return _Inputs(arguments, width, samples * heads, samples * of_keys)


def _mask(mask: Array | None, query: Array, key: Array, samples: int) -> tuple[Array | None, tuple[int, ...]]:
    """A contiguous mask, and how far it is from one sample, head, query and key to the next: 0 where it broadcasts."""
    if mask is None:
        return None, (0, 0, 0, 0)
    xp, shape = namespace(query), (1,) * (max(query.ndim, 3) - mask.ndim) + tuple(mask.shape)
    if math.prod(shape[:-3]) not in (1, samples):
        shape = (*query.shape[:-3], *shape[-3:])
        mask = xp.broadcast_to(mask, shape)
    shape = (math.prod(shape[:-3]), *shape[-3:])
    steps = [math.prod(shape[axis + 1 :]) if shape[axis] > 1 else 0 for axis in range(4)]
    return contiguous(xp.reshape(mask, shape)), tuple(steps)


def _tiles(length: int, inputs: _Inputs, dtype: Any) -> int:
    """As TILE says in the source."""
    tile = (16 if inputs.width > 64 else 32) * 4 // int(dtype.itemsize)
    return -(-length // tile)
