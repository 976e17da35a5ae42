"""Random numbers on NumPy: its own Philox for the words, and distributions that work through them in pieces."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends.kernels.random import (
    bernoulli_from_words,
    check_words,
    integers_from_words,
    normal_from_words,
    philox_words,
    uniform_from_words,
    words_for_normals,
    words_for_uniforms,
)
from portml.errors import ArgumentError, RangeError

__all__ = ["count_possible", "cumulative_probabilities", "key_of_seed", "weighted_order"]

Words = NDArray[np.uint64]

# Words at a time, so that what passes between the steps of a distribution stays in the cache.
PIECE = 1 << 16

_threads = threading.local()


def key_of_seed(seed: int) -> tuple[int, int]:
    """The key that ``numpy.random.Philox(seed)`` has: two words that NumPy's SeedSequence hashes from the seed."""
    low, high = np.random.SeedSequence(seed).generate_state(2, np.uint64)
    return int(low), int(high)


def cumulative_probabilities(p: Any, n: int) -> NDArray[np.float64]:
    """The cumulative distribution of n categories, summed in order, so that it is the same for every backend.

    Parameters
    ----------
    p : sequence or NumPy array (n,)
        The probability of each category.
    n : int

    Returns
    -------
    array (n,), float64
        Its last entry is exactly 1.

    Raises
    ------
    ArgumentError
        If `p` is no list of n numbers or does not sum to 1.
    RangeError
        If one is negative, infinite or NaN.
    """
    given = np.asarray(p)
    if given.dtype.kind not in "fiu" or given.shape != (n,):
        raise ArgumentError(f"p: expected {n} probabilities, one for each category, got {given.dtype} {given.shape}")
    precision = np.finfo(given.dtype).eps if given.dtype.kind == "f" else np.finfo(np.float64).eps
    probabilities = given.astype(np.float64)
    if not np.all(np.isfinite(probabilities) & (probabilities >= 0.0)):
        raise RangeError("p: expected finite probabilities of at least 0; one is negative, infinite or NaN")
    cumulative: NDArray[np.float64] = np.cumsum(probabilities)
    if abs(cumulative[-1] - 1.0) > math.sqrt(precision):
        raise ArgumentError(f"p: expected probabilities that sum to 1, got a sum of {cumulative[-1]}; divide by it")
    cumulative /= cumulative[-1]
    return cumulative


def count_possible(p: Any) -> int:
    """How many of the categories have a probability above 0."""
    return int(np.count_nonzero(np.asarray(p)))


def weighted_order(words: Words, p: Any, n: int) -> NDArray[np.int64]:
    """Draw n categories one after another, each with its share of what is left, by a race of exponential clocks.

    Clock k rings at ``-log(u) / p[k]``; the order in which they ring is that of drawing without replacement.
    [Efraimidis & Spirakis 2006]

    Parameters
    ----------
    words : array (n_categories,), uint64
    p : sequence or NumPy array (n_categories,)
        Probabilities, already checked.
    n : int
        At most `count_possible` of them.

    Returns
    -------
    array (n,), int64
    """
    probabilities = np.asarray(p, dtype=np.float64)
    u = ((words >> np.uint64(11)) + np.uint64(1)) * 2.0**-53
    with np.errstate(divide="ignore", invalid="ignore"):
        rings = np.where(probabilities > 0.0, -np.log(u) / probabilities, np.inf)
    return np.argsort(rings, stable=True)[:n].astype(np.int64, copy=False)


@philox_words.on("numpy")
def _(key: Words, counter: Words, *, n: int) -> Words:
    philox, state = _philox_of_this_thread()
    state["state"]["key"] = key
    state["state"]["counter"] = counter[:4]
    philox.state = state
    if counter.shape[0] == 5:
        philox.random_raw(int(counter[4]))
    words: Words = philox.random_raw(n)
    return words


@uniform_from_words.on("numpy")
def _(words: Words, *, shape: tuple[int, ...], dtype: str, low: float = 0.0, high: float = 1.0, out: Any = None) -> Any:
    size = math.prod(shape)
    check_words(words, words_for_uniforms(size, dtype))
    result, flat = _destination(out, shape, dtype)
    bits, kept = (words, 53) if dtype == "float64" else (_halves(words), 24)
    shift = bits.dtype.type(8 * bits.itemsize - kept)
    for start in range(0, size, PIECE):
        piece = flat[start : start + PIECE]
        piece[...] = bits[start : start + piece.size] >> shift
        piece *= 2.0**-kept
        if (low, high) != (0.0, 1.0):
            piece *= high - low
            piece += low
    return _delivered(result, out)


@normal_from_words.on("numpy")
def _(words: Words, *, shape: tuple[int, ...], dtype: str, mean: float = 0.0, std: float = 1.0, out: Any = None) -> Any:
    size = math.prod(shape)
    check_words(words, words_for_normals(size, dtype))
    result, flat = _destination(out, shape, dtype)
    step = PIECE if dtype == "float64" else PIECE // 2
    for start in range(0, words.size, step):
        radius, angle = _radius_and_angle(words[start : start + step], dtype)
        first = 2 * start if dtype == "float32" else start
        piece = flat[first : first + 2 * radius.size]
        np.multiply(radius, np.cos(angle), out=piece[0::2])
        np.sin(angle, out=angle)
        odd = piece[1::2]
        np.multiply(radius[: odd.size], angle[: odd.size], out=odd)
        if (mean, std) != (0.0, 1.0):
            piece *= std
            piece += mean
    return _delivered(result, out)


@integers_from_words.on("numpy")
def _(words: Words, *, shape: tuple[int, ...], dtype: str, low: int, high: int) -> Any:
    span = high - low
    if span > 1 << 32:
        return integers_from_words.agnostic(words, shape=shape, dtype=dtype, low=low, high=high)
    check_words(words, math.prod(shape))
    offset = words >> np.uint64(32)
    offset *= np.uint64(span)
    carry = words & np.uint64(0xFFFFFFFF)
    carry *= np.uint64(span)
    carry >>= np.uint64(32)
    offset += carry
    offset >>= np.uint64(32)
    if low:
        offset += np.uint64(low % (1 << 64))  # around 2**64, where a negative integer has its bits
    return offset.view(np.int64).astype(dtype, copy=False).reshape(shape)


@bernoulli_from_words.on("numpy")
def _(words: Words, *, shape: tuple[int, ...], p: float) -> Any:
    check_words(words, math.prod(shape))
    # u < p for u = k / 2**53 says k < p 2**53, and so word < ceil(p 2**53) 2**11: one comparison, no conversion.
    bound = math.ceil(p * 2**53) << 11
    if bound >= 1 << 64:
        return np.ones(shape, dtype=np.bool_)
    return (words < np.uint64(bound)).reshape(shape)


def _philox_of_this_thread() -> tuple[np.random.Philox, Any]:
    """A Philox and the dictionary that sets its state; making one anew would cost ten times as much as that."""
    try:
        return _threads.philox, _threads.state
    except AttributeError:
        _threads.philox = np.random.Philox(key=np.zeros(2, dtype=np.uint64))
        _threads.state = _threads.philox.state
        return _threads.philox, _threads.state


def _radius_and_angle(words: Words, dtype: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Polar coordinates of pairs of normals, as the agnostic body has them."""
    if dtype == "float64":
        radius = (words[0::2] >> np.uint64(11)).astype(np.float64)
        angle = (words[1::2] >> np.uint64(11)).astype(np.float64)
        scale = 2.0**-53
    else:
        halves = _halves(words)
        radius = halves[0::2].astype(np.float64)
        angle = halves[1::2].astype(np.float32)
        scale = 2.0**-32
    radius += 1.0
    radius *= scale
    np.log(radius, out=radius)
    radius *= -2.0
    np.sqrt(radius, out=radius)
    angle *= math.tau * scale
    return radius.astype(dtype, copy=False), angle


def _halves(words: Words) -> NDArray[np.uint32]:
    """The low and the high half of each word in turn, without a copy on a little-endian machine."""
    return words.astype("<u8", copy=False).view("<u4").astype(np.uint32, copy=False)


def _destination(out: Any, shape: tuple[int, ...], dtype: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where to write, and the same memory as one row."""
    result = out if out is not None and out.flags.c_contiguous else np.empty(shape, dtype=dtype)
    return result, result.reshape(-1)


def _delivered(result: NDArray[Any], out: Any) -> NDArray[Any]:
    if out is None or out is result:
        return result
    out[...] = result
    return out  # type: ignore[no-any-return]
