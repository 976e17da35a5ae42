"""Dividing labelled samples into parts that hold every class in the same proportion."""

from __future__ import annotations

from typing import Any

import numpy as np

from portml.backends import to_numpy
from portml.errors import ArgumentError, RangeError
from portml.random import Generator

__all__ = ["every_fifth_of_each_class", "random_split", "stratified_split"]

HostArray = np.ndarray[Any, Any]


def every_fifth_of_each_class(labels: HostArray) -> tuple[HostArray, HostArray]:
    """Set aside every fifth sample of each class, in the order given: the samples 4, 9, 14, ... of the class.

    A rule without chance: it gives the same test set whatever the seed.

    Parameters
    ----------
    labels : numpy.ndarray, (n_samples,)

    Returns
    -------
    rest, fifths : numpy.ndarray of int64
        Positions in `labels`, each ascending.  A class of fewer than five samples has none set aside.
    """
    return _divide(labels, [members[4::5] for members in _members(labels)])


def stratified_split(labels: HostArray, fraction: float, seed: int | Generator = 0) -> tuple[HostArray, HostArray]:
    """Draw the same fraction of each class at random.

    From a class of n samples ``round(fraction * n)`` are drawn, but at least one and at most n - 1; a class of one
    sample stays whole.  The classes are drawn from in ascending order, each by the first entries of one permutation.

    Parameters
    ----------
    labels : numpy.ndarray, (n_samples,)
    fraction : float
        Strictly between 0 and 1.
    seed : int or portml.random.Generator
        The same seed gives the same split on every machine.

    Returns
    -------
    rest, drawn : numpy.ndarray of int64
        Positions in `labels`, each ascending.

    Raises
    ------
    RangeError
        If `fraction` is not between 0 and 1.
    """
    _check_fraction(fraction)
    generator = _generator(seed)
    drawn = []
    for members in _members(labels):
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        drawn.append(members[_permutation(generator, len(members))[:count]])
    return _divide(labels, drawn)


def random_split(n_samples: int, fraction: float, seed: int | Generator = 0) -> tuple[HostArray, HostArray]:
    """Draw a fraction of the samples at random, without regard to classes; else as `stratified_split`."""
    return stratified_split(np.zeros(n_samples, dtype=np.int64), fraction, seed)


def _members(labels: HostArray) -> list[HostArray]:
    """Positions of each class's samples, in the order given, classes ascending."""
    if labels.ndim != 1 or len(labels) == 0:
        raise ArgumentError(f"labels: expected shape (n_samples,) with at least one sample, got {labels.shape}")
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def _divide(labels: HostArray, drawn: list[HostArray]) -> tuple[HostArray, HostArray]:
    """Positions that were not drawn and positions that were, both ascending."""
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[np.concatenate(drawn)] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def _check_fraction(fraction: float) -> None:
    if not 0.0 < fraction < 1.0:
        raise RangeError(f"fraction: expected a number between 0 and 1, both excluded, got {fraction!r}")


def _generator(seed: int | Generator) -> Generator:
    return seed if isinstance(seed, Generator) else Generator(seed, backend="numpy")


def _permutation(generator: Generator, n: int) -> HostArray:
    return to_numpy(generator.permutation(n))
