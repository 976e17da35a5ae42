from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.datasets import load_iris, load_wine

from portml.backends import Backend, backend_of, to_numpy
from portml.classical import train_test_split
from portml.errors import ArgumentError
from portml.random import Generator


def test_rows_stay_together_in_whatever_holds_them(backend: Backend) -> None:
    X, y = np.arange(20.0).reshape(10, 2), np.arange(10)
    tables = (
        backend.asarray(X),
        pandas.DataFrame(X),
        polars.DataFrame(X),
        X.tolist(),
        sparse.csr_array(X),
        None,
        backend.asarray(y),
    )
    parts = train_test_split(*tables, test_size=3, random_state=0)
    assert backend_of(parts[0]) is backend
    held = to_numpy(parts[13])
    assert parts[10] is parts[11] is None
    assert [type(part) for part in parts[2:10:2]] == [type(table) for table in tables[1:5]]
    for part in (
        to_numpy(parts[1]),
        parts[3].to_numpy(),
        parts[5].to_numpy(),
        np.asarray(parts[7]),
        parts[9].toarray(),
    ):
        np.testing.assert_array_equal(part, X[held])


def test_a_seed_gives_the_same_division_on_every_backend(backend: Backend) -> None:
    y = np.arange(50)
    _, expected = train_test_split(y, random_state=3)
    _, found = train_test_split(backend.asarray(y), random_state=3)
    np.testing.assert_array_equal(to_numpy(found), expected)
    assert sorted(expected) != expected.tolist()
    assert len(expected) == 13
    _, drawn = train_test_split(y, random_state=Generator(3, backend="numpy"))
    np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize("load", [load_iris, load_wine])
@pytest.mark.parametrize("test_size", [0.1, 0.33, 40])
def test_a_stratified_division_has_every_class_in_proportion(load: Any, test_size: Any) -> None:
    y = load().target
    train, test = train_test_split(np.arange(len(y)), test_size=test_size, random_state=0, stratify=y)
    assert sorted([*train, *test]) == [*range(len(y))]
    share = np.bincount(y[test]) - np.bincount(y) * len(test) / len(y)
    assert np.abs(share).max() < 1.0


@given(st.integers(2, 40), st.floats(0.01, 0.99))
def test_shares_are_rounded_in_favour_of_the_test(n: int, share: float) -> None:
    n_test = int(np.ceil(share * n))
    if n_test == n:
        with pytest.raises(ArgumentError, match="resulting train set will be empty"):
            train_test_split(range(n), test_size=share)
        return
    train, test = train_test_split([*range(n)], test_size=share, random_state=1)
    assert (len(train), len(test)) == (n - n_test, n_test)
    assert sorted(train + test) == [*range(n)]


def test_without_shuffling_the_last_are_for_testing() -> None:
    assert train_test_split([1, 2, 3, 4], shuffle=False) == [[1, 2, 3], [4]]
    assert train_test_split([1, 2, 3, 4], shuffle=False, train_size=1, test_size=2) == [[1], [2, 3]]


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ((), {}, "At least one array"),
        (([1, 2], [1]), {}, "inconsistent numbers of samples"),
        (([1, 2],), {"test_size": 2}, "test_size=2 should be either positive and smaller"),
        (([1, 2],), {"test_size": 1.5}, r"or a float in the \(0, 1\) range"),
        (([1, 2],), {"train_size": "all"}, "Invalid value for train_size: all"),
        (([1, 2, 3],), {"train_size": 2, "test_size": 2}, "The sum of train_size and test_size = 4"),
        (([1, 2],), {"shuffle": False, "stratify": [0, 1]}, "not implemented for shuffle=False"),
        (([1, 2, 3],), {"stratify": [0, 0, 1]}, "The least populated class in y has only 1 member"),
        (([1, 2, 3, 4],), {"stratify": [0, 0, 1, 1], "test_size": 1}, "test_size = 1 should be greater or equal to"),
    ],
)
def test_what_cannot_be_divided_is_refused(arrays: Any, options: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        train_test_split(*arrays, **options)
