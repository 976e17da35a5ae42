"""Observers: what they see, in which order, and that other threads are not watched."""

from __future__ import annotations

import threading

import numpy as np

from portml.autograd import Tensor
from portml.backends import observe, operations
from portml.backends.kernels.activation import relu
from portml.backends.kernels.convolution import convolution
from portml.backends.kernels.linear import linear


def names_seen(seen):
    def observer(call):
        seen.append(call.kernel.name)
        return call.proceed()

    return observer


def test_an_observer_sees_kernels_and_operations_with_their_arguments(backend):
    seen = []

    def observer(call):
        seen.append((call.kernel.name, call.kernel.kind, tuple(call.statics)))
        return call.proceed()

    x = backend.asarray(np.ones((2, 3)))
    with observe(observer):
        relu(x)
        operations.reshape(x, (3, 2))
    relu(x)
    assert seen == [("relu", "out", ()), ("reshape", "view", ("shape", "copy"))]


def test_the_innermost_observer_comes_first_and_both_see_the_call():
    order = []

    def noting(name):
        def observer(call):
            order.append(name)
            return call.proceed()

        return observer

    with observe(noting("outer")), observe(noting("inner")):
        relu(np.ones(2))
    assert order == ["inner", "outer"]


def test_an_observer_may_stand_in_for_the_result():
    with observe(lambda call: "mine"):
        assert relu(np.ones(2)) == "mine"


def test_kernels_that_an_implementation_calls_are_not_seen(backend):
    seen = []
    x, w = backend.asarray(np.ones((1, 1, 4, 4))), backend.asarray(np.ones((1, 1, 3, 3)))
    with observe(names_seen(seen)):
        convolution(x, w, None, stride=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 1), groups=1)
        relu(x)
    assert seen == ["convolution", "relu"]


def test_forward_and_backward_of_tensors_pass_the_doorway(backend):
    x, w = backend.asarray(np.ones((2, 3))), Tensor(backend.asarray(np.ones((4, 3))), requires_grad=True)
    seen = []
    with observe(names_seen(seen)):
        operations.sum(operations.exp(linear(x, w, None))).backward()
    assert [name for name in seen if name in ("linear_saving", "exp", "sum", "linear_backward")] == [
        "linear_saving",
        "exp",
        "sum",
        "linear_backward",
    ]
    assert "multiply" in seen, "the rule of exp multiplies, and that is seen too"


def test_watching_changes_no_gradient(backend):
    def gradient():
        x = Tensor(backend.asarray(np.linspace(-1, 1, 5)), requires_grad=True)
        operations.sum(operations.multiply(operations.exp(x), x)).backward()
        return x.grad.numpy()

    plain = gradient()
    with observe(lambda call: call.proceed()):
        watched = gradient()
    np.testing.assert_array_equal(plain, watched)


def test_other_threads_are_not_watched():
    seen = []
    with observe(names_seen(seen)):
        thread = threading.Thread(target=lambda: relu(np.ones(2)))
        thread.start()
        thread.join()
    assert seen == []


def test_an_observer_is_gone_after_an_error_inside():
    seen = []
    try:
        with observe(names_seen(seen)):
            raise KeyError
    except KeyError:
        pass
    relu(np.ones(2))
    assert seen == []
