"""Attention on NumPy, tile by tile: a softmax that goes on from one block of keys to the next.

For a block of queries the running maximum m, the running sum l of exponentials below it and the running mean y are
kept; a block of keys whose scores reach higher makes the earlier ones smaller by exp(m_old - m_new).  What is kept for
the gradient is m + log l.  [Milakov & Gimelshein 2018; Rabe & Staats 2021; Dao et al. 2022, algorithms 1 and 4]

Tiles are as large as the cache takes; short sequences make one tile of many heads, for which this is the plain formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from portml.backends._numpy.blocks import given
from portml.backends._numpy.reductions import maximum_along, sum_along
from portml.backends.kernels.attention import (
    attention_scale,
    packed_attention,
    packed_attention_backward,
    packed_attention_saving,
    refuse_unfit_attention,
    refuse_unfit_packed,
    scaled_dot_product_attention,
    scaled_dot_product_attention_backward,
    scaled_dot_product_attention_saving,
)
from portml.backends.kernels.dropout import dropout_threshold
from portml.backends.kernels.random import philox_words

__all__ = ["Tiling", "register"]

Floats = NDArray[Any]
Words = NDArray[np.uint64]

TILE = 1 << 16
"""So many scores are worked on at a time; with their gradient they stay in a cache of one megabyte."""

QUERIES, KEYS = 128, 512
"""The largest tile of one head."""

NEAR = 16
"""Within this distance of the maximum of a tile, no row of it needs a maximum of its own."""


class Tiling(NamedTuple):
    """What is done to the scores of a tile; compiled functions take the place of NumPy's.

    Attributes
    ----------
    exponentials : callable
        ``(scores, highest, total, factor)`` replaces scores by exp(score - m) with m the new running maximum, moves
        `highest` and `total` on, and writes what earlier results are multiplied with to `factor`.
    slopes : callable
        ``(scores, slopes, logarithm, mean)`` replaces scores by weights w = exp(score - logarithm), and slopes by
        w (slope - mean).
    """

    exponentials: Callable[..., None]
    slopes: Callable[..., None]


def write_exponentials(scores: Floats, highest: Floats, total: Floats, factor: Floats) -> None:
    """See `Tiling`."""
    bound = scores.max()
    # Any number near the maximum of every row will do for all of them, and is found five times as fast.
    np.maximum(highest, bound if bound - scores.min() < NEAR else maximum_along(scores, -1), out=factor)
    # Of nothing but -∞ the maximum is -∞, which cannot be taken off.
    above = np.where(factor == -math.inf, scores.dtype.type(0), factor)
    earlier = np.exp(highest - above)
    highest[...] = factor
    factor[...] = earlier
    np.subtract(scores, above, out=scores)
    np.exp(scores, out=scores)
    np.multiply(total, factor, out=total)
    np.add(total, sum_along(scores, -1), out=total)


def write_slopes(scores: Floats, slopes: Floats, logarithm: Floats, mean: Floats) -> None:
    """See `Tiling`."""
    np.subtract(scores, logarithm, out=scores)
    np.exp(scores, out=scores)
    np.subtract(slopes, mean, out=slopes)
    np.multiply(slopes, scores, out=slopes)


class _Heads(NamedTuple):
    """Arrays as (samples, key heads, heads that share one, length, features), the third axis 1 for keys and values."""

    query: Floats
    key: Floats
    value: Floats
    bias: Floats | None
    random: tuple[Words, Words] | None
    p: float
    is_causal: bool
    scale: float


def register(library: str, tiling: Tiling, takes: Callable[[Floats], bool] = lambda query: True) -> None:
    """Register the overrides of a library or compiler with its own way to treat a tile."""

    def fits(query: Floats, key: Floats, value: Floats) -> bool:
        arrays = (query, key, value)
        return all(each.size and each.dtype == query.dtype for each in arrays) and takes(query)

    def slow(kernel: Any) -> Any:
        # What the compiler does not take may still be NumPy's.
        return kernel.kernel.table["numpy"] if library != "numpy" else _delivering(kernel.agnostic)

    @scaled_dot_product_attention_saving.on(library)
    def saving(
        query: Floats, key: Floats, value: Floats, mask: Floats | None, dropout_key: Any, counter: Any, *,
        is_causal: bool, scale: float | None, dropout_p: float, out: Any = None,
    ) -> Any:  # fmt: skip
        statics: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
        refuse_unfit_attention(query, key, value, mask)
        heads = None
        if fits(query, key, value):
            heads = _heads(query, key, value, mask, dropout_key, counter, **statics)
        if heads is None:
            given_arrays: tuple[Any, ...] = (query, key, value, mask, dropout_key, counter)
            return slow(scaled_dot_product_attention_saving)(*given_arrays, **statics, out=out)
        y = _like_queries(query, value.shape[-1])
        logarithm = np.empty(query.shape[:-1], query.dtype)
        _attend(heads, _five(y, heads), _five(logarithm[..., np.newaxis], heads), tiling)
        return given((y, (y, logarithm)), out)

    @scaled_dot_product_attention.on(library)
    def forward(
        query: Floats, key: Floats, value: Floats, mask: Floats | None, dropout_key: Any, counter: Any, *,
        is_causal: bool = False, scale: float | None = None, dropout_p: float = 0.0, out: Any = None,
    ) -> Any:  # fmt: skip
        statics: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
        return given(saving(query, key, value, mask, dropout_key, counter, **statics)[0], out)

    @scaled_dot_product_attention_backward.on(library)
    def backward(
        g: Floats, saved: Any, query: Floats, key: Floats, value: Floats, mask: Floats | None, dropout_key: Any,
        counter: Any, *, needs: Any, is_causal: bool, scale: float | None, dropout_p: float, out: Any = None,
    ) -> Any:  # fmt: skip
        statics: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
        heads = None
        if fits(query, key, value):
            heads = _heads(query, key, value, mask, dropout_key, counter, **statics)
        if heads is None:
            given_arrays: tuple[Any, ...] = (g, saved, query, key, value, mask, dropout_key, counter)
            return slow(scaled_dot_product_attention_backward)(*given_arrays, needs=needs, **statics, out=out)
        dq, dk, dv = (
            np.empty(each.shape, each.dtype) if wanted else None
            for each, wanted in zip((query, key, value), needs, strict=False)
        )
        fives: Any = [None if each is None else _five(each, heads) for each in (dq, dk, dv)]
        dmask = _gradient_of_mask(mask, needs[3])
        to_mask = None if dmask is None else _five_of_mask(dmask, heads.query.shape, query.ndim)
        y, logarithm = saved
        arrays: tuple[Any, ...] = (_five(g, heads), _five(y, heads), _five(logarithm[..., np.newaxis], heads))
        everything: Any = (*arrays, *fives, to_mask, tiling)
        _pull_back(heads, *everything)
        return _given_where_needed((dq, dk, dv, dmask, None, None), out)

    @packed_attention_saving.on(library)
    def packed_saving(
        packed: Floats, mask: Floats | None, dropout_key: Any, counter: Any, *,
        n_heads: int, is_causal: bool, scale: float | None, dropout_p: float, out: Any = None,
    ) -> Any:  # fmt: skip
        statics: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
        refuse_unfit_packed(packed, n_heads)
        if not fits(packed, packed, packed):
            slower = slow(packed_attention_saving)
            return slower(packed, mask, dropout_key, counter, n_heads=n_heads, **statics, out=out)
        parts = _parts(packed, n_heads)
        refuse_unfit_attention(*parts, mask)
        heads = _heads(*parts, mask, dropout_key, counter, **statics)
        assert heads is not None
        samples, length, width = packed.shape
        y = np.empty((samples, length, width // 3), packed.dtype)
        logarithm = np.empty((samples, n_heads, length), packed.dtype)
        _attend(heads, _five(_apart(y, n_heads), heads), _five(logarithm[..., np.newaxis], heads), tiling)
        return given((y, (y, logarithm)), out)

    @packed_attention.on(library)
    def packed_forward(
        packed: Floats, mask: Floats | None, dropout_key: Any, counter: Any, *, n_heads: int,
        is_causal: bool = False, scale: float | None = None, dropout_p: float = 0.0, out: Any = None,
    ) -> Any:  # fmt: skip
        statics: dict[str, Any] = {"n_heads": n_heads, "is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
        return given(packed_saving(packed, mask, dropout_key, counter, **statics)[0], out)

    @packed_attention_backward.on(library)
    def packed_backward(
        g: Floats, saved: Any, packed: Floats, mask: Floats | None, dropout_key: Any, counter: Any, *,
        needs: Any, n_heads: int, is_causal: bool, scale: float | None, dropout_p: float, out: Any = None,
    ) -> Any:  # fmt: skip
        statics: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p}
        if not fits(packed, packed, packed):
            given_arrays: tuple[Any, ...] = (g, saved, packed, mask, dropout_key, counter)
            slower = slow(packed_attention_backward)
            return slower(*given_arrays, needs=needs, n_heads=n_heads, **statics, out=out)
        heads = _heads(*_parts(packed, n_heads), mask, dropout_key, counter, **statics)
        assert heads is not None
        dpacked = np.empty(packed.shape, packed.dtype) if needs[0] else None
        fives: tuple[Any, ...] = (None, None, None)
        if dpacked is not None:
            fives = tuple(_five(each, heads) for each in _parts(dpacked, n_heads))
        dmask = _gradient_of_mask(mask, needs[1])
        to_mask = None if dmask is None else _five_of_mask(dmask, heads.query.shape, 4)
        y, logarithm = saved
        arrays: tuple[Any, ...] = (_apart(g, n_heads), _apart(y, n_heads), logarithm[..., np.newaxis])
        sides: Any = [_five(each, heads) for each in arrays]
        everything: Any = (*sides, *fives, to_mask, tiling)
        _pull_back(heads, *everything)
        return _given_where_needed((dpacked, dmask, None, None), out)


# --- the walk over tiles ---------------------------------------------------------------------------------------------


def _attend(heads: _Heads, y: Floats, logarithm: Floats, tiling: Tiling) -> None:
    """Write the result and log Σ exp(scores), with a last axis of 1."""
    room = np.empty(_room(heads), y.dtype)
    for part in _groups(heads):
        key, value = np.swapaxes(heads.key[part], -1, -2), heads.value[part]
        for rows in _blocks(heads.query.shape[-2], QUERIES):
            query = heads.query[part][..., rows, :] * y.dtype.type(heads.scale)
            highest = np.full((*query.shape[:-1], 1), -math.inf, y.dtype)
            total, factor = np.zeros_like(highest), np.empty_like(highest)
            factors, mean = _factors(heads, part, rows), y[part][..., rows, :]
            for cols in _columns(heads, rows):
                scores = _scores(heads, part, rows, cols, query, key, room)
                tiling.exponentials(scores, highest, total, factor)
                if factors is not None:
                    scores *= factors[..., cols]
                if cols.start == 0:
                    np.matmul(scores, value[..., cols, :], out=mean)
                else:
                    mean *= factor
                    mean += scores @ value[..., cols, :]
            nothing = total == 0
            np.copyto(total, 1, where=nothing)
            mean /= total
            logarithm[part][..., rows, :] = np.where(nothing, y.dtype.type(math.inf), highest + np.log(total))


def _pull_back(
    heads: _Heads,
    g: Floats,
    y: Floats,
    logarithm: Floats,
    dq: Floats | None,
    dk: Floats | None,
    dv: Floats | None,
    dmask: Floats | None,
    tiling: Tiling,
) -> None:
    """Write the gradients, working the weights of each tile out anew."""
    room, more_room = (np.empty(_room(heads), y.dtype) for _ in range(2))
    for part in _groups(heads):
        key, value = heads.key[part], heads.value[part]
        if heads.is_causal:  # the first queries see few of the keys, and none may see the last
            for gradient in (dk, dv):
                if gradient is not None:
                    gradient[part] = 0
        for rows in _blocks(heads.query.shape[-2], QUERIES):
            query = heads.query[part][..., rows, :] * y.dtype.type(heads.scale)
            slope, log = g[part][..., rows, :], logarithm[part][..., rows, :]
            mean = np.vecdot(slope, y[part][..., rows, :])[..., np.newaxis]
            factors = _factors(heads, part, rows)
            for cols in _columns(heads, rows):
                scores = _scores(heads, part, rows, cols, query, np.swapaxes(key, -1, -2), room)
                slopes = more_room[: scores.size].reshape(scores.shape)
                np.matmul(slope, np.swapaxes(value[..., cols, :], -1, -2), out=slopes)
                if factors is not None:
                    slopes *= factors[..., cols]
                tiling.slopes(scores, slopes, log, mean)
                if dmask is not None:
                    _add_to_mask(dmask, slopes, part, rows, cols)
                if dq is not None:
                    _add(dq[part][..., rows, :], slopes, key[..., cols, :], cols.start == 0)
                if dk is not None:
                    _add(
                        dk[part][..., cols, :],
                        np.swapaxes(slopes, -1, -2),
                        query,
                        rows.start == 0 and not heads.is_causal,
                    )
                if dv is not None:
                    if factors is not None:
                        scores *= factors[..., cols]
                    _add(
                        dv[part][..., cols, :],
                        np.swapaxes(scores, -1, -2),
                        slope,
                        rows.start == 0 and not heads.is_causal,
                    )
            if dq is not None:
                dq[part][..., rows, :] *= y.dtype.type(heads.scale)


def _add(result: Floats, a: Floats, b: Floats, first: bool) -> None:
    """Add a @ b, summed over the heads that share `result`, or write it the first time."""
    if result.shape[2] == max(a.shape[2], b.shape[2]):
        if first:
            np.matmul(a, b, out=result)
        else:
            result += a @ b
    elif first:
        np.sum(a @ b, axis=2, keepdims=True, out=result)
    else:
        result += np.sum(a @ b, axis=2, keepdims=True)


def _scores(heads: _Heads, part: Any, rows: slice, cols: slice, query: Floats, key: Floats, room: Floats) -> Floats:
    shape = (*query.shape[:-1], cols.stop - cols.start)
    scores = room[: math.prod(shape)].reshape(shape)
    np.matmul(query, key[..., cols], out=scores)
    if heads.bias is not None:
        scores += _slice_of_mask(heads.bias, part, rows, cols)
    if heads.is_causal and cols.stop - 1 > rows.start:
        later = np.arange(cols.start, cols.stop) > np.arange(rows.start, rows.stop)[:, np.newaxis]
        np.copyto(scores, -math.inf, where=later)
    return scores


def _columns(heads: _Heads, rows: slice) -> Iterator[slice]:
    """Blocks of keys that these queries may see."""
    return _blocks(_last_seen(heads, rows), KEYS)


def _last_seen(heads: _Heads, rows: slice) -> int:
    n = int(heads.key.shape[-2])
    return min(n, rows.stop) if heads.is_causal else n


def _blocks(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def _groups(heads: _Heads) -> Iterator[tuple[slice, slice]]:
    """Samples and heads of the keys, as many at a time as make a tile."""
    samples, key_heads, share, queries, _ = heads.query.shape
    one = share * min(queries, QUERIES) * min(heads.key.shape[-2], KEYS)
    at_once = max(TILE // one, 1)
    if at_once >= key_heads:
        for part in _blocks(samples, at_once // key_heads):
            yield part, slice(0, key_heads)
    else:
        for sample in range(samples):
            for part in _blocks(key_heads, at_once):
                yield slice(sample, sample + 1), part


def _room(heads: _Heads) -> int:
    """The scores of the largest tile."""
    share, queries = int(heads.query.shape[2]), int(heads.query.shape[3])
    one = share * min(queries, QUERIES) * min(heads.key.shape[-2], KEYS)
    return int(max(TILE // one, 1) * one)


# --- dropout ----------------------------------------------------------------------------------------------------


def _factors(heads: _Heads, part: tuple[slice, slice], rows: slice) -> Floats | None:
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


# --- arrays as they come, and with five axes --------------------------------------------------------------------


def _heads(
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
) -> _Heads | None:
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
        bias = _five_of_mask(mask, q.shape, query.ndim)
        if bias is None:
            return None
    random = None if not dropout_p or dropout_key is None or counter is None else (dropout_key, counter)
    return _Heads(q, k, v, bias, random, dropout_p, is_causal, attention_scale(query, scale))


def _five(x: Floats, heads: _Heads) -> Floats:
    """A view of (..., n_heads, length, width), or of keys and values, with five axes."""
    share = heads.query.shape[2]
    n_heads = x.shape[-3] if x.ndim > 2 else 1
    of_keys = heads.key.shape[1]
    return x.reshape(heads.query.shape[0], of_keys, share if n_heads == of_keys * share else 1, *x.shape[-2:])


def _five_of_mask(mask: Floats, shape: tuple[int, ...], ndim: int) -> Floats | None:
    """A view of a mask with five axes, some of length 1."""
    samples, key_heads, share = shape[:3]
    full = (1,) * (max(ndim, 3) - mask.ndim) + mask.shape
    lead = math.prod(full[:-3])
    if lead not in (1, samples):
        return None
    heads = (1, 1) if full[-3] == 1 else (key_heads, share)
    return mask.reshape(lead, *heads, *full[-2:])


def _gradient_of_mask(mask: Floats | None, wanted: bool) -> Floats | None:
    return np.zeros(mask.shape, mask.dtype) if wanted and mask is not None and mask.dtype.kind == "f" else None


def _slice_of_mask(mask: Floats, part: tuple[slice, slice], rows: slice, cols: slice) -> Floats:
    wanted = (*part, slice(None), rows, cols)
    return mask[tuple(slice(None) if n == 1 else each for n, each in zip(mask.shape, wanted, strict=True))]


def _add_to_mask(dmask: Floats, slopes: Floats, part: tuple[slice, slice], rows: slice, cols: slice) -> None:
    axes = tuple(axis for axis, n in enumerate(dmask.shape) if n == 1)
    _slice_of_mask(dmask, part, rows, cols)[...] += slopes.sum(axis=axes, keepdims=True) if axes else slopes


def _like_queries(query: Floats, width: int) -> Floats:
    """Room for the result: with the heads of a place beside each other if those of the queries are."""
    if query.ndim == 4 and query.strides[1] < query.strides[2]:
        samples, heads, length, _ = query.shape
        return np.empty((samples, length, heads, width), query.dtype).transpose(0, 2, 1, 3)
    return np.empty((*query.shape[:-1], width), query.dtype)


def _parts(packed: Floats, n_heads: int) -> tuple[Floats, Floats, Floats]:
    """Views of queries, keys and values, (samples, heads, length, features)."""
    width = packed.shape[-1] // 3
    query, key, value = (_apart(packed[..., i * width : (i + 1) * width], n_heads) for i in range(3))
    return query, key, value


def _apart(x: Floats, n_heads: int) -> Floats:
    samples, length, width = x.shape
    return x.reshape(samples, length, n_heads, width // n_heads).transpose(0, 2, 1, 3)


def _delivering(body: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arrays: Any, out: Any = None, **statics: Any) -> Any:
        return _given_where_needed(body(*arrays, **statics), out)

    return call


def _given_where_needed(results: Any, out: Any) -> Any:
    """The results, written to `out` but for those that are None."""
    if out is None or results is None:
        return results
    if isinstance(results, tuple):
        return tuple(_given_where_needed(*pair) for pair in zip(results, out, strict=True))
    return given(results, out)


register("numpy", Tiling(write_exponentials, write_slopes))
