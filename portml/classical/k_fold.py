"""Cross-validation folds: every sample is held out exactly once.

Folds are positions on the host, whatever the data is on, so that scikit-learn's tools can take them too.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from numbers import Integral
from typing import Any

from portml.backends import get_backend, to_numpy
from portml.classical.host import HostArray, codes_of_labels
from portml.classical.rows import labels_on_host, number_of_rows
from portml.classical.validation import generator_of
from portml.errors import ArgumentError

__all__ = ["KFold", "StratifiedKFold"]


class KFold:
    """Divide the samples into `n_splits` parts of consecutive ones, their sizes as even as possible.

    Parameters
    ----------
    n_splits : int
        At least 2.
    shuffle : bool
        Whether to bring the samples into random order before.
    random_state : None, int or generator
        Says in which; only with `shuffle`.

    Raises
    ------
    ArgumentError
        If an argument is none of these.
    """

    n_splits: int
    shuffle: bool
    random_state: Any

    def __init__(self, n_splits: Any = 5, *, shuffle: bool = False, random_state: Any = None) -> None:
        if not isinstance(n_splits, Integral):
            raise ArgumentError(
                f"The number of folds must be of Integral type. {n_splits} of type {type(n_splits)} was passed."
            )
        if n_splits <= 1:
            raise ArgumentError(
                "k-fold cross-validation requires at least one train/test split by setting n_splits=2 or more, "
                f"got n_splits={n_splits}."
            )
        if not isinstance(shuffle, bool):
            raise ArgumentError(f"shuffle must be True or False; got {shuffle}")
        if not shuffle and random_state is not None:
            raise ArgumentError(
                "Setting a random_state has no effect since shuffle is False. You should leave random_state to its "
                "default (None), or set shuffle=True."
            )
        self.n_splits = int(n_splits)
        self.shuffle = shuffle
        self.random_state = random_state

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[HostArray, HostArray]]:
        """The positions (n_train,), (n_test,) of the samples to fit and of those held out, ascending, for each fold.

        Parameters
        ----------
        X : array, list or data frame with n_samples rows
        y : array (n_samples,)
            The labels; `KFold` does not look at them.
        groups : None
            There to be called as scikit-learn's.

        Raises
        ------
        ArgumentError
            If there are fewer samples than folds.
        """
        n = number_of_rows(X, y)
        if self.n_splits > n:
            raise ArgumentError(
                f"Cannot have number of splits n_splits={self.n_splits} greater than the number of samples: "
                f"n_samples={n}."
            )
        xp = get_backend("numpy").xp
        fold = self._folds(n, y)
        for number in range(self.n_splits):
            yield xp.nonzero(fold != number)[0], xp.nonzero(fold == number)[0]

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """How many folds there are."""
        return self.n_splits

    def __repr__(self) -> str:
        shown = f"n_splits={self.n_splits}, random_state={self.random_state}, shuffle={self.shuffle}"
        return f"{type(self).__name__}({shown})"

    def _folds(self, n: int, y: Any) -> HostArray:
        """The fold (n_samples,) in which each sample is held out."""
        numpy = get_backend("numpy")
        xp = numpy.xp
        sizes = [n // self.n_splits + (number < n % self.n_splits) for number in range(self.n_splits)]
        fold: HostArray = xp.repeat(xp.arange(self.n_splits), xp.asarray(sizes))
        if not self.shuffle:
            return fold
        order = to_numpy(generator_of(self.random_state, numpy.empty(0)).permutation(n))
        shuffled: HostArray = xp.empty_like(fold)
        shuffled[order] = fold
        return shuffled


class StratifiedKFold(KFold):
    """Divide the samples into `n_splits` parts that hold every class in the same proportion.

    The samples of a class are dealt to the folds in the order in which they stand, as many to each fold as fall to it
    when all samples, sorted by class, are dealt one by one.

    Parameters
    ----------
    n_splits : int
        At least 2.
    shuffle : bool
        Whether to deal the samples of each class in random order.
    random_state : None, int or generator
        Says in which; only with `shuffle`.
    """

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[HostArray, HostArray]]:
        """The positions (n_train,), (n_test,) of the samples to fit and of those held out, for each fold.

        Raises
        ------
        ArgumentError
            If `y` holds no labels, or every class has fewer samples than there are folds.
        """
        if y is None:
            raise ArgumentError("The 'y' parameter should not be None.")
        return super().split(X, y, groups)

    def _folds(self, n: int, y: Any) -> HostArray:
        numpy = get_backend("numpy")
        xp = numpy.xp
        codes = _codes_by_appearance(labels_on_host(y))
        counts = xp.bincount(codes)
        if self.n_splits > counts.max():
            raise ArgumentError(f"n_splits={self.n_splits} cannot be greater than the number of members in each class.")
        if self.n_splits > counts.min():
            warnings.warn(
                f"The least populated class in y has only {counts.min()} members, which is less than "
                f"n_splits={self.n_splits}.",
                UserWarning,
                stacklevel=2,
            )
        generator = generator_of(self.random_state, numpy.empty(0)) if self.shuffle else None
        dealt = xp.sort(codes)
        fold: HostArray = xp.empty(n, dtype=xp.int64)
        shares = [xp.bincount(dealt[number :: self.n_splits], minlength=len(counts)) for number in range(self.n_splits)]
        for label in range(len(counts)):
            places = xp.repeat(xp.arange(self.n_splits), xp.asarray([share[label] for share in shares]))
            if generator is not None:
                places = places[to_numpy(generator.permutation(len(places)))]
            fold[codes == label] = places
        return fold


def _codes_by_appearance(y: HostArray) -> HostArray:
    """Labels as numbers in the order in which they first occur."""
    if y.ndim != 1 or (y.dtype.kind == "f" and (y % 1 != 0).any()):
        kind = "continuous" if y.ndim == 1 else "multilabel-indicator"
        raise ArgumentError(f"Supported target types are: ('binary', 'multiclass'). Got {kind!r} instead.")
    xp = get_backend("numpy").xp
    codes, _ = codes_of_labels(y)
    _, first = xp.unique(codes, return_index=True)
    by_appearance: HostArray = xp.argsort(xp.argsort(first))[codes]
    return by_appearance
