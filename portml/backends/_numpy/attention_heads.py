"""The arrays of attention as they come, seen with five axes, and what dropout does to the weights.

The axes are (samples, key heads, heads that share one, length, features): grouped queries need no case of their own.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from portml.backends.kernels.attention import attention_scale
from portml.backends.kernels.dropout import dropout_threshold
from portml.backends.kernels.random import philox_words

__all__ = [
    "Heads",
    "apart",
    "factors_of",
    "five",
    "five_of_mask",
    "gradient_of_mask",
    "heads_of",
    "like_queries",
    "parts_of",
]

Floats = NDArray[Any]
Words = NDArray[np.uint64]


class Heads(NamedTuple):
    """Arrays as (samples, key heads, heads that share one, length, features), the third axis 1 for keys and values."""

    query: Floats
    key: Floats
    value: Floats
    bias: Floats | None
    random: tuple[Words, Words] | None
    p: float
    is_causal: bool
    scale: float


def heads_of(
    query: Floats,
    key: Floats,
    value: Floats,
    mask: Floats | None,
    dropout_key: Words | None,
    counter: Words | None,
    *,
    is_causal: bool,
    scale: float | None,
    dropout_p: float,
) -> Heads | None:
    """The arguments with five axes; None for masks that broadcast over some of several axes of samples."""
    n_heads, of_keys = (query.shape[-3], key.shape[-3]) if query.ndim > 2 else (1, 1)
    lead = math.prod(query.shape[:-3])
    q = query.reshape(lead, of_keys, n_heads // of_keys, *query.shape[-2:])
    k, v = (each.reshape(lead, of_keys, 1, *each.shape[-2:]) for each in (key, value))
    bias = None
    if mask is not None:
        if mask.dtype == np.bool_:
            mask = np.where(mask, query.dtype.type(0), query.dtype.type(-math.inf))
        elif mask.dtype != query.dtype:
            return None
        bias = five_of_mask(mask, q.shape, query.ndim)
        if bias is None:
            return None
    random = None if not dropout_p or dropout_key is None or counter is None else (dropout_key, counter)
    return Heads(q, k, v, bias, random, dropout_p, is_causal, attention_scale(query, scale))


def five(x: Floats, heads: Heads) -> Floats:
    """A view of (..., n_heads, length, width), or of keys and values, with five axes."""
    share = heads.query.shape[2]
    n_heads = x.shape[-3] if x.ndim > 2 else 1
    of_keys = heads.key.shape[1]
    return x.reshape(heads.query.shape[0], of_keys, share if n_heads == of_keys * share else 1, *x.shape[-2:])


def five_of_mask(mask: Floats, shape: tuple[int, ...], ndim: int) -> Floats | None:
    """A view of a mask with five axes, some of length 1."""
    samples, key_heads, share = shape[:3]
    full = (1,) * (max(ndim, 3) - mask.ndim) + mask.shape
    lead = math.prod(full[:-3])
    if lead not in (1, samples):
        return None
    heads = (1, 1) if full[-3] == 1 else (key_heads, share)
    return mask.reshape(lead, *heads, *full[-2:])


def gradient_of_mask(mask: Floats | None, wanted: bool) -> Floats | None:
    return np.zeros(mask.shape, mask.dtype) if wanted and mask is not None and mask.dtype.kind == "f" else None


def like_queries(query: Floats, width: int) -> Floats:
    """Room for the result: with the heads of a place beside each other if those of the queries are."""
    if query.ndim == 4 and query.strides[1] < query.strides[2]:
        samples, heads, length, _ = query.shape
        return np.empty((samples, length, heads, width), query.dtype).transpose(0, 2, 1, 3)
    return np.empty((*query.shape[:-1], width), query.dtype)


def parts_of(packed: Floats, n_heads: int) -> tuple[Floats, Floats, Floats]:
    """Views of queries, keys and values, (samples, heads, length, features)."""
    width = packed.shape[-1] // 3
    query, key, value = (apart(packed[..., i * width : (i + 1) * width], n_heads) for i in range(3))
    return query, key, value


def apart(x: Floats, n_heads: int) -> Floats:
    samples, length, width = x.shape
    return x.reshape(samples, length, n_heads, width // n_heads).transpose(0, 2, 1, 3)


def factors_of(heads: Heads, part: tuple[slice, slice], rows: slice) -> Floats | None:
    """What the weights of these rows are multiplied with, (samples, key heads, share, rows, keys)."""
    if heads.random is None:
        return None
    (samples, key_heads), (_, all_heads, share, queries, _) = part, heads.query.shape
    keys, height = heads.key.shape[-2], rows.stop - rows.start
    factors = np.empty(
        (samples.stop - samples.start, key_heads.stop - key_heads.start, share, height, keys), heads.query.dtype
    )
    for place in np.ndindex(factors.shape[:3]):
        head = ((samples.start + place[0]) * all_heads + key_heads.start + place[1]) * share + place[2]
        kept = _kept(*heads.random, heads.p, (head * queries + rows.start) * keys, height * keys)
        factors[place] = kept.reshape(height, keys)
    factors *= 1 / (1 - heads.p) if heads.p < 1 else 0.0
    return factors


def _kept(key: Words, counter: Words, p: float, start: int, count: int) -> NDArray[np.bool_]:
    """Which of `count` numbers from place `start` on are kept: any part of the stream can be read by itself."""
    threshold = dropout_threshold(p)
    if threshold >> 32:
        return np.zeros(count, np.bool_)
    block = sum(word << 64 * place for place, word in enumerate(counter[:4].tolist()))
    more, within = divmod(start // 2 + (int(counter[4]) if len(counter) == 5 else 0), 4)
    digits = [(block + more) >> 64 * place & 0xFFFFFFFFFFFFFFFF for place in range(4)]
    words = philox_words(key, np.asarray([*digits, within], np.uint64), n=(start % 2 + count + 1) // 2)
    halves: NDArray[Any] = words.astype("<u8", copy=False).view("<u4")[start % 2 : start % 2 + count]
    return halves >= np.uint32(threshold)
