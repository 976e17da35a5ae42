"""The guide's derivatives in closed form are those of automatic differentiation, and stay finite."""

from __future__ import annotations

import numpy as np
import pytest

from portml import grad, nn, vjp
from portml.backends import operations, to_numpy
from portml.nn import derivatives
from portml.nn import functional as F

RNG = np.random.default_rng(3)
FUNCTIONS = {
    "sigmoid": F.sigmoid,
    "tanh": operations.tanh,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "swish": F.silu,
}


def test_all_seven_activations_and_six_losses_are_there():
    assert set(derivatives.ACTIVATIONS) == {*FUNCTIONS, "softmax"}
    assert len(derivatives.LOSSES) == 6


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_derivative_of_an_activation_is_its_slope(backend, name):
    z = backend.asarray(RNG.normal(size=(5, 4)) * 3)
    slope = grad(lambda x: operations.sum(FUNCTIONS[name](x)))(z)
    np.testing.assert_allclose(to_numpy(derivatives.ACTIVATIONS[name](z)), to_numpy(slope), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_derivative_of_softmax_is_its_jacobian(backend, axis):
    z, g = backend.asarray(RNG.normal(size=(3, 4))), backend.asarray(RNG.normal(size=(3, 4)))
    _, pull = vjp(lambda x: F.softmax(x, axis=axis), z)
    expected = to_numpy(pull(g)[0] if isinstance(pull(g), tuple) else pull(g))
    jacobian = to_numpy(derivatives.softmax(z, axis))
    along = np.moveaxis(to_numpy(g), axis, -1)
    np.testing.assert_allclose(np.einsum("ni,nij->nj", along, jacobian), np.moveaxis(expected, axis, -1), atol=1e-14)


@pytest.mark.parametrize("name", derivatives.LOSSES)
def test_the_gradient_of_a_loss_is_that_of_its_mean(backend, name):
    prediction, target = RNG.uniform(0.05, 0.95, (5, 4)), RNG.uniform(0, 1, (5, 4))
    if name == "hinge_loss":
        prediction, target = 2 * RNG.normal(size=(5, 4)), np.sign(target - 0.5)
    p, y = backend.asarray(prediction), backend.asarray(target)
    slope = grad(lambda x: getattr(F, name)(x, y))(p)
    np.testing.assert_allclose(to_numpy(derivatives.LOSSES[name](p, y)), to_numpy(slope), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", derivatives.ACTIVATIONS)
def test_derivatives_stay_finite_and_in_single_precision(backend, name):
    z = backend.asarray(np.asarray([[-1e4, -50.0, 0.0, 50.0, 1e4]]), dtype="float32")
    slope = derivatives.ACTIVATIONS[name](z)
    assert slope.dtype == z.dtype
    assert np.all(np.isfinite(to_numpy(slope)))


def test_small_slopes_keep_their_digits(backend):
    z = backend.asarray(np.asarray([30.0]), dtype="float32")
    np.testing.assert_allclose(to_numpy(nn.derivatives.sigmoid(z)), np.exp(-30), rtol=1e-5)
    np.testing.assert_allclose(to_numpy(nn.derivatives.tanh(z)), 4 * np.exp(-60), rtol=1e-5)
