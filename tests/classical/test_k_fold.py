from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import sklearn.model_selection
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits, load_iris, load_wine

from portml.backends import Backend
from portml.classical import KFold, StratifiedKFold
from portml.errors import ArgumentError


@pytest.mark.parametrize("n_splits", [2, 3, 7])
@pytest.mark.parametrize("load", [load_iris, load_wine, load_digits])
def test_folds_are_those_of_scikit_learn(n_splits: int, load: Any) -> None:
    X, y = load(return_X_y=True)
    labels = np.asarray(["c", "a", "b", "j", "d", "i", "e", "h", "f", "g"])[y]
    order = np.random.default_rng(0).permutation(len(y))
    for name in ("KFold", "StratifiedKFold"):
        ours = {"KFold": KFold, "StratifiedKFold": StratifiedKFold}[name](n_splits)
        theirs = getattr(sklearn.model_selection, name)(n_splits)
        for found, expected in zip(ours.split(X, labels[order]), theirs.split(X, labels[order]), strict=True):
            for part, expected_part in zip(found, expected, strict=True):
                np.testing.assert_array_equal(part, expected_part)


@given(st.integers(2, 6), st.lists(st.integers(0, 2), min_size=18, max_size=40), st.booleans())
def test_every_sample_is_held_out_once_and_classes_are_spread_evenly(k: int, y: list[int], shuffle: bool) -> None:
    y = [0] * 6 + y
    seed = 0 if shuffle else None
    counts = np.bincount(y)
    for kind in (KFold, StratifiedKFold):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            folds = list(kind(k, shuffle=shuffle, random_state=seed).split(y, y))
        assert sorted(np.concatenate([test for _, test in folds]).tolist()) == [*range(len(y))]
        assert all(sorted([*train, *test]) == [*range(len(y))] for train, test in folds)
        sizes = [len(test) for _, test in folds]
        assert max(sizes) - min(sizes) <= 1
        if kind is StratifiedKFold:
            spread = np.asarray([np.bincount(np.asarray(y)[test], minlength=len(counts)) for _, test in folds])
            assert (spread.max(axis=0) - spread.min(axis=0)).max() <= 1


def test_a_seed_gives_the_same_folds_and_another_one_others() -> None:
    y = load_iris().target
    for kind in (KFold, StratifiedKFold):
        first, again, other = (
            [test.tolist() for _, test in kind(3, shuffle=True, random_state=seed).split(y, y)] for seed in (1, 1, 2)
        )
        assert first == again != other


def test_labels_on_a_device_give_folds_on_the_host(backend: Backend) -> None:
    X, y = load_iris(return_X_y=True)
    for (_, found), (_, expected) in zip(
        StratifiedKFold(4).split(backend.asarray(X), backend.asarray(y)), StratifiedKFold(4).split(X, y), strict=True
    ):
        assert isinstance(found, np.ndarray)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: KFold(1), "at least one train/test split by setting n_splits=2 or more"),
        (lambda: KFold(2.5), "must be of Integral type"),
        (lambda: KFold(3, random_state=0), "Setting a random_state has no effect"),
        (lambda: KFold(3, shuffle="yes"), "shuffle must be True or False"),
        (lambda: next(KFold(4).split([1, 2, 3])), "n_splits=4 greater than the number of samples: n_samples=3"),
        (lambda: next(StratifiedKFold(3).split([1, 2, 3, 4], [0, 0, 1, 1])), "number of members in each class"),
        (lambda: next(StratifiedKFold(2).split([1, 2, 3], [0.5, 0.1, 0.2])), "Got 'continuous' instead"),
        (lambda: next(StratifiedKFold(2).split([1, 2, 3])), "'y' parameter should not be None"),
        (lambda: next(KFold(2).split([1, 2, 3], [1, 2])), r"inconsistent numbers of samples: \[3, 2\]"),
    ],
)
def test_what_cannot_be_divided_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()


def test_a_class_with_fewer_members_than_folds_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="least populated class in y has only 2 members"):
        next(StratifiedKFold(3).split([0] * 6, [0, 0, 0, 0, 1, 1]))
