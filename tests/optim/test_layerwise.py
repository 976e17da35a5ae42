"""LAMB, LARS and Muon: their papers' formulas, layer by layer."""

from __future__ import annotations

import numpy as np
import pytest

from portml.autograd.parameter import Parameter
from portml.backends import to_numpy
from portml.backends.kernels.layerwise_optimizer import orthogonalised
from portml.errors import ArgumentError, ShapeError
from portml.optim import LAMB, LARS, Muon


def drawn(backend, *shapes, seed=0):
    rng = np.random.default_rng(seed)
    parameters = [Parameter(backend.asarray(rng.normal(size=shape))) for shape in shapes]
    gradients = [rng.normal(size=shape) for shape in shapes]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = backend.asarray(gradient)
    return parameters, [to_numpy(p).copy() for p in parameters], gradients


def test_lamb_moves_each_layer_by_the_learning_rate_times_its_norm(backend):
    parameters, before, gradients = drawn(backend, (4, 3), (5,))
    LAMB(parameters, lr=0.1, weight_decay=0.2, eps=0.0).step()
    for parameter, value, gradient in zip(parameters, before, gradients, strict=True):
        update = np.sign(gradient) + 0.2 * value
        expected = value - 0.1 * np.linalg.norm(value) / np.linalg.norm(update) * update
        np.testing.assert_allclose(to_numpy(parameter), expected, rtol=1e-12)


def test_lars_has_a_rate_for_each_layer(backend):
    parameters, before, gradients = drawn(backend, (4, 3), (5,))
    optimizer = LARS(parameters, lr=2.0, momentum=0.5, weight_decay=0.1, trust_coefficient=0.01, eps=0.0)
    optimizer.step()
    velocities = []
    for parameter, value, gradient in zip(parameters, before, gradients, strict=True):
        size = np.linalg.norm(value)
        rate = 0.01 * size / (np.linalg.norm(gradient) + 0.1 * size)
        velocities.append(2.0 * rate * (gradient + 0.1 * value))
        np.testing.assert_allclose(to_numpy(parameter), value - velocities[-1], rtol=1e-12)


@pytest.mark.parametrize("make", [LAMB, LARS])
def test_a_layer_of_zeros_takes_a_plain_step(backend, make):
    parameter = Parameter(backend.zeros((3,), "float64"))
    parameter.grad = backend.asarray([1.0, -2.0, 0.0])
    make([parameter], lr=0.5).step()
    expected = [-0.5, 0.5, 0.0] if make is LAMB else [-0.5, 1.0, 0.0]
    np.testing.assert_allclose(to_numpy(parameter), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3)])
def test_newton_schulz_steps_bring_singular_values_near_one(backend, shape):
    matrix = np.random.default_rng(0).normal(size=shape)
    found = to_numpy(orthogonalised(backend.asarray(matrix), (3.4445, -4.775, 2.0315), 1e-7, 5))
    u, before, vt = np.linalg.svd(matrix, full_matrices=False)
    turned = u.T @ found @ vt.T
    np.testing.assert_allclose(turned, np.diag(np.diag(turned)), atol=1e-10)
    large = before > before[0] / 20
    assert np.all((np.diag(turned)[large] > 0.6) & (np.diag(turned)[large] < 1.3))


def test_newton_schulz_with_coefficients_that_converge_gives_the_orthogonal_factor(backend):
    matrix = np.random.default_rng(1).normal(size=(4, 6))
    found = to_numpy(orthogonalised(backend.asarray(matrix), (15 / 8, -10 / 8, 3 / 8), 1e-7, 40))
    u, _, vt = np.linalg.svd(matrix, full_matrices=False)
    np.testing.assert_allclose(found, u @ vt, atol=1e-10)


def test_muon_steps_by_the_orthogonal_factor_of_its_momentum(backend):
    parameters, (before,), (gradient,) = drawn(backend, (8, 2))
    options = {"ns_coefficients": (15 / 8, -10 / 8, 3 / 8), "ns_steps": 40}
    Muon(parameters, lr=0.1, weight_decay=0.5, **options).step()
    u, _, vt = np.linalg.svd(gradient, full_matrices=False)
    np.testing.assert_allclose(to_numpy(parameters[0]), 0.95 * before - 0.1 * 2 * u @ vt, atol=1e-9)


def test_muon_refuses_what_is_no_matrix_and_rules_it_does_not_know(backend):
    vector = Parameter(backend.zeros((3,)))
    with pytest.raises(ShapeError, match=r"Muon takes matrices, got a parameter of shape \(3,\)"):
        Muon([vector])
    with pytest.raises(ArgumentError, match="adjust_lr_fn"):
        Muon([Parameter(backend.zeros((3, 3)))], adjust_lr_fn="mine")


def test_nesterovs_lars_looks_one_step_ahead(backend):
    (parameter,), (value,), (gradient,) = drawn(backend, (4, 3))
    options = {"lr": 0.5, "momentum": 0.9, "trust_coefficient": 0.1, "eps": 0.0}
    LARS([parameter], nesterov=True, **options).step()
    step = 0.5 * 0.1 * np.linalg.norm(value) / np.linalg.norm(gradient) * gradient
    np.testing.assert_allclose(to_numpy(parameter), value - (step + 0.9 * step), rtol=1e-12)


def test_muons_step_that_fits_adamws_rates_grows_with_the_longer_side(backend):
    for shape in ((2, 8), (8, 2)):
        ((plain,), (value,), _), ((fitted,), _, _) = drawn(backend, shape), drawn(backend, shape)
        Muon([plain], lr=0.1, weight_decay=0.0).step()
        Muon([fitted], lr=0.1, weight_decay=0.0, adjust_lr_fn="match_rms_adamw").step()
        ratio = 0.2 * np.sqrt(8) / np.sqrt(max(1, shape[0] / shape[1]))
        np.testing.assert_allclose(to_numpy(fitted) - value, ratio * (to_numpy(plain) - value), rtol=1e-10)
