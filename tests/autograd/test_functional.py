"""The functional face: JAX's signatures, nesting to any order, structures, and refusals."""

from __future__ import annotations

import copy
import threading
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portml.autograd import (
    Tensor,
    grad,
    grad_enabled,
    hessian,
    jacobian,
    jvp,
    no_grad,
    stop_gradient,
    value_and_grad,
    vjp,
)
from portml.backends import namespace, operations, to_numpy
from portml.errors import ArgumentError, DtypeError, GradientError, ShapeError


def cubic(x):
    """Plain Array API code: it knows nothing of Tensors."""
    return namespace(x).sum(x**3)


def values(structure):
    if isinstance(structure, tuple | list):
        return [values(part) for part in structure]
    return to_numpy(structure)


@pytest.fixture
def x(backend):
    return backend.asarray([1.0, 2.0, -3.0])


def test_grad_takes_and_returns_raw_arrays(backend, x):
    gradient = grad(cubic)(x)
    assert type(gradient) is type(x)
    np.testing.assert_allclose(to_numpy(gradient), [3.0, 12.0, 27.0])


def test_grad_of_grad_of_grad(backend):
    third = grad(grad(grad(lambda x: x**5)))
    np.testing.assert_allclose(to_numpy(third(backend.asarray(2.0))), 60 * 4.0)


def test_value_and_grad_gives_both(x):
    value, gradient = value_and_grad(cubic)(x)
    np.testing.assert_allclose(to_numpy(value), -18.0)
    np.testing.assert_allclose(to_numpy(gradient), [3.0, 12.0, 27.0])


def test_argnums_choose_arguments_and_aux_passes_through(x):
    def f(a, b, *, scale):
        return operations.sum(a * b) * scale, {"a": a}

    (da, db), aux = grad(f, argnums=(0, -1), has_aux=True)(x, x, scale=2.0)
    np.testing.assert_allclose(to_numpy(da), 2 * to_numpy(x))
    np.testing.assert_allclose(to_numpy(db), 2 * to_numpy(x))
    assert type(aux["a"]) is type(x)


def test_structures_of_arguments_come_back_as_structures(x):
    class Pair(NamedTuple):
        weight: object
        bias: object

    def f(params):
        return operations.sum(params["layer"].weight * params["layer"].bias) + operations.sum(params["list"][0])

    gradient = grad(f)({"layer": Pair(x, x), "list": [x]})
    assert isinstance(gradient["layer"], Pair)
    np.testing.assert_allclose(to_numpy(gradient["layer"].weight), to_numpy(x))
    np.testing.assert_allclose(to_numpy(gradient["list"][0]), [1.0, 1.0, 1.0])


def test_python_floats_are_differentiated_in_double_precision():
    assert grad(lambda x: x * x)(3.0) == 6.0
    assert grad(lambda x: x * x)(3.0).dtype == np.float64


def test_a_function_that_ignores_its_argument_has_a_zero_gradient(x):
    np.testing.assert_array_equal(to_numpy(grad(lambda x: 1.0)(x)), [0.0, 0.0, 0.0])


def test_an_inner_gradient_sees_the_outer_variable_through_a_closure(backend):
    # f(x) = x * d/dy (x y²) at y = x is 2 x³, though the inner function is given x once as a constant.
    def f(x):
        return x * grad(lambda y: x * y * y)(x)

    np.testing.assert_allclose(to_numpy(grad(f)(backend.asarray(2.0))), 24.0)


def test_an_inner_gradient_at_a_constant_still_depends_on_the_outer_variable(backend):
    constant = backend.asarray(2.0)
    np.testing.assert_allclose(to_numpy(grad(lambda x: grad(lambda y: x * x * y)(constant))(backend.asarray(3.0))), 6.0)


def test_nested_derivatives_do_not_confuse_their_variables(backend):
    # Siskind and Pearlmutter's example of perturbation confusion: d/dx (x · d/dy (x + y)) = 1.
    outer = grad(lambda x: x * grad(lambda y: x + y)(backend.asarray(1.0)))
    np.testing.assert_allclose(to_numpy(outer(backend.asarray(1.0))), 1.0)


def test_vjp_may_be_called_many_times_and_is_linear(backend, x):
    value, pull_back = vjp(lambda x: x * x, x)
    np.testing.assert_allclose(to_numpy(value), [1.0, 4.0, 9.0])
    one, other = backend.asarray([1.0, 0.0, 2.0]), backend.asarray([0.0, 1.0, 1.0])
    (first,), (second,), (both,) = pull_back(one), pull_back(other), pull_back(one + other)
    np.testing.assert_allclose(to_numpy(first) + to_numpy(second), to_numpy(both))


def test_vjp_of_several_arguments_and_results(backend, x):
    (total, product), pull_back = vjp(lambda a, b: (a + b, a * b), x, x)
    assert total.shape == product.shape == (3,)
    da, db = pull_back((backend.asarray([1.0, 1.0, 1.0]), backend.asarray([2.0, 2.0, 2.0])))
    np.testing.assert_allclose(to_numpy(da), 1 + 2 * to_numpy(x))
    np.testing.assert_allclose(to_numpy(db), 1 + 2 * to_numpy(x))


def test_a_pull_back_can_be_differentiated(backend, x):
    ones = backend.asarray([1.0, 1.0, 1.0])
    second = grad(lambda x: operations.sum(vjp(lambda y: y**3, x)[1](ones)[0]))
    np.testing.assert_allclose(to_numpy(second(x)), 6 * to_numpy(x))


@given(st.lists(st.floats(-2, 2), min_size=3, max_size=3), st.lists(st.floats(-2, 2), min_size=3, max_size=3))
def test_jvp_and_vjp_are_adjoint(point, direction):
    x, v, u = np.asarray(point), np.asarray(direction), np.asarray([1.0, -2.0])

    def f(x):
        return operations.stack([operations.sum(operations.sin(x)), x[0] * x[1] * x[2]])

    _, forward = jvp(f, (x,), (v,))
    (backward,) = vjp(f, x)[1](u)
    np.testing.assert_allclose(np.dot(forward, u), np.dot(backward, v), atol=1e-12)


def test_jvp_of_a_linear_function_and_of_a_constant(backend, x):
    value, tangent = jvp(lambda x: (2.0 * x, 5.0 * operations.ones_like(x)), (x,), (x,))
    np.testing.assert_allclose(values(value)[0], 2 * to_numpy(x))
    np.testing.assert_allclose(values(tangent)[0], 2 * to_numpy(x))
    np.testing.assert_array_equal(values(tangent)[1], [0.0, 0.0, 0.0])


def test_jvp_of_jvp_is_the_second_directional_derivative(backend):
    one = backend.asarray(1.0)

    def first(x):
        return jvp(lambda y: y**4, (x,), (one,))[1]

    np.testing.assert_allclose(to_numpy(jvp(first, (backend.asarray(2.0),), (one,))[1]), 48.0)


def test_jacobian_has_a_row_for_each_result(backend, x):
    matrix = jacobian(lambda x: operations.stack([operations.sum(x), x[0] * x[1]]))(x)
    np.testing.assert_allclose(to_numpy(matrix), [[1.0, 1.0, 1.0], [2.0, 1.0, 0.0]])


def test_jacobian_keeps_the_shapes_of_results_and_arguments(backend):
    x = backend.asarray(np.arange(6.0).reshape(2, 3))
    assert jacobian(lambda x: operations.sum(x, axis=0))(x).shape == (3, 2, 3)
    assert jacobian(lambda x: x[:0, :])(x).shape == (0, 3, 2, 3)


def test_hessian_is_symmetric_and_right(x):
    matrix = to_numpy(hessian(lambda x: x[0] ** 2 * x[1] + x[1] * x[2] ** 3)(x))
    np.testing.assert_allclose(matrix, [[4.0, 2.0, 0.0], [2.0, 0.0, 27.0], [0.0, 27.0, -36.0]], atol=1e-12)


def test_tensors_in_give_tensors_out_and_the_graph_goes_on(backend, x):
    leaf = Tensor(x, requires_grad=True)
    gradient = grad(cubic)(leaf)
    assert isinstance(gradient, Tensor)
    operations.sum(gradient).backward()
    np.testing.assert_allclose(to_numpy(leaf.grad), 6 * to_numpy(x))


def test_stop_gradient_stops_it(x):
    gradient = grad(lambda x: operations.sum(x * stop_gradient(x)))(x)
    np.testing.assert_allclose(to_numpy(gradient), to_numpy(x))
    assert stop_gradient(x) is x


def test_complex_gradients_follow_the_conjugate_convention(backend):
    z = backend.asarray([1.0 + 2.0j, -0.5j])
    xp = backend.xp
    gradient = grad(lambda z: namespace(z).sum(namespace(z).real(z * namespace(z).conj(z))))(z)
    np.testing.assert_allclose(to_numpy(gradient), 2 * to_numpy(z))
    assert gradient.dtype == xp.complex128


def test_grad_works_inside_no_grad_and_leaves_the_mode_as_it_was(x):
    with no_grad():
        np.testing.assert_allclose(to_numpy(grad(cubic)(x)), [3.0, 12.0, 27.0])
        assert not grad_enabled()
    assert grad_enabled()


def test_an_error_inside_leaves_no_mode_behind(x):
    def fails(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        grad(fails)(x)
    assert type(grad(cubic)(x)) is type(x), "still inside a derivative, it would be a Tensor"


def test_modes_do_not_leak_into_threads():
    seen = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append(grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_threads_differentiate_side_by_side():
    results = {}

    def work(i):
        results[i] = [float(grad(lambda x: x**3)(float(i))) for _ in range(50)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {i: [3.0 * i * i] * 50 for i in range(4)}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: grad(lambda x: x)(np.ones(3)), GradientError, r"must return a scalar, got shape \(3,\)"),
        (lambda: grad(lambda x: "no")(np.ones(3)), GradientError, "must return a scalar, got no array"),
        (lambda: grad(lambda x: operations.sum(x) * 1j)(np.ones(3)), GradientError, "must return a real number"),
        (lambda: grad(cubic)(np.ones(3, int)), DtypeError, "floating data type, got int64"),
        (lambda: grad(cubic)(3), DtypeError, "real or complex arguments, got the int 3"),
        (lambda: grad(cubic, argnums=1)(np.ones(3)), ArgumentError, "argnums: 1 is out of range for 1"),
        (lambda: jvp(cubic, np.ones(3), np.ones(3)), ArgumentError, "must be tuples"),
        (lambda: jvp(cubic, (np.ones(3),), (np.ones(4),)), ShapeError, r"expected shape \(3,\), got \(4,\)"),
        (lambda: vjp(cubic, np.ones(3))[1](np.ones(3)), ShapeError, r"cotangent: expected shape \(\), got \(3,\)"),
        (lambda: jacobian(lambda z: z * 1j)(np.ones(3)), GradientError, "is complex"),
    ],
)
def test_what_cannot_be_differentiated_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_deep_copies_of_results_are_plain(x):
    gradient = grad(cubic)(x)
    np.testing.assert_array_equal(to_numpy(copy.deepcopy(gradient)), to_numpy(gradient))


@pytest.mark.parametrize("way", ["argument", "keyword"])
def test_the_gradient_at_a_tensor_depends_on_parameters_that_the_function_holds(backend, way):
    w = Tensor(backend.asarray([1.0, 2.0]), requires_grad=True)
    x = backend.asarray([3.0, 4.0])
    if way == "argument":
        slope = grad(lambda x: operations.sum(w * w * x * x))(Tensor(x))
    else:
        slope = grad(lambda x, w: operations.sum(w * w * x * x))(x, w=w)
    operations.sum(slope).backward()
    np.testing.assert_allclose(to_numpy(w.grad), [4 * 1 * 3.0, 4 * 2 * 4.0])


def test_argnums_count_from_the_end_too(x):
    last = grad(lambda a, b: operations.sum(operations.multiply(a, b)), argnums=-1)
    np.testing.assert_allclose(to_numpy(last(x, x + 1.0)), to_numpy(x))


def test_a_jacobian_of_a_complex_result_is_refused(x):
    with pytest.raises(GradientError, match="the function's result is complex"):
        jacobian(lambda a: a * 1j)(x)


def test_a_pull_back_inside_another_derivative_is_recorded(backend):
    x = backend.asarray([1.0, 2.0])
    w = Tensor(backend.asarray([1.0, 3.0]), requires_grad=True)
    _, pull_back = vjp(lambda a: a * a * w, x)

    def outer(scale):
        (pulled,) = pull_back(backend.asarray([1.0, 1.0]))
        return operations.sum(pulled) * scale

    value = grad(outer)(Tensor(backend.asarray(1.0)))
    np.testing.assert_allclose(to_numpy(value), 2 * 1 * 1 + 2 * 2 * 3)
    value.backward()
    np.testing.assert_allclose(to_numpy(w.grad), [2.0, 4.0])
