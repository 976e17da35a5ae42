"""Adaptive pooling: the windows, whose element is chosen, derivatives, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.autograd import check_gradients
from portml.backends import Backend, kernels_switched, to_numpy
from portml.backends.kernels.adaptive_pooling import adaptive_max_pool
from portml.backends.kernels.pooling import max_pool_with_indices
from portml.errors import ArgumentError, DtypeError, ShapeError


@given(data=st.data())
def test_every_element_is_the_largest_of_its_window_and_stands_where_it_says(data: st.DataObject) -> None:
    lengths = data.draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    size = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    x = np.random.default_rng(0).integers(0, 4, (2, *lengths)).astype("float64")
    for mode in ("fused", "agnostic"):
        with kernels_switched(mode, "numpy"):
            y, indices = adaptive_max_pool(x[None], output_size=size)
        assert y.shape == indices.shape == (1, 2, *size)
        for image, row, column in np.ndindex(2, *size):
            rows, columns = (
                slice(i * n // p, -(-(i + 1) * n // p)) for i, n, p in zip((row, column), lengths, size, strict=True)
            )
            window = x[image, rows, columns]
            first = np.unravel_index(np.argmax(window), window.shape)
            place = np.ravel_multi_index((rows.start + first[0], columns.start + first[1]), lengths)
            assert (y[0, image, row, column], indices[0, image, row, column]) == (window.max(), place)


def test_nan_wins_and_the_last_of_several_is_chosen(backend: Backend) -> None:
    x = backend.asarray(np.asarray([[[[1.0, np.nan, 3.0], [np.nan, 0.0, 9.0], [1.0, 2.0, 3.0]]]]))
    y, indices = adaptive_max_pool(x, output_size=(1, 1))
    assert np.isnan(to_numpy(y)).all()
    assert to_numpy(indices).tolist() == [[[[3]]]]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("size", [(2, 3), (4, 2), (6, 5)])
def test_gradients_of_both_orders_are_right(backend: Backend, size: tuple[int, int], order: int) -> None:
    x = backend.asarray(np.random.default_rng(0).permutation(30).reshape(1, 1, 6, 5) / 8)
    check_gradients(lambda x: adaptive_max_pool(x * x, output_size=size)[0], x, order=order, directional=True)


@pytest.mark.parametrize("order", [1, 2])
def test_gradients_beside_indices_are_right(backend: Backend, order: int) -> None:
    x = backend.asarray(np.random.default_rng(0).permutation(30).reshape(1, 1, 6, 5) / 8)
    sizes: dict[str, Any] = {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}
    pooled = sizes | {"ceil_mode": True}
    check_gradients(lambda x: max_pool_with_indices(x * x, **pooled)[0], x, order=order, directional=True)


@pytest.mark.parametrize(
    ("shape", "size", "error", "says"),
    [
        ((1, 1, 4, 4), (0, 2), ArgumentError, r"output_size=\(0, 2\)"),
        ((1, 1, 4, 4), (2,), ArgumentError, r"output_size=\(2,\)"),
        ((1, 4), (), ShapeError, r"x has shape \(1, 4\)"),
        ((1, 1, 0, 4), (2, 2), ShapeError, "none of them empty"),
    ],
)
def test_what_does_not_fit_is_refused(
    backend: Backend, shape: tuple[int, ...], size: tuple[int, ...], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        adaptive_max_pool(backend.asarray(np.zeros(shape)), output_size=size)


def test_integers_are_refused(backend: Backend) -> None:
    with pytest.raises(DtypeError, match="expected float32 or float64"):
        adaptive_max_pool(backend.asarray([[[1, 2]]]), output_size=(1,))
