"""Flat storage: parameters are views, and every way to lose them is noticed."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from portml import nn
from portml.autograd import Tensor, no_grad
from portml.autograd.parameter import Parameter
from portml.backends import get_backend, observe, operations, to_numpy
from portml.errors import GradientError, StaleOptimizerError
from portml.optim import SGD, Adam


def network(backend, seed=0):
    return nn.Sequential(nn.Linear(3, 4, rng=seed, backend=backend), nn.Tanh(), nn.Linear(4, 2, rng=1, backend=backend))


def train_once(model, optimizer, backend, step=0):
    x = backend.asarray(np.random.default_rng(step).normal(size=(5, 3)), dtype="float32")
    optimizer.zero_grad()
    operations.sum(operations.square(model(x))).backward()
    optimizer.step()


def weights(model):
    return {name: to_numpy(value).copy() for name, value in model.state_dict().items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_parameters_are_views_into_one_array(backend):
    model = network(backend)
    before = weights(model)
    optimizer = SGD(model.parameters())
    (storage,) = optimizer._storages[0]
    assert_same(weights(model), before)
    assert storage.values.shape == (3 * 4 + 4 + 4 * 2 + 2,)
    storage.values[...] = operations.zeros_like(storage.values)
    assert all(not np.any(value) for value in weights(model).values())


def test_gradients_are_written_into_one_array(backend):
    model = network(backend)
    optimizer = SGD(model.parameters())
    (storage,) = optimizer._storages[0]
    operations.sum(model(backend.asarray(np.ones((2, 3)), dtype="float32"))).backward()
    flat = to_numpy(storage.gradients)
    expected = np.concatenate([to_numpy(parameter.grad).ravel() for parameter in model.parameters()])
    np.testing.assert_array_equal(flat, expected)


def test_a_tied_parameter_has_one_place_and_the_sum_of_its_gradients(backend):
    model = network(backend)
    tied = nn.Sequential(nn.Linear(3, 3, rng=0, backend=backend), nn.Linear(3, 3, rng=1, backend=backend))
    tied[1].weight = tied[0].weight
    optimizer = SGD(tied.parameters(), lr=1.0)
    (storage,) = optimizer._storages[0]
    assert storage.values.shape == (9 + 3 + 3,)
    train_once(tied, optimizer, backend)
    np.testing.assert_array_equal(to_numpy(tied[0].weight), to_numpy(tied[1].weight))
    assert model is not tied


def test_a_second_optimizer_makes_the_first_one_stale(backend):
    model = network(backend)
    first = SGD(model.parameters())
    second = Adam(model.parameters())
    train_once(model, second, backend)
    with pytest.raises(StaleOptimizerError, match="build the optimizer again"):
        first.step()


def test_moving_the_model_makes_the_optimizer_stale():
    model = network(get_backend("numpy"))
    optimizer = SGD(model.parameters())
    train_once(model, optimizer, get_backend("numpy"))
    model.to("strict")
    with pytest.raises(StaleOptimizerError):
        optimizer.step()
    again = SGD(model.parameters())
    train_once(model, again, get_backend("strict"))


def test_moving_to_where_the_model_is_already_changes_nothing(backend):
    model = network(backend)
    optimizer = SGD(model.parameters())
    model.to(backend)
    train_once(model, optimizer, backend)


def test_a_deep_copy_of_a_model_is_free_of_the_optimizer(backend):
    model = network(backend)
    optimizer = SGD(model.parameters(), lr=0.5)
    twin = copy.deepcopy(model)
    before = weights(model)
    train_once(model, optimizer, backend)
    assert_same(weights(twin), before)
    assert np.any(weights(model)["0.weight"] != before["0.weight"])
    train_once(twin, SGD(twin.parameters(), lr=0.5), backend)
    assert_same(weights(twin), weights(model))


def test_a_deep_copy_keeps_ties(backend):
    model = network(backend)
    model[2].bias = None
    shared = nn.Sequential(model, model)
    twin = copy.deepcopy(shared)
    assert twin[0] is twin[1]
    assert len(list(twin.parameters())) == 3


@pytest.mark.parametrize("way", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))], ids=["copy", "pickle"])
def test_model_and_optimizer_copied_together_go_on_alike(way):
    backend = get_backend("numpy")
    model = network(backend)
    optimizer = Adam(model.parameters(), lr=0.1)
    train_once(model, optimizer, backend, 0)
    twin, its_optimizer = way((model, optimizer))
    for step in range(1, 4):
        train_once(model, optimizer, backend, step)
        train_once(twin, its_optimizer, backend, step)
    assert_same(weights(twin), weights(model))


def test_a_gradient_that_was_there_before_packing_is_kept(backend):
    parameter = Parameter(backend.asarray([1.0, 2.0]))
    operations.sum(operations.multiply(parameter, 3.0)).backward()
    SGD([parameter])
    np.testing.assert_array_equal(to_numpy(parameter.grad), [3.0, 3.0])


def test_loading_a_state_writes_through_to_the_storage(backend):
    model, other = network(backend), network(backend, seed=5)
    optimizer = SGD(model.parameters(), lr=0.1)
    model.load_state_dict(other.state_dict())
    train_once(model, optimizer, backend)
    train_once(other, SGD(other.parameters(), lr=0.1), backend)
    assert_same(weights(model), weights(other))


def test_a_step_between_forward_and_backward_is_refused(backend):
    parameter = Parameter(backend.asarray([1.0, 2.0]))
    optimizer = SGD([parameter], lr=0.1)
    first = operations.sum(operations.square(parameter))
    second = operations.sum(operations.square(parameter))
    first.backward()
    optimizer.step()
    with pytest.raises(GradientError, match="written in place after"):
        second.backward()


def test_a_write_inside_no_grad_between_forward_and_backward_is_refused(backend):
    parameter = Parameter(backend.asarray([1.0, 2.0]))
    loss = operations.sum(operations.square(parameter))
    with no_grad():
        parameter[0] = 5.0
    np.testing.assert_array_equal(to_numpy(parameter), [5.0, 2.0])
    with pytest.raises(GradientError, match="written in place after"):
        loss.backward()


def test_a_write_to_a_leaf_outside_no_grad_is_refused(backend):
    parameter = Parameter(backend.asarray([1.0, 2.0]))
    with pytest.raises(GradientError, match=r"inside no_grad\(\)"):
        parameter[0] = 5.0
    np.testing.assert_array_equal(to_numpy(parameter), [1.0, 2.0])


def test_an_empty_parameter_is_no_trouble(backend):
    empty, full = Parameter(backend.zeros((0, 3))), Parameter(backend.full((2,), 1.0))
    optimizer = SGD([empty, full], lr=1.0)
    operations.add(operations.sum(empty), operations.sum(full)).backward()
    optimizer.step()
    np.testing.assert_array_equal(to_numpy(full), [0.0, 0.0])


@pytest.mark.parametrize("write", ["assign", "step"])
def test_a_frozen_parameter_written_between_forward_and_backward_is_noticed_too(backend, write):
    frozen = Parameter(backend.asarray([1.0, 2.0]))
    optimizer = SGD([frozen], lr=0.5)
    operations.sum(frozen * 3.0).backward()
    frozen.requires_grad = False
    x = Tensor(backend.asarray([1.0, 1.0]), requires_grad=True)
    loss = operations.sum(x * frozen)
    if write == "step":
        optimizer.step()
    else:
        frozen.assign(backend.asarray([0.0, 0.0]))
    with pytest.raises(GradientError, match="written in place after multiply used it"):
        loss.backward()


def test_a_gradient_with_a_history_keeps_it_in_an_optimizers_storage(backend):
    p = Parameter(backend.asarray([1.0, 2.0]))
    optimizer = SGD([p], lr=1.0)
    operations.sum(p * 4.0).backward()
    operations.sum(p * p * p).backward(create_graph=True)
    np.testing.assert_allclose(to_numpy(p.grad), [7.0, 16.0])
    slope = p.grad
    optimizer.zero_grad()
    operations.sum(slope * slope).backward()
    np.testing.assert_allclose(to_numpy(p.grad), [2 * 7 * 6.0, 2 * 16 * 12.0])
    optimizer.step()
    np.testing.assert_allclose(to_numpy(p), [1 - 84.0, 2 - 384.0])


def test_a_recorded_deposit_passes_the_doorway(backend):
    p = Parameter(backend.asarray([1.0, 2.0]))
    SGD([p], lr=1.0)
    operations.sum(p * 4.0).backward()
    seen = []
    with observe(lambda call: (seen.append(call), call.proceed())[1]):
        operations.sum(p * 5.0).backward()
    written = [call.arguments[0] for call in seen if call.kernel.name == "write_into"]
    assert [array is p._leaf().sink for array in written] == [True]
    np.testing.assert_allclose(to_numpy(p.grad), [9.0, 9.0])
