"""What the comparison of bodies cannot see: moments, large means, running averages, and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.autograd import check_gradients
from portml.backends import Backend, to_numpy
from portml.backends.kernels.feature_normalisation import rms_norm
from portml.backends.kernels.group_normalisation import group_norm
from portml.backends.kernels.normalisation import batch_norm_inference, batch_norm_train, layer_norm, update_running
from portml.errors import ArgumentError, DtypeError, ShapeError

RNG = np.random.default_rng(0)


@given(st.integers(1, 5), st.integers(2, 40), st.floats(-100, 100), st.floats(0.1, 100))
def test_rows_get_mean_zero_and_variance_one(rows: int, width: int, mean: float, std: float) -> None:
    y = layer_norm(RNG.normal(mean, std, (rows, width)), None, None, axes=(1,), eps=0.0)
    np.testing.assert_allclose(y.mean(axis=1), 0, atol=1e-10)
    np.testing.assert_allclose(y.var(axis=1), 1, rtol=1e-9)


@pytest.mark.parametrize("mean", [0.0, 100.0, 1e4])
def test_a_large_mean_costs_float32_no_more_digits_than_the_input_lost(backend: Backend, mean: float) -> None:
    x = np.asarray(RNG.normal(mean, 1, (4, 1000)), "float32")
    exact = (x - x.mean(axis=1, keepdims=True, dtype="float64")) / x.std(axis=1, keepdims=True, dtype="float64")
    y = to_numpy(layer_norm(backend.asarray(x), None, None, axes=-1, eps=0.0))
    np.testing.assert_allclose(y, exact, atol=2e-6 + 2e-7 * mean)
    y, _, _ = batch_norm_train(backend.asarray(x.T.copy()), None, None, eps=0.0)
    np.testing.assert_allclose(to_numpy(y), exact.T, atol=2e-6 + 2e-7 * mean)


def test_weight_and_bias_come_after_the_normalisation(backend: Backend) -> None:
    x, weight, bias = RNG.normal(size=(3, 4)), RNG.normal(size=4), RNG.normal(size=4)
    plain = to_numpy(layer_norm(backend.asarray(x), None, None, axes=(1,)))
    y = layer_norm(backend.asarray(x), backend.asarray(weight), backend.asarray(bias), axes=(1,))
    np.testing.assert_allclose(to_numpy(y), plain * weight + bias, rtol=1e-12)


@pytest.mark.parametrize("shape", [(8, 3), (4, 3, 5), (2, 3, 4, 5)])
def test_channels_get_mean_zero_and_variance_one(backend: Backend, shape: tuple[int, ...]) -> None:
    x = RNG.normal(5, 3, shape)
    axes = (0, *range(2, len(shape)))
    y, mean, var = map(to_numpy, batch_norm_train(backend.asarray(x), None, None, eps=0.0))
    np.testing.assert_allclose(y.mean(axis=axes), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=axes), 1, rtol=1e-12)
    np.testing.assert_allclose(mean, x.mean(axis=axes), rtol=1e-12)
    np.testing.assert_allclose(var, x.var(axis=axes), rtol=1e-12)


def test_inference_with_the_batch_s_own_statistics_is_training(backend: Backend) -> None:
    x, weight, bias = (backend.asarray(RNG.normal(size=shape)) for shape in ((4, 3, 5), (3,), (3,)))
    y, mean, var = batch_norm_train(x, weight, bias)
    again = batch_norm_inference(x, mean, var, weight, bias)
    np.testing.assert_allclose(to_numpy(again), to_numpy(y), rtol=1e-12)


def test_running_statistics_are_averaged_in_place_with_an_unbiased_variance(backend: Backend) -> None:
    running = backend.asarray([1.0, 2.0]), backend.asarray([3.0, 4.0])
    returned = update_running(*running, backend.asarray([5.0, 6.0]), backend.asarray([7.0, 8.0]), momentum=0.1, n=8)
    assert returned[0] is running[0]
    assert returned[1] is running[1]
    np.testing.assert_allclose(to_numpy(running[0]), [0.9 + 0.5, 1.8 + 0.6], rtol=1e-14)
    np.testing.assert_allclose(to_numpy(running[1]), [2.7 + 0.8, 3.6 + 0.8 * 8 / 7], rtol=1e-14)


def test_one_value_has_no_variance(backend: Backend) -> None:
    with pytest.raises(ArgumentError, match="at least 2"):
        update_running(*(backend.zeros((3,)) for _ in range(4)), momentum=0.1, n=1)


def test_a_constant_row_becomes_the_bias(backend: Backend) -> None:
    y = layer_norm(backend.full((2, 3), 7.5), backend.full((3,), 2.0), backend.full((3,), 0.5), axes=(1,))
    assert to_numpy(y).tolist() == [[0.5] * 3] * 2


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(
    ("shape", "axes", "parameter"),
    [((3, 4), (1,), (4,)), ((2, 3, 2), (1, 2), (3, 2)), ((2, 3, 2), 1, (3, 1)), ((2, 3), -1, None)],
)
def test_layer_norm_has_right_gradients_to_the_second_order(
    backend: Backend, shape: Any, axes: Any, parameter: Any, order: int
) -> None:
    arrays = [backend.asarray(RNG.normal(size=each)) for each in (shape, parameter, parameter) if each is not None]
    rest = () if parameter else (None, None)
    check_gradients(lambda *given: layer_norm(*given, *rest, axes=axes), arrays, order=order)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("shape", [(4, 2), (3, 2, 2)])
def test_batch_norm_has_right_gradients_through_its_statistics_too(
    backend: Backend, shape: tuple[int, ...], order: int
) -> None:
    arrays = [backend.asarray(RNG.normal(size=each)) for each in (shape, (2,), (2,))]
    check_gradients(batch_norm_train, arrays, order=order)


@pytest.mark.parametrize("order", [1, 2])
def test_frozen_batch_norm_has_right_gradients_to_all_arguments(backend: Backend, order: int) -> None:
    arrays = [RNG.normal(size=(3, 2, 2)), RNG.normal(size=2), RNG.uniform(0.5, 2, 2), *RNG.normal(size=(2, 2))]
    check_gradients(batch_norm_inference, list(map(backend.asarray, arrays)), order=order)


@pytest.mark.parametrize("shape", [(3,), (4, 5), (2, 4, 1)])
def test_layer_norm_refuses_parameters_that_do_not_broadcast(backend: Backend, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="weight"):
        layer_norm(backend.zeros((5, 4)), backend.zeros(shape), None, axes=(1,))


def test_batch_norm_refuses_what_does_not_fit_the_channels(backend: Backend) -> None:
    with pytest.raises(ShapeError, match="channels"):
        batch_norm_train(backend.zeros((5,)), None, None)
    with pytest.raises(ShapeError, match="weight"):
        batch_norm_train(backend.zeros((5, 4)), backend.zeros((5,)), None)
    with pytest.raises(ShapeError, match="var"):
        batch_norm_inference(backend.zeros((5, 4)), backend.zeros((4,)), backend.zeros((1,)), None, None)


@pytest.mark.parametrize("width", [15, 60, 1000])
def test_equal_numbers_have_no_variance_however_large_they_are(backend: Backend, width: int) -> None:
    x = backend.asarray(np.full((3, 2, width), 1e8 / 3, "float32"))
    for y in (
        layer_norm(x, None, None, axes=(-1,), eps=1e-12),
        batch_norm_train(x, None, None, eps=1e-12)[0],
        group_norm(x, None, None, groups=1, eps=1e-12),
    ):
        np.testing.assert_array_equal(np.isfinite(to_numpy(y)), True)
    assert to_numpy(batch_norm_train(x, None, None)[2]).min() >= 0


@pytest.mark.parametrize(
    "normalise",
    [
        lambda x: layer_norm(x, None, None),
        lambda x: batch_norm_train(x, None, None),
        lambda x: group_norm(x, None, None, groups=1),
        lambda x: rms_norm(x, None),
    ],
)
def test_whole_numbers_are_refused_as_the_result_would_be_cut_off(backend: Backend, normalise: Any) -> None:
    with pytest.raises(DtypeError, match=r"x has dtype .*int64; expected float32 or float64, convert with astype"):
        normalise(backend.asarray(np.arange(40).reshape(2, 2, 10)))


def test_half_precision_is_normalised_where_the_library_has_it() -> None:
    x = RNG.normal(size=(3, 2, 20)).astype("float16")
    for normalise in (
        lambda x: layer_norm(x, None, None),
        lambda x: batch_norm_train(x, None, None)[0],
        lambda x: group_norm(x, None, None, groups=2),
    ):
        y = normalise(x)
        assert y.dtype == "float16"
        np.testing.assert_allclose(y.astype("f4"), normalise(x.astype("f4")), atol=5e-3)


def test_what_rounding_leaves_of_a_large_mean_is_taken_away_too(backend: Backend) -> None:
    x = np.asarray(RNG.normal(1e4, 1, (40, 3, 500)), "float32")
    y, mean, _ = map(to_numpy, batch_norm_train(backend.asarray(x), None, None))
    np.testing.assert_allclose(y.mean(axis=(0, 2), dtype="float64"), 0, atol=5e-5)
    np.testing.assert_allclose(mean, x.mean(axis=(0, 2), dtype="float64"), rtol=1e-7)
    for normalise in (lambda x: layer_norm(x, None, None), lambda x: group_norm(x, None, None, groups=3)):
        y = to_numpy(normalise(backend.asarray(x)))
        np.testing.assert_allclose(y.mean(axis=-1, dtype="float64"), 0, atol=5e-5)
