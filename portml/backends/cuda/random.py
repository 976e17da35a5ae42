"""Random numbers on the GPU: a thread encrypts a block of words; distributions work through them elementwise.

What has no kernel here (permutations, categories, truncated normals) runs as the agnostic body on CuPy's own sort,
search and elementwise functions, which give the same numbers.
"""

from __future__ import annotations

import math

from portml.backends.cuda.launch import contiguous, deliver, destination, launch
from portml.backends.cuda.source import CudaKernel
from portml.backends.kernels.random import (
    MULTIPLIERS,
    ROUNDS,
    WEYL,
    bernoulli_from_words,
    check_words,
    integers_from_words,
    normal_from_words,
    philox_words,
    uniform_from_words,
    words_for_normals,
    words_for_uniforms,
)
from portml.backends.namespaces import Array, namespace

__all__ = [
    "BERNOULLI_FROM_WORDS",
    "INTEGERS_FROM_WORDS",
    "NORMAL_FROM_WORDS",
    "PHILOX_BLOCK",
    "PHILOX_WORDS",
    "UNIFORM_FROM_WORDS",
]

PHILOX_BLOCK = f"""
// The four words of block number `step` after a counter, from 1 on.  [Salmon et al. 2011, sec. 3.3]
__device__ void philox_block(const uint64* key, const uint64* counter, uint64 step, uint64* words) {{
  uint64 k0 = key[0], k1 = key[1];
  uint64 x0 = counter[0] + step;
  uint64 carry = x0 < step;
  uint64 x1 = counter[1] + carry;
  carry = x1 < carry;
  uint64 x2 = counter[2] + carry;
  carry = x2 < carry;
  uint64 x3 = counter[3] + carry;
  for (int turn = 0; turn < {ROUNDS}; ++turn) {{
    uint64 low0 = {MULTIPLIERS[0]:#x}ull * x0, high0 = __umul64hi({MULTIPLIERS[0]:#x}ull, x0);
    uint64 low1 = {MULTIPLIERS[1]:#x}ull * x2, high1 = __umul64hi({MULTIPLIERS[1]:#x}ull, x2);
    x0 = high1 ^ x1 ^ k0;
    x1 = low1;
    x2 = high0 ^ x3 ^ k1;
    x3 = low0;
    k0 += {WEYL[0]:#x}ull;
    k1 += {WEYL[1]:#x}ull;
  }}
  words[0] = x0;
  words[1] = x1;
  words[2] = x2;
  words[3] = x3;
}}
"""
"""A device function for other kernels that draw: ``philox_block(key, counter, step, words)``."""

PHILOX_WORDS = CudaKernel(
    "philox_words",
    "const uint64* key, const uint64* counter, uint64* words, int64 n_words, bool begins_within_block",
    """
    int64 first = 4 * i - (begins_within_block ? (int64)counter[4] : 0);
    uint64 block[4];
    philox_block(key, counter, (uint64)i + 1, block);
    for (int place = 0; place < 4; ++place) {
      int64 at = first + place;
      if (at >= 0 && at < n_words) words[at] = block[place];
    }
    """,
    preamble=PHILOX_BLOCK,
    types=(),
)

# A device compiler would fuse `u * scale + shift` into one rounding, where the other backends round twice.
_ROUNDED_TWICE = """
#ifdef __CUDACC__
__device__ float scaled(float u, float scale, float shift) { return __fadd_rn(__fmul_rn(u, scale), shift); }
__device__ double scaled(double u, double scale, double shift) { return __dadd_rn(__dmul_rn(u, scale), shift); }
#else
T scaled(T u, T scale, T shift) { u *= scale; return u + shift; }
#endif
"""

UNIFORM_FROM_WORDS = CudaKernel(
    "uniform_from_words",
    "const uint64* words, T* y, T low, T span",
    """
    T u;
    if (sizeof(T) == 8) {
      u = T(words[i] >> 11) * T(0x1p-53);
    } else {
      uint32 half = uint32(words[i / 2] >> (i % 2 ? 32 : 0));
      u = T(half >> 8) * T(0x1p-24);
    }
    y[i] = scaled(u, span, low);
    """,
    preamble=_ROUNDED_TWICE,
)

# The functions run in double for float too: within half a unit in the last place of what the algorithm defines.
NORMAL_FROM_WORDS = CudaKernel(
    "normal_from_words",
    "const uint64* words, T* y, int64 n_values, T mean, T std",
    f"""
    double u;
    T angle;
    if (sizeof(T) == 8) {{
      u = (double(words[2 * i] >> 11) + 1.0) * 0x1p-53;
      angle = T(words[2 * i + 1] >> 11) * T({math.tau * 2.0**-53!r});
    }} else {{
      u = (double(uint32(words[i])) + 1.0) * 0x1p-32;
      angle = T(uint32(words[i] >> 32)) * T({math.tau * 2.0**-32!r});
    }}
    T radius = T(sqrt(log(u) * -2.0));
    y[2 * i] = scaled(radius * T(cos(double(angle))), std, mean);
    if (2 * i + 1 < n_values) y[2 * i + 1] = scaled(radius * T(sin(double(angle))), std, mean);
    """,
    preamble=_ROUNDED_TWICE,
)

INTEGERS_FROM_WORDS = CudaKernel(
    "integers_from_words",
    "const uint64* words, uint64* y, uint64 low, uint64 span",
    "y[i] = low + (span ? __umul64hi(words[i], span) : words[i]);",
    types=(),
)

BERNOULLI_FROM_WORDS = CudaKernel(
    "bernoulli_from_words",
    "const uint64* words, bool* y, double p",
    "y[i] = double(words[i] >> 11) * 0x1p-53 < p;",
    types=(),
)


@philox_words.on("cupy")
def _(key: Array, counter: Array, *, n: int, out: Array | None = None) -> Array:
    xp = namespace(key, counter)
    words = destination(out, (n,), xp.uint64, key)
    begins_within_block = counter.shape[0] == 5
    n_blocks = (n + 3 + 3 * begins_within_block) // 4
    launch(PHILOX_WORDS, contiguous(key), contiguous(counter), words, n, begins_within_block, size=n_blocks)
    return deliver(words, out)


@uniform_from_words.on("cupy")
def _(
    words: Array,
    *,
    shape: tuple[int, ...],
    dtype: str,
    low: float = 0.0,
    high: float = 1.0,
    out: Array | None = None,
) -> Array:
    size = math.prod(shape)
    check_words(words, words_for_uniforms(size, dtype))
    y = destination(out, shape, getattr(namespace(words), dtype), words)
    launch(UNIFORM_FROM_WORDS, contiguous(words), y, low, high - low, size=size)
    return deliver(y, out)


@normal_from_words.on("cupy")
def _(
    words: Array,
    *,
    shape: tuple[int, ...],
    dtype: str,
    mean: float = 0.0,
    std: float = 1.0,
    out: Array | None = None,
) -> Array:
    size = math.prod(shape)
    check_words(words, words_for_normals(size, dtype))
    y = destination(out, shape, getattr(namespace(words), dtype), words)
    launch(NORMAL_FROM_WORDS, contiguous(words), y, size, mean, std, size=(size + 1) // 2)
    return deliver(y, out)


@integers_from_words.on("cupy")
def _(words: Array, *, shape: tuple[int, ...], dtype: str, low: int, high: int) -> Array:
    xp = namespace(words)
    size = math.prod(shape)
    check_words(words, size)
    # Around 2**64, where a negative integer has its bits; a span of 2**64 is handed over as 0.
    bits = xp.empty(shape, dtype=xp.uint64, device=words.device)
    launch(INTEGERS_FROM_WORDS, contiguous(words), bits, low % (1 << 64), (high - low) % (1 << 64), size=size)
    return bits.view(xp.int64).astype(getattr(xp, dtype), copy=False)


@bernoulli_from_words.on("cupy")
def _(words: Array, *, shape: tuple[int, ...], p: float, out: Array | None = None) -> Array:
    size = math.prod(shape)
    check_words(words, size)
    y = destination(out, shape, namespace(words).bool, words)
    launch(BERNOULLI_FROM_WORDS, contiguous(words), y, p, size=size)
    return deliver(y, out)
