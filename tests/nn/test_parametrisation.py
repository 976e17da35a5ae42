"""Computed parameters: what is learnt, that nothing else of the module changes, and the way back."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from portml import nn
from portml.autograd import check_gradients, no_grad
from portml.backends import operations, to_numpy
from portml.errors import ArgumentError, RangeError, ShapeError
from portml.nn import parametrisation


@pytest.fixture
def layer(backend):
    return nn.Linear(4, 3, rng=0, backend=backend, dtype="float64")


@pytest.fixture
def x(backend):
    return backend.asarray(np.random.default_rng(0).normal(size=(5, 4)))


def test_weight_normalisation_changes_no_result_and_learns_length_and_direction(layer, x):
    plain, weight = to_numpy(layer(x)), to_numpy(layer.weight).copy()
    assert nn.weight_norm(layer) is layer
    np.testing.assert_allclose(to_numpy(layer(x)), plain, rtol=1e-12)
    names = ["bias", "parametrizations.weight.original0", "parametrizations.weight.original1"]
    assert list(layer.state_dict()) == names
    assert [name for name, _ in layer.named_parameters()] == names
    lengths = to_numpy(layer.state_dict()[names[1]])
    np.testing.assert_allclose(lengths, np.linalg.norm(weight, axis=1, keepdims=True), rtol=1e-12)
    operations.sum(layer(x)).backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


def test_the_direction_of_a_normalised_weight_has_no_gradient_along_itself(layer, x):
    nn.weight_norm(layer)
    operations.sum(operations.square(layer(x))).backward()
    v = layer.get_parameter("parametrizations.weight.original1")
    np.testing.assert_allclose(np.sum(to_numpy(v.grad) * to_numpy(v), axis=1), 0, atol=1e-10)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("dim", [0, 1, None])
def test_gradients_of_weight_normalisation_are_right(backend, dim, order):
    draw = np.random.default_rng(1).normal
    g = {0: (3, 1), 1: (1, 4), None: ()}[dim]
    arrays = [backend.asarray(draw(size=g)), backend.asarray(draw(size=(3, 4)))]
    check_gradients(parametrisation.WeightNorm(dim), arrays, order=order)


@pytest.mark.parametrize("order", [1, 2])
def test_gradients_of_spectral_normalisation_hold_the_singular_vectors(backend, order):
    weight = backend.asarray(np.random.default_rng(1).normal(size=(3, 4)))
    module = parametrisation.SpectralNorm(weight, rng=0).eval()
    check_gradients(module, [weight], order=order)


@pytest.mark.parametrize(
    "make",
    [
        lambda b: nn.Linear(6, 4, rng=0, backend=b, dtype="float64"),
        lambda b: nn.Conv2d(3, 4, 3, rng=0, backend=b, dtype="float64"),
    ],
)
def test_spectral_normalisation_leaves_a_largest_singular_value_of_one(backend, make):
    layer = nn.spectral_norm(make(backend), n_power_iterations=100, rng=0)
    weight = to_numpy(layer.weight).reshape(4, -1)
    assert np.linalg.svd(weight)[1].max() == pytest.approx(1, rel=1e-4)


def test_singular_vectors_move_in_training_and_rest_in_evaluation(layer, x):
    nn.spectral_norm(layer, rng=0)
    layer.parametrizations.weight.original.assign(operations.multiply(layer.parametrizations.weight.original, x[:3, :]))
    states = [to_numpy(layer.state_dict()["parametrizations.weight.0._u"]).copy()]
    for mode in (True, False):
        layer.train(mode)(x)
        states.append(to_numpy(layer.state_dict()["parametrizations.weight.0._u"]).copy())
    assert np.abs(states[1] - states[0]).max() > 0
    np.testing.assert_array_equal(states[2], states[1])


def test_a_record_keeps_the_singular_vectors_it_was_made_with(layer, x):
    nn.spectral_norm(layer, rng=0)
    first = operations.sum(operations.square(layer(x)))
    with no_grad():
        layer(x)
    first.backward()
    later = to_numpy(layer.parametrizations.weight.original.grad).copy()
    assert np.isfinite(later).all()


def test_singular_vectors_begin_alike_on_every_backend(backend):
    here, host = (
        nn.spectral_norm(nn.Linear(4, 3, rng=0, backend=each, dtype="float64"), rng=3).state_dict()
        for each in (backend, "numpy")
    )
    np.testing.assert_allclose(*(to_numpy(each["parametrizations.weight.0._u"]) for each in (here, host)), rtol=1e-12)


def test_removing_gives_an_ordinary_parameter_back(layer, x):
    before = to_numpy(layer.weight).copy()
    nn.weight_norm(layer)
    parametrisation.remove_parametrizations(layer)
    assert list(layer.state_dict()) == ["bias", "weight"]
    assert not parametrisation.is_parametrized(layer)
    np.testing.assert_allclose(to_numpy(layer.weight), before, rtol=1e-12)
    nn.spectral_norm(layer, rng=0)
    parametrisation.remove_parametrizations(layer, leave_parametrized=False)
    np.testing.assert_allclose(to_numpy(layer.weight), before, rtol=1e-12)


def test_assigning_a_computed_parameter_learns_what_gives_it(layer, backend):
    nn.weight_norm(layer)
    values = backend.asarray(np.arange(1.0, 13.0).reshape(3, 4))
    layer.weight = values
    np.testing.assert_allclose(to_numpy(layer.weight), to_numpy(values), rtol=1e-12)


def test_copies_and_pickles_compute_their_own(backend, x):
    layer = nn.weight_norm(nn.Linear(4, 3, rng=0, dtype="float64", backend=backend))
    x_, plain = x, to_numpy(layer(x))
    twins = [copy.deepcopy(layer)] + ([pickle.loads(pickle.dumps(layer))] if backend.host else [])
    for twin in twins:
        np.testing.assert_array_equal(to_numpy(twin(x_)), plain)
        assert twin.parametrizations.weight.original0 is not layer.parametrizations.weight.original0


def test_a_parametrisation_of_ones_own_follows_those_before(backend):
    class Symmetric(nn.Module):
        def forward(self, w):
            return operations.add(w, operations.matrix_transpose(w))

    layer = nn.Linear(3, 3, rng=0, backend=backend, dtype="float64")
    raw = to_numpy(layer.weight).copy()
    parametrisation.register_parametrization(layer, "weight", Symmetric())
    np.testing.assert_allclose(to_numpy(layer.weight), raw + raw.T)
    parametrisation.register_parametrization(layer, "weight", Symmetric())
    np.testing.assert_allclose(to_numpy(layer.weight), 2 * (raw + raw.T))
    assert [name for name, _ in layer.named_modules()][-1] == "parametrizations.weight.1"


def test_what_is_no_parameter_of_the_module_is_refused_by_name(layer):
    with pytest.raises(ArgumentError, match="name: Linear has no parameter 'gain'"):
        nn.weight_norm(layer, "gain")
    with pytest.raises(ArgumentError, match="'weight' of Linear is not computed"):
        parametrisation.remove_parametrizations(layer)
    with pytest.raises(RangeError, match="n_power_iterations: expected at least 1, got 0"):
        nn.spectral_norm(layer, n_power_iterations=0)
    with pytest.raises(ShapeError, match="dim: 2 is no axis"):
        nn.spectral_norm(layer, dim=2)
    with pytest.raises(ShapeError, match=r"dim: 2 is no axis of a weight of shape \(3, 4\)"):
        nn.weight_norm(layer, dim=2)
    nn.weight_norm(layer)
    with pytest.raises(ArgumentError, match="computed from several"):
        parametrisation.remove_parametrizations(layer, leave_parametrized=False)
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'gain'"):
        layer.gain  # noqa: B018 - the access is what is tested


def test_a_parametrisation_that_gives_another_shape_is_refused(layer):
    class First(nn.Module):
        def forward(self, w):
            return operations.sum(w)

    with pytest.raises(ShapeError, match=r"expected it to give weight's shape \(3, 4\), got \(\)"):
        parametrisation.register_parametrization(layer, "weight", First())
    assert list(layer.state_dict()) == ["weight", "bias"]
