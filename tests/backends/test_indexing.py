"""What the comparison of bodies cannot see: that keys mean what they mean to NumPy, and what happens out of range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.autograd import check_gradients
from portml.backends import Backend, to_numpy
from portml.backends.kernels.index_keys import ARRAY, Span, split_key
from portml.backends.kernels.indexing import advanced_setitem, basic_getitem, getitem, pad, setitem, unindex
from portml.backends.kernels.rows import (
    embedding,
    embedding_backward,
    index_add,
    one_hot,
    scatter_along_axis,
    scatter_along_axis_backward,
)
from portml.errors import ArgumentError, DtypeError, RangeError, ShapeError

SHAPE = (3, 4, 5)
X = np.random.default_rng(0).standard_normal(SHAPE)
FEW, PAIRS = np.asarray([0, 2, -1, 2]), np.asarray([[1], [-2]])
MASK = np.random.default_rng(1).random((4, 5)) > 0.5
KEYS: list[Any] = [
    (), 0, -1, ..., None, np.s_[1, 2, 3], np.s_[0, ..., 1], np.s_[::-2, None, 1], np.s_[1:2, ..., None, ::-1],
    np.s_[5:1], np.int64(1), np.s_[np.int32(1) :, 0],
    FEW, np.s_[:, FEW], np.s_[FEW, :, FEW], np.s_[0, :, FEW], np.s_[:, 0, FEW], np.s_[:, FEW, PAIRS],
    np.s_[PAIRS, ..., FEW], np.s_[PAIRS, FEW, ..., None], np.s_[:, None, PAIRS, 1:3], np.asarray(1),
    np.s_[np.asarray(1), :, FEW], FEW[:0],
    MASK[:3, 0], np.s_[:, MASK], np.s_[MASK[:3, 1], ..., 0], np.s_[0, MASK], np.s_[:, MASK[:, 0], :2],
    np.s_[MASK[:3, 0], FEW[:1]], np.asarray(True), X > 0, X > 9,
]  # fmt: skip

each_key = pytest.mark.parametrize("key", KEYS, ids=repr)


def on(backend: Backend, key: Any) -> tuple[Any, list[Any]]:
    template, arrays = split_key(key)
    return template, [backend.asarray(array) for array in arrays]


@each_key
def test_a_key_reads_what_it_reads_from_numpy(backend: Backend, key: Any) -> None:
    template, indices = on(backend, key)
    y = getitem(backend.asarray(X), *indices, key=template)
    np.testing.assert_array_equal(to_numpy(y), X[key], strict=True)


@each_key
def test_unindex_adds_at_a_key_as_often_as_it_is_named(backend: Backend, key: Any) -> None:
    template, indices = on(backend, key)
    g = np.random.default_rng(2).standard_normal(X[key].shape)
    expected = np.zeros_like(X)
    np.add.at(expected, key, g)
    actual = unindex(backend.asarray(g), *indices, key=template, shape=SHAPE)
    np.testing.assert_allclose(to_numpy(actual), expected, atol=1e-14)


@each_key
@pytest.mark.parametrize("broadcast", [False, True])
def test_setitem_writes_where_numpy_writes_and_the_last_value_stays(
    backend: Backend, key: Any, broadcast: bool
) -> None:
    template, indices = on(backend, key)
    v = np.random.default_rng(2).standard_normal(X[key].shape[1:] if broadcast else X[key].shape)
    expected = X.copy()
    expected[key] = v
    x = backend.asarray(X, copy=True)
    np.testing.assert_array_equal(to_numpy(setitem(x, backend.asarray(v), *indices, key=template)), expected)
    np.testing.assert_array_equal(to_numpy(x), X)
    expected[key] = 7
    np.testing.assert_array_equal(to_numpy(setitem(x, 7, *indices, key=template)), expected)


@each_key
@pytest.mark.parametrize("order", [1, 2])
def test_gradients_of_both_orders_are_right(backend: Backend, key: Any, order: int) -> None:
    template, indices = on(backend, key)
    v = np.random.default_rng(2).standard_normal(X[key].shape)
    x, v = backend.asarray(X), backend.asarray(v)
    if v.size:
        check_gradients(lambda x: getitem(x * x, *indices, key=template), x, order=order, directional=True)
        check_gradients(
            lambda x, v: setitem(x * x, v * v, *indices, key=template), (x, v), order=order, directional=True
        )


basic_items = st.one_of(
    st.none(), st.just(...), st.integers(-3, 2), st.slices(5), st.builds(slice, st.none(), st.none(), st.just(-1))
)


@given(items=st.lists(basic_items, max_size=5))
def test_every_basic_key_means_what_it_means_to_numpy_or_is_refused(items: list[Any]) -> None:
    key = tuple(items)
    try:
        expected = X[key]
    except IndexError:
        with pytest.raises(ArgumentError):
            basic_getitem(X, key=split_key(key)[0])
    else:
        np.testing.assert_array_equal(basic_getitem(X, key=split_key(key)[0]), expected, strict=True)


def test_a_template_can_be_hashed_and_holds_the_places_of_arrays() -> None:
    template, arrays = split_key((1, slice(None, 3), FEW, None, ...))
    assert template == (1, Span(None, 3, None), ARRAY, None, ...)
    assert hash(template) == hash((1, Span(None, 3, None), ARRAY, None, ...))
    assert arrays == (FEW,)


@pytest.mark.parametrize("key", [[0, 1], "a", 1.5, True, slice(None, 1.0), (0, {})])
def test_what_is_no_index_is_refused(key: Any) -> None:
    with pytest.raises(ArgumentError, match="key: "):
        split_key(key)


def test_floating_point_numbers_are_no_indices(backend: Backend) -> None:
    with pytest.raises(ArgumentError, match=r"integers or truth values, got .*float64"):
        getitem(backend.asarray(X), backend.asarray(np.asarray([1.0])), key=(ARRAY,))


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (3, RangeError),
        ((0, -5), RangeError),
        ((0, 0, 0, 0), RangeError),
        ((..., 0, ...), ArgumentError),
        (slice(None, None, 0), ArgumentError),
    ],
)
def test_a_key_that_does_not_fit_is_refused(backend: Backend, key: Any, error: type) -> None:
    with pytest.raises(error, match="key: "):
        basic_getitem(backend.asarray(X), key=split_key(key)[0])


@pytest.mark.parametrize(
    ("key", "error"), [(np.s_[FEW, FEW[:3]], ShapeError), (np.s_[MASK], RangeError), (np.s_[:, MASK.T], RangeError)]
)
def test_index_arrays_that_do_not_fit_are_refused(backend: Backend, key: Any, error: type) -> None:
    template, indices = on(backend, key)
    with pytest.raises(error, match="key: "):
        getitem(backend.asarray(X), *indices, key=template)


@pytest.mark.parametrize("key", [np.s_[1], np.s_[FEW]])
def test_a_value_that_does_not_fit_is_refused(backend: Backend, key: Any) -> None:
    template, indices = on(backend, key)
    with pytest.raises(ShapeError, match=r"v: a value of shape \(7,\)"):
        setitem(backend.asarray(X), backend.asarray(np.ones(7)), *indices, key=template)


def test_more_values_than_a_mask_has_true_elements_are_refused_on_the_host() -> None:
    with pytest.raises(ArgumentError, match=r"2 true elements|cannot be written"):
        advanced_setitem(np.zeros(3), np.ones(3), np.asarray([True, False, True]), key=(ARRAY,))


def test_basic_keys_give_views(backend: Backend) -> None:
    x = backend.zeros((3, 4), "float64")
    basic_getitem(x, key=split_key(np.s_[1, ::2])[0])[...] = 1
    assert to_numpy(x).tolist() == [[0] * 4, [1, 0, 1, 0], [0] * 4]


def test_a_written_value_takes_the_dtype_of_the_array(backend: Backend) -> None:
    x = backend.zeros((3,), "float32")
    for indices, key in (([], (0,)), ([backend.asarray(np.asarray([0, 1]))], (ARRAY,))):
        changed = setitem(x, backend.asarray(np.asarray(0.5)), *indices, key=key)
        assert changed.dtype == backend.xp.float32


def test_negative_widths_are_refused(backend: Backend) -> None:
    with pytest.raises(ShapeError, match=r"widths: .*\(\(0, -1\),\)"):
        pad(backend.zeros((3,)), widths=((0, -1),), value=0.0)


# --- rows -----------------------------------------------------------------------------------------------------------

OUT_OF_RANGE: dict[str, Callable[[Any, Any], Any]] = {
    "getitem": lambda x, ids: getitem(x, ids, key=(ARRAY,)),
    "embedding": lambda x, ids: embedding(ids, x, padding_idx=None),
    "index_add": lambda x, ids: index_add(x, ids, n=4),
    "one_hot": lambda x, ids: one_hot(ids, n=4, dtype="float64"),
    "scatter_along_axis": lambda x, ids: scatter_along_axis(x, ids, axis=0, shape=(4,)),
}
WITH_NEGATIVE = {"getitem", "scatter_along_axis"}


@pytest.mark.parametrize("operation", OUT_OF_RANGE)
@pytest.mark.parametrize("wrong", [4, -1, -5])
def test_an_index_out_of_range_raises_on_the_host_and_gives_nan_elsewhere(
    backend: Backend, operation: str, wrong: int
) -> None:
    x, ids = backend.asarray(np.arange(4.0)), backend.asarray(np.asarray([0, wrong, 2, 1]))
    run = OUT_OF_RANGE[operation]
    if wrong == -1 and operation in WITH_NEGATIVE:
        assert not np.isnan(to_numpy(run(x, ids))).any()
    elif backend.host:
        with pytest.raises(RangeError, match=f"got {wrong}, expected integers from .* to 3"):
            run(x, ids)
    else:
        y = to_numpy(run(x, ids))
        assert np.isnan(y).any()
        assert not np.isnan(y).all()


def test_the_error_of_an_index_is_also_an_index_error() -> None:
    with pytest.raises(IndexError):
        getitem(np.arange(4.0), np.asarray([4]), key=(ARRAY,))


def test_a_nan_stays_in_its_own_row(backend: Backend) -> None:
    values = np.ones((40, 20))
    values[3, 5] = np.nan
    sums = to_numpy(index_add(backend.asarray(values), backend.asarray(np.arange(40) % 4), n=4))
    assert np.argwhere(np.isnan(sums)).tolist() == [[3, 5]]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64"])
def test_integers_of_every_width_index(backend: Backend, dtype: str) -> None:
    values, ids = np.ones((300, 3)), (np.arange(300) % 127).astype(dtype)
    sums = to_numpy(index_add(backend.asarray(values), backend.asarray(ids), n=127))
    assert sums.sum() == 900
    assert sums[0].tolist() == [3, 3, 3]


def test_integers_are_added_as_integers(backend: Backend) -> None:
    large = 2**53 + 1
    sums = index_add(backend.asarray(np.asarray([large, 2])), backend.asarray(np.asarray([0, 0])), n=1)
    assert to_numpy(sums).tolist() == [large + 2]


def test_padding_is_read_but_takes_no_gradient(backend: Backend) -> None:
    ids, weight = backend.asarray(np.asarray([[0, 1], [1, 2]])), backend.asarray(np.arange(6.0).reshape(3, 2))
    y = embedding(ids, weight, padding_idx=1)
    assert to_numpy(y)[0, 1].tolist() == [2, 3]
    g = backend.asarray(np.ones((2, 2, 2)))
    _, dweight = embedding_backward(g, y, ids, weight, needs=(False, True), padding_idx=1)
    assert to_numpy(dweight).tolist() == [[1, 1], [0, 0], [1, 1]]


@pytest.mark.parametrize("order", [1, 2])
def test_gradients_of_rows_are_right_in_both_orders(backend: Backend, order: int) -> None:
    ids = backend.asarray(np.asarray([2, 0, 2, 2]))
    x = backend.asarray(np.random.default_rng(0).standard_normal((4, 3)))
    check_gradients(lambda x: index_add(x * x, ids, n=3), x, order=order)
    check_gradients(lambda x: embedding(ids, x * x, padding_idx=1), x, order=order)
    along = backend.asarray(np.asarray([[0, -1, 1]]))
    check_gradients(lambda x: scatter_along_axis(x * x, along, axis=1, shape=(4, 2)), x, order=order)


@given(ids=st.lists(st.integers(0, 5), max_size=40), columns=st.sampled_from([1, 3, 17]), seed=st.integers(0, 9))
def test_the_sum_of_all_rows_is_kept_and_the_gradient_is_the_transpose(ids: list[int], columns: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    values, indices = generator.standard_normal((len(ids), columns)), np.asarray(ids, dtype="int64")
    sums = index_add(values, indices, n=6)
    np.testing.assert_allclose(sums.sum(axis=0), values.sum(axis=0), atol=1e-12)
    g = generator.standard_normal((6, columns))
    np.testing.assert_allclose(np.sum(g * sums), np.sum(embedding(indices, g, padding_idx=None) * values), atol=1e-12)


def test_scattering_along_an_axis_undoes_taking_along_it(backend: Backend) -> None:
    order = np.argsort(X, axis=1)
    values, indices = backend.asarray(np.take_along_axis(X, order, axis=1)), backend.asarray(order)
    scattered = scatter_along_axis(values, indices, axis=1, shape=SHAPE)
    np.testing.assert_array_equal(to_numpy(scattered), X)
    (back, _) = scatter_along_axis_backward(
        backend.asarray(X), scattered, values, indices, needs=(True, False), axis=1, shape=SHAPE
    )
    np.testing.assert_array_equal(to_numpy(back), to_numpy(values))


@pytest.mark.parametrize(
    ("run", "error", "says"),
    [
        (lambda x, ids: index_add(x[:2], ids, n=4), ShapeError, r"values has shape \(2,\) and indices \(4,\)"),
        (lambda x, ids: index_add(x, x, n=4), DtypeError, "indices: expected integers"),
        (lambda x, ids: embedding(x, x, padding_idx=None), DtypeError, "indices: expected integers"),
        (lambda x, ids: one_hot(x, n=4, dtype="float32"), DtypeError, "indices: expected integers"),
        (lambda x, ids: scatter_along_axis(x, ids, axis=1, shape=(4,)), ShapeError, "scatter_along_axis: values"),
        (lambda x, ids: scatter_along_axis(x, ids, axis=0, shape=(4, 2)), ShapeError, "scatter_along_axis: values"),
    ],
)
def test_rows_that_do_not_fit_are_refused(
    backend: Backend, run: Callable[[Any, Any], Any], error: type, says: str
) -> None:
    with pytest.raises(error, match=says):
        run(backend.asarray(np.ones(4)), backend.asarray(np.zeros(4, "int64")))
