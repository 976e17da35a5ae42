"""Dropout: each number is zeroed with probability p, the others grow so that the mean stays.

The mask comes from the words of a counter, so it is the same on every backend and in every dtype, and a replayed step
draws a new one when its counter is refilled.
"""

from __future__ import annotations

import math

from portml.backends.kernel import kernel
from portml.backends.kernels.random import philox_words
from portml.backends.namespaces import Array, dtype_kind, namespace
from portml.errors import DtypeError, RangeError

__all__ = [
    "dropout",
    "dropout_backward",
    "dropout_saving",
    "dropout_threshold",
    "refuse_whole_numbers",
    "words_for_dropout",
]


@kernel
def dropout(x: Array, key: Array, counter: Array, *, p: float) -> Array:
    """Inverted dropout: y = x / (1 - p) where kept, else 0.  [Srivastava et al. 2014, sections 4 and 10]

    In the order of the flattened x, element i is decided by 32 bits: the low half of word i // 2 if i is even, the high
    half if it is odd.  It is kept if they are at least round(2³² p).

    Parameters
    ----------
    x : array (...)
    key : array (2,), uint64
    counter : array (4,) or (5,), uint64
        As `philox_words` takes them; `words_for_dropout` (x.size) words are drawn.
    p : float
        The probability of zero, in [0, 1].

    Returns
    -------
    array (...)

    Raises
    ------
    RangeError
        If p is outside [0, 1].
    DtypeError
        If x holds no fractions: what is left could not be made larger by 1 / (1 - p).
    """
    return dropout_saving.agnostic(x, key, counter, p=p)[0]


@kernel
def dropout_saving(x: Array, key: Array, counter: Array, *, p: float) -> tuple[Array, Array]:
    """The result of `dropout`, and which elements were kept (bool) for its gradient."""
    refuse_whole_numbers(x)
    xp = namespace(x)
    threshold, size = dropout_threshold(p), math.prod(x.shape)
    words = philox_words.agnostic(key, counter, n=words_for_dropout(size))
    halves = xp.stack((words & 0xFFFFFFFF, words >> 32), axis=-1)
    kept = xp.reshape(xp.reshape(halves, (-1,))[:size] >= threshold, x.shape)
    return _masked(x, kept, p), kept


@kernel
def dropout_backward(
    g: Array, kept: Array, x: Array, key: Array, counter: Array, *, needs: tuple[bool, ...], p: float
) -> tuple[Array, None, None]:
    """Gradient: dx = g / (1 - p) where kept, else 0."""
    return _masked(g, kept, p), None, None


dropout.gradient(saving=dropout_saving, backward=dropout_backward, takes_complex=True)


def words_for_dropout(size: int) -> int:
    """How many words `dropout` takes for so many elements: one for two of them."""
    return (size + 1) // 2


def dropout_threshold(p: float) -> int:
    """The 32-bit integer below which an element is dropped; raises RangeError unless p is in [0, 1]."""
    if not 0 <= p <= 1:
        raise RangeError(f"p: expected a probability in [0, 1], got {p}")
    return round(p * 2**32)


def refuse_whole_numbers(x: Array) -> None:
    """Raise DtypeError unless x is real or complex floating-point."""
    if dtype_kind(x.dtype) not in ("float", "complex"):
        raise DtypeError(f"dropout: x has dtype {x.dtype}; expected a floating data type, convert with astype")


def _masked(x: Array, kept: Array, p: float) -> Array:
    # With p = 1 nothing is kept, and there is nothing to make up for.
    return x * namespace(x, kept).astype(kept, x.dtype) * (1 / (1 - p) if p < 1 else 0.0)
