"""What the comparison of bodies cannot see: which row a largest value is taken from, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.autograd import check_gradients
from portml.backends import Backend, to_numpy
from portml.backends.kernels.bags import bag_max, bag_max_saving, renormalised_rows
from portml.errors import DtypeError, ShapeError


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-3, 3), st.booleans()), max_size=30))
def test_each_bag_gives_its_largest_kept_value_and_the_first_row_of_it(rows: list[tuple[int, int, bool]]) -> None:
    rows.sort(key=lambda row: row[0])
    bags, values, kept = (np.asarray([row[i] for row in rows], kind) for i, kind in ((0, int), (1, float), (2, bool)))
    for saving in (bag_max_saving, bag_max_saving.agnostic):
        y, best = saving(values[:, None], bags, kept, n=5)
        for bag in range(5):
            inside = [(value, -k) for k, (there, value, keeps) in enumerate(rows) if there == bag and keeps]
            largest, row = max(inside) if inside else (0, 1)
            assert (y[bag, 0], best[bag, 0]) == (largest, -row)


def test_a_bag_with_a_number_that_is_none_gives_none(backend: Backend) -> None:
    values, bags = backend.asarray([[1.0], [np.nan], [2.0]]), backend.asarray([0, 0, 1])
    y = to_numpy(bag_max(values, bags, backend.asarray([True, True, True]), n=2))
    np.testing.assert_array_equal(y, [[np.nan], [2.0]])


@pytest.mark.parametrize("saving", [bag_max_saving, bag_max_saving.agnostic])
def test_of_several_numbers_that_are_none_the_first_is_chosen(saving: Any) -> None:
    values, bags = np.asarray([[1.0], [np.nan], [np.nan], [2.0]]), np.zeros(4, int)
    assert saving(values, bags, np.ones(4, bool), n=1)[1].tolist() == [[1]]


@pytest.mark.parametrize("order", [1, 2])
def test_gradients_of_the_largest_are_right(backend: Backend, order: int) -> None:
    bags, kept = backend.asarray([0, 0, 2, 2, 2]), backend.asarray([True, True, True, False, True])
    values = backend.asarray(np.random.default_rng(0).permutation(10).reshape(5, 2) / 2)
    check_gradients(lambda given: bag_max(given, bags, kept, n=3), values, order=order)


@pytest.mark.parametrize("order", [1.0, 2.0, np.inf])
def test_only_long_rows_that_are_named_are_shortened(backend: Backend, order: float) -> None:
    table = np.asarray([[3.0, -4.0], [0.1, 0.1], [6.0, 8.0]])
    y = to_numpy(renormalised_rows(backend.asarray(table), backend.asarray([0, 1, 0]), longest=1.0, order=order))
    assert np.linalg.norm(y[0], ord=order) == pytest.approx(1.0)
    np.testing.assert_array_equal(y[1:], table[1:])


def test_what_does_not_fit_is_refused_with_its_shape(backend: Backend) -> None:
    values, kept = backend.zeros((3, 2)), backend.asarray([True] * 3)
    with pytest.raises(ShapeError, match=r"values has shape \(3, 2\), bags \(2,\) and kept \(3,\)"):
        bag_max(values, backend.asarray([0, 1]), kept, n=2)
    with pytest.raises(DtypeError, match="bags: expected integers"):
        bag_max(values, backend.asarray([0.0, 0.0, 1.0]), kept, n=2)
    with pytest.raises(DtypeError, match="indices: expected integers"):
        renormalised_rows(values, backend.asarray([0.5]), longest=1.0, order=2.0)
