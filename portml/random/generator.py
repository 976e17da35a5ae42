"""The generator: distributions as compositions of kernels on the words of a stream."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from portml.backends import Array, operations, to_numpy
from portml.backends._numpy.random import count_possible, cumulative_probabilities, weighted_order
from portml.backends.kernels.random import (
    bernoulli_from_words,
    categories_from_words,
    integers_from_words,
    normal_from_words,
    permutation_from_words,
    truncated_normal_from_words,
    uniform_from_words,
    words_for_normals,
    words_for_uniforms,
)
from portml.errors import ArgumentError, RangeError, ShapeError
from portml.random.arguments import (
    FLOATS,
    INTEGERS,
    Shape,
    check_broadcast,
    check_integers,
    check_probabilities,
    check_truncation,
    checked_count,
    checked_dtype,
    checked_finite,
    checked_integer,
    checked_real,
    checked_shape,
)
from portml.random.stream import Stream

__all__ = ["Generator"]


class Generator(Stream):
    """Draws random numbers on a backend's device.

    What a generator draws depends on its seed and on the calls before, and on nothing else: each call takes the next
    words of the stream, as many as its docstring says.  Half words (float32) and pairs of words (float64 normals) begin
    with a fresh word or pair, so that of an odd count the last half or word is dropped, where NumPy would keep a half
    for later.  Drawing n numbers and then m gives the same as n + m at once for uniform float64, integers, Bernoulli
    variables and choices with replacement, and if n is even also for float32 and normals.

    A generator belongs to one thread; give each its own with `split`.  Nothing here waits for the device, with one
    exception: probabilities for `choice` that live on it are copied to the host.

    Parameters
    ----------
    seed : int
        Any integer of at least 0.
    backend : str or Backend, optional
        Where to draw; None takes the default backend (see `portml.backends.get_backend`).

    Raises
    ------
    ArgumentError
        If `seed` is no integer of at least 0.

    Examples
    --------
    >>> import numpy as np
    >>> ours = Generator(7, backend="numpy").random((5,), "float64")
    >>> bool(np.all(ours == np.random.Generator(np.random.Philox(7)).random(5)))
    True
    """

    def random(self, shape: Shape = (), dtype: Any = "float32") -> Array:
        """Uniform numbers in [0, 1), multiples of 2**-24 (float32) or 2**-53 (float64); half a word or a word each.

        Parameters
        ----------
        shape : int or tuple of int
        dtype : {"float32", "float64"} or dtype

        Returns
        -------
        array of that shape and dtype
            What ``numpy.random.Generator(numpy.random.Philox(seed))`` draws, bit for bit.
        """
        return self.uniform(0.0, 1.0, shape, dtype)

    def uniform(self, low: float = 0.0, high: float = 1.0, shape: Shape = (), dtype: Any = "float32") -> Array:
        """Uniform numbers ``low + (high - low) u`` with u as `random` draws it; rounding can give `high` itself.

        Raises
        ------
        RangeError
            If `low` is greater than `high`, or ``high - low`` is infinite or NaN.
        """
        low, high = checked_finite("low", low), checked_finite("high", high)
        if low > high:
            raise RangeError(f"low: expected at most high={high}, got {low}; swap them")
        checked_finite("high - low", high - low)
        lengths, name = checked_shape(shape), checked_dtype(self.backend, dtype, FLOATS)
        words = self._words(words_for_uniforms(math.prod(lengths), name))
        return uniform_from_words(words, shape=lengths, dtype=name, low=low, high=high)

    def normal(self, mean: float = 0.0, std: float = 1.0, shape: Shape = (), dtype: Any = "float32") -> Array:
        """Normal numbers by the transform of Box and Muller; half a word (float32) or a word (float64) each.

        Parameters
        ----------
        mean, std : float
        shape : int or tuple of int
        dtype : {"float32", "float64"} or dtype

        Returns
        -------
        array of that shape and dtype

        Raises
        ------
        RangeError
            If `std` is negative, or a parameter is infinite or NaN.
        """
        mean, std = checked_finite("mean", mean), checked_finite("std", std)
        if std < 0.0:
            raise RangeError(f"std: expected at least 0, got {std}")
        lengths, name = checked_shape(shape), checked_dtype(self.backend, dtype, FLOATS)
        words = self._words(words_for_normals(math.prod(lengths), name))
        return normal_from_words(words, shape=lengths, dtype=name, mean=mean, std=std)

    def truncated_normal(
        self,
        mean: float = 0.0,
        std: float = 1.0,
        low: float = -2.0,
        high: float = 2.0,
        shape: Shape = (),
        dtype: Any = "float32",
    ) -> Array:
        """Normal numbers on condition that they lie in [low, high]; a word each.

        The bounds are values, not multiples of `std`, and may be infinite.

        Raises
        ------
        RangeError
            If `std` is not positive, `low` is not below `high`, or [low, high] has no probability that a float64 holds.
        """
        mean, std = checked_finite("mean", mean), checked_finite("std", std)
        low, high = checked_real("low", low), checked_real("high", high)
        check_truncation(mean, std, low, high)
        lengths, name = checked_shape(shape), checked_dtype(self.backend, dtype, FLOATS)
        words = self._words(math.prod(lengths))
        return truncated_normal_from_words(words, shape=lengths, dtype=name, mean=mean, std=std, low=low, high=high)

    def integers(self, low: int, high: int, shape: Shape = (), dtype: Any = "int64") -> Array:
        """Integers in [low, high), each with the same probability to within 2**-64; a word each.

        Parameters
        ----------
        low, high : int
        shape : int or tuple of int
        dtype : str or dtype of integers

        Returns
        -------
        array of that shape and dtype

        Raises
        ------
        RangeError
            If `low` is not below `high`, or the dtype does not hold the interval.
        """
        low, high = checked_integer("low", low), checked_integer("high", high)
        lengths, name = checked_shape(shape), checked_dtype(self.backend, dtype, tuple(INTEGERS))
        check_integers(low, high, name)
        words = self._words(math.prod(lengths))
        return integers_from_words(words, shape=lengths, dtype=name, low=low, high=high)

    def permutation(self, n: int) -> Array:
        """The integers 0 to n - 1 in random order, as an array (n,) of int64; n words."""
        n = checked_count("n", n)
        return permutation_from_words(self._words(n), n=n)

    def bernoulli(self, p: float | Array, shape: Shape | None = None) -> Array:
        """True with probability p: ``random(shape, "float64") < p``; a word each.

        Parameters
        ----------
        p : float, or array on this backend
        shape : int or tuple of int, optional
            None takes the shape of `p`.

        Returns
        -------
        array of that shape, bool

        Raises
        ------
        RangeError
            If p is not in [0, 1]; of an array on a device this is not looked at, as that would wait for it.
        ShapeError
            If `p` does not broadcast to `shape`.
        DtypeError
            If `p` is an array of something else than floating-point numbers.
        """
        if hasattr(p, "shape") and not isinstance(p, Real):  # NumPy's single numbers are both
            lengths = tuple(p.shape) if shape is None else checked_shape(shape)
            check_broadcast(tuple(p.shape), lengths)
            check_probabilities(self.backend, p)
            return operations.less(self.random(lengths, "float64"), p)
        lengths = checked_shape(() if shape is None else shape)
        number = checked_real("p", p)
        if not 0.0 <= number <= 1.0:
            raise RangeError(f"p: expected a probability in [0, 1], got {p}")
        return bernoulli_from_words(self._words(math.prod(lengths)), shape=lengths, p=number)

    def choice(self, a: int | Array, shape: Shape = (), replace: bool = True, p: Any = None) -> Array:
        """Draw from the entries of `a`, or from 0 to a - 1; a word each, or without replacement one for each entry.

        Parameters
        ----------
        a : int or array (n, ...)
        shape : int or tuple of int
        replace : bool
            Whether an entry can be drawn more than once.
        p : sequence or array (n,), optional
            The probability of each entry, from the host: an array on a device is copied there, which waits for it.
            None makes all equal.

        Returns
        -------
        array of that shape, int64, or array of shape (*shape, ...) with entries of `a`

        Raises
        ------
        ArgumentError
            If there is nothing to draw from, more is drawn without replacement than there is, or the probabilities do
            not sum to 1.
        RangeError
            If a probability is negative, infinite or NaN.
        """
        lengths = checked_shape(shape)
        if isinstance(a, Integral):
            index = self._choice(checked_count("a", a), math.prod(lengths), replace, p)
            return operations.reshape(index, lengths)
        entries = self.backend.asarray(a)
        if entries.ndim == 0:
            raise ShapeError("a: expected an integer or an array with an axis to draw along, got a single number")
        index = self._choice(entries.shape[0], math.prod(lengths), replace, p)
        return operations.reshape(operations.take(entries, index, axis=0), (*lengths, *entries.shape[1:]))

    def _choice(self, n: int, size: int, replace: bool, p: Any) -> Array:
        """Indices of drawn entries, (size,)."""
        if n == 0 and size > 0:
            raise ArgumentError("a: expected at least one entry to draw from, got none")
        if not replace and size > n:
            raise ArgumentError(f"shape: {size} draws without replacement from {n} entries; use replace=True")
        if p is None and replace:
            return self.integers(0, max(n, 1), size)
        if p is None:
            return permutation_from_words(self._words(n), n=size)
        p = to_numpy(p) if hasattr(p, "shape") else p
        cumulative = cumulative_probabilities(p, n)
        if replace:
            return categories_from_words(self._words(size), self.backend.asarray(cumulative), shape=(size,))
        possible = count_possible(p)
        if size > possible:
            raise ArgumentError(
                f"shape: {size} draws without replacement, but {possible} probabilities above 0; use replace=True"
            )
        # On the host, which has the probabilities: libraries that round logarithms differently could order them so.
        return self.backend.asarray(weighted_order(self._words_on_host(n), p, size))
