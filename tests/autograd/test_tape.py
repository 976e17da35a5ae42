"""The engine: what is recorded, freed, refused, and kept alive."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from portml.autograd import Tensor, enable_grad, grad, grad_enabled, no_grad
from portml.autograd.parameter import Parameter
from portml.autograd.tape import Leaf
from portml.backends import get_backend, observe, operations, to_numpy
from portml.backends.kernel import Kernel, Signature
from portml.backends.kernels.linear import linear
from portml.errors import ArgumentError, DtypeError, GradientError, MixedBackendsError, ShapeError


def leaf(backend, *shape, seed=0):
    return Tensor(backend.asarray(np.random.default_rng(seed).normal(size=shape)), requires_grad=True)


def total(x):
    return operations.sum(x)


def test_gradients_of_a_value_used_twice_add_up(backend):
    x = leaf(backend, 3)
    total(x * x + x).backward()
    np.testing.assert_allclose(to_numpy(x.grad), 2 * to_numpy(x) + 1)


def test_a_diamond_of_many_paths_is_walked_once_each(backend):
    x = Tensor(backend.asarray(1.0), requires_grad=True)
    y = x
    for _ in range(30):
        y = y + y
    seen = []
    with observe(lambda call: (seen.append(1), call.proceed())[1]):
        y.backward()
    assert float(to_numpy(x.grad)) == 2.0**30
    assert len(seen) < 200, "a walk over every path would take 2³⁰ steps"


def test_a_chain_of_a_hundred_thousand_operations_needs_no_recursion():
    x = Tensor(np.asarray(1.0), requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    y.backward()
    assert float(x.grad.value) == 1.0
    del y


def test_a_record_is_freed_by_backward_and_a_second_one_is_refused(backend):
    y = total(leaf(backend, 3) * 2.0)
    y.backward()
    with pytest.raises(GradientError, match="retain_graph=True"):
        y.backward()


def test_a_retained_record_can_be_walked_again_and_gradients_add_up(backend):
    x = leaf(backend, 3)
    y = total(x * 2.0)
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_array_equal(to_numpy(x.grad), [4.0, 4.0, 4.0])


def test_freeing_releases_what_was_recorded(backend):
    x = leaf(backend, 3)
    y = operations.exp(x)
    node = y.node
    total(y).backward()
    assert node.inputs == ()
    assert node.output is None


def test_a_graph_without_gradients_holds_nothing(backend):
    x = leaf(backend, 3)
    with no_grad():
        y = operations.exp(x)
    assert not y.requires_grad
    assert not operations.exp(x.detach()).requires_grad


def test_dropping_a_loss_frees_its_graph_at_once_without_the_collector(backend):
    gc.disable()
    try:
        x = leaf(backend, 3)
        y = linear(operations.reshape(operations.exp(x), (1, 3)), leaf(backend, 2, 3), None)
        z = operations.tanh(y)
        watched = [weakref.ref(tensor) for tensor in (y, z)]
        del y, z
        assert [reference() for reference in watched] == [None, None]
        before = len(gc.get_objects())
        for _ in range(20):
            total(operations.tanh(x)).backward(create_graph=True)
            x.grad = None
        assert len(gc.get_objects()) - before < 50, "cycles would stay until the collector ran"
    finally:
        gc.enable()


def test_second_derivatives_go_through_create_graph(backend):
    x = leaf(backend, 3)
    total(operations.exp(x)).backward(create_graph=True)
    first = x.grad
    x.grad = None
    total(first * first).backward()
    np.testing.assert_allclose(to_numpy(x.grad), 2 * np.exp(2 * to_numpy(x)))


def test_a_kernels_gradient_kernel_is_differentiated_through_its_twin(backend):
    x, w = leaf(backend, 4, 3), leaf(backend, 2, 3, seed=1)
    total(operations.square(linear(x, w, None))).backward(create_graph=True)
    second = total(w.grad)
    x.grad = w.grad = None
    second.backward()
    # Σ ∂/∂W Σ (xWᵀ)² = Σ 2 W xᵀx, so its gradient by W is 2 · 1 (xᵀx).
    expected = np.broadcast_to(2 * (to_numpy(x).T @ to_numpy(x)).sum(axis=1), (2, 3))
    np.testing.assert_allclose(to_numpy(w.grad), expected, rtol=1e-10)


def test_a_kernel_without_a_gradient_is_differentiated_through_its_body(backend):
    def squares(x, *, power):
        return operations.sum(x**power)

    kernel = Kernel("squares", squares, Signature.of(squares))
    x = leaf(backend, 3)
    kernel.function(x, power=3).backward()
    np.testing.assert_allclose(to_numpy(x.grad), 3 * to_numpy(x) ** 2)


def test_a_kernel_that_says_it_is_not_differentiable_records_nothing(backend):
    kernel = Kernel("signs", operations.sign, Signature(("x",)), differentiable=False)
    assert not kernel.function(leaf(backend, 3)).requires_grad


def test_a_gradient_kernel_is_told_which_gradients_are_wanted(backend):
    seen = []

    def observer(call):
        if call.kernel.name == "linear_backward":
            seen.append(call.statics["needs"])
        return call.proceed()

    with observe(observer):
        total(linear(backend.asarray(np.ones((2, 3))), leaf(backend, 4, 3), None)).backward()
    assert seen == [(False, True, False)]


def test_results_of_several_parts_flow_back_each_and_together(backend):
    x = leaf(backend, 3, 2)
    first, _, third = operations.unstack(x)
    total(first * 2.0 + third * 3.0).backward()
    np.testing.assert_array_equal(to_numpy(x.grad), [[2.0, 2.0], [0.0, 0.0], [3.0, 3.0]])


def test_a_gradient_has_the_dtype_and_shape_of_its_input(backend, xp):
    x = Tensor(backend.asarray(np.ones((3, 1)), dtype="float32"), requires_grad=True)
    y = backend.asarray(np.ones((2, 1, 4)))
    total(operations.multiply(x, y)).backward()
    assert x.grad.dtype == xp.float32
    assert x.grad.shape == (3, 1)
    np.testing.assert_array_equal(to_numpy(x.grad), np.full((3, 1), 8.0))


def test_a_real_input_of_a_complex_result_gets_a_real_gradient(backend, xp):
    x = leaf(backend, 3)
    z = operations.multiply(x, backend.asarray([1.0 + 1.0j, 2.0j, 3.0 + 0j]))
    total(operations.real(z) + operations.imag(z)).backward()
    assert x.grad.dtype == xp.float64
    np.testing.assert_allclose(to_numpy(x.grad), [2.0, 2.0, 3.0])


def test_every_gradient_can_be_written_to_without_spoiling_another(backend):
    a, b, g = leaf(backend, 3), leaf(backend, 3), backend.asarray([1.0, 2.0, 3.0])
    operations.add(a, b).backward(g)
    with no_grad():
        a.grad.value[...] = backend.asarray([0.0, 0.0, 0.0])
    np.testing.assert_array_equal(to_numpy(b.grad), [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(to_numpy(g), [1.0, 2.0, 3.0])
    x = leaf(backend, 3)
    total(x).backward()
    x.grad.value[0] = 5.0
    np.testing.assert_array_equal(to_numpy(x.grad), [5.0, 1.0, 1.0])


def test_integer_results_beside_others_take_no_gradient(backend):
    kernel = Kernel("both", lambda x: (x * 2.0, operations.argsort(x)), Signature(("x",)))
    kernel.rules = (lambda g, y, x: g[0] * 2.0,)
    doubled, order = kernel.function(leaf(backend, 3))
    assert doubled.requires_grad
    assert not order.requires_grad


def test_backward_of_a_vector_needs_a_gradient_of_its_shape(backend):
    x = leaf(backend, 3)
    with pytest.raises(ShapeError, match=r"shape \(3,\) needs a gradient of that shape"):
        (x * 2.0).backward()
    with pytest.raises(ShapeError, match=r"gradient: expected shape \(3,\), got \(2,\)"):
        (x * 2.0).backward(backend.asarray([1.0, 1.0]))
    (x * 2.0).backward(backend.asarray([1.0, 0.0, 2.0]))
    np.testing.assert_array_equal(to_numpy(x.grad), [2.0, 0.0, 4.0])


def test_backward_without_a_record_is_refused(backend):
    with pytest.raises(GradientError, match="nothing was recorded"):
        Tensor(backend.asarray(1.0)).backward()


def test_integers_take_no_gradient(backend):
    with pytest.raises(DtypeError, match="floating data type"):
        Tensor(backend.asarray([1, 2]), requires_grad=True)


def test_requires_grad_of_a_computed_tensor_cannot_be_set(backend):
    y = leaf(backend, 3) * 2.0
    with pytest.raises(GradientError, match="leaves only"):
        y.requires_grad = False


def test_a_gradient_can_be_set_and_must_fit(backend):
    x = leaf(backend, 3)
    x.grad = backend.asarray([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(to_numpy(x.grad), [1.0, 2.0, 3.0])
    with pytest.raises(ShapeError, match=r"grad: expected shape \(3,\), got \(2,\)"):
        x.grad = backend.asarray([1.0, 2.0])
    with pytest.raises(GradientError, match="takes no gradient"):
        Tensor(backend.asarray(1.0)).grad = backend.asarray(1.0)


def test_writing_into_a_computed_tensor_keeps_older_records_right(backend):
    x = leaf(backend, 3)
    y = x * 2.0
    square = operations.square(y)
    y[0] = 10.0
    total(square).backward()
    np.testing.assert_allclose(to_numpy(x.grad), 8 * to_numpy(x))
    assert float(to_numpy(y)[0]) == 10.0


def test_gradients_flow_through_a_write(backend):
    x, v = leaf(backend, 3), leaf(backend, 2, seed=1)
    y = x * 2.0
    y[1:] = v
    total(y * y).backward()
    np.testing.assert_allclose(to_numpy(x.grad), [8 * to_numpy(x)[0], 0.0, 0.0])
    np.testing.assert_allclose(to_numpy(v.grad), 2 * to_numpy(v))


def test_a_constant_written_after_use_does_not_spoil_the_record(backend):
    constant, x = Tensor(backend.asarray([1.0, 2.0])), leaf(backend, 2)
    y = total(x * constant)
    with no_grad():
        constant[0] = 100.0
    y.backward()
    np.testing.assert_array_equal(to_numpy(x.grad), [1.0, 2.0])


def test_leaves_and_nodes_are_stamped_in_order():
    assert Leaf().sequence < Leaf().sequence


def test_mixed_backends_are_refused_with_tensors_too():
    x = Tensor(np.ones(2), requires_grad=True)
    with pytest.raises(TypeError, match=r"mix numpy and strict|mix strict and numpy"):
        operations.add(x, get_backend("strict").asarray([1.0, 1.0]))


@pytest.mark.parametrize("which", ["input", "weight"])
def test_a_gradient_kernel_without_conjugates_refuses_complex_numbers(backend, which):
    x, weight = np.ones((2, 3)), np.ones((4, 3))
    x, weight = (x + 1j, weight) if which == "input" else (x, weight + 1j)
    y = linear(Tensor(backend.asarray(x), requires_grad=True), backend.asarray(weight), None)
    with pytest.raises(GradientError, match=r"linear: its gradient is for real numbers, got .*complex128"):
        y.backward(backend.asarray(np.ones((2, 4)) + 0j))


def test_a_gradient_kernel_that_takes_complex_numbers_gives_the_conjugates(backend, xp):
    x = Tensor(backend.asarray(np.asarray([1 + 2j, 3 - 1j, 2j])), requires_grad=True)
    chosen = x[backend.asarray([0, 2, 2])]
    total(operations.real(chosen * operations.conj(chosen))).backward()
    np.testing.assert_allclose(to_numpy(x.grad), to_numpy(x) * np.asarray([2, 0, 4]))


def test_a_gradient_passes_an_axis_repeated_beside_a_new_one_of_length_one(backend):
    x = leaf(backend, 1, 3)
    total(operations.broadcast_to(x, (1, 4, 3)) * backend.asarray(np.arange(12.0).reshape(1, 4, 3))).backward()
    np.testing.assert_allclose(to_numpy(x.grad), [[18.0, 22.0, 26.0]])


def test_an_inner_derivative_leaves_the_record_around_it_whole(backend):
    w = leaf(backend, 3)
    outside = w * 2.0
    inner = grad(lambda x: total(x * outside))(backend.asarray(np.ones(3)))
    np.testing.assert_allclose(to_numpy(inner), 2 * to_numpy(w))
    total(outside).backward()
    np.testing.assert_allclose(to_numpy(w.grad), np.full(3, 2.0))


def test_backward_of_a_complex_number_needs_a_gradient(backend):
    y = total(leaf(backend, 2) * 1j)
    with pytest.raises(GradientError, match="take its real or imaginary part, or pass gradient="):
        y.backward()


@pytest.mark.parametrize("given", [[1.0, 1.0], 1.0])
def test_a_gradient_that_is_no_array_is_refused(backend, given):
    x = leaf(backend, 2)
    with pytest.raises(ArgumentError, match=r"gradient: expected an array of shape \(2,\), got a"):
        (x * 2.0).backward(given)
    with pytest.raises(ArgumentError, match=r"grad: expected an array of shape \(2,\), got a"):
        x.grad = given


def test_a_gradient_takes_the_dtype_of_its_tensor(backend, xp):
    x = Tensor(backend.asarray([1.0, 2.0], dtype="float32"), requires_grad=True)
    x.grad = backend.asarray([1.0, 1.0], dtype="float64")
    assert x.grad.dtype == xp.float32
    with pytest.raises(DtypeError, match="gradient: expected real numbers"):
        (x * 2.0).backward(backend.asarray([1j, 1j]))


def test_a_gradient_of_another_backend_is_refused():
    x = leaf(get_backend("numpy"), 2)
    with pytest.raises(MixedBackendsError, match=r"portml\.backends\.to"):
        (x * 2.0).backward(get_backend("strict").asarray([1.0, 1.0]))


def test_modes_that_are_nested_come_back_one_by_one():
    with no_grad():
        with no_grad():
            pass
        assert not grad_enabled()
        with enable_grad():
            with no_grad():
                assert not grad_enabled()
            assert grad_enabled()
        assert not grad_enabled()
    assert grad_enabled()


def test_a_tracked_gradient_leaves_no_history_unless_it_is_asked_for(backend):
    x = leaf(backend, 3)
    x.backward(leaf(backend, 3, seed=1))
    assert not x.grad.requires_grad


def test_raw_arrays_beside_a_frozen_parameter_give_a_tensor_while_gradients_are_recorded(backend):
    frozen, raw = Parameter(backend.asarray([1.0]), requires_grad=False), backend.asarray([2.0])
    assert isinstance(operations.concat([frozen, raw]), Tensor)
    with no_grad():
        assert not isinstance(operations.concat([frozen, raw]), Tensor)


def test_where_bounds_cross_the_upper_one_takes_the_gradient():
    backend = get_backend("numpy")  # the standard leaves crossed bounds open
    low, high = Tensor(backend.asarray([2.0]), requires_grad=True), Tensor(backend.asarray([1.0]), requires_grad=True)
    y = operations.clip(backend.asarray([0.0]), low, high)
    np.testing.assert_array_equal(to_numpy(y), [1.0])
    total(y).backward()
    np.testing.assert_array_equal(to_numpy(low.grad), [0.0])
    np.testing.assert_array_equal(to_numpy(high.grad), [1.0])


@pytest.mark.parametrize(("value", "error"), [(None, ArgumentError), (1j, DtypeError), (np.asarray(1j), DtypeError)])
def test_what_a_real_tensor_cannot_hold_is_not_written_into_it(backend, value, error):
    x = Tensor(backend.asarray([1.0, 2.0]))
    with pytest.raises(error, match="value: expected"):
        x[0] = backend.asarray(value) if isinstance(value, np.ndarray) else value
    np.testing.assert_array_equal(to_numpy(x), [1.0, 2.0])
