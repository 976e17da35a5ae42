"""Weights that hand their inputs on, sparse ones, and gains."""

from __future__ import annotations

import math

import numpy as np
import pytest

from portml import nn
from portml.autograd import no_grad
from portml.backends import to_numpy
from portml.errors import ArgumentError, RangeError, ShapeError
from portml.random import Generator

initial = nn.initialisation


def test_the_identity_hands_on_what_a_linear_layer_gets(backend):
    assert to_numpy(initial.eye((2, 3), backend=backend)).tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("groups", [1, 2])
def test_dirac_weights_hand_on_what_a_convolution_gets(backend, groups):
    layer = nn.Conv2d(4, 4, 3, padding=1, groups=groups, bias=False, rng=0, backend=backend)
    layer.weight.assign(initial.dirac(tuple(layer.weight.shape), groups=groups, backend=backend))
    x = backend.asarray(np.random.default_rng(0).normal(size=(2, 4, 5, 5)), dtype="float32")
    with no_grad():
        np.testing.assert_allclose(to_numpy(layer(x)), to_numpy(x), rtol=1e-6)


def test_sparse_weights_have_so_many_zeros_in_each_column(backend):
    values = to_numpy(initial.sparse((10, 40), sparsity=0.33, std=2.0, rng=Generator(0, backend)))
    assert ((values == 0).sum(axis=0) == 4).all()
    assert np.ptp(np.argmax(values == 0, axis=0)) > 0
    assert 1.5 < values[values != 0].std() < 2.5


@pytest.mark.parametrize(
    ("name", "gain"),
    [("linear", 1), ("conv2d", 1), ("sigmoid", 1), ("tanh", 5 / 3), ("relu", math.sqrt(2)), ("selu", 3 / 4)],
)
def test_gains_are_those_of_the_activations(name, gain):
    assert initial.calculate_gain(name) == gain
    assert initial.calculate_gain("leaky_relu", 0.2) == pytest.approx(math.sqrt(2 / 1.04))


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda: initial.eye((3,)), ShapeError, "the identity is a matrix"),
        (lambda: initial.dirac((3, 3)), ShapeError, "three axes or more"),
        (lambda: initial.dirac((3, 3, 3), groups=2), ArgumentError, "groups: expected a divisor of the 3 outputs"),
        (lambda: initial.sparse((3,), sparsity=0.5, rng=Generator(0)), ShapeError, "sparse weights are a matrix"),
        (lambda: initial.sparse((3, 3), sparsity=1.5, rng=Generator(0)), RangeError, "sparsity: expected a share"),
        (lambda: initial.calculate_gain("gelu"), ArgumentError, "nonlinearity: expected one of leaky_relu"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, error, message):
    with pytest.raises(error, match=message):
        draw()
