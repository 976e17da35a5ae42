"""Gradients kept within bounds."""

from __future__ import annotations

import numpy as np
import pytest

from portml.autograd.parameter import Parameter
from portml.backends import to_numpy
from portml.errors import ArgumentError, RangeError
from portml.optim import SGD, clip_grad_norm_, clip_grad_value_, get_total_norm


def with_gradients(backend, *values):
    parameters = [Parameter(backend.zeros((len(value),), "float64")) for value in values]
    for parameter, value in zip(parameters, values, strict=True):
        parameter.grad = backend.asarray(value)
    return parameters


@pytest.mark.parametrize("packed", [False, True])
def test_gradients_longer_than_the_bound_are_shrunk_to_it_together(backend, packed):
    parameters = with_gradients(backend, [3.0], [0.0, 4.0])
    if packed:
        SGD(parameters)
    norm = clip_grad_norm_(parameters, 1.0)
    assert float(to_numpy(norm)) == pytest.approx(5.0)
    np.testing.assert_allclose(to_numpy(parameters[0].grad), [0.6], rtol=1e-6)
    np.testing.assert_allclose(to_numpy(parameters[1].grad), [0.0, 0.8], rtol=1e-6)


def test_gradients_within_the_bound_are_left_as_they_are(backend):
    parameters = with_gradients(backend, [3.0], [0.0, 4.0])
    clip_grad_norm_(parameters, 6.0)
    np.testing.assert_array_equal(to_numpy(parameters[1].grad), [0.0, 4.0])


def test_the_step_that_follows_is_the_clipped_one(backend):
    parameters = with_gradients(backend, [3.0], [0.0, 4.0])
    optimizer = SGD(parameters, lr=1.0)
    clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    np.testing.assert_allclose(to_numpy(parameters[1]), [0.0, -0.8], rtol=1e-6)


def test_entries_are_kept_within_the_value(backend):
    parameters = with_gradients(backend, [-3.0, 0.25, np.nan])
    clip_grad_value_(parameters, 0.5)
    np.testing.assert_array_equal(to_numpy(parameters[0].grad), [-0.5, 0.25, np.nan])


def test_parameters_without_a_gradient_are_passed_over(backend):
    (given,), idle = with_gradients(backend, [3.0]), Parameter(backend.zeros((2,), "float64"))
    assert float(to_numpy(get_total_norm([idle, given, given]))) == 3.0
    with pytest.raises(ArgumentError, match="none has a gradient"):
        get_total_norm([idle])


@pytest.mark.parametrize("bound", [-1.0, float("nan")])
def test_bounds_that_are_none_are_refused(backend, bound):
    parameters = with_gradients(backend, [3.0])
    with pytest.raises(RangeError, match="max_norm"):
        clip_grad_norm_(parameters, bound)
    with pytest.raises(RangeError, match="clip_value"):
        clip_grad_value_(parameters, bound)
    with pytest.raises(RangeError, match="norm_type"):
        get_total_norm(parameters, 0.0)


def test_the_infinite_norm_is_the_largest_entry_of_all(backend):
    parameters = with_gradients(backend, [3.0, -1.0], [0.0, -4.0], [2.0])
    assert float(to_numpy(get_total_norm(parameters, float("inf")))) == 4.0


def test_the_norm_of_another_order_is_the_root_of_the_sum_of_powers(backend):
    parameters = with_gradients(backend, [3.0, -4.0], [5.0])
    norm = float(to_numpy(get_total_norm(parameters, 3.0)))
    np.testing.assert_allclose(norm, (27 + 64 + 125) ** (1 / 3), rtol=1e-12)
