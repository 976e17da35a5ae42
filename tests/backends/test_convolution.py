"""What the comparison of bodies cannot see: that convolution is the right sum, its gradient the transpose; errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from portml.autograd import check_gradients
from portml.backends import Backend, kernels_switched, to_numpy
from portml.backends.kernels.convolution import convolution, convolution_backward
from portml.errors import ArgumentError, ShapeError
from tests.tolerances import assert_close

PLAIN: dict[str, Any] = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}


def drawn(*shape: int, seed: int = 0, dtype: str = "float64") -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def test_an_edge_is_found_where_it_stands(backend: Backend) -> None:
    image = np.zeros((1, 1, 3, 4))
    image[..., 2:] = 1
    y = convolution(backend.asarray(image), backend.asarray(np.asarray([[[[-1.0, 1.0]]]])), None, **PLAIN)
    assert to_numpy(y).tolist() == [[[[0, 1, 0]] * 3]]


def test_a_kernel_is_not_turned_around(backend: Backend) -> None:
    image, weight = np.arange(4.0).reshape(1, 1, 2, 2), np.asarray([[[[1.0, 10.0], [100.0, 1000.0]]]])
    y = convolution(backend.asarray(image), backend.asarray(weight), backend.asarray(np.asarray([0.5])), **PLAIN)
    assert float(to_numpy(y).item()) == 3210.5


def test_unequal_padding_puts_zeros_where_it_says(backend: Backend) -> None:
    x, weight = backend.asarray(np.ones((1, 1, 2, 2))), backend.asarray(np.ones((1, 1, 2, 2)))
    y = convolution(x, weight, None, **PLAIN | {"padding": ((0, 1), (1, 0))})
    assert to_numpy(y).tolist() == [[[[2, 4], [1, 2]]]]


def test_groups_know_nothing_of_each_other(backend: Backend) -> None:
    x, weight = drawn(2, 4, 5, 5), drawn(6, 2, 3, 3)
    joined = convolution(backend.asarray(x), backend.asarray(weight), None, **PLAIN | {"groups": 2})
    parts = [
        to_numpy(convolution(backend.asarray(x[:, half]), backend.asarray(weight[rows]), None, **PLAIN))
        for half, rows in ((slice(0, 2), slice(0, 3)), (slice(2, 4), slice(3, 6)))
    ]
    np.testing.assert_allclose(to_numpy(joined), np.concatenate(parts, axis=1), rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(
    ("x", "weight", "statics"),
    [
        ((2, 2, 4, 3), (2, 2, 2, 2), PLAIN | {"padding": ((1, 0), (0, 1))}),
        ((1, 4, 5, 4), (2, 2, 2, 2), PLAIN | {"groups": 2, "stride": (2, 1), "dilation": (1, 2)}),
        ((2, 2, 5), (1, 2, 3), {"stride": (2,), "padding": ((1, 1),), "dilation": (1,), "groups": 1}),
    ],
)
def test_gradients_of_both_orders_are_right(
    backend: Backend, x: tuple[int, ...], weight: tuple[int, ...], statics: dict[str, Any], order: int
) -> None:
    inputs = [backend.asarray(drawn(*shape, seed=seed)) for seed, shape in enumerate((x, weight, weight[:1]))]
    check_gradients(lambda *given: convolution(*given, **statics), inputs, order=order, directional=True)


sizes = st.integers(1, 3)


@given(data=st.data())
def test_the_gradient_is_the_transpose(data: st.DataObject) -> None:
    groups, n_in, n_out = data.draw(sizes), data.draw(sizes), data.draw(sizes)
    kernel = (data.draw(sizes), data.draw(sizes))
    statics: dict[str, Any] = {
        "stride": (data.draw(sizes), data.draw(sizes)),
        "padding": tuple((data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))) for _ in range(2)),
        "dilation": (data.draw(sizes), data.draw(sizes)),
        "groups": groups,
    }
    spatial = (data.draw(st.integers(1, 7)), data.draw(st.integers(1, 7)))
    padded = [n + sum(pair) for n, pair in zip(spatial, statics["padding"], strict=True)]
    assume(all(d * (k - 1) < n for n, k, d in zip(padded, kernel, statics["dilation"], strict=True)))
    x, weight = drawn(2, groups * n_in, *spatial), drawn(groups * n_out, n_in, *kernel, seed=1)
    y = convolution(x, weight, None, **statics)
    g = drawn(*y.shape, seed=2)
    dx, dweight, _ = convolution_backward(g, (), x, weight, None, needs=(True, True, False), **statics)
    np.testing.assert_allclose([np.sum(x * dx), np.sum(weight * dweight)], np.sum(g * y), rtol=1e-9, atol=1e-9)


def test_many_channels_send_back_the_same_gradient_as_few() -> None:
    x, weight = drawn(2, 40, 6, 5), drawn(3, 40, 3, 3, seed=1)
    statics = PLAIN | {"padding": ((1, 1), (2, 1))}
    g = drawn(*convolution(x, weight, None, **statics).shape, seed=2)
    needs = (True, True, False)
    expected = convolution_backward.agnostic(g, (), x, weight, None, needs=needs, **statics)
    assert_close(convolution_backward(g, (), x, weight, None, needs=needs, **statics), expected, "gradient")


def test_on_numpy_the_samples_stay_innermost_from_one_convolution_to_the_next() -> None:
    with kernels_switched("fused", "numpy"):
        y = convolution(drawn(8, 2, 6, 6), drawn(3, 2, 3, 3), None, **PLAIN)
    assert y.transpose(2, 1, 3, 0).flags.c_contiguous
    assert convolution(np.maximum(y, 0), drawn(2, 3, 3, 3), None, **PLAIN).shape == (8, 2, 2, 2)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_order_of_memory_of_the_input_changes_nothing(order: Any) -> None:
    x, weight = drawn(4, 2, 6, 7), drawn(3, 2, 2, 3)
    expected = convolution(x, weight, None, **PLAIN)
    backwards = np.asarray(x[::-1, :, ::-1], order=order)[::-1, :, ::-1]
    np.testing.assert_array_equal(convolution(backwards, np.asarray(weight, order=order), None, **PLAIN), expected)


def test_single_precision_stays_single(backend: Backend) -> None:
    x, weight = backend.asarray(drawn(1, 1, 3, 3, dtype="float32")), backend.asarray(drawn(1, 1, 2, 2, dtype="float32"))
    y = convolution(x, weight, None, **PLAIN)
    gradients = convolution_backward(y, (), x, weight, None, needs=(True, True, False), **PLAIN)
    assert all(result.dtype == backend.xp.float32 for result in (y, gradients[0], gradients[1]))


@pytest.mark.parametrize(
    ("x", "weight", "statics", "error", "says"),
    [
        (
            (1, 2, 4, 4),
            (3, 2, 5, 5),
            {},
            ShapeError,
            r"kernel of weight \(3, 2, 5, 5\).* is larger than x \(1, 2, 4, 4\)",
        ),
        ((1, 2, 4, 4), (3, 2, 3, 3), {"dilation": (2, 2)}, ShapeError, "larger than x"),
        ((1, 2, 4, 4), (3, 1, 3, 3), {}, ShapeError, r"weight must be \(3, 2, ...\), got \(3, 1, 3, 3\)"),
        (
            (1, 3, 4, 4),
            (4, 1, 3, 3),
            {"groups": 2},
            ArgumentError,
            "groups=2 must be positive and divide the 3 channels",
        ),
        ((1, 4, 4, 4), (3, 2, 3, 3), {"groups": 2}, ArgumentError, "and the 3 kernels"),
        ((1, 2, 4, 4), (3, 2, 3, 3), {"groups": 0}, ArgumentError, "groups=0"),
        ((1, 2, 4, 4), (3, 2, 3, 3), {"stride": (0, 1)}, ArgumentError, r"stride=\(0, 1\)"),
        ((1, 2, 4, 4), (3, 2, 3, 3), {"stride": (1,)}, ArgumentError, r"stride=\(1,\).*each of 2 spatial axes"),
        ((1, 2, 4, 4), (3, 2, 3, 3), {"dilation": (1, -1)}, ArgumentError, "dilation="),
        ((1, 2, 4, 4), (3, 2, 3, 3), {"padding": ((0, -1), (0, 0))}, ArgumentError, "padding="),
        ((1, 2, 4, 4), (3, 2, 3, 3), {"padding": (1, 1)}, ArgumentError, r"padding=\(1, 1\); expected a pair"),
        ((1, 2, 4, 4), (3, 2, 3), {}, ShapeError, r"x has shape \(1, 2, 4, 4\) and weight \(3, 2, 3\)"),
        ((2, 4), (3, 4), {}, ShapeError, "spatial axes"),
        ((1, 2, 4, 4), (3, 2, 0, 3), {}, ShapeError, "an axis without elements"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    backend: Backend, x: tuple[int, ...], weight: tuple[int, ...], statics: dict[str, Any], error: type, says: str
) -> None:
    with pytest.raises(error, match=says):
        convolution(backend.asarray(np.ones(x)), backend.asarray(np.ones(weight)), None, **PLAIN | statics)


def test_a_bias_of_another_length_is_refused(backend: Backend) -> None:
    x, weight = backend.asarray(np.ones((1, 2, 4, 4))), backend.asarray(np.ones((3, 2, 3, 3)))
    with pytest.raises(ShapeError, match=r"bias has shape \(2,\).*expected a bias of \(3,\)"):
        convolution(x, weight, backend.asarray(np.ones(2)), **PLAIN)
