"""What the comparison of bodies cannot see: known values, large arguments, and derivatives where branches meet."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.autograd import check_gradients
from portml.backends import Backend, to_numpy
from portml.backends.kernels.activation import (
    elu,
    leaky_relu,
    log_softmax,
    relu,
    relu_backward,
    sigmoid,
    silu,
    softmax,
    softplus,
)
from portml.backends.kernels.gated_activation import glu
from portml.backends.kernels.piecewise_activation import hardswish, softshrink
from portml.backends.kernels.smooth_activation import gelu, mish, softsign
from portml.errors import DtypeError

ELEMENTWISE = {
    "relu": relu,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "sigmoid": sigmoid,
    "silu": silu,
    "softplus": softplus,
}
SMOOTH = {"sigmoid": sigmoid, "silu": silu, "softplus": softplus, "softmax": softmax, "log_softmax": log_softmax}
each = pytest.mark.parametrize("activation", ELEMENTWISE.values(), ids=ELEMENTWISE)


def values(backend: Backend, function: Callable[..., Any], x: Any, dtype: str = "float64", **statics: Any) -> Any:
    return to_numpy(function(backend.asarray(np.asarray(x, dtype)), **statics))


@pytest.mark.parametrize(
    ("activation", "at_minus_one", "at_zero", "at_two"),
    [
        (relu, 0.0, 0.0, 2.0),
        (leaky_relu, -0.01, 0.0, 2.0),
        (elu, math.exp(-1) - 1, 0.0, 2.0),
        (sigmoid, 1 / (1 + math.e), 0.5, 1 / (1 + math.exp(-2))),
        (silu, -1 / (1 + math.e), 0.0, 2 / (1 + math.exp(-2))),
        (softplus, math.log1p(math.exp(-1)), math.log(2), math.log1p(math.exp(2))),
    ],
)
def test_values_are_those_of_the_formulas(
    backend: Backend, activation: Any, at_minus_one: float, at_zero: float, at_two: float
) -> None:
    np.testing.assert_allclose(
        values(backend, activation, [-1, 0, 2]), [at_minus_one, at_zero, at_two], rtol=1e-14, atol=0
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_arguments_neither_overflow_nor_lose_the_small_result(backend: Backend, dtype: str) -> None:
    large = [-1e4, -50.0, 50.0, 1e4]
    rtol = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(values(backend, sigmoid, large, dtype), [0, math.exp(-50), 1, 1], rtol=rtol)
    np.testing.assert_allclose(values(backend, silu, large, dtype), [0, -50 * math.exp(-50), 50, 1e4], rtol=rtol)
    np.testing.assert_allclose(values(backend, softplus, large, dtype), [0, math.exp(-50), 50, 1e4], rtol=rtol)
    np.testing.assert_allclose(values(backend, elu, large, dtype), [-1, -1, 50, 1e4], rtol=rtol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_stands_any_logits(backend: Backend, dtype: str) -> None:
    logits = [[1e4, 0.0, -1e4], [1e4, 1e4, 1e4], [-1e4, -1e4, 0.0]]
    third = 1 / 3
    expected = [[1, 0, 0], [third, third, third], [0, 0, 1]]
    np.testing.assert_allclose(values(backend, softmax, logits, dtype), expected, rtol=1e-6)
    expected = [[0, -1e4, -2e4], [math.log(third)] * 3, [-1e4, -1e4, 0]]
    np.testing.assert_allclose(values(backend, log_softmax, logits, dtype), expected, rtol=1e-6)


def test_log_softmax_keeps_what_softmax_rounds_to_zero(backend: Backend) -> None:
    assert values(backend, softmax, [[0.0, -200.0]], "float32")[0, 1] == 0
    assert values(backend, log_softmax, [[0.0, -200.0]], "float32")[0, 1] == -200


def test_rows_far_apart_keep_their_digits(backend: Backend) -> None:
    logits = np.asarray([[0.0, 1.0, 2.0], [300.0, 301.0, 302.0], [-500.0, -499.0, -498.0]])
    np.testing.assert_allclose(
        values(backend, softmax, logits, "float32"), [np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum()] * 3, rtol=1e-6
    )


@each
def test_nan_comes_out_where_it_went_in(backend: Backend, activation: Any) -> None:
    y = values(backend, activation, [1.0, math.nan, -1.0])
    assert np.isnan(y).tolist() == [False, True, False]


@pytest.mark.parametrize("function", [softmax, log_softmax])
def test_nan_spoils_its_own_row_only(backend: Backend, function: Any) -> None:
    y = values(backend, function, [[1.0, math.nan], [1.0, 2.0]])
    assert np.isnan(y).tolist() == [[True, True], [False, False]]


def test_relu_has_slope_zero_at_zero(backend: Backend) -> None:
    x = backend.asarray([0.0, 1.0])
    (dx,) = relu_backward(backend.asarray([3.0, 3.0]), relu(x), x, needs=(True,))
    assert to_numpy(dx).tolist() == [0.0, 3.0]


@pytest.mark.parametrize("function", SMOOTH.values(), ids=SMOOTH)
@pytest.mark.parametrize("order", [1, 2])
def test_smooth_functions_have_both_derivatives_where_branches_meet(
    backend: Backend, function: Any, order: int
) -> None:
    # Zeros are where the bodies change branches, equal numbers where the maximum changes its place.
    check_gradients(function, [backend.asarray([[0.0, 0.0, -1.0], [2.0, 0.5, 0.5]])], order=order)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("statics", [{"beta": 2.5}, {"beta": 0.5, "threshold": 0.6}])
def test_softplus_has_both_derivatives_on_both_sides_of_its_threshold(order: int, statics: dict[str, float]) -> None:
    check_gradients(lambda x: softplus(x, **statics), [np.asarray([-3.0, 0.0, 1.0, 1.3, 4.0])], order=order)


@pytest.mark.parametrize("order", [1, 2])
def test_elu_has_both_derivatives_with_any_alpha(order: int) -> None:
    for alpha in (0.3, 1.0, 1.7, -0.5):
        check_gradients(lambda x, alpha=alpha: elu(x, alpha=alpha), [np.asarray([-2.0, -0.1, 0.2, 3.0])], order=order)


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=8), st.floats(-100, 100))
def test_softmax_does_not_see_what_is_added_to_all(logits: list[float], shift: float) -> None:
    y = softmax(np.asarray(logits))
    assert math.isclose(y.sum(), 1, rel_tol=1e-12)
    np.testing.assert_allclose(softmax(np.asarray(logits) + shift), y, atol=1e-10)


@given(st.floats(-700, 700))
def test_sigmoids_of_opposite_numbers_sum_to_one(z: float) -> None:
    assert math.isclose(sigmoid(np.asarray([z]))[0] + sigmoid(np.asarray([-z]))[0], 1, rel_tol=1e-15)


@each
def test_long_arrays_take_the_same_values_as_short_ones(activation: Any) -> None:
    x = np.linspace(-20, 20, 70_001, dtype=np.float32)
    np.testing.assert_allclose(activation(x)[::7000], activation(x[::7000]), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int64", "bool", "complex128"])
@pytest.mark.parametrize(
    "activation",
    [elu, leaky_relu, log_softmax, sigmoid, silu, softmax, softplus, gelu, mish, softsign, hardswish, softshrink, glu],
)
def test_what_holds_no_real_fractions_is_refused(backend: Backend, activation: Any, dtype: str) -> None:
    name = activation.kernel.name
    with pytest.raises(DtypeError, match=f"{name}: x has dtype .*{dtype}; expected float32 or float64, convert"):
        activation(backend.asarray(np.zeros((2, 4), dtype)))
