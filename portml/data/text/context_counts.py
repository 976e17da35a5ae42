"""A language model that only counts: how often each symbol followed each of the contexts of a few symbols."""

from __future__ import annotations

from typing import Any

import numpy as np

from portml.backends import to_numpy
from portml.errors import DataError, DtypeError, RangeError
from portml.random.arguments import checked_count, checked_real

__all__ = ["ContextCounts"]

HostArray = np.ndarray[Any, Any]


class ContextCounts:
    r"""Probabilities of the next symbol from counts, each context leaning on the one that is a symbol shorter.

    .. math:: p_k(x \mid h) = \frac{n(h x) + \alpha \, p_{k-1}(x \mid h')}{\sum_y n(h y) + \alpha}

    h are the k symbols before, h' all of them but the first, n counts in the text learnt from; below order 0 stands the
    uniform distribution.  So α is how many observations the shorter context is worth: a context that was seen often
    speaks for itself, one that never was hands on what the shorter one says.  [MacKay & Peto 1995, A hierarchical
    Dirichlet language model]

    Parameters
    ----------
    ids : array of integers, (n_tokens,)
        The text to learn from.
    vocabulary : int
        How many symbols there are.
    order : int
        The most symbols of context, k; 0 knows how frequent each symbol is.
    strength : float
        α, above 0.

    Raises
    ------
    DataError
        If the text is no longer than the order.
    RangeError
        If a symbol is none of the vocabulary, `strength` is not above 0, or contexts of that order are too many to be
        numbered by 64 bits.
    DtypeError
        If the text is no row of integers.

    Notes
    -----
    What was counted is kept sorted: for each order the contexts with a symbol behind them that occur, as one number in
    the base of the vocabulary.

    Examples
    --------
    >>> counts = ContextCounts([0, 1, 0, 1, 0, 0], vocabulary=2, order=1, strength=1.0)
    >>> counts.distribution([]).tolist()  # (4 + 1/2) / 7 and (2 + 1/2) / 7 before anything was read
    [0.6428571428571429, 0.35714285714285715]
    >>> round(float(counts.distribution([0])[1]), 3)  # twice of three, and once more 5/14
    0.589
    """

    def __init__(self, ids: Any, vocabulary: int, order: int, *, strength: float = 1.0) -> None:
        self.vocabulary, self.order = checked_count("vocabulary", vocabulary), checked_count("order", order)
        if self.vocabulary < 1:
            raise RangeError("vocabulary: expected at least 1 symbol, got 0")
        if not checked_real("strength", strength) > 0:
            raise RangeError(f"strength: expected a number above 0, got {strength!r}")
        if vocabulary ** (order + 1) > 2**63:
            raise RangeError(f"order: contexts of {order} of {vocabulary} symbols have no 64-bit numbers; lower it")
        self.strength = float(strength)
        tokens = self._checked(ids)
        if len(tokens) <= order:
            raise DataError(f"ids: expected more than the {order} symbols of a context, got {len(tokens)}")
        self._tables = [_Table(_numbers(tokens, k, vocabulary), vocabulary) for k in range(order + 1)]

    def probabilities(self, ids: Any) -> HostArray:
        """The probability of each symbol of a text given those before it, the first ones from shorter contexts.

        Parameters
        ----------
        ids : array of integers, (n_tokens,)

        Returns
        -------
        array of float64, (n_tokens,)
        """
        tokens = self._checked(ids)
        p = np.full(len(tokens), 1 / self.vocabulary)
        for k, table in enumerate(self._tables[: len(tokens)]):
            p[k:] = self._leaning(table, _numbers(tokens, k, self.vocabulary), p[k:])
        return p

    def distribution(self, context: Any) -> HostArray:
        """The probabilities of all symbols after a context, of which the last `order` symbols count; (vocabulary,)."""
        tokens = self._checked(context)
        p, number = np.full(self.vocabulary, 1 / self.vocabulary), 0
        for k, table in enumerate(self._tables[: len(tokens) + 1]):
            if k:
                number += int(tokens[-k]) * self.vocabulary ** (k - 1)
            p = self._leaning(table, number * self.vocabulary + np.arange(self.vocabulary), p)
        return p

    def bits_per_symbol(self, ids: Any) -> float:
        """The mean of -log₂ p over the symbols of a text.

        Raises
        ------
        DataError
            If the text is empty.
        """
        p = self.probabilities(ids)
        if not len(p):
            raise DataError("ids: expected a text, got none")
        return float(-np.log2(p).mean())

    def _leaning(self, table: _Table, numbers: HostArray, shorter: HostArray) -> HostArray:
        joint, context = table.counts(numbers)
        leaning: HostArray = (joint + self.strength * shorter) / (context + self.strength)
        return leaning

    def _checked(self, ids: Any) -> HostArray:
        tokens = np.asarray(to_numpy(ids) if hasattr(ids, "dtype") else ids)
        if tokens.ndim != 1 or (tokens.size and tokens.dtype.kind not in "iu"):
            raise DtypeError(f"ids: expected integers of shape (n_tokens,), got {tokens.dtype} of shape {tokens.shape}")
        if tokens.size and not (tokens.min() >= 0 and tokens.max() < self.vocabulary):
            worst = tokens.min() if tokens.min() < 0 else tokens.max()
            raise RangeError(f"ids: expected symbols in 0..{self.vocabulary - 1}, got {worst}")
        return tokens.astype(np.int64)


class _Table:
    """Counts of contexts with the symbol behind them, and of contexts, by their numbers."""

    def __init__(self, numbers: HostArray, vocabulary: int) -> None:
        self.vocabulary = vocabulary
        self.joint, self.n_joint = np.unique(numbers, return_counts=True)
        self.contexts, first = np.unique(self.joint // vocabulary, return_index=True)
        self.n_contexts = np.add.reduceat(self.n_joint, first)

    def counts(self, numbers: HostArray) -> tuple[HostArray, HostArray]:
        """How often each occurred, and how often its context had any symbol behind it."""
        return _found(self.joint, self.n_joint, numbers), _found(
            self.contexts, self.n_contexts, numbers // self.vocabulary
        )


def _numbers(tokens: HostArray, k: int, vocabulary: int) -> HostArray:
    """Each symbol with the k before it as one number, the oldest the highest digit; (n_tokens - k,)."""
    numbers = tokens[k:].copy()
    for back in range(1, k + 1):
        numbers += tokens[k - back : len(tokens) - back] * vocabulary**back
    return numbers


def _found(numbers: HostArray, counts: HostArray, wanted: HostArray) -> HostArray:
    """The counts of those that are wanted, 0 where there is none."""
    places = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
    found: HostArray = np.where(numbers[places] == wanted, counts[places], 0)
    return found
