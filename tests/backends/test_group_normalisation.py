"""What the comparison of bodies cannot see: moments of groups, features and neighbours, large means, and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from portml.autograd import check_gradients
from portml.backends import Backend, to_numpy
from portml.backends.kernels.feature_normalisation import layer_norm_by_deviation, local_response_norm, rms_norm
from portml.backends.kernels.group_normalisation import group_norm
from portml.backends.kernels.normalisation import layer_norm, update_running
from portml.errors import ArgumentError, ShapeError

RNG = np.random.default_rng(0)
ORDERS = pytest.mark.parametrize("order", [1, 2])


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_groups_get_mean_zero_and_variance_one(backend: Backend, groups: int) -> None:
    x = RNG.normal(5, 3, (3, 6, 4, 5))
    y = to_numpy(group_norm(backend.asarray(x), None, None, groups=groups, eps=0.0)).reshape(3, groups, -1)
    np.testing.assert_allclose(y.mean(axis=2), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=2), 1, rtol=1e-12)


@pytest.mark.parametrize("mean", [0.0, 100.0, 1e4])
def test_a_large_mean_of_a_group_costs_float32_no_more_digits_than_the_input_lost(
    backend: Backend, mean: float
) -> None:
    x = np.asarray(RNG.normal(mean, 1, (4, 2, 500)), "float32")
    exact = (x - x.mean(axis=2, keepdims=True, dtype="float64")) / x.std(axis=2, keepdims=True, dtype="float64")
    y = to_numpy(group_norm(backend.asarray(x), None, None, groups=2, eps=0.0))
    np.testing.assert_allclose(y, exact, atol=2e-6 + 2e-7 * mean)


def test_the_root_mean_square_becomes_one(backend: Backend) -> None:
    y = to_numpy(rms_norm(backend.asarray(RNG.normal(5, 3, (4, 9))), None, axes=-1, eps=0.0))
    np.testing.assert_allclose((y**2).mean(axis=1), 1, rtol=1e-12)


def test_without_epsilon_the_deviation_and_the_root_of_the_variance_are_one(backend: Backend) -> None:
    arrays = [backend.asarray(RNG.normal(size=each)) for each in ((4, 9), (9,), (9,))]
    by_deviation = to_numpy(layer_norm_by_deviation(*arrays, axes=-1, eps=0.0))
    np.testing.assert_allclose(by_deviation, to_numpy(layer_norm(*arrays, axes=-1, eps=0.0)), rtol=1e-12)


def test_a_constant_row_by_the_deviation_becomes_the_bias_and_has_a_finite_gradient(backend: Backend) -> None:
    x, weight, bias = backend.full((2, 3), 7.5, "float64"), backend.full((3,), 2.0, "float64"), None
    assert not to_numpy(layer_norm_by_deviation(x, weight, bias, axes=-1)).any()
    _, saved = layer_norm_by_deviation.kernel.saving(x, weight, bias, axes=-1, eps=1e-6)
    needs = (True, True, False)
    dx, _, _ = layer_norm_by_deviation.kernel.backward(x, saved, x, weight, bias, needs=needs, axes=-1, eps=1e-6)
    assert np.isfinite(to_numpy(dx)).all()


def test_a_window_of_one_channel_damps_a_number_by_itself(backend: Backend) -> None:
    x = RNG.normal(size=(2, 3, 4))
    y = to_numpy(local_response_norm(backend.asarray(x), size=1, alpha=0.5, beta=0.75, k=2.0))
    np.testing.assert_allclose(y, x / (2 + 0.5 * x**2) ** 0.75, rtol=1e-12)


def test_running_statistics_may_follow_the_biased_variance(backend: Backend) -> None:
    running = backend.asarray([1.0]), backend.asarray([3.0])
    update_running(*running, backend.asarray([5.0]), backend.asarray([7.0]), momentum=0.1, n=8, unbiased=False)
    np.testing.assert_allclose(to_numpy(running[1]), [2.7 + 0.7], rtol=1e-14)


@ORDERS
@pytest.mark.parametrize(("shape", "groups"), [((2, 4), 2), ((2, 4, 3), 1), ((2, 2, 2, 2), 2)])
def test_group_norm_has_right_gradients_to_the_second_order(
    backend: Backend, shape: Any, groups: int, order: int
) -> None:
    arrays = [backend.asarray(RNG.normal(size=each)) for each in (shape, (shape[1],), (shape[1],))]
    check_gradients(lambda *given: group_norm(*given, groups=groups), arrays, order=order)


@ORDERS
def test_features_have_right_gradients_to_the_second_order(backend: Backend, order: int) -> None:
    x, weight, bias = (backend.asarray(RNG.normal(size=each)) for each in ((3, 4), (4,), (4,)))
    check_gradients(lambda *given: rms_norm(*given, axes=(1,)), [x, weight], order=order)
    check_gradients(lambda *given: layer_norm_by_deviation(*given, axes=1), [x, weight, bias], order=order)


@ORDERS
@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_neighbours_have_right_gradients_to_the_second_order(backend: Backend, size: int, order: int) -> None:
    x = backend.asarray(RNG.normal(size=(2, 4, 2)))
    check_gradients(lambda given: local_response_norm(given, size=size, alpha=0.7, k=1.5), x, order=order)


def test_what_does_not_fit_is_refused_with_its_shape(backend: Backend) -> None:
    with pytest.raises(ShapeError, match=r"group_norm: x has shape \(2, 5\); expected groups that divide its 5"):
        group_norm(backend.zeros((2, 5)), None, None, groups=2)
    with pytest.raises(ShapeError, match="group_norm: weight"):
        group_norm(backend.zeros((2, 4)), backend.zeros((2,)), None, groups=2)
    with pytest.raises(ShapeError, match="rms_norm: weight"):
        rms_norm(backend.zeros((2, 4)), backend.zeros((3,)), axes=1)
    with pytest.raises(ShapeError, match="layer_norm_by_deviation: bias"):
        layer_norm_by_deviation(backend.zeros((2, 4)), None, backend.zeros((3,)), axes=1)
    with pytest.raises(ArgumentError, match="size: expected a number of channels"):
        local_response_norm(backend.zeros((2, 4)), size=0)
    with pytest.raises(ShapeError, match="local_response_norm: x has shape"):
        local_response_norm(backend.zeros((4,)), size=2)
