"""Hooks: when they are called, with what, what they may change, and that nothing is left of them."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from portml import nn
from portml.autograd import Tensor, no_grad
from portml.backends import operations, to_numpy
from portml.errors import ArgumentError


@pytest.fixture
def layer(backend):
    return nn.Linear(3, 2, rng=0, backend=backend)


@pytest.fixture
def x(backend):
    return backend.asarray(np.arange(12.0).reshape(4, 3), dtype="float32")


def test_a_forward_hook_sees_the_inputs_and_the_output(layer, x):
    seen = []
    layer.register_forward_hook(lambda module, inputs, output: seen.append((module, len(inputs), output.shape)))
    layer(x)
    assert seen == [(layer, 1, (4, 2))]


def test_what_a_forward_hook_returns_is_the_output(layer, x):
    layer.register_forward_hook(lambda module, inputs, output: operations.multiply(output, 0.0))
    with no_grad():
        assert not to_numpy(layer(x)).any()


def test_what_a_pre_hook_returns_are_the_inputs(layer, x):
    plain = to_numpy(layer(x))
    layer.register_forward_pre_hook(lambda module, inputs: operations.multiply(inputs[0], 2.0))
    bias = to_numpy(layer.bias)
    np.testing.assert_allclose(to_numpy(layer(x)), 2 * (plain - bias) + bias, rtol=1e-5)


def test_hooks_may_see_and_change_the_options_too(backend, x):
    class Scaled(nn.Module):
        def forward(self, x, factor=1.0):
            return operations.multiply(x, factor)

    module, seen = Scaled(), []
    module.register_forward_pre_hook(lambda m, args, options: (args, {"factor": 3.0}), with_kwargs=True)
    module.register_forward_hook(lambda m, args, options, y: seen.append(options), with_kwargs=True)
    np.testing.assert_array_equal(to_numpy(module(x, factor=2.0)), 3 * to_numpy(x))
    assert seen == [{"factor": 3.0}]


def test_hooks_are_called_in_order_and_a_prepended_one_first(layer, x):
    seen = []
    for name in "ab":
        layer.register_forward_hook(lambda *_, name=name: seen.append(name))
    layer.register_forward_hook(lambda *_: seen.append("first"), prepend=True)
    layer(x)
    assert seen == ["first", "a", "b"]


def test_a_removed_hook_is_not_called_and_removing_twice_does_nothing(layer, x):
    seen = []
    handle = layer.register_forward_hook(lambda *_: seen.append(1))
    handle.remove()
    handle.remove()
    with layer.register_forward_pre_hook(lambda *_: seen.append(2)):
        layer(x)
    layer(x)
    assert seen == [2]


def test_a_backward_hook_gets_the_gradients_of_inputs_and_outputs(layer, x):
    seen = []
    layer.register_full_backward_hook(lambda module, given, received: seen.append((given, received)))
    given = Tensor(x, requires_grad=True)
    layer(given).backward(operations.ones_like(layer(x).value))
    ((inputs, outputs),) = seen
    np.testing.assert_array_equal(to_numpy(inputs[0]), to_numpy(given.grad))
    np.testing.assert_array_equal(to_numpy(outputs[0]), np.ones((4, 2)))


def test_what_a_backward_hook_returns_goes_on_and_parameters_keep_their_own(layer, x):
    given = Tensor(x, requires_grad=True)
    operations.sum(layer(given)).backward()
    plain, of_weight = to_numpy(given.grad).copy(), to_numpy(layer.weight.grad).copy()
    given.grad = None
    layer.zero_grad()
    layer.register_full_backward_hook(lambda module, inputs, outputs: (operations.multiply(inputs[0], 5.0),))
    operations.sum(layer(given)).backward()
    np.testing.assert_allclose(to_numpy(given.grad), 5 * plain, rtol=1e-6)
    np.testing.assert_allclose(to_numpy(layer.weight.grad), of_weight, rtol=1e-6)


def test_a_backward_pre_hook_changes_the_gradients_of_the_outputs(layer, x):
    layer.register_full_backward_pre_hook(lambda module, outputs: operations.multiply(outputs[0], 0.0))
    operations.sum(layer(x)).backward()
    assert not to_numpy(layer.weight.grad).any()


def test_a_backward_hook_of_a_first_layer_is_called_without_gradients_of_inputs(layer, x):
    seen = []
    layer.register_full_backward_hook(lambda module, inputs, outputs: seen.append(inputs))
    operations.sum(layer(x)).backward()
    assert seen == [(None,)]


def test_backward_hooks_of_nested_modules_come_from_the_last_to_the_first(backend, x):
    model = nn.Sequential(nn.Linear(3, 3, rng=0, backend=backend), nn.Tanh(), nn.Linear(3, 1, rng=1, backend=backend))
    seen = []
    for name, module in model.named_modules():
        module.register_full_backward_hook(lambda *_, name=name: seen.append(name))
    operations.sum(model(Tensor(x, requires_grad=True))).backward()
    assert seen == ["2", "1", "0", ""]


def test_second_derivatives_pass_a_backward_hook(backend):
    module = nn.Tanh()
    module.register_full_backward_hook(lambda m, inputs, outputs: (operations.multiply(inputs[0], 2.0),))
    x = Tensor(backend.asarray(np.asarray([0.3, -0.2])), requires_grad=True)
    operations.sum(module(x)).backward(create_graph=True)
    first = x.grad
    x.grad = None
    operations.sum(first).backward()
    t = np.tanh(to_numpy(x))
    np.testing.assert_allclose(to_numpy(x.grad), 2 * -2 * t * (1 - t**2), rtol=1e-6)


def test_a_hook_that_returns_too_many_gradients_is_refused(layer, x):
    layer.register_full_backward_hook(lambda module, inputs, outputs: (inputs[0], inputs[0]))
    with pytest.raises(ArgumentError, match="returned 2 gradients, expected 1"):
        operations.sum(layer(Tensor(x, requires_grad=True))).backward()


def test_what_is_no_function_is_no_hook(layer):
    with pytest.raises(ArgumentError, match="hook: expected a function, got a int"):
        layer.register_forward_hook(3)


def test_hooks_leave_no_cycle_behind(backend, x):
    layer = nn.Linear(3, 2, rng=0, backend=backend)
    layer.register_forward_hook(lambda *_: None)
    handle = layer.register_full_backward_hook(lambda *_: None)
    y = operations.sum(layer(Tensor(x, requires_grad=True)))
    y.backward()
    gone = weakref.ref(layer)
    gc.disable()
    try:
        del layer, y
        assert gone() is None
    finally:
        gc.enable()
    handle.remove()


def test_no_module_has_hooks_until_one_is_registered(layer):
    assert "_hooks" not in vars(layer)


@pytest.mark.parametrize("kind", ["register_forward_pre_hook", "register_forward_hook"])
def test_a_hook_may_take_itself_away_while_hooks_are_called(kind):
    layer, called = nn.Identity(), []
    handles = []
    handles.append(getattr(layer, kind)(lambda *_: (called.append("once"), handles[0].remove())[1]))
    getattr(layer, kind)(lambda *_: called.append("always"))
    layer(np.ones(2))
    layer(np.ones(2))
    assert called == ["once", "always", "always"]
