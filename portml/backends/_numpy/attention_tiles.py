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

from portml.backends._numpy.attention_heads import Heads, factors_of
from portml.backends._numpy.reductions import maximum_along, sum_along

__all__ = ["Tiling", "attend", "pull_back", "write_exponentials", "write_slopes"]

Floats = NDArray[Any]

TILE = 1 << 16
"""So many scores are worked on at a time; with their gradient they stay in a cache of one megabyte."""

QUERIES, KEYS = 256, 512
"""The largest tile of one head."""

QUERIES_OF_A_PAST = 128
"""The same where later keys are not seen: of a lower tile fewer scores are worked out for nothing."""

SMALL = 1 << 20
"""Up to so many multiplications a product of matrices is faster if its second factor is not transposed."""

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


def attend(heads: Heads, y: Floats, logarithm: Floats, tiling: Tiling) -> None:
    """Write the result and log Σ exp(scores), with a last axis of 1."""
    room = np.empty(_room(heads), y.dtype)
    for part in _groups(heads):
        key, value = _transposed(heads.key[part], heads), heads.value[part]
        for rows in _rows(heads):
            query = heads.query[part][..., rows, :] * y.dtype.type(heads.scale)
            highest = np.full((*query.shape[:-1], 1), -math.inf, y.dtype)
            total, factor = np.zeros_like(highest), np.empty_like(highest)
            factors, mean = factors_of(heads, part, rows), y[part][..., rows, :]
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


def pull_back(
    heads: Heads,
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
    # Where the first queries see every key they write all, else what later ones see is added to zero.
    whole = _last_seen(heads, next(_rows(heads))) == heads.key.shape[-2]
    for part in _groups(heads):
        key = heads.key[part]
        key_beside, value_beside = _transposed(key, heads), _transposed(heads.value[part], heads)
        if not whole:
            for gradient in (dk, dv):
                if gradient is not None:
                    gradient[part] = 0
        for rows in _rows(heads):
            query = heads.query[part][..., rows, :] * y.dtype.type(heads.scale)
            slope, log = g[part][..., rows, :], logarithm[part][..., rows, :]
            mean = np.vecdot(slope, y[part][..., rows, :])[..., np.newaxis]
            factors = factors_of(heads, part, rows)
            for cols in _columns(heads, rows):
                scores = _scores(heads, part, rows, cols, query, key_beside, room)
                slopes = more_room[: scores.size].reshape(scores.shape)
                np.matmul(slope, value_beside[..., cols], out=slopes)
                if factors is not None:
                    slopes *= factors[..., cols]
                tiling.slopes(scores, slopes, log, mean)
                if dmask is not None:
                    _add_to_mask(dmask, slopes, part, rows, cols)
                if dq is not None:
                    _add(dq[part][..., rows, :], slopes, key[..., cols, :], cols.start == 0)
                if dk is not None:
                    _add(dk[part][..., cols, :], np.swapaxes(slopes, -1, -2), query, rows.start == 0)
                if dv is not None:
                    if factors is not None:
                        scores *= factors[..., cols]
                    _add(dv[part][..., cols, :], np.swapaxes(scores, -1, -2), slope, rows.start == 0)
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


def _scores(heads: Heads, part: Any, rows: slice, cols: slice, query: Floats, key: Floats, room: Floats) -> Floats:
    shape = (*query.shape[:-1], cols.stop - cols.start)
    scores = room[: math.prod(shape)].reshape(shape)
    np.matmul(query, key[..., cols], out=scores)
    if heads.bias is not None:
        scores += _slice_of_mask(heads.bias, part, rows, cols)
    if heads.is_causal and cols.stop - 1 > rows.start:
        later = np.arange(cols.start, cols.stop) > np.arange(rows.start, rows.stop)[:, np.newaxis]
        np.copyto(scores, -math.inf, where=later)
    return scores


def _transposed(x: Floats, heads: Heads) -> Floats:
    """(..., length, width) to (..., width, length)."""
    turned = np.swapaxes(x, -1, -2)
    small = _height(heads) * min(heads.key.shape[-2], KEYS) * x.shape[-1] <= SMALL
    return np.ascontiguousarray(turned) if small else turned


def _rows(heads: Heads) -> Iterator[slice]:
    """Blocks of queries."""
    return _blocks(heads.query.shape[-2], _height(heads))


def _height(heads: Heads) -> int:
    """How many queries of a head make a tile."""
    return min(int(heads.query.shape[-2]), QUERIES_OF_A_PAST if heads.is_causal else QUERIES)


def _columns(heads: Heads, rows: slice) -> Iterator[slice]:
    """Blocks of keys that these queries may see."""
    return _blocks(_last_seen(heads, rows), KEYS)


def _last_seen(heads: Heads, rows: slice) -> int:
    n = int(heads.key.shape[-2])
    return min(n, rows.stop) if heads.is_causal else n


def _blocks(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def _groups(heads: Heads) -> Iterator[tuple[slice, slice]]:
    """Samples and heads of the keys, as many at a time as make a tile."""
    samples, key_heads = heads.query.shape[:2]
    at_once = max(TILE // _scores_of_a_key_head(heads), 1)
    if at_once >= key_heads:
        for part in _blocks(samples, at_once // key_heads):
            yield part, slice(0, key_heads)
    else:
        for sample in range(samples):
            for part in _blocks(key_heads, at_once):
                yield slice(sample, sample + 1), part


def _room(heads: Heads) -> int:
    """The scores of the largest tile."""
    one = _scores_of_a_key_head(heads)
    return max(TILE // one, 1) * one


def _scores_of_a_key_head(heads: Heads) -> int:
    return int(heads.query.shape[2]) * _height(heads) * min(int(heads.key.shape[-2]), KEYS)


def _slice_of_mask(mask: Floats, part: tuple[slice, slice], rows: slice, cols: slice) -> Floats:
    wanted = (*part, slice(None), rows, cols)
    return mask[tuple(slice(None) if n == 1 else each for n, each in zip(mask.shape, wanted, strict=True))]


def _add_to_mask(dmask: Floats, slopes: Floats, part: tuple[slice, slice], rows: slice, cols: slice) -> None:
    axes = tuple(axis for axis, n in enumerate(dmask.shape) if n == 1)
    _slice_of_mask(dmask, part, rows, cols)[...] += slopes.sum(axis=axes, keepdims=True) if axes else slopes


# --- the scores of a tile ---------------------------------------------------------------------------------------------


def write_exponentials(scores: Floats, highest: Floats, total: Floats, factor: Floats) -> None:
    """See `Tiling`."""
    bound = scores.max()
    # Any number near the maximum of every row will do for all of them, and is found five times as fast.
    alike = math.isfinite(bound) and bound - scores.min() < NEAR and highest.max() <= bound
    np.maximum(highest, bound if alike else maximum_along(scores, -1), out=factor)
    # Of nothing but -∞ the maximum is -∞, which cannot be taken off.
    above = np.where(factor == -math.inf, scores.dtype.type(0), factor)
    earlier = np.exp(highest - above)
    highest[...] = factor
    factor[...] = earlier
    np.subtract(scores, bound if alike else above, out=scores)
    np.exp(scores, out=scores)
    np.multiply(total, factor, out=total)
    np.add(total, sum_along(scores, -1), out=total)


def write_slopes(scores: Floats, slopes: Floats, logarithm: Floats, mean: Floats) -> None:
    """See `Tiling`."""
    np.subtract(scores, logarithm, out=scores)
    np.exp(scores, out=scores)
    np.subtract(slopes, mean, out=slopes)
    np.multiply(slopes, scores, out=slopes)
