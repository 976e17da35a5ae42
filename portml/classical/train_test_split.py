"""One random division of the samples into some to fit and some to test on."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from portml.backends import get_backend, to_numpy
from portml.classical.host import HostArray, codes_of_labels, objects
from portml.classical.rows import labels_on_host, number_of_rows, rows_of
from portml.classical.validation import generator_of
from portml.errors import ArgumentError
from portml.random import Generator

__all__ = ["train_test_split"]

DEFAULT_TEST_SIZE = 0.25


def train_test_split(
    *arrays: Any,
    test_size: float | int | None = None,
    train_size: float | int | None = None,
    random_state: Any = None,
    shuffle: bool = True,
    stratify: Any = None,
) -> list[Any]:
    """Divide arrays, data frames and lists by rows, all in the same way.

    Parameters
    ----------
    *arrays : arrays, data frames, lists or None
        With as many rows each.
    test_size, train_size : float in (0, 1) or int, optional
        A share of the samples or their number; what is left out is the rest.  Both left out, a quarter is for testing.
    random_state : None, int or generator
        The same integer gives the same division on every backend.
    shuffle : bool
        Whether to draw at random; otherwise the last samples are for testing.
    stratify : array (n_samples,), optional
        Labels, of which both parts are to have the same proportions.

    Returns
    -------
    list
        ``[first_train, first_test, second_train, ...]``, each of its input's kind and on its backend.

    Raises
    ------
    ArgumentError
        If there is no array, a size does not fit, or a class has too few members to be in both parts.
    ShapeError
        If the arrays differ in their number of rows.
    """
    if not arrays:
        raise ArgumentError("At least one array required as input")
    n = number_of_rows(*arrays, stratify)
    n_train, n_test = split_sizes(n, test_size, train_size)
    numpy = get_backend("numpy")
    if not shuffle:
        if stratify is not None:
            raise ArgumentError("Stratified train/test split is not implemented for shuffle=False")
        train, test = numpy.xp.arange(n_train), numpy.xp.arange(n_train, n_train + n_test)
    else:
        generator = generator_of(random_state, numpy.empty(0))
        if stratify is None:
            order = to_numpy(generator.permutation(n))
            test, train = order[:n_test], order[n_test : n_test + n_train]
        else:
            train, test = _stratified(_classes_of(stratify), n_train, n_test, generator)
    return [part for array in arrays for part in (rows_of(array, train), rows_of(array, test))]


def split_sizes(n: int, test_size: Any, train_size: Any) -> tuple[int, int]:
    """How many of n samples are to fit and how many to test on; shares are rounded in favour of the test.

    Raises
    ------
    ArgumentError
        If a size is out of range, they are more than there is, or none is left to fit.
    """
    if test_size is None and train_size is None:
        test_size = DEFAULT_TEST_SIZE
    for name, size in (("test_size", test_size), ("train_size", train_size)):
        if size is None:
            continue
        if not isinstance(size, Real) or isinstance(size, bool):
            raise ArgumentError(f"Invalid value for {name}: {size}")
        if not 0 < float(size) < (n if isinstance(size, Integral) else 1):
            raise ArgumentError(
                f"{name}={size} should be either positive and smaller than the number of samples {n} or a float in the "
                "(0, 1) range"
            )
    n_test = None if test_size is None else _count(test_size, n, math.ceil)
    n_train = n - n_test if train_size is None and n_test is not None else _count(train_size, n, math.floor)
    n_test = n - n_train if n_test is None else n_test
    if n_train + n_test > n:
        raise ArgumentError(
            f"The sum of train_size and test_size = {n_train + n_test}, should be smaller than the number of samples "
            f"{n}. Reduce test_size and/or train_size."
        )
    if n_train == 0:
        raise ArgumentError(
            f"With n_samples={n}, test_size={test_size} and train_size={train_size}, the resulting train set will be "
            "empty. Adjust any of the aforementioned parameters."
        )
    return n_train, n_test


def _count(size: Any, n: int, rounding: Any) -> int:
    return int(size) if isinstance(size, Integral) else int(rounding(size * n))


def _stratified(codes: HostArray, n_train: int, n_test: int, generator: Generator) -> tuple[HostArray, HostArray]:
    """Positions to fit and to test on, in random order, each class in proportion."""
    xp = get_backend("numpy").xp
    counts = xp.bincount(codes)
    if counts.min() < 2:
        raise ArgumentError(
            "The least populated class in y has only 1 member, which is too few. The minimum number of groups for any "
            "class cannot be less than 2."
        )
    for name, size in (("train_size", n_train), ("test_size", n_test)):
        if size < len(counts):
            raise ArgumentError(
                f"The {name} = {size} should be greater or equal to the number of classes = {len(counts)}"
            )
    for_training = apportioned(counts.tolist(), n_train, generator)
    left = [count - taken for count, taken in zip(counts.tolist(), for_training, strict=True)]
    for_testing = apportioned(left, n_test, generator)
    train: Any = []
    test: Any = []
    for label, (n_fit, n_held) in enumerate(zip(for_training, for_testing, strict=True)):
        members = xp.nonzero(codes == label)[0]
        members = members[to_numpy(generator.permutation(len(members)))]
        train.append(members[:n_fit])
        test.append(members[n_fit : n_fit + n_held])
    train, test = xp.concat(train), xp.concat(test)
    return train[to_numpy(generator.permutation(n_train))], test[to_numpy(generator.permutation(n_test))]


def apportioned(counts: list[int], total: int, generator: Generator) -> list[int]:
    """Divide `total` among classes in proportion to their counts, by the largest remainders [Hamilton 1792].

    Classes with the same remainder are taken in random order.
    """
    whole = sum(counts)
    quotas = [count * total // whole for count in counts]
    remainders = [count * total % whole for count in counts]
    order = to_numpy(generator.permutation(len(counts))).tolist()
    for label in sorted(order, key=lambda label: -remainders[label])[: total - sum(quotas)]:
        quotas[label] += 1
    return quotas


def _classes_of(stratify: Any) -> HostArray:
    """Codes of the classes; rows of several labels count as one class each."""
    labels = labels_on_host(stratify, "stratify")
    if labels.ndim == 2:
        labels = objects([" ".join(map(str, row)) for row in labels.tolist()])
    return codes_of_labels(labels)[0]
