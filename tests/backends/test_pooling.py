"""What the comparison of bodies cannot see: which element wins, how far windows reach, and the errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from portml.autograd import check_gradients
from portml.backends import Backend, to_numpy
from portml.backends.kernels.pooling import avg_pool, avg_pool_backward, max_pool, max_pool_backward, max_pool_saving
from portml.errors import ArgumentError, DtypeError, ShapeError

TOUCHING: dict[str, Any] = {"kernel_size": (2, 2), "stride": (2, 2), "padding": (0, 0)}
OVERLAPPING: dict[str, Any] = {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1)}
LARGEST: dict[str, Any] = {"dilation": (1, 1), "ceil_mode": False}
MEAN: dict[str, Any] = {"ceil_mode": False, "count_include_pad": True}


def gradient_of_maximum(backend: Backend, x: Any, g: Any, **statics: Any) -> Any:
    x = backend.asarray(x)
    _, saved = max_pool_saving(x, **statics)
    return to_numpy(max_pool_backward(backend.asarray(g), saved, x, needs=(True,), **statics)[0])


@pytest.mark.parametrize("sizes", [TOUCHING, OVERLAPPING | {"padding": (0, 0)}])
def test_of_equal_elements_the_first_gets_the_gradient(backend: Backend, sizes: dict[str, Any]) -> None:
    k = sizes["kernel_size"][0]
    expected = np.zeros((k, k))
    expected[0, 0] = 1
    dx = gradient_of_maximum(backend, np.ones((1, 1, k, k)), np.ones((1, 1, 1, 1)), **sizes, **LARGEST)
    np.testing.assert_array_equal(dx[0, 0], expected)


def test_the_first_is_the_first_of_the_upper_row(backend: Backend) -> None:
    x = np.asarray([[[[0.0, 5.0], [5.0, 0.0]]]])
    dx = gradient_of_maximum(backend, x, np.ones((1, 1, 1, 1)), **TOUCHING, **LARGEST)
    assert dx.tolist() == [[[[0, 1], [0, 0]]]]


def test_padding_wins_no_maximum_even_against_minus_infinity(backend: Backend) -> None:
    x = np.full((1, 1, 3, 3), -np.inf)
    dx = gradient_of_maximum(backend, x, np.ones((1, 1, 2, 2)), **OVERLAPPING, **LARGEST)
    assert dx.tolist() == [[[[1, 1, 0], [1, 1, 0], [0, 0, 0]]]]


def test_nan_wins_every_maximum(backend: Backend) -> None:
    x = np.zeros((1, 1, 4, 4))
    x[0, 0, 1, 1] = np.nan
    y = to_numpy(max_pool(backend.asarray(x), **TOUCHING, **LARGEST))
    assert np.isnan(y[0, 0]).tolist() == [[True, False], [False, False]]


def test_an_infinite_gradient_reaches_one_element_and_makes_no_nan(backend: Backend) -> None:
    x = np.arange(4.0).reshape(1, 1, 2, 2)
    dx = gradient_of_maximum(backend, x, np.full((1, 1, 1, 1), np.inf), **TOUCHING, **LARGEST)
    assert dx.tolist() == [[[[0, 0], [0, np.inf]]]]


def test_numbers_of_elements_are_kept_as_small_integers(backend: Backend) -> None:
    x = backend.asarray(np.zeros((1, 1, 12, 12)))
    assert max_pool_saving(x, **TOUCHING, **LARGEST)[1].dtype == backend.xp.int8
    large = {"kernel_size": (12, 12), "stride": (1, 1), "padding": (0, 0)}
    assert max_pool_saving(x, **large, **LARGEST)[1].dtype == backend.xp.int32


@pytest.mark.parametrize(
    ("length", "kernel_size", "stride", "padding", "ceil_mode", "expected"),
    [
        (5, 2, 2, 0, False, 2),
        (5, 2, 2, 0, True, 3),
        (4, 3, 2, 1, True, 3),
        (3, 2, 2, 1, True, 2),
        (5, 1, 3, 0, True, 2),
    ],
)
def test_a_window_reaches_over_the_end_only_if_it_begins_inside(
    backend: Backend, length: int, kernel_size: int, stride: int, padding: int, ceil_mode: bool, expected: int
) -> None:
    x = backend.asarray(np.zeros((1, 1, length)))
    sizes = {"kernel_size": (kernel_size,), "stride": (stride,), "padding": (padding,), "ceil_mode": ceil_mode}
    assert max_pool(x, dilation=(1,), **sizes).shape == (1, 1, expected)
    assert avg_pool(x, count_include_pad=True, **sizes).shape == (1, 1, expected)


@pytest.mark.parametrize(("count", "corner"), [(True, 4 / 9), (False, 1.0)])
def test_padding_counts_in_a_mean_if_asked(backend: Backend, count: bool, corner: float) -> None:
    statics = OVERLAPPING | {"ceil_mode": False, "count_include_pad": count}
    y = avg_pool(backend.asarray(np.ones((1, 1, 3, 3))), **statics)
    np.testing.assert_allclose(to_numpy(y)[0, 0], np.full((2, 2), corner), rtol=1e-15)


def test_what_lies_behind_the_padding_never_counts(backend: Backend) -> None:
    statics = {"kernel_size": (2,), "stride": (2,), "padding": (0,), "ceil_mode": True, "count_include_pad": True}
    assert to_numpy(avg_pool(backend.asarray(np.ones((1, 1, 3))), **statics)).tolist() == [[[1, 1]]]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("sizes", [TOUCHING, OVERLAPPING])
def test_gradients_of_both_orders_are_right(backend: Backend, sizes: dict[str, Any], order: int) -> None:
    x = np.random.default_rng(0).permutation(60).reshape(2, 1, 6, 5) / 8
    x = backend.asarray(x)
    check_gradients(lambda x: max_pool(x * x, **sizes, **LARGEST), x, order=order, directional=True)
    uneven = MEAN | {"count_include_pad": False}
    check_gradients(lambda x: avg_pool(x * x, **sizes, **uneven), x, order=order, directional=True)


@given(data=st.data())
def test_the_gradient_of_a_mean_is_its_transpose(data: st.DataObject) -> None:
    kernel_size = tuple(data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4))))
    statics = {
        "kernel_size": kernel_size,
        "stride": data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4))),
        "padding": tuple(data.draw(st.integers(0, k // 2)) for k in kernel_size),
        "ceil_mode": data.draw(st.booleans()),
        "count_include_pad": data.draw(st.booleans()),
    }
    lengths = data.draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    assume(all(n + 2 * p >= k for n, p, k in zip(lengths, statics["padding"], kernel_size, strict=True)))
    generator = np.random.default_rng(0)
    x = generator.standard_normal((2, 1, *lengths))
    y = avg_pool(x, **statics)
    g = generator.standard_normal(y.shape)
    (dx,) = avg_pool_backward(g, (), x, needs=(True,), **statics)
    np.testing.assert_allclose(np.sum(x * dx), np.sum(g * y), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("shape", "sizes", "error", "says"),
    [
        ((1, 1, 1, 4), TOUCHING, ShapeError, r"a window of \(2, 2\) is larger than x \(1, 1, 1, 4\)"),
        ((1, 1, 4, 4), TOUCHING | {"padding": (2, 0)}, ArgumentError, "at most half of the window"),
        ((1, 1, 4, 4), TOUCHING | {"kernel_size": (2,)}, ArgumentError, r"kernel_size=\(2,\)"),
        ((1, 1, 4, 4), TOUCHING | {"stride": (0, 2)}, ArgumentError, r"stride=\(0, 2\)"),
        ((1, 1, 4, 4), TOUCHING | {"padding": (0, -1)}, ArgumentError, r"padding=\(0, -1\)"),
        ((4, 4), TOUCHING, ShapeError, r"x has shape \(4, 4\)"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    backend: Backend, shape: tuple[int, ...], sizes: dict[str, Any], error: type, says: str
) -> None:
    x = backend.asarray(np.ones(shape))
    with pytest.raises(error, match=says):
        max_pool(x, **sizes, **LARGEST)
    with pytest.raises(error, match=says):
        avg_pool(x, **sizes, **MEAN)


def test_integers_are_refused(backend: Backend) -> None:
    x = backend.asarray(np.ones((1, 1, 4, 4), "int64"))
    with pytest.raises(DtypeError, match=r"x has dtype .*int64"):
        max_pool(x, **TOUCHING, **LARGEST)
    with pytest.raises(DtypeError, match=r"x has dtype .*int64"):
        avg_pool(x, **TOUCHING, **MEAN)
