"""A single neuron, and layers of two inputs."""

from __future__ import annotations

import numpy as np
import pytest

from portml import nn
from portml.autograd import Tensor, no_grad
from portml.backends import operations, to_numpy
from portml.errors import ArgumentError, RangeError, ShapeError

FORMULAS = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "linear": lambda z: z,
}


@pytest.mark.parametrize("activation", FORMULAS)
def test_a_neuron_is_a_weighted_sum_and_an_activation(backend, activation):
    neuron = nn.Neuron(3, activation, rng=0, backend=backend, dtype="float64")
    x = np.random.default_rng(0).normal(size=(5, 3))
    expected = FORMULAS[activation](x @ to_numpy(neuron.weight) + to_numpy(neuron.bias))
    with no_grad():
        np.testing.assert_allclose(to_numpy(neuron(backend.asarray(x))), expected, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(to_numpy(neuron(backend.asarray(x[0]))), expected[0], rtol=1e-12, atol=1e-15)


def test_a_neuron_learns_to_be_an_or(backend):
    neuron = nn.Neuron(2, rng=0, backend=backend, dtype="float64")
    x, y = backend.asarray([[0.0, 0], [0, 1], [1, 0], [1, 1]]), backend.asarray([0.0, 1, 1, 1])
    for _ in range(300):
        neuron.zero_grad()
        nn.BCELoss()(neuron(x), y).backward()
        for parameter in neuron.parameters():
            parameter.assign(operations.subtract(parameter.value, operations.multiply(parameter.grad.value, 2.0)))
    with no_grad():
        assert ((to_numpy(neuron(x)) > 0.5) == to_numpy(y)).all()


def test_a_neuron_says_what_it_is():
    assert repr(nn.Neuron(3, "tanh")) == "Neuron(n_inputs=3, activation='tanh')"
    with pytest.raises(ArgumentError, match="activation: expected one of sigmoid, relu, tanh, linear, got 'step'"):
        nn.Neuron(3, "step")
    with pytest.raises(ArgumentError, match="n_inputs: expected at least 1, got 0"):
        nn.Neuron(0)
    with pytest.raises(ShapeError, match=r"\(3,\) or \(N, 3\), got \(4, 2\)"):
        nn.Neuron(3)(np.ones((4, 2), np.float32))


def test_a_bilinear_form_is_a_sum_over_pairs(backend):
    layer = nn.Bilinear(3, 4, 2, rng=0, backend=backend, dtype="float64")
    x1, x2 = (np.random.default_rng(0).normal(size=(5, size)) for size in (3, 4))
    expected = np.einsum("ni,oij,nj->no", x1, to_numpy(layer.weight), x2) + to_numpy(layer.bias)
    with no_grad():
        np.testing.assert_allclose(to_numpy(layer(backend.asarray(x1), backend.asarray(x2))), expected, rtol=1e-12)


def test_the_cosine_of_a_vector_without_direction_is_zero_and_so_is_its_gradient(backend):
    x = Tensor(backend.asarray([[3.0, 4.0], [0.0, 0.0]]), requires_grad=True)
    y = nn.CosineSimilarity()(x, backend.asarray([[6.0, 8.0], [1.0, 2.0]]))
    np.testing.assert_allclose(to_numpy(y), [1.0, 0.0], rtol=1e-12)
    operations.sum(y).backward()
    assert np.isfinite(to_numpy(x.grad)).all()


@pytest.mark.parametrize(("p", "expected"), [(1.0, 7.0), (2.0, 5.0), (float("inf"), 4.0)])
def test_distances_are_norms_of_the_difference(backend, p, expected):
    x1, x2 = backend.asarray([[1.0, 1.0]]), backend.asarray([[4.0, 5.0]])
    with no_grad():
        assert to_numpy(nn.PairwiseDistance(p)(x1, x2))[0] == pytest.approx(expected, abs=1e-5)
        assert nn.PairwiseDistance(p, keepdim=True)(x1, x2).shape == (1, 1)


def test_two_inputs_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"\(\.\.\., 3\) and \(\.\.\., 4\), got \(2, 3\) and \(5, 4\)"):
        nn.Bilinear(3, 4, 2)(np.ones((2, 3), np.float32), np.ones((5, 4), np.float32))
    with pytest.raises(ArgumentError, match="in1_features: expected at least 1"):
        nn.Bilinear(0, 4, 2)
    with pytest.raises(RangeError, match="p: expected the order of a norm, above 0, got 0"):
        nn.PairwiseDistance(0)
    with pytest.raises(ShapeError, match=r"axis 2 does not exist in an array of shape \(2, 3\)"):
        nn.CosineSimilarity(2)(np.ones((2, 3)), np.ones((2, 3)))
    for layer in (nn.CosineSimilarity(), nn.PairwiseDistance()):
        with pytest.raises(ShapeError, match=r"shapes \(2, 3\) and \(4, 3\); expected"):
            layer(np.ones((2, 3)), np.ones((4, 3)))
