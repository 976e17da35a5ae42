"""Dropout on NumPy: the random words are read as halves where they lie, with no copy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends.kernels.dropout import (
    dropout,
    dropout_backward,
    dropout_saving,
    dropout_threshold,
    refuse_whole_numbers,
    words_for_dropout,
)
from portml.backends.kernels.random import philox_words

__all__: list[str] = []

Floats = NDArray[Any]
Words = NDArray[np.uint64]
Mask = NDArray[np.bool_]


@dropout.on("numpy")
def _(x: Floats, key: Words, counter: Words, *, p: float, out: Floats | None = None) -> Any:
    return _masked(x, _kept(x, key, counter, p, None), p, out)


@dropout_saving.on("numpy")
def _(x: Floats, key: Words, counter: Words, *, p: float, out: tuple[Floats, Mask] | None = None) -> tuple[Any, Any]:
    to_y, to_kept = (None, None) if out is None else out
    kept = _kept(x, key, counter, p, to_kept)
    return _masked(x, kept, p, to_y), kept


@dropout_backward.on("numpy")
def _(
    g: Floats,
    kept: Mask,
    x: Floats,
    key: Words,
    counter: Words,
    *,
    needs: tuple[bool, ...],
    p: float,
    out: tuple[Any, Any, Any] | None = None,
) -> tuple[Any, None, None]:
    return _masked(g, kept, p, None if out is None else out[0]), None, None


def _kept(x: Floats, key: Words, counter: Words, p: float, out: Mask | None) -> Any:
    refuse_whole_numbers(x)
    threshold = dropout_threshold(p)
    if threshold >> 32:  # no half is as large; older NumPy, asked to compare with it, writes beside `out`
        kept = np.zeros(x.shape, np.bool_) if out is None else out
        kept[...] = False
        return kept
    words = philox_words(key, counter, n=words_for_dropout(x.size))
    # The low half of a word comes first, whatever the machine's order of bytes.
    halves = words.astype("<u8", copy=False).view("<u4")[: x.size].reshape(x.shape)
    return np.greater_equal(halves, np.uint32(threshold), out=out)


def _masked(x: Floats, kept: Mask, p: float, out: Floats | None) -> Any:
    scaled = kept * x.dtype.type(1 / (1 - p) if p < 1 else 0.0)
    return np.multiply(x, scaled, out=out)
