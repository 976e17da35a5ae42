"""The multi-layer perceptron trains itself, and its loss falls."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from portml import nn, optim
from portml.backends import get_backend, to_numpy
from portml.errors import DivergenceError, RangeError, ShapeError

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype="float32")
LABELS = np.array([0, 1, 1, 0])


def test_xor_is_solved_by_a_loss_that_falls():
    network = nn.models.MLP([2, 8, 1], nn.Tanh, rng=0).fit(XOR, LABELS, lr=0.5, epochs=2000)
    assert network.predict(XOR).tolist() == LABELS.tolist()
    assert len(network.loss_history_) == 2000
    assert all(later < earlier for earlier, later in pairwise(network.loss_history_[::100]))
    assert network.loss_history_[-1] < 0.01


def test_the_guides_network_starts_with_hes_weights_and_no_bias(backend):
    network = nn.models.MLP([200, 100, 1], rng=0, weight_init=nn.initialisation.he_normal, backend=backend)
    assert np.std(to_numpy(network[1].weight)) == pytest.approx(np.sqrt(2 / 200), rel=0.02)
    assert not np.any(to_numpy(network[1].bias))


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_labels_in_a_column_mean_the_same(backend, shape):
    network = nn.models.MLP([2, 3, 1], rng=1, backend=backend).fit(XOR, LABELS.reshape(shape), epochs=3)
    expected = nn.models.MLP([2, 3, 1], rng=1, backend=backend).fit(XOR, LABELS, epochs=3)
    assert network.loss_history_ == expected.loss_history_


def test_one_step_is_the_guides_formula():
    network = nn.models.MLP([2, 3, 1], rng=2, dtype="float64", weight_init=nn.initialisation.he_normal)
    w1, w2 = to_numpy(network[1].weight).copy(), to_numpy(network[3].weight).copy()
    network.fit(XOR, LABELS, lr=0.5, epochs=1)
    x, y = XOR.astype("float64"), LABELS[:, None]
    hidden = np.maximum(x @ w1.T, 0)
    p = 1 / (1 + np.exp(-hidden @ w2.T))
    delta2 = (p - y) / 4
    delta1 = delta2 @ w2 * (hidden > 0)
    np.testing.assert_allclose(to_numpy(network[3].weight), w2 - 0.5 * delta2.T @ hidden, rtol=1e-12)
    np.testing.assert_allclose(to_numpy(network[1].weight), w1 - 0.5 * delta1.T @ x, rtol=1e-12)
    np.testing.assert_allclose(to_numpy(network[1].bias), -0.5 * delta1.sum(axis=0), rtol=1e-12)
    assert network.loss_history_ == pytest.approx([-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))])


@pytest.mark.parametrize("batch_size", [1, 16, None])
def test_batch_minibatch_and_stochastic_descent_learn_three_classes(batch_size):
    draw = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = np.eye(3)[y] * 3 + draw.normal(size=(60, 3)) * 0.5
    network = nn.models.MLP([3, 8, 3], rng=0).fit(x.astype("float32"), y, lr=0.1, epochs=30, batch_size=batch_size)
    assert np.mean(network.predict(x.astype("float32")) == y) > 0.95
    assert network.loss_history_[-1] < network.loss_history_[0]
    probability = network.predict_proba(x.astype("float32"))
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-6)


def test_a_fit_is_the_same_on_every_backend_and_dropout_rests_afterwards(backend):
    def fitted(place):
        network = nn.models.MLP([2, 8, 2], dropout=[0.5], rng=0, backend=place)
        return network.fit(XOR, LABELS, lr=0.1, epochs=5, batch_size=3, optimizer=optim.Adam)

    here, host = fitted(backend), fitted(get_backend("numpy"))
    np.testing.assert_allclose(here.loss_history_, host.loss_history_, rtol=1e-4)
    probability = here.predict_proba(XOR)
    assert not here.training
    np.testing.assert_array_equal(to_numpy(probability), to_numpy(here.predict_proba(XOR)))
    np.testing.assert_allclose(to_numpy(probability), to_numpy(host.predict_proba(XOR)), rtol=1e-4)


def test_labels_that_do_not_fit_are_refused_by_name():
    network = nn.models.MLP([2, 3, 2], rng=0)
    with pytest.raises(ShapeError, match="y: expected a class for each of 4 samples"):
        network.fit(XOR, LABELS[:3])
    with pytest.raises(RangeError, match="label"):
        network.fit(XOR, LABELS + 1, epochs=1)


def test_a_loss_that_grows_beyond_bounds_is_told():
    x = XOR * 1e30
    with np.errstate(all="ignore"), pytest.raises(DivergenceError, match="the loss became"):
        nn.models.MLP([2, 4, 4, 1], rng=0).fit(x, LABELS, lr=1e30, epochs=5)
