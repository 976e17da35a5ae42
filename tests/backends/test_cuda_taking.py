"""Taking on CuPy's arrays: what its glue does is the same on NumPy's, so that it is tested there."""

from __future__ import annotations

import numpy as np
import pytest

from portml.backends.cuda.taking import _take, _take_along_axis
from portml.errors import ArgumentError

X = np.arange(12.0).reshape(3, 4)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_indices_in_range_take_what_numpy_takes(axis: int) -> None:
    indices = np.asarray([2, 0, -1, -3])
    np.testing.assert_array_equal(_take(X, indices, axis=axis), np.take(X, indices, axis=axis))
    wide = np.broadcast_to(np.asarray([[2], [0], [-1]]), (3, 4))
    np.testing.assert_array_equal(_take_along_axis(X, wide, axis=0), np.take_along_axis(X, wide, 0))


def test_an_index_out_of_range_gives_nan_and_is_never_wrapped() -> None:
    taken = _take(X, np.asarray([0, 3, -4]), axis=0)
    np.testing.assert_array_equal(taken, [X[0], [np.nan] * 4, [np.nan] * 4])
    taken = _take(X, np.asarray([4, 1]), axis=1)
    np.testing.assert_array_equal(taken[:, 0], [np.nan] * 3)
    np.testing.assert_array_equal(taken[:, 1], X[:, 1])
    along = _take_along_axis(X, np.asarray([[0, 1, 2, 3]]), axis=0)
    np.testing.assert_array_equal(along, [[0, 5, 10, np.nan]])


def test_integers_and_truth_values_out_of_range_are_zero_and_keep_their_dtype() -> None:
    for dtype in (np.int32, np.uint8, np.bool_):
        taken = _take(np.ones(3, dtype), np.asarray([0, 7]), axis=None)
        assert taken.dtype == dtype
        np.testing.assert_array_equal(taken, np.asarray([1, 0], dtype))


def test_float32_stays_float32() -> None:
    assert _take(X.astype(np.float32), np.asarray([9]), axis=0).dtype == np.float32


def test_an_axis_must_be_said_where_there_are_several() -> None:
    with pytest.raises(ArgumentError, match=r"shape \(3, 4\) has more than one"):
        _take(X, np.asarray([0]), axis=None)
