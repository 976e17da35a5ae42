"""L-BFGS as an optimizer: it finds minima, goes on from a checkpoint, and says what it needs."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from portml import nn
from portml.autograd.parameter import Parameter
from portml.backends import get_backend, operations, to_numpy
from portml.errors import ArgumentError, CheckpointError
from portml.optim import LBFGS
from portml.optim.lbfgs import _Memory


def descent(backend, **options):
    position = Parameter(backend.asarray([-1.0, 2.0]))
    optimizer = LBFGS([position], **options)

    def closure():
        optimizer.zero_grad()
        x, y = position[0], position[1]
        loss = (1 - x) ** 2 + 100 * (y - x**2) ** 2
        loss.backward()
        return loss

    return position, optimizer, closure


def test_it_reaches_the_bottom_of_rosenbrocks_valley(backend):
    position, optimizer, closure = descent(backend, line_search_fn="strong_wolfe", max_iter=60)
    first = optimizer.step(closure)
    assert float(to_numpy(first.value)) == pytest.approx(4 + 100)
    np.testing.assert_allclose(to_numpy(position), [1.0, 1.0], atol=1e-6)


def test_several_short_steps_go_on_where_the_last_one_ended(backend):
    position, optimizer, closure = descent(backend, line_search_fn="strong_wolfe", max_iter=5)
    for _ in range(12):
        optimizer.step(closure)
    np.testing.assert_allclose(to_numpy(position), [1.0, 1.0], atol=1e-5)


def test_a_saved_state_goes_on_as_if_nothing_had_happened(backend):
    position, optimizer, closure = descent(backend, line_search_fn="strong_wolfe", max_iter=3, history_size=4)
    for _ in range(3):
        optimizer.step(closure)
    state = optimizer.state_dict()
    other, again, again_closure = descent(backend, line_search_fn="strong_wolfe", max_iter=3, history_size=4)
    other.assign(position.value)
    again.load_state_dict(state)
    for _ in range(2):
        optimizer.step(closure)
        again.step(again_closure)
    np.testing.assert_allclose(to_numpy(other), to_numpy(position), rtol=1e-12)


def test_a_pickled_optimizer_remembers_the_same():
    _, optimizer, closure = descent(get_backend("numpy"))
    optimizer.step(closure)
    expected = optimizer.state_dict()["state"][0]
    for name, value in pickle.loads(pickle.dumps(optimizer)).state_dict()["state"][0].items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_a_parameter_without_a_gradient_stays(backend):
    layer, unused = nn.Linear(3, 1, rng=0, backend=backend, dtype="float64"), Parameter(backend.asarray([1.0, 2.0]))
    optimizer = LBFGS([*layer.parameters(), unused])
    x = backend.asarray(np.random.default_rng(0).normal(size=(20, 3)))

    def closure():
        optimizer.zero_grad()
        loss = operations.mean((layer(x) - 1.0) ** 2)
        loss.backward()
        return loss

    optimizer.step(closure)
    optimizer.step(closure)
    assert float(to_numpy(closure().value)) < 1e-6
    np.testing.assert_array_equal(to_numpy(unused), [1.0, 2.0])


def test_it_says_what_it_needs(backend):
    position, optimizer, _ = descent(backend)
    with pytest.raises(ArgumentError, match="closure: L-BFGS works out the loss several times"):
        optimizer.step()
    with pytest.raises(ArgumentError, match="one group"):
        optimizer.add_param_group({"params": [Parameter(backend.zeros((2,)))]})
    with pytest.raises(ArgumentError, match="one data type"):
        LBFGS([Parameter(backend.zeros((2,), "float32")), Parameter(backend.zeros((2,), "float64"))])
    with pytest.raises(ArgumentError, match="line_search_fn"):
        LBFGS([position], line_search_fn="armijo")
    with pytest.raises(ArgumentError, match="history_size"):
        LBFGS([position], history_size=0)


def test_a_state_of_other_sizes_is_refused(backend):
    _, optimizer, closure = descent(backend)
    optimizer.step(closure)
    with pytest.raises(CheckpointError, match="has 2 numbers, expected 5"):
        LBFGS([Parameter(backend.zeros((5,), "float64"))]).load_state_dict(optimizer.state_dict())


def test_a_pair_without_curvature_pushes_no_other_out_of_the_history():
    memory, group = _Memory(), {"lr": 1.0, "history_size": 1}
    memory.next_direction(np.asarray([1.0, 2.0]), group)
    memory.next_direction(np.asarray([0.5, 0.5]), group)
    (kept,) = memory.pairs
    memory.next_direction(np.asarray([0.5, 0.5]), group)  # the gradient has not changed
    assert list(memory.pairs) == [kept]
    memory.next_direction(np.asarray([0.1, 0.1]), group)
    (newer,) = memory.pairs
    assert newer is not kept
