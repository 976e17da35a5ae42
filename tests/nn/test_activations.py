"""Activations: values of the formulas, large arguments, both derivatives, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml import nn
from portml.autograd import check_gradients, no_grad
from portml.backends import operations, to_numpy
from portml.errors import ArgumentError, ShapeError
from portml.nn import functional as F

ELEMENTWISE = [
    nn.ReLU(), nn.LeakyReLU(), nn.ELU(), nn.SELU(), nn.CELU(), nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Mish(),
    nn.Sigmoid(), nn.Tanh(), nn.Softplus(), nn.Softsign(), nn.LogSigmoid(), nn.Tanhshrink(), nn.ReLU6(),
    nn.Hardtanh(), nn.Hardsigmoid(), nn.Hardswish(), nn.Hardshrink(), nn.Softshrink(), nn.Threshold(0.1, -2.0),
]  # fmt: skip
GATED = [nn.GLU(), nn.GEGLU(), nn.GEGLU(approximate="tanh"), nn.SwiGLU(), nn.ReGLU(), nn.Maxout(2)]
ALONG = [nn.Softmax(), nn.LogSoftmax(), nn.Softmin()]
SMOOTH = [
    nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Mish(), nn.Sigmoid(), nn.Tanh(), nn.Softplus(), nn.LogSigmoid(),
    nn.Tanhshrink(), *GATED[:4], *ALONG,
]  # fmt: skip


def values(layer, backend, x, dtype="float64"):
    with no_grad():
        return to_numpy(layer(backend.asarray(np.asarray(x), dtype=dtype)))


@pytest.mark.parametrize(
    ("layer", "at_minus_one", "at_two"),
    [
        (nn.GELU(), -0.15865525393145707, 1.9544997361036416),
        (nn.GELU("tanh"), -0.15880800939172324, 1.9545976940877752),
        (nn.Mish(), -math.tanh(math.log1p(math.exp(-1))), 2 * math.tanh(math.log1p(math.exp(2)))),
        (nn.SELU(), 1.0507009873554805 * 1.6732632423543772 * math.expm1(-1), 2.101401974710961),
        (nn.CELU(2.0), 2 * math.expm1(-0.5), 2.0),
        (nn.Softsign(), -0.5, 2 / 3),
        (nn.LogSigmoid(), -math.log1p(math.e), -math.log1p(math.exp(-2))),
        (nn.Tanhshrink(), -1 + math.tanh(1), 2 - math.tanh(2)),
        (nn.ReLU6(), 0.0, 2.0),
        (nn.Hardtanh(-0.5, 1.5), -0.5, 1.5),
        (nn.Hardsigmoid(), 1 / 3, 5 / 6),
        (nn.Hardswish(), -1 / 3, 5 / 3),
        (nn.Hardshrink(1.0), 0.0, 2.0),
        (nn.Softshrink(0.75), -0.25, 1.25),
        (nn.Threshold(1.0, 7.0), 7.0, 2.0),
        (nn.PReLU(), -0.25, 2.0),
    ],
    ids=str,
)
def test_values_are_those_of_the_formulas(backend, layer, at_minus_one, at_two):
    if isinstance(layer, nn.PReLU):
        layer = nn.PReLU(backend=backend, dtype="float64")
    np.testing.assert_allclose(values(layer, backend, [-1.0, 2.0]), [at_minus_one, at_two], rtol=1e-14)


@pytest.mark.parametrize("layer", ELEMENTWISE + GATED + ALONG, ids=str)
def test_large_arguments_give_finite_values_and_slopes_in_single_precision(backend, layer):
    x = backend.asarray([[1e4, -1e4, 300.0, -300.0, 88.8, -88.8, 20.0, -20.0]], dtype="float32")
    leaf = nn.Parameter(x)
    y = layer(leaf)
    operations.sum(y).backward()
    assert y.dtype == x.dtype
    assert np.all(np.isfinite(to_numpy(y)))
    assert np.all(np.isfinite(to_numpy(leaf.grad)))


@pytest.mark.parametrize("layer", ELEMENTWISE + GATED + ALONG, ids=str)
@pytest.mark.parametrize("order", [1, 2])
def test_derivatives_agree_with_differences(backend, layer, order):
    # Away from every kink, for those that have some.
    x = np.asarray([[-4.1, -2.2, -0.71, -0.3], [0.21, 0.83, 2.4, 7.3]])
    check_gradients(layer, [backend.asarray(x)], order=order)


@pytest.mark.parametrize("layer", SMOOTH, ids=str)
def test_smooth_activations_have_both_derivatives_at_the_origin(backend, layer):
    for order in (1, 2):
        check_gradients(layer, [backend.asarray(np.zeros((2, 4)))], order=order)


@pytest.mark.parametrize("function", [F.erf, F.erfc])
@pytest.mark.parametrize("order", [1, 2])
def test_the_error_function_has_both_derivatives_across_its_intervals(backend, function, order):
    edges = np.asarray([-4.0, -0.46875, -0.1, 0.0, 0.46875, 1.0, 4.0])
    check_gradients(function, [backend.asarray(edges)], order=order)


@pytest.mark.parametrize(("dtype", "units"), [("float32", 3), ("float64", 5)])
def test_the_error_function_is_right_to_the_last_digits(backend, dtype, units):
    x = np.concatenate([np.linspace(-9, 9, 1801), 10.0 ** np.arange(-30, 1)]).astype(dtype)
    for function, exact in ((F.erf, math.erf), (F.erfc, math.erfc)):
        expected = np.asarray([exact(float(each)) for each in x])
        kept = expected > 1e-30 if exact is math.erfc else expected != 0
        error = np.abs(to_numpy(function(backend.asarray(x))) - expected)[kept] / np.abs(expected[kept])
        assert error.max() < units * np.finfo(dtype).eps * (2 if exact is math.erfc else 1)


def test_gelu_keeps_the_digits_of_its_tail(backend):
    y = values(nn.GELU(), backend, [-5.0], "float32")
    np.testing.assert_allclose(y, -5 * 0.5 * math.erfc(5 / math.sqrt(2)), rtol=1e-5)


@given(st.floats(-50, 50))
def test_gelu_and_silu_of_opposite_numbers_differ_by_the_number(z):
    for function in (F.gelu, F.silu):
        both = function(np.asarray([z, -z]))
        assert math.isclose(both[0] - both[1], z, rel_tol=1e-12, abs_tol=1e-12)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6))
def test_shrinking_softly_leaves_what_the_bounds_take(numbers):
    x = np.asarray(numbers)
    np.testing.assert_allclose(
        F.softshrink(x, lambd=0.5) + F.hardtanh(x, min_val=-0.5, max_val=0.5), x, rtol=1e-12, atol=1e-12
    )


def test_selu_keeps_mean_zero_and_variance_one():
    x = np.random.default_rng(0).normal(size=400_000)
    y = F.selu(x)
    assert abs(y.mean()) < 0.01
    assert abs(y.var() - 1) < 0.01


def test_a_gate_that_is_shut_lets_nothing_through(backend):
    shut = backend.asarray([[3.0, -2.0, -1e4, -1e4]])
    with no_grad():
        assert not np.any(to_numpy(nn.GLU()(shut)))
    open_first = backend.asarray([[-1e4, -1e4, 3.0, -2.0]])
    with no_grad():
        for layer in (nn.SwiGLU(), nn.GEGLU(), nn.ReGLU()):
            assert not np.any(to_numpy(layer(open_first)))


def test_slopes_of_channels_are_learnt_each_by_its_own(backend):
    layer = nn.PReLU(2, 0.5, backend=backend)
    x = backend.asarray([[[-1.0, 2.0], [-3.0, -5.0]]], dtype="float32")
    operations.sum(layer(x)).backward()
    np.testing.assert_array_equal(to_numpy(layer.weight.grad), [-1.0, -8.0])
    assert list(layer.state_dict()) == ["weight"]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda b: nn.GELU("erf"), ArgumentError, "approximate must be 'none' or 'tanh', got 'erf'"),
        (lambda b: nn.CELU(0), ArgumentError, "alpha"),
        (lambda b: nn.Hardtanh(1.0, 1.0), ArgumentError, "max_val: expected a number above min_val"),
        (lambda b: nn.Softshrink(-1.0), ArgumentError, "lambd: expected a number of at least 0"),
        (lambda b: nn.PReLU(0), ArgumentError, "num_parameters: expected at least 1"),
        (lambda b: nn.Maxout(0), ArgumentError, "pieces: expected at least 1"),
        (lambda b: nn.GLU()(b.zeros((2, 5))), ShapeError, r"\(2, 5\).*multiple of 2"),
        (lambda b: nn.SwiGLU(3)(b.zeros((2, 4))), ShapeError, "axis 3"),
        (lambda b: nn.Maxout(3)(b.zeros((2, 4))), ShapeError, "multiple of 3"),
        (lambda b: nn.PReLU(3, backend=b)(b.zeros((2, 4))), ShapeError, r"\(3,\).*\(4,\)"),
        (lambda b: nn.Softmax2d()(b.zeros((2, 4))), ShapeError, r"\(2, 4\)"),
        (lambda b: nn.Softmin(2)(b.zeros((2, 4))), ShapeError, "dim=2 is no axis"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(backend, make, error, message):
    with pytest.raises(error, match=message):
        make(backend)
