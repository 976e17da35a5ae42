"""What the comparison of bodies cannot see: which bits decide about which element, and how often."""

from __future__ import annotations

import numpy as np
import pytest

from portml.autograd import check_gradients
from portml.backends import Backend, to_numpy
from portml.backends.kernels.dropout import dropout, dropout_backward, dropout_saving, words_for_dropout
from portml.backends.kernels.random import philox_words
from portml.errors import DtypeError, RangeError

KEY = np.asarray([1, 2], "uint64")
COUNTER = np.asarray([3, 0, 0, 0], "uint64")


def dropped(backend: Backend, x: np.ndarray, p: float, counter: np.ndarray = COUNTER) -> np.ndarray:
    return to_numpy(dropout(backend.asarray(x), backend.asarray(KEY), backend.asarray(counter), p=p))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_each_element_is_decided_by_its_half_of_a_word(backend: Backend, p: float) -> None:
    words = philox_words(KEY, COUNTER, n=words_for_dropout(15)).tolist()
    halves = [half for word in words for half in (word % 2**32, word // 2**32)]
    expected = [[halves[5 * row + column] >= round(p * 2**32) for column in range(5)] for row in range(3)]
    assert (dropped(backend, np.ones((3, 5)), p) != 0).tolist() == expected


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_dropped_is_p_and_the_mean_stays(p: float) -> None:
    y = dropout(np.ones(100_000), KEY, COUNTER, p=p)
    assert abs((y == 0).mean() - p) < 4 * np.sqrt(p * (1 - p) / y.size)
    assert set(np.unique(y)) == {0, 1 / (1 - p)}


def test_the_mask_is_the_same_in_both_dtypes(backend: Backend) -> None:
    x = np.ones((7, 11))
    np.testing.assert_array_equal(dropped(backend, x, 0.5), dropped(backend, x.astype("float32"), 0.5))


def test_another_counter_draws_another_mask(backend: Backend) -> None:
    x = np.ones((7, 11))
    assert (dropped(backend, x, 0.5) != dropped(backend, x, 0.5, COUNTER + np.uint64(100))).any()


def test_the_bounds_keep_or_drop_everything(backend: Backend) -> None:
    x = np.linspace(-1, 1, 12).reshape(3, 4)
    np.testing.assert_array_equal(dropped(backend, x, 0.0), x)
    np.testing.assert_array_equal(dropped(backend, x, 1.0), np.zeros_like(x))


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_no_probability_is_refused(backend: Backend, p: float) -> None:
    with pytest.raises(RangeError, match="p: expected"):
        dropped(backend, np.ones(3), p)


def test_the_gradient_passes_where_the_value_passed(backend: Backend) -> None:
    x, key, counter = backend.asarray(np.ones((5, 9))), backend.asarray(KEY), backend.asarray(COUNTER)
    y, kept = dropout_saving(x, key, counter, p=0.3)
    dx, *others = dropout_backward(x, kept, x, key, counter, needs=(True, False, False), p=0.3)
    np.testing.assert_array_equal(to_numpy(dx), to_numpy(y))
    assert others == [None, None]


@pytest.mark.parametrize("order", [1, 2])
def test_gradients_are_right_to_the_second_order(backend: Backend, order: int) -> None:
    key, counter = backend.asarray(KEY), backend.asarray(COUNTER)
    check_gradients(lambda x: dropout(x, key, counter, p=0.4), backend.asarray(np.ones((3, 4))), order=order)


def test_an_element_is_kept_from_the_threshold_on(backend: Backend) -> None:
    key, counter = backend.asarray([1, 2], dtype="uint64"), backend.asarray([0, 0, 0, 0], dtype="uint64")
    word = int(to_numpy(philox_words(key, counter, n=1))[0])
    half = word & 0xFFFFFFFF
    x = backend.full((1,), 1.0, "float64")
    assert float(to_numpy(dropout(x, key, counter, p=half / 2**32))[0]) > 0
    assert float(to_numpy(dropout(x, key, counter, p=(half + 1) / 2**32))[0]) == 0


def test_whole_numbers_are_refused_as_those_left_could_not_be_made_larger(backend: Backend) -> None:
    with pytest.raises(DtypeError, match=r"dropout: x has dtype .*int64; expected a floating data type"):
        dropped(backend, np.arange(6), 0.3)
